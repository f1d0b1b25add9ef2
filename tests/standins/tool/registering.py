"""euca-register, euca-deregister and euca-describe-images."""

from __future__ import annotations

from .arguments import Arguments, UsageError
from .generations import Family, Generation
from .reporting import FailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .elements import Element
    from .traps import Traps
    from .wire import Wire

    Say = Callable[[str], None]


def register(
    generation: Generation, arguments: Arguments, wire: Wire, traps: Traps, say: Say
) -> None:
    location = arguments.rest[0] if arguments.rest else ""
    new = generation.family is Family.REQUESTS
    if not location and generation.family is Family.SCRIPTS:
        raise UsageError("image location must be specified")
    if not location and new:
        raise UsageError(
            "usage: euca-register [...]\neuca-register: error: either a manifest location or a "
            "root device snapshot mapping must be specified"
        )
    # 2.x asks for an image without a location, and may get one.
    parameters = {"ImageLocation": location} if location else {}
    architecture = arguments.get("architecture")
    if generation.family is Family.ROBOTO:
        architecture = architecture or "i386"
    named = {
        "Name": arguments.get("name"),
        "Description": arguments.get("description"),
        "Architecture": architecture,
        "KernelId": arguments.get("kernel"),
        "RamdiskId": arguments.get("ramdisk"),
        "VirtualizationType": arguments.get("virtualization-type"),
    }
    parameters |= {name: value for name, value in named.items() if value}
    answer = wire.ec2("RegisterImage", parameters)
    traps.pause()
    image_id = "" if traps.on("no_id") else answer.first("imageId") or ""
    if image_id or new or traps.on("no_id"):
        say(f"IMAGE\t{image_id}")


def deregister(
    generation: Generation, arguments: Arguments, wire: Wire, traps: Traps, say: Say
) -> None:
    if not arguments.rest:
        raise UsageError("image_id must be specified")
    image_id = arguments.rest[0]
    answer = wire.ec2("DeregisterImage", {"ImageId": image_id})
    traps.pause()
    if generation.family is not Family.REQUESTS and answer.first("return") != "true":
        raise FailedError("", 0 if generation.family is Family.SCRIPTS else 1)
    say(f"IMAGE\t{image_id}")


def describe(
    generation: Generation, arguments: Arguments, wire: Wire, traps: Traps, say: Say
) -> None:
    found: dict[str, Element] = {}
    for parameters in _questions(generation, arguments):
        for images in wire.ec2("DescribeImages", parameters).all("imagesSet"):
            for image in images.children:
                found.setdefault(image.child("imageId") or "", image)
    traps.pause()
    wanted = set(arguments.rest)
    for image_id in sorted(found):
        if generation.name == "1.2" and wanted and image_id not in wanted:
            continue
        say("\t".join(_columns(generation, found[image_id])))


def _questions(generation: Generation, arguments: Arguments) -> list[Mapping[str, str]]:
    asked = {f"ImageId.{index}": value for index, value in enumerate(arguments.rest, 1)}
    if owner := arguments.get("owner"):
        asked["Owner.1"] = owner
    if executable := arguments.get("executable-by"):
        asked["ExecutableBy.1"] = executable
    if generation.name == "1.2":
        asked = {name: value for name, value in asked.items() if not name.startswith("ImageId")}
    if asked or "all" in arguments.values:
        return [asked]
    if generation.name == "1.2":
        return [{"Owner.1": "self", "ExecutableBy.1": "self"}]
    return [{"Owner.1": "self"}, {"ExecutableBy.1": "self"}]


def _columns(generation: Generation, image: Element) -> Sequence[str]:
    def text(*names: str) -> str:
        return next((value for name in names if (value := image.child(name))), "")

    public = "public" if text("isPublic") == "true" else "private"
    if generation.family is Family.REQUESTS:
        place = text("imageLocation")
        if text("rootDeviceType") != "instance-store":
            place = f"{text('imageOwnerId')}/{text('name')}"
        return (
            *("IMAGE", text("imageId"), place, text("imageOwnerAlias", "imageOwnerId")),
            *(text("imageState"), public, text("architecture"), text("imageType")),
            *(text("kernelId"), text("ramdiskId"), text("platform"), text("rootDeviceType")),
            *(text("virtualizationType"), text("hypervisor")),
        )
    first = ("IMAGE", text("imageId"), text("imageLocation"), text("imageOwnerId"))
    middle = (text("imageState"), public, "", text("architecture"), text("imageType"))
    if generation.name == "1.2":
        return (*first, *middle, text("ramdiskId"), text("kernelId"))
    if generation.family is Family.SCRIPTS:
        last = [text("kernelId") or " ", text("ramdiskId") or " "]
        last += filter(None, (text("platform"), text("rootDeviceType")))
        return (*first, *middle, *last)
    return (
        *first,
        *middle,
        *(text("kernelId"), text("ramdiskId"), text("platform"), text("rootDeviceType")),
    )

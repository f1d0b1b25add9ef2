"""One run of a stand-in: read the arguments, do what the command does, say what it says."""

from __future__ import annotations

import os
import sys

from .arguments import UsageError, read_arguments
from .generations import GENERATIONS, Family
from .reporting import FailedError, RefusedError, UnreachableError, die
from .traps import Traps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .arguments import Arguments
    from .bundling import Order
    from .generations import Generation

# boto tries a dead service again and again, ever more slowly; requests does not.
PATIENCE_S = {Family.SCRIPTS: 70.0, Family.ROBOTO: 70.0, Family.REQUESTS: 0.0}
DEPRECATED = "The command rsautl was deprecated in version 3.0. Use 'pkeyutl' instead."


def main(place: str, generation_name: str, tool: str) -> None:
    """Run one command and exit with its status.

    Args:
        place: the folder with this program's settings.
        tool: the command's name.
    """
    generation = GENERATIONS[generation_name]
    argv = sys.argv[1:]
    traps = Traps(place, tool)
    traps.record(argv)
    if traps.on("crash"):
        raise RuntimeError("the stand-in was told to crash")
    try:
        _run(generation, tool, read_arguments(generation, tool, argv), traps)
    except UsageError as error:
        where = sys.stderr if generation.errors_on_stderr else sys.stdout
        print(error, file=where)
        sys.exit(generation.usage_status)
    except (FailedError, RefusedError, UnreachableError) as error:
        die(generation, tool, error)
    sys.exit(0)


def _run(generation: Generation, tool: str, arguments: Arguments, traps: Traps) -> None:
    if tool == "euca-version" or "version" in arguments.values:
        new = generation.family is Family.REQUESTS
        print(generation.version, file=sys.stderr if new else sys.stdout)
        return
    say: Callable[[str], None] = _silent if traps.on("silent") else _say
    if traps.on("mute_hang"):
        traps.pause()
    if answer := traps.of_tool("error"):
        raise RefusedError(400, answer[0], answer[1])
    from .credentials import environment_of, keys, url

    environment = environment_of(generation, arguments, traps.place)
    if tool == "euca-bundle-image":
        _bundle(generation, arguments, environment, traps, say)
        return
    name = "S3_URL" if tool in ("euca-upload-bundle", "euca-delete-bundle") else "EC2_URL"
    from .wire import Wire

    wire = Wire(
        url(generation, name, arguments, environment),
        keys(generation, arguments, environment, for_s3=name == "S3_URL"),
        generation.query_v4 or not traps.on("real_signatures"),
        generation.family is not Family.REQUESTS,
        traps.number("patience_s", PATIENCE_S[generation.family]),
    )
    if name == "S3_URL":
        from .storing import Store

        store = Store(generation, arguments, wire, traps, say)
        (store.upload if tool == "euca-upload-bundle" else store.delete)()
        return
    from . import registering

    command = {
        "euca-register": registering.register,
        "euca-deregister": registering.deregister,
        "euca-describe-images": registering.describe,
    }[tool]
    command(generation, arguments, wire, traps, say)


def _bundle(
    generation: Generation,
    arguments: Arguments,
    environment: Mapping[str, str],
    traps: Traps,
    say: Callable[[str], None],
) -> None:
    from .bundling import bundle

    new = generation.family is Family.REQUESTS
    order = _order(generation, arguments, environment, say)
    if traps.on("invalid_user"):
        raise FailedError(f"Invalid user {order.user}", 0)
    _check_files(generation, order)
    if not os.path.isdir(order.destination):
        if os.path.exists(order.destination):
            raise _bad_destination(generation, order)
        if new and not os.path.isdir(os.path.dirname(order.destination) or "."):
            raise FailedError(f"No such file or directory: {order.destination}")
        os.makedirs(order.destination)
    manifest = bundle(generation, order, traps, say)
    if new:
        if not traps.on("no_deprecations"):
            print("\n".join([DEPRECATED] * 4), file=sys.stderr)
        say(f"Wrote manifest {manifest}")


def _bad_destination(generation: Generation, order: Order) -> Exception:
    if generation.family is Family.REQUESTS:
        return _argument_error(
            f"argument -d/--destination: '{order.destination}' is not a directory"
        )
    packed = f"{order.destination}/{order.prefix}.tar.gz"
    return FailedError(f"[Errno 20] Not a directory: '{packed}'")


def _order(
    generation: Generation,
    arguments: Arguments,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Order:
    from .bundling import Order, temporary

    new = generation.family is Family.REQUESTS
    if generation.family is Family.SCRIPTS and arguments.get("arch"):
        say(arguments.get("arch"))
        if arguments.get("arch") not in ("i386", "x86_64"):
            raise UsageError("target architecture must be i386 or x86_64")
    user = _user(generation, arguments, environment)
    if not arguments.get("image"):
        raise UsageError("image be specified.")
    image = arguments.get("image")
    prefix = arguments.get("prefix") or os.path.basename(image)
    given = arguments.get("destination")
    if given or not new:
        destination = given.rstrip("/") or "/tmp"
    else:
        import tempfile

        destination = tempfile.mkdtemp("", "bundle-", temporary(None))
    kernel, ramdisk = arguments.get("kernel"), arguments.get("ramdisk")
    kind = "kernel" if kernel == "true" else "ramdisk" if ramdisk == "true" else "machine"
    if new and kind != "machine" and kernel and ramdisk:
        other = "kernel" if ramdisk == "true" else "ramdisk"
        kind = "ramdisk" if ramdisk == "true" else kind
        raise _argument_error(f"argument --{other}: not compatible with image type '{kind}'")
    mappings = dict(
        pair.partition("=")[::2]
        for pair in (
            arguments.get("block-device-mappings") or arguments.get("block-device-mapping")
        ).split(",")
        if pair
    )
    codes = arguments.get("productcodes") or arguments.get("product-codes")
    return Order(
        image,
        destination,
        prefix,
        prefix if new and generation.name != "3.0" else os.path.basename(image),
        user,
        arguments.get("arch") or "x86_64",
        _file(generation, arguments, environment, "privatekey", "EC2_PRIVATE_KEY", "private-key"),
        _file(generation, arguments, environment, "cert", "EC2_CERT", "certificate"),
        _file(generation, arguments, environment, "ec2cert", "EUCALYPTUS_CERT", "certificate"),
        kind,
        {"kernel_id": kernel, "ramdisk_id": ramdisk},
        mappings,
        [code for code in codes.split(",") if code],
    )


def _user(generation: Generation, arguments: Arguments, environment: Mapping[str, str]) -> str:
    user = arguments.get("user") or environment.get("EC2_USER_ID", "")
    if generation.family is Family.REQUESTS:
        from .credentials import configured

        user = user or configured(environment, "user").get("account-id", "")
    user = user.replace("-", "")
    if not user:
        raise {
            Family.REQUESTS: _argument_error("missing account ID; please supply one with --user"),
            Family.ROBOTO: FailedError("Environment variable: EC2_USER_ID not found"),
            Family.SCRIPTS: UsageError("user must be specified."),
        }[generation.family]
    if generation.family is Family.SCRIPTS and not user.isdigit():
        raise FailedError(f"Invalid user {user}", 0)
    return user


_SAID = {"privatekey": "private key", "cert": "cert", "ec2cert": "ec2cert"}


def _file(
    generation: Generation,
    arguments: Arguments,
    environment: Mapping[str, str],
    option: str,
    variable: str,
    configuration: str,
) -> str:
    found = arguments.get(option) or environment.get(variable, "")
    if generation.family is Family.REQUESTS:
        from .credentials import configured

        kind = "region" if option == "ec2cert" else "user"
        found = found or configured(environment, kind).get(configuration, "")
    if found:
        return os.path.expanduser(found)
    if generation.family is Family.SCRIPTS:
        raise UsageError(f"{_SAID[option]} must be specified.")
    if generation.family is Family.ROBOTO:
        raise FailedError(f"Environment variable: {variable} not found")
    if option == "ec2cert":
        raise _argument_error("missing cloud certificate; please supply one with --ec2cert")
    if not generation.signs_always:
        return ""
    letter = "-k" if option == "privatekey" else "-c"
    words = "private key" if option == "privatekey" else "certificate"
    raise _argument_error(f"missing {words}; please supply one with {letter}")


_FILE_KINDS = {
    "cert": "user certificate",
    "private key": "private key",
    "ec2cert": "cloud certificate",
}


def _check_files(generation: Generation, order: Order) -> None:
    for path, words in (
        (order.image, "image"),
        (order.certificate, "cert"),
        (order.private_key, "private key"),
        (order.cloud_certificate, "ec2cert"),
    ):
        if os.path.isfile(path) or not path:
            continue
        if generation.family is Family.SCRIPTS:
            raise FailedError(f"Invalid {words}")
        if generation.family is Family.ROBOTO:
            if words == "image":
                raise FailedError("image should be of type file")
            raise FailedError("(2, 'No such file or directory')")
        if words == "image":
            raise FailedError(f"No such file or directory: {path}")
        kind = _FILE_KINDS[words]
        if generation.name == "3.0":
            kind = kind.removeprefix("user ")
        raise _argument_error(f"{kind} file '{path}' does not exist")


def _argument_error(sentence: str) -> UsageError:
    return UsageError(f"usage: euca-bundle-image [...]\neuca-bundle-image: error: {sentence}")


def _say(line: str) -> None:
    print(line)


def _silent(line: str) -> None:
    pass

"""The images that EC2 knows: registered, asked for, taken back."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.clouderrors import is_not_understood
from imagestoreproxy.model.bundles import Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Stop

ARCHITECTURES = {
    Architecture.I386: "i386",
    Architecture.X86_64: "x86_64",
    Architecture.AARCH64: "arm64",
    Architecture.ARMHF: "armhf",
}
UNKNOWN_ID = ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable")
# Well-formed and nobody's: to be told that it is unknown proves that the credentials are taken.
NOBODYS_ID = "ami-00000000"
CONFIRMATIONS = 5
REGISTER_LIMIT_S = 140.0


class Images:
    """What EC2 has of ours; every call blocks and raises ``CloudError``.

    Args:
        ec2: a boto3 client.
    """

    def __init__(self, ec2: Any, calls: Calls, stop: Stop) -> None:
        self._ec2 = ec2
        self._calls = calls
        self._stop = stop

    def register(self, upload: Upload, location: str) -> str:
        """Register a bundle, or find it registered already; give an id that EC2 confirms."""

        def register_once() -> str:
            # Asked first, each time: an answer that was lost must not register twice.
            answer = self._ec2.describe_images(Owners=["self"])
            if found := self._matching(answer, upload.bundle, location):
                return found
            self._stop.check()
            return str(self._registered(upload, location).get("ImageId") or "")

        # A registration that is under way is waited for: left behind, nobody would take it back.
        image_id = self._calls.call(f"register {location}", register_once, leave_s=REGISTER_LIMIT_S)
        if not image_id:
            raise CloudError(f"{self._calls.endpoint} registered {location} without giving an id.")
        return self.confirmed(image_id, location)

    def confirmed(self, image_id: str, location: str) -> str:
        """Give the id of what was just registered, once EC2 lists it."""
        for failures in range(1, CONFIRMATIONS + 1):
            if self.knows(image_id):
                return image_id
            self._calls.pause(failures)
        # Nobody else knows the id: what is not listed now may be later, and nobody would remove it.
        self.deregister(image_id)
        raise CloudError(
            f"{self._calls.endpoint} gave {location} the id {image_id} but does not list it; "
            "try again."
        )

    def _registered(self, upload: Upload, location: str) -> dict[str, Any]:
        is_old = self._calls.manners.manner.version == 2
        request = request_of(upload, location, is_old=is_old)
        answer: dict[str, Any]
        try:
            answer = self._ec2.register_image(**request)
        except ClientError as error:
            if not (is_old and is_not_understood(error)):
                raise
            if upload.virtualization is Virtualization.HVM:
                raise CloudError(
                    f"{self._calls.endpoint} does not take hvm images, which need Eucalyptus 3.4 "
                    "or later; install a paravirtual one, and set --cloud-takes paravirtual.",
                    retry_helps=False,
                ) from None
            # Before 2.0 nothing else is known: the rest is in the manifest, but for the name.
            answer = self._ec2.register_image(ImageLocation=location)
        return answer

    def find(self, bundle: Bundle, location: str) -> str:
        """Give the id of a bundle registered earlier, or empty."""
        return self._matching(self._ours(), bundle, location)

    def listed(self) -> frozenset[str]:
        """Give the ids of all that EC2 lists as ours; an old cloud may leave some out."""
        return frozenset(str(image.get("ImageId")) for image in self._live(self._ours()))

    def knows(self, image_id: str) -> bool:
        """Tell whether an id is registered."""
        return any(
            image.get("ImageId") == image_id for image in self._live(self.described(image_id))
        )

    def knows_filters(self) -> bool:
        """Tell whether EC2 is new enough to know what a filter is."""
        no_such = [{"Name": "architecture", "Values": ["x86_64"]}]

        def asked() -> bool:
            try:
                self._ec2.describe_images(ImageIds=[NOBODYS_ID], Filters=no_such)
            except ClientError as error:
                return not is_not_understood(error)
            return True

        return self._calls.call("describe images with a filter", asked)

    def described(self, image_id: str) -> dict[str, Any]:
        """Give EC2's answer to a question for an id, which has no image when it is unknown."""
        try:
            answer: dict[str, Any] = self._calls.call(
                f"describe {image_id}",
                lambda: self._ec2.describe_images(ImageIds=[image_id]),
                allowed=UNKNOWN_ID,
            )
        except ClientError as error:
            return {"Images": [], "ResponseMetadata": error.response.get("ResponseMetadata", {})}
        self._live(answer)
        return answer

    def deregister(self, image_id: str) -> None:
        """Take a registration back, and make sure; one that is gone is fine."""
        with suppress(ClientError):
            self._calls.call(
                f"deregister {image_id}",
                lambda: self._ec2.deregister_image(ImageId=image_id),
                allowed=UNKNOWN_ID,
            )
        for failures in range(1, CONFIRMATIONS + 1):
            if not self.knows(image_id):
                return
            self._calls.pause(failures)
        raise CloudError(
            f"{self._calls.endpoint} took {image_id} back and still lists it; try again."
        )

    def _ours(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._calls.call(
            "list our images", lambda: self._ec2.describe_images(Owners=["self"])
        )
        return answer

    def _matching(self, answer: dict[str, Any], bundle: Bundle, location: str) -> str:
        # Compared here: old clouds know no filters, and some services keep only the name.
        name = registered_name(bundle)
        for image in self._live(answer):
            if image.get("Name") == name or (location and image.get("ImageLocation") == location):
                return str(image["ImageId"])
        return ""

    def _live(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        # A web page parses, too, and "not there" would be believed: an image then counts as gone.
        if "Images" not in answer and not answer.get("ResponseMetadata", {}).get("RequestId"):
            raise self._calls.is_no_service()
        # Eucalyptus goes on listing an image that was deregistered.
        return [one for one in answer.get("Images", ()) if one.get("State") != "deregistered"]


def registered_name(bundle: Bundle) -> str:
    """Give the name a bundle is registered under: unique, 3 to 128 of the characters allowed."""
    room = 128 - 1 - len(bundle.bucket)
    return re.sub(r"[^A-Za-z0-9()./_-]", "-", f"{bundle.name[:room]}-{bundle.bucket}")


def request_of(upload: Upload, location: str, *, is_old: bool = False) -> dict[str, Any]:
    """Give what EC2 is told of an image when it is registered, by the names of its parameters.

    Args:
        is_old: it is signed with version 2.
    """
    title = _description(upload.title) or upload.bundle.name
    request: dict[str, Any] = {
        "Name": registered_name(upload.bundle),
        # Signatures of version 2 before Eucalyptus 4 encode these in a way of their own.
        "Description": re.sub(r"[~*+]", "-", title) if is_old else title,
        "Architecture": ARCHITECTURES[upload.architecture],
        "ImageLocation": location,
    }
    if upload.kernel_id:
        request["KernelId"] = upload.kernel_id
    if upload.ramdisk_id:
        request["RamdiskId"] = upload.ramdisk_id
    if upload.virtualization is Virtualization.HVM:
        # Paravirtual is the default everywhere; clouds before 3.4 do not know the parameter.
        request["VirtualizationType"] = "hvm"
    return request


def _description(title: str) -> str:
    # EC2 takes ASCII only.
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return " ".join(plain.split())[:255]

"""A cloud that speaks EC2 and S3: Eucalyptus of any age, and whatever else has these two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from imagestoreproxy.clouds.bucket import Bucket
from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.clients import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Clients
from imagestoreproxy.clouds.clouderrors import Endpoint
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.clouds.manifest import Manifest
from imagestoreproxy.clouds.storing import store_bundle
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Background, Stop, Upload

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
REGISTER_LIMIT_S = 2 * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S)


class Ec2Cloud:
    """Bundles and uploads in-process, registers, and believes only what it can read back.

    Args:
        background: runs all that blocks.
        region: goes into signatures and new buckets.
        ca_bundle: PEM file to trust for TLS; empty means that of the system.
        public_read_fallback: whether bundles (they are encrypted) may be readable by all where S3
            does not know how to let only EC2 read them.
        first_pause_s: before a failed request is sent again; grows with each try.
    """

    name = "ec2"

    def __init__(
        self,
        background: Background,
        credentials: Credentials,
        *,
        region: str = "us-east-1",
        ca_bundle: str = "",
        public_read_fallback: bool = False,
        first_pause_s: float = 0.5,
    ) -> None:
        self._background = background
        self._credentials = credentials
        self._region = region
        self._public_read_fallback = public_read_fallback
        self._first_pause_s = first_pause_s
        self._clients = Clients(credentials, region=region, ca_bundle=ca_bundle)

    def check(self) -> Awaitable[None]:
        """Raise unless S3 and EC2 answer, take the credentials, and a bundle can be signed."""
        return self._background.run(self._check)

    def upload(self, upload: Upload) -> Awaitable[str]:
        """Bundle and store a stream, read back what is there, give ``BUCKET/KEY``."""
        return self._background.run(lambda stop: self._upload(upload, stop))

    def register(self, upload: Upload, location: str) -> Awaitable[str]:
        """Register a bundle, or find it registered already; give an id that EC2 confirms."""
        return self._background.run(lambda stop: self._register(upload, location, stop))

    def find(self, bundle: Bundle, location: str) -> Awaitable[str]:
        """Give the id of a bundle registered earlier, or empty."""

        def work(stop: Stop) -> str:
            return self._find(self._ec2_calls(stop), bundle, location)

        return self._background.run(work)

    def is_registered(self, image_id: str) -> Awaitable[bool]:
        """Tell whether EC2 still knows the id."""
        return self._background.run(lambda stop: self._knows(self._ec2_calls(stop), image_id))

    def is_stored(self, location: str) -> Awaitable[bool]:
        """Tell whether the manifest at ``BUCKET/KEY`` is in S3."""
        name, _, key = location.partition("/")
        return self._background.run(lambda stop: self._bucket(name, stop).size(key) >= 0)

    def buckets(self) -> Awaitable[Sequence[str]]:
        """Name the account's buckets."""

        def work(stop: Stop) -> list[str]:
            answer = self._s3_calls(stop).call("list buckets", self._clients.s3().list_buckets)
            return [str(bucket["Name"]) for bucket in answer.get("Buckets", ())]

        return self._background.run(work)

    def deregister(self, image_id: str) -> Awaitable[None]:
        """Take a registration back; one that is gone is fine."""

        def work(stop: Stop) -> None:
            calls = self._ec2_calls(stop)
            ec2 = self._clients.ec2()
            with suppress(ClientError):
                calls.call(
                    f"deregister {image_id}",
                    lambda: ec2.deregister_image(ImageId=image_id),
                    allowed=UNKNOWN_ID,
                )

        return self._background.run(work)

    def remove(self, bundle: Bundle) -> Awaitable[None]:
        """Delete the bundle's objects and its bucket; absent ones are fine."""
        return self._background.run(lambda stop: self._bucket(bundle.bucket, stop).remove())

    def _check(self, stop: Stop) -> None:
        bundle_keys(self._credentials)
        calls = self._ec2_calls(stop)
        try:
            self._knows(calls, NOBODYS_ID)
            calls = self._s3_calls(stop)
            answer = calls.call("list buckets", self._clients.s3().list_buckets)
            if not answer.keys() & {"Buckets", "Owner"}:
                raise CloudError(
                    f"What answers at {calls.endpoint.url} is no S3; check "
                    f"{calls.endpoint.setting}, with its path.",
                    retry_helps=False,
                )
        except CloudError as error:
            text = " ".join([error.message, *self._credentials.warnings()])
            raise CloudError(text, retry_helps=error.retry_helps) from None

    def _upload(self, upload: Upload, stop: Stop) -> str:
        keys = bundle_keys(self._credentials)
        bucket = self._bucket(upload.bundle.bucket, stop)
        bucket.make()
        bucket.empty()
        manifest = Manifest(
            name=upload.bundle.name,
            kind=upload.bundle.kind,
            architecture=ARCHITECTURES[upload.architecture],
            account=self._credentials.account,
            size_bytes=upload.size_bytes,
            kernel_id=upload.kernel_id,
            ramdisk_id=upload.ramdisk_id,
        )
        return store_bundle(upload.chunks(stop), manifest, keys, bucket)

    def _register(self, upload: Upload, location: str, stop: Stop) -> str:
        calls = self._ec2_calls(stop)
        ec2 = self._clients.ec2()
        request: dict[str, Any] = {
            "Name": registered_name(upload.bundle),
            "Description": _description(upload.title or upload.bundle.name),
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

        def register_once() -> str:
            # Asked first, each time: an answer that was lost must not register twice.
            if found := _matching(ec2.describe_images(Owners=["self"]), upload.bundle, location):
                return found
            stop.check()
            return str(ec2.register_image(**request).get("ImageId") or "")

        # A registration that is under way is waited for: left behind, nobody would take it back.
        image_id = calls.call(f"register {location}", register_once, leave_s=REGISTER_LIMIT_S)
        if not image_id:
            raise CloudError(f"{calls.endpoint} registered {location} without giving an id.")
        for attempt in range(CONFIRMATIONS):
            if self._knows(calls, image_id):
                return image_id
            stop.wait(self._first_pause_s * 2**attempt)
        raise CloudError(
            f"{calls.endpoint} gave {location} the id {image_id} but does not list it; try again."
        )

    def _find(self, calls: Calls, bundle: Bundle, location: str) -> str:
        ec2 = self._clients.ec2()
        answer = calls.call("list our images", lambda: ec2.describe_images(Owners=["self"]))
        return _matching(answer, bundle, location)

    def _knows(self, calls: Calls, image_id: str) -> bool:
        ec2 = self._clients.ec2()
        try:
            answer = calls.call(
                f"describe {image_id}",
                lambda: ec2.describe_images(ImageIds=[image_id]),
                allowed=UNKNOWN_ID,
            )
        except ClientError:
            return False
        return any(image["ImageId"] == image_id for image in _live(answer))

    def _bucket(self, name: str, stop: Stop) -> Bucket:
        calls = self._s3_calls(stop)
        return Bucket(
            name,
            self._clients.s3(),
            calls,
            region=self._region,
            public_read_fallback=self._public_read_fallback,
        )

    def _s3_calls(self, stop: Stop) -> Calls:
        endpoint = _endpoint("S3", self._credentials.s3_url, "S3_URL or --s3-url")
        return Calls(endpoint, stop, first_pause_s=self._first_pause_s)

    def _ec2_calls(self, stop: Stop) -> Calls:
        endpoint = _endpoint("EC2", self._credentials.ec2_url, "EC2_URL or --ec2-url")
        return Calls(endpoint, stop, first_pause_s=self._first_pause_s)


def registered_name(bundle: Bundle) -> str:
    """Give the name a bundle is registered under: unique, 3 to 128 of the characters allowed."""
    room = 128 - 1 - len(bundle.bucket)
    return re.sub(r"[^A-Za-z0-9()./_-]", "-", f"{bundle.name[:room]}-{bundle.bucket}")


def _description(title: str) -> str:
    # EC2 takes ASCII only.
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return " ".join(plain.split())[:255]


def _live(answer: dict[str, Any]) -> list[dict[str, Any]]:
    # Eucalyptus goes on listing an image that was deregistered.
    return [one for one in answer.get("Images", ()) if one.get("State") != "deregistered"]


def _matching(answer: dict[str, Any], bundle: Bundle, location: str) -> str:
    # Compared here: old clouds know no filters, and some services keep only the name.
    name = registered_name(bundle)
    for image in _live(answer):
        if image.get("Name") == name or (location and image.get("ImageLocation") == location):
            return str(image["ImageId"])
    return ""


def _endpoint(service: str, url: str, setting: str) -> Endpoint:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CloudError(
            f"The address of {service} ({setting}) must be a URL like "
            f"http://HOST:8773/services/…, not '{url}'.",
            retry_helps=False,
        )
    return Endpoint(service, url, setting)

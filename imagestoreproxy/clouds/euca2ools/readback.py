"""What a tool has bundled, looked at before it is sent, and in S3 after it is said to be sent."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from imagestoreproxy.clouds.bucket import Bucket, S3Object
from imagestoreproxy.clouds.euca2ools.arguments import Bundling
from imagestoreproxy.model.bundles import StoredPart
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop

MANIFEST_LIMIT_BYTES = 32 * 1024 * 1024
MAX_PARTS = 100_000
_BLOCK_BYTES = 1 << 20
_PART = re.compile(r"[A-Za-z0-9._-]{1,200}\.part\.[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class LocalPart:
    """A part on the disk, and what S3 has to say of it once it is there."""

    part: StoredPart
    stored: S3Object


@dataclass(frozen=True, slots=True)
class LocalBundle:
    """A bundle on the disk: ``xml`` is its manifest, word for word."""

    xml: bytes
    parts: tuple[LocalPart, ...]

    @property
    def size_bytes(self) -> int:
        """What there is to send."""
        return len(self.xml) + sum(one.part.size_bytes for one in self.parts)


def read_bundle(bundling: Bundling, size_bytes: int, account: str, stop: Stop) -> LocalBundle:
    """Read what was bundled, and make sure that it is what was asked for.

    Args:
        size_bytes: of the image.
        account: to whom the bundle is to belong; digits.

    Raises:
        CloudError: it is something else, or not all of it is there.
    """

    def wrong(why: str) -> CloudError:
        return CloudError(
            f"The manifest that euca-bundle-image wrote for '{bundling.image.name}' {why}; try "
            "again, and if that does not help, give --cloud=ec2."
        )

    try:
        with bundling.manifest.open("rb") as file:
            xml = file.read(MANIFEST_LIMIT_BYTES + 1)
        root = ElementTree.fromstring(xml)  # noqa: S314 - written here, by the tool just now
    except OSError as error:
        raise wrong(f"cannot be read ({error.strerror})") from None
    except ElementTree.ParseError:
        raise wrong("is cut off or no XML") from None
    expected = {
        "machine_configuration/architecture": bundling.architecture,
        "machine_configuration/kernel_id": bundling.kernel,
        "machine_configuration/ramdisk_id": bundling.ramdisk,
        "image/name": bundling.image.name,
        "image/user": account,
        "image/size": str(size_bytes),
    }
    for path, value in expected.items():
        found = (root.findtext(path) or "").strip()
        if found != value:
            name = path.rpartition("/")[2]
            raise wrong(f"names the {name} '{found[:80]}' instead of '{value}'")
    if not (root.findtext("signature") or "").strip():
        raise wrong("is not signed")
    named = [_named(part) for part in root.findall("image/parts/part")]
    count = root.find("image/parts")
    if (
        not named
        or len(named) > MAX_PARTS
        or count is None
        or count.get("count") != str(len(named))
    ):
        raise wrong("does not name its parts")
    parts = []
    for filename, sha1_hex in named:
        # Nothing but names in this very directory.
        if not _PART.fullmatch(filename):
            raise wrong(f"names the part '{filename[:80]}'")
        part = _measured(bundling.destination / filename, stop)
        if part is None or part.part.sha1_hex != sha1_hex:
            raise wrong(f"does not fit the part {filename}")
        parts.append(part)
    return LocalBundle(xml, tuple(parts))


def _named(part: ElementTree.Element) -> tuple[str, str]:
    # 1.x and 2.x write whole paths in some releases; what counts in S3 is the name.
    filename = (part.findtext("filename") or "").strip()
    return Path(filename).name, (part.findtext("digest") or "").strip().lower()


def _measured(path: Path, stop: Stop) -> LocalPart | None:
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    size_bytes = 0
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                stop.check()
                md5.update(block)
                sha1.update(block)
                size_bytes += len(block)
    except OSError:
        return None
    part = StoredPart(path.name, sha1.hexdigest(), size_bytes)
    return LocalPart(part, S3Object(size_bytes, md5.hexdigest()))


def missing(bundle: LocalBundle, key: str, bucket: Bucket) -> list[str]:
    """Name what S3 does not hold as it lies on the disk; what does not belong is deleted.

    Args:
        key: of the manifest.
    """
    held = bucket.objects() or {}
    names = {one.part.filename for one in bundle.parts}
    for stray in held.keys() - names - {key}:
        bucket.delete(stray)
    wrong = [
        one.part.filename
        for one in bundle.parts
        if not _is_held(one, held.get(one.part.filename), bucket)
    ]
    if bucket.content(key, len(bundle.xml)) != bundle.xml:
        wrong.append(key)
    return wrong


def _is_held(local: LocalPart, there: S3Object | None, bucket: Bucket) -> bool:
    part = local.part
    if there is None or there.size_bytes != part.size_bytes:
        return False
    # Where an ETag is no MD5, or looks like one and is none, the bytes decide.
    return (
        there.md5_hex == local.stored.md5_hex
        or bucket.sha1_hex(part.filename, part.size_bytes) == part.sha1_hex
    )

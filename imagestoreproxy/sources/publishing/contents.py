"""What a file holds, by its first bytes; its name tells nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imagestoreproxy.codecs import ERRORS, decompressor, looks_like
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind

_NONE = Compression.NONE
_UNPACKED_BYTES = 4096
_COMPRESSED = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\xfd7zXZ\0", Compression.XZ),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"BZh", Compression.BZIP2),
)
# Formats of disks that no cloud takes here; their own documents name these first bytes.
_OTHER_DISKS = (
    (b"KDMV", "a VMDK disk"),
    (b"conectix", "a VHD disk"),
    (b"vhdxfile", "a VHDX disk"),
    (b"QED\0", "a QED disk"),
)
_QCOW2 = b"QFI\xfb"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about a file.

    Args:
        members: of a tar, by their names.
    """

    sha256: str
    size_bytes: int
    compression: Compression = Compression.NONE
    format: FileFormat = FileFormat.RAW
    members: tuple[tuple[FileKind, str], ...] = ()


def compression_of(head: bytes) -> Compression:
    """Tell how a file that begins so is compressed."""
    return next((found for start, found in _COMPRESSED if head.startswith(start)), _NONE)


def format_of(head: bytes, path: str) -> FileFormat:
    """Tell what is inside an image that begins so, decompressed where it is compressed.

    Args:
        head: 64 KiB of it, or all.
        path: for messages.

    Raises:
        SettingsError: it is something that no cloud can boot, such as an HTML page.
    """
    inside = _unpacked(head, path)
    if inside.startswith(_QCOW2):
        return FileFormat.QCOW2
    if inside[257:262] == b"ustar":
        return FileFormat.TAR
    other = next((name for start, name in _OTHER_DISKS if inside.startswith(start)), "")
    if what := other or looks_like(inside):
        raise SettingsError(f"{path} is {what}, and no disk, file system or tarball.")
    if not inside:
        what = "is empty" if not head else "begins like compressed data, but holds nothing"
        raise SettingsError(f"{path} {what}.")
    return FileFormat.RAW


def _unpacked(head: bytes, path: str) -> bytes:
    compression = compression_of(head)
    if compression is _NONE:
        return head
    try:
        return decompressor(compression).decompress(head, _UNPACKED_BYTES)
    except ERRORS as error:
        raise SettingsError(f"{path} begins like {compression} data, but is broken.") from error


def facts_from_json(source: Mapping[str, object]) -> Facts:
    """Read what ``facts_to_json`` gave; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    members = source["members"]
    digest, size = source["sha256"], source["size"]
    if not isinstance(members, dict) or not isinstance(digest, str) or len(digest) != 64:
        raise ValueError("not what was written")
    if not isinstance(size, int):
        raise TypeError("not a size")
    return Facts(
        digest,
        size,
        Compression(str(source["compression"])),
        FileFormat(str(source["format"])),
        tuple((FileKind(kind), str(glob)) for kind, glob in members.items()),
    )


def facts_to_json(facts: Facts) -> dict[str, object]:
    """Give what JSON can hold."""
    return {
        "sha256": facts.sha256,
        "size": facts.size_bytes,
        "compression": facts.compression.value,
        "format": facts.format.value,
        "members": {kind.value: glob for kind, glob in facts.members},
    }

"""Files on their way into a cloud: what is told of them, their bytes, and what is kept of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.installs import Bundle


@dataclass(frozen=True, slots=True)
class Upload:
    """What a cloud has to know of a file beside its bytes.

    Args:
        bundle: names in the cloud, and kind.
        kernel_id, ramdisk_id: of a machine image, or empty.
        title: for people; at most 255 characters.
    """

    bundle: Bundle
    architecture: Architecture
    virtualization: Virtualization
    kernel_id: str = ""
    ramdisk_id: str = ""
    title: str = ""


class Chunk(NamedTuple):
    """Some bytes of a file, at most 1 MiB of each kind; either may be empty.

    Args:
        raw: the next bytes of the file.
        packed: the next bytes of a gzip of the file, where the source has one that can be kept.
    """

    raw: bytes
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class Stream:
    """The bytes of one file on their way into the cloud.

    Args:
        size_bytes: what the raw bytes of ``chunks`` must add up to.
        has_gzip: the packed bytes of ``chunks`` are one gzip member that unpacks to the raw ones.
    """

    bundle: Bundle
    size_bytes: int
    chunks: Iterable[Chunk]
    has_gzip: bool = False


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part as it is stored; ``sha1_hex`` is of its bytes."""

    filename: str
    sha1_hex: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A file whose bytes are all in the cloud, but without what makes them an image.

    Args:
        size_bytes: of the file.
        tar_sha1_hex: of the tar stream, before compression.
    """

    bundle: Bundle
    size_bytes: int
    tar_sha1_hex: str = ""
    parts: tuple[StoredPart, ...] = ()

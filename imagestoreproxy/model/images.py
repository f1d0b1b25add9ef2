"""Images as stores describe them: display data for people, and signed documents for installs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class FileKind(StrEnum):
    """What a file becomes in the cloud: an EKI, an ERI or an EMI; in the order of registration."""

    KERNEL = "kernel"
    RAMDISK = "ramdisk"
    IMAGE = "image"


class Compression(StrEnum):
    """How a file is compressed as downloaded."""

    NONE = "none"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    BZIP2 = "bzip2"


class FileFormat(StrEnum):
    """What is inside, once decompressed."""

    RAW = "raw"
    TAR = "tar"
    QCOW2 = "qcow2"


class Architecture(StrEnum):
    """The words of the Store API; a cloud may have others for the same."""

    I386 = "i386"
    X86_64 = "x86_64"
    AARCH64 = "aarch64"
    ARMHF = "armhf"


class Virtualization(StrEnum):
    """``paravirtual``: kernel, ramdisk and one file system. ``hvm``: one bootable disk."""

    PARAVIRTUAL = "paravirtual"
    HVM = "hvm"


@dataclass(frozen=True, slots=True)
class Provider:
    """Who offers an image."""

    title: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What people are shown about an image. Unsigned unless it comes out of a document.

    ``description_html`` is as the store sent it: ``web/present.py`` sanitises it.

    Args:
        architecture: in the words of ``Architecture`` where it is one of them, else the source's.
        releases: every word by which its release is known: ``noble``, ``24.04``, ``lts``.
        support_ends: a day, ``2029-05-31``; empty where the source does not say.
        refused: why it cannot be installed into this cloud, one plain sentence; empty if it can.
        is_unsigned: nobody vouches for its bytes; only of sources that are configured so.
        login_user, ports: as whom to log in, and the TCP ports that it serves; ``model/running.py``
            tells what they may be. Empty where the source does not say.
        source: the name of the source that lists it; may be empty.
    """

    uri: str
    title: str = ""
    summary: str = ""
    description_html: str = ""
    version: str = ""
    size_mb: int = 0
    icon_uri: str = ""
    tags: tuple[str, ...] = ()
    provider: Provider = Provider()
    architecture: str = ""
    releases: tuple[str, ...] = ()
    support_ends: str = ""
    refused: str = ""
    is_unsigned: bool = False
    login_user: str = ""
    ports: tuple[int, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the dashboard and the images below it."""

    title: str
    summary: str = ""
    image_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A dashboard, or the answer to a search."""

    images: tuple[ImageInfo, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file of an image, as signed.

    Args:
        sha256: 64 lower-case hex digits, of the bytes as downloaded; may be empty beside a sha512.
        size_bytes: of the bytes as downloaded.
        members: for a tar: which member (a glob) is which kind; empty for other formats.
        sha512: 128 lower-case hex digits; empty where none is signed.
        find_members: for a tar without ``members``: which is which is found once it is here.
    """

    kind: FileKind
    url: str
    sha256: str
    size_bytes: int
    mirrors: tuple[str, ...] = ()
    compression: Compression = Compression.NONE
    format: FileFormat = FileFormat.RAW
    members: tuple[tuple[FileKind, str], ...] = ()
    sha512: str = ""
    find_members: bool = False

    @property
    def digest(self) -> str:
        """The strongest digest that is signed, lower-case hex; it alone is checked."""
        return self.sha512 or self.sha256


@dataclass(frozen=True, slots=True)
class ImageDocument:
    """A verified image document (``image:1``): exactly which bytes make up an image.

    Args:
        serial: grows with each publication of this URI.
        published_s, expires_s: Unix seconds.
        signed_text: the OpenPGP message, word for word, as the store sent it.
        fingerprint: of the key that signed it, 40 hex digits.
    """

    info: ImageInfo
    serial: int
    published_s: int
    expires_s: int
    architecture: Architecture
    virtualization: Virtualization
    files: tuple[ImageFile, ...]
    signed_text: bytes
    fingerprint: str

    @property
    def uri(self) -> str:
        return self.info.uri

    @property
    def version(self) -> str:
        return self.info.version


def is_newer(candidate: str, installed: str) -> bool:
    """Tell whether version text ``candidate`` is newer than ``installed``.

    Runs of digits compare as numbers, all else as text, so ``2.10`` is newer than ``2.9`` and
    ``20261120.1`` than ``20261120``. Display only: what is installed is decided by signed serials.
    """
    return _version_key(candidate) > _version_key(installed)


def _version_key(version: str) -> list[tuple[int, int, str]]:
    pieces = re.findall(r"[0-9]+|[^0-9.\-_:+~ ]+", version)
    return [(1, int(p), "") if p[0] in "0123456789" else (0, 0, p) for p in pieces]

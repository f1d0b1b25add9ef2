"""What the names of files and directories tell."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from imagestoreproxy.model.images import Architecture, FileKind

_ARCHITECTURES = {
    "x86_64": Architecture.X86_64,
    "x86-64": Architecture.X86_64,
    "amd64": Architecture.X86_64,
    "i386": Architecture.I386,
    "i686": Architecture.I386,
    "aarch64": Architecture.AARCH64,
    "arm64": Architecture.AARCH64,
    "armhf": Architecture.ARMHF,
    "armv7": Architecture.ARMHF,
}
_ARCHITECTURE = re.compile(rf"(?:^|[-_.])({'|'.join(_ARCHITECTURES)})(?=$|[-_.])", re.IGNORECASE)
_VERSION = re.compile(r"[-_]v?([0-9]{8}(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)+)(?=$|[-_])")
_COMPRESSED = r"(?:\.(?:gz|xz|zst|bz2))?"
_DISK = re.compile(rf"(.+?)\.(?:img|qcow2|raw){_COMPRESSED}", re.IGNORECASE)
_TAR = re.compile(rf"(.+?)\.(?:tar{_COMPRESSED}|tgz|txz)", re.IGNORECASE)
_PLAIN_IMAGE = re.compile(rf"image{_COMPRESSED}", re.IGNORECASE)
# Looked for in this order: "initrd.img" is a ramdisk, and "vmlinuz.img" a kernel.
_PARTS = (
    (FileKind.RAMDISK, re.compile("ramdisk|initrd|initramfs", re.IGNORECASE)),
    (FileKind.KERNEL, re.compile("kernel|vmlinu", re.IGNORECASE)),
)
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def kind_of(name: str) -> FileKind | None:
    """Tell what a file in an image's own directory is by its name; None: nothing of an image.

    A name with ``ramdisk``, ``initrd`` or ``initramfs`` in it is a ramdisk, else one with
    ``kernel`` or ``vmlinu`` (``vmlinuz``) a kernel, else a disk, a tarball or ``image`` the image.
    """
    for kind, pattern in _PARTS:
        if pattern.search(name):
            return kind
    return FileKind.IMAGE if _PLAIN_IMAGE.fullmatch(name) or stem_of(name) else None


def stem_of(name: str) -> str:
    """Give a disk's or tarball's name without its endings; empty for other files."""
    found = _DISK.fullmatch(name) or _TAR.fullmatch(name)
    return found[1] if found else ""


def architecture_named(word: str) -> Architecture | None:
    """Give the architecture that a word of a person or of another system means."""
    return _ARCHITECTURES.get(word.lower())


def architecture_of(name: str) -> Architecture:
    """Guess from an image's name; x86_64 where it does not tell."""
    found = _ARCHITECTURE.search(name)
    return _ARCHITECTURES[found[1].lower()] if found else Architecture.X86_64


def version_of(name: str) -> str:
    """Give the version in an image's name: a date or numbers with points; empty without one."""
    found: list[str] = _VERSION.findall(name)
    return found[-1] if found else ""


def title_of(name: str) -> str:
    """Make a title: ``web-server_2.1_i386`` is ``Web server (i386)``."""
    plain = _ARCHITECTURE.sub(" ", _VERSION.sub(" ", name))
    plain = " ".join(re.sub(r"[-_]", " ", plain).split()) or name
    architecture = architecture_of(name)
    suffix = "" if architecture is Architecture.X86_64 else f" ({architecture})"
    return plain[:1].upper() + plain[1:] + suffix


def id_of(name: str) -> str:
    """Give what stands for an image in URIs: always the same for a name, and for no other."""
    if _SAFE_ID.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{published_name(name)[:80]}~{digest[:12]}"


def published_name(name: str) -> str:
    """Give a file's name without whatever a URI, a shell or a browser could misunderstand."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", PurePosixPath(name).name)
    # Cut first: what begins with a dot is hidden, and not served.
    return plain[-150:].lstrip(".-") or "file"

"""Which file of a version a cloud gets.

Decided by ``ftype`` alone: the names of items and of files follow no rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    ImageFile,
    Virtualization,
)
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.document import LARGEST_FILE_BYTES
from imagestoreproxy.sources.simplestreams import reasons
from imagestoreproxy.sources.simplestreams.paths import file_url
from imagestoreproxy.sources.simplestreams.stream import Build, Origin
from imagestoreproxy.sources.simplestreams.tags import Tags, word

ARCHITECTURES = {
    "amd64": Architecture.X86_64,
    "x86_64": Architecture.X86_64,
    "i386": Architecture.I386,
    "i686": Architecture.I386,
    "arm64": Architecture.AARCH64,
    "aarch64": Architecture.AARCH64,
    "armhf": Architecture.ARMHF,
    "armel": Architecture.ARMHF,
    "arm": Architecture.ARMHF,
}

_PV = Virtualization.PARAVIRTUAL

# The best first. All four are qcow2 of a whole disk: the common one of Ubuntu, the one with the
# small kernel for virtual machines (and that of LXC and Incus), the one that boots by EFI alone,
# and CirrOS's.
HVM = ("disk1.img", "disk-kvm.img", "uefi1.img", "disk.img")
# Tars with a kernel and one file system; CirrOS's has a ramdisk, too.
PARAVIRTUAL = ("uec.tar.gz", "tar.gz")
WITH_RAMDISK = frozenset({"uec.tar.gz"})

# Of a catalogue; the other words are for ids of images in other clouds, and for MAAS's files.
DOWNLOADS = frozenset({"image-downloads", ""})

_NETWORK_BOOT = ("boot-", "root-", "archive.tar", "bootloader")
_CONTAINER = ("squashfs", "root.tar", "rootfs", "lxd", "incus", "lxc", "wsl", "root.")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA512 = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a version comes to.

    Args:
        refused: why there is no build; empty if there is one.
        tags: of the item that was chosen, with all that it inherits; else of the version.
        passed_over: one reason for each better file that is damaged or not to be trusted.
    """

    build: Build | None
    refused: str
    tags: Tags
    passed_over: tuple[str, ...] = ()


class _Step(IntEnum):
    """How far the look at an item got before it was refused."""

    ARCHITECTURE = 1
    CLOUD = 2
    RAMDISK = 3
    FILE = 4


class _RefusedError(Exception):
    def __init__(self, step: _Step, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason


@dataclass(slots=True)
class _Look:
    """At the items of one version, the best first."""

    furthest: _Step | None = None
    reason: str = ""
    passed_over: list[str] = field(default_factory=list)

    def refuse(self, error: _RefusedError) -> None:
        if self.furthest is None or error.step > self.furthest:
            self.furthest, self.reason = error.step, error.reason
        if error.step is _Step.FILE:
            self.passed_over.append(error.reason)


def choose(items: Sequence[Tags], taking: Taking, origin: Origin, outer: Tags) -> Choice:
    """Choose the best item of a version for a cloud.

    A disk goes before a paravirtual image where the cloud takes both: it needs no kernel of the
    cloud's. An item that is damaged is passed over for the next.

    Args:
        items: with all that they inherit.
        outer: the tags of the version.
    """
    ranked = [
        (virtualization, item)
        for virtualization, wanted in ((Virtualization.HVM, HVM), (_PV, PARAVIRTUAL))
        for ftype in wanted
        for item in items
        if item.get("ftype") == ftype
    ]
    if not ranked or word(outer, "datatype") not in DOWNLOADS:
        return Choice(None, _contents(items, bool(ranked)), items[0] if items else outer)
    look = _Look()
    for virtualization, item in ranked:
        try:
            build = _build(item, virtualization, taking, origin)
            return Choice(build, "", item, tuple(look.passed_over))
        except _RefusedError as error:
            look.refuse(error)
    return Choice(None, look.reason, ranked[0][1], tuple(look.passed_over))


def _contents(items: Iterable[Tags], has_images: bool) -> str:
    """Say why nothing among these is an image to download."""
    if has_images:
        return reasons.NO_DOWNLOADS
    ftypes = [word(item, "ftype") for item in items]
    if any(ftype.startswith(_NETWORK_BOOT) for ftype in ftypes):
        return reasons.NETWORK_BOOT
    if any(ftype.startswith(_CONTAINER) for ftype in ftypes):
        return reasons.CONTAINER
    if ftypes and not any("path" in item for item in items):
        return reasons.ELSEWHERE
    return reasons.NO_DISK


def _build(item: Tags, virtualization: Virtualization, taking: Taking, origin: Origin) -> Build:
    arch = word(item, "arch")
    architecture = ARCHITECTURES.get(arch)
    if architecture not in taking.architectures or architecture is None:
        reason = reasons.other_architecture(arch, taking.architectures)
        raise _RefusedError(_Step.ARCHITECTURE, reason)
    ftype = str(item["ftype"])
    if virtualization not in taking.virtualizations:
        is_hvm = virtualization is Virtualization.HVM
        reason = reasons.NOT_HVM if is_hvm else reasons.NOT_PARAVIRTUAL
        raise _RefusedError(_Step.CLOUD, reason)
    if virtualization is _PV and taking.needs_ramdisk and ftype not in WITH_RAMDISK:
        raise _RefusedError(_Step.RAMDISK, reasons.NO_RAMDISK)
    size_bytes = _size(item.get("size"))
    sha256, sha512 = _digests(item)
    try:
        url = file_url(origin.root, item.get("path"))
    except DocumentError:
        raise _RefusedError(_Step.FILE, reasons.UNSAFE_PATH) from None
    is_tar = virtualization is _PV
    file = ImageFile(
        kind=FileKind.IMAGE,
        url=url,
        sha256=sha256,
        size_bytes=size_bytes,
        mirrors=tuple(file_url(root, item["path"]) for root in origin.mirrors),
        compression=Compression.GZIP if is_tar else Compression.NONE,
        format=FileFormat.TAR if is_tar else FileFormat.QCOW2,
        sha512=sha512,
        find_members=is_tar,
    )
    return Build((file,), architecture, virtualization, size_bytes)


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_FILE_BYTES:
        return value
    raise _RefusedError(_Step.FILE, reasons.NO_SIZE)


def _digests(item: Tags) -> tuple[str, str]:
    """Give SHA-256 and SHA-512; the one that is not there is empty."""
    sha256, sha512 = (str(item.get(name, "")).lower() for name in ("sha256", "sha512"))
    if not (sha256 or sha512):
        raise _RefusedError(_Step.FILE, reasons.ONLY_MD5 if item.get("md5") else reasons.NO_DIGEST)
    # A damaged one is no reason to fall back to a weaker one.
    if (sha512 and not _SHA512.fullmatch(sha512)) or (sha256 and not _SHA256.fullmatch(sha256)):
        raise _RefusedError(_Step.FILE, reasons.NO_DIGEST)
    return sha256, sha512

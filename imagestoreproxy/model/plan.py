"""The plan of an install: what will be fetched, converted, stored and registered."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    ImageDocument,
    ImageFile,
)
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.masking import masked

# A qcow2 is unpacked on the disk; its clusters are usually deflated to a third or less.
QCOW2_GROWTH = 4
# Images of file systems are usually packed to a third or less; holes take no room.
PACKED_GROWTH = 4
# What a conversion on the disk adds to the name of a download.
UNPACKED, RAW = ".qcow2", ".raw"


@dataclass(frozen=True, slots=True)
class Part:
    """One stream that goes into the cloud, and where it comes from.

    Args:
        file: the download it is in.
        member: for a tar: the glob of its member; else empty.
    """

    kind: FileKind
    file: ImageFile
    member: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an install will do, decided before its first byte.

    Args:
        fetches: files to download, smallest first.
        parts: what is registered, in order: kernel, ramdisk, image.
        fetch_bytes: sum of all downloads.
        peak_disk_bytes: the most that will lie in the data directory at one time.
    """

    image_uri: str
    version: str
    fetches: tuple[ImageFile, ...]
    parts: tuple[Part, ...]
    fetch_bytes: int
    peak_disk_bytes: int

    def as_text(self) -> str:
        """Give the plan as JSON, for the records and the log."""
        return json.dumps(
            {
                "version": self.version,
                "fetch": [
                    {
                        "url": masked(file.url),
                        "bytes": file.size_bytes,
                        algorithm_of(file.digest): file.digest,
                    }
                    for file in self.fetches
                ],
                "convert": self.conversions(),
                "register": [part.kind.value for part in self.parts],
                "fetch-bytes": self.fetch_bytes,
                "peak-disk-bytes": self.peak_disk_bytes,
            }
        )

    def conversions(self) -> list[str]:
        """Say what is done with what was downloaded, short."""
        return [
            *(_conversion(part) for part in self.parts),
            *(
                f"members of {_steps(file)}: found once it is here"
                for file in self.fetches
                if has_unknown_members(file)
            ),
        ]


def make_plan(
    document: ImageDocument,
    without: Collection[FileKind] = (),
    *,
    keep_downloads: bool = True,
    bundles_on_disk: bool = False,
) -> Plan:
    """Decide what installing a verified document takes.

    Args:
        without: what is in the cloud already, and is neither fetched nor stored again.
        keep_downloads: whether downloads lie on the disk until the install is done.
        bundles_on_disk: whether the cloud needs each file there whole, and twice more as a bundle.

    A stream that is decompressed or taken out of a tar goes straight into its bundle; only a qcow2
    needs room for its raw form. So the peak on disk is the downloads, where they are kept or have
    to be there whole, and that.
    """
    parts = [part for part in parts_of(document) if part.kind not in without]
    files = [
        file
        for file in document.files
        if has_unknown_members(file) or any(part.file is file for part in parts)
    ]
    fetch_bytes = sum(file.size_bytes for file in files)
    disks = [file for file in files if file.format is FileFormat.QCOW2]
    unpacked_bytes = sum(file.size_bytes * QCOW2_GROWTH for file in disks)
    if bundles_on_disk:
        unpacked_bytes += sum(_on_disk_bytes(file) for file in files)
    kept_bytes = sum(file.size_bytes for file in files if keep_downloads or needs_disk(file))
    return Plan(
        image_uri=document.uri,
        version=document.version,
        fetches=tuple(sorted(files, key=lambda file: file.size_bytes)),
        parts=tuple(parts),
        fetch_bytes=fetch_bytes,
        peak_disk_bytes=kept_bytes + unpacked_bytes,
    )


def _on_disk_bytes(file: ImageFile) -> int:
    """Guess the room for a file as it is unpacked, and for its bundle: encrypted, and in parts."""
    is_packed = file.compression is not Compression.NONE or file.format is FileFormat.QCOW2
    growth = PACKED_GROWTH if is_packed else 1
    return file.size_bytes * (growth + 2)


def parts_of(document: ImageDocument) -> list[Part]:
    """Give what an image consists of, in the order in which it is registered.

    Of a file with members that are not known yet there is nothing.
    """
    order = list(FileKind)
    parts = [part for file in document.files for part in _parts(file)]
    return sorted(parts, key=lambda part: order.index(part.kind))


def _parts(file: ImageFile) -> list[Part]:
    if file.format is FileFormat.TAR:
        return [Part(kind, file, member) for kind, member in file.members]
    return [Part(file.kind, file)]


def has_unknown_members(file: ImageFile) -> bool:
    """Tell whether a tar has to be looked into for what is in it."""
    return file.format is FileFormat.TAR and file.find_members and not file.members


def needs_disk(file: ImageFile) -> bool:
    """Tell whether a file has to be there whole before anything can be done with it."""
    return file.format is FileFormat.QCOW2 or file.find_members


def _conversion(part: Part) -> str:
    return f"{part.kind}: {_steps(part.file) or 'as it is'}"


def _steps(file: ImageFile) -> str:
    steps = [] if file.compression is Compression.NONE else [file.compression.value]
    if file.format is not FileFormat.RAW:
        steps.append(file.format.value)
    return " of ".join(reversed(steps))


def download_name(file: ImageFile) -> str:
    """Name a download on disk: another digest is another file."""
    return f"{file.kind}-{file.digest[:16]}"


def content_name(part: Part, architecture: Architecture) -> str:
    """Name the content of a part, from what is signed: equal names are equal bytes."""
    return f"{part.file.digest}/{part.member}/{part.file.format}/{architecture}"


def bucket_name(token: str, kind: FileKind) -> str:
    """Name the bucket of one bundle; the token makes it ours alone.

    One bucket for each bundle and no prefix: Eucalyptus 1.6 to 2.0 takes only ``BUCKET/KEY``.
    """
    return f"image-store-{token}-{kind}"


def still_good(document: ImageDocument, bundles: Mapping[FileKind, Bundle]) -> set[FileKind]:
    """Name what an earlier try has brought, or begun, that this document asks for as well."""
    wanted = {part.kind: content_name(part, document.architecture) for part in parts_of(document)}
    kept = {kind for kind, bundle in bundles.items() if wanted.get(kind) == bundle.content}
    if kept != wanted.keys():
        # An image is registered with the ids of its kernel and ramdisk: it goes with them.
        kept.discard(FileKind.IMAGE)
    return kept


# A manifest whose name begins so becomes a kernel or a ramdisk in every version of Eucalyptus,
# and an image's must not begin so.
_STEMS = {FileKind.KERNEL: "vmlinuz", FileKind.RAMDISK: "initrd", FileKind.IMAGE: "image"}


def bundle_name(title: str, version: str, kind: FileKind) -> str:
    """Name what is inside a bundle: letters, digits, dots and dashes, at most 80 characters."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{title}-{version}").strip("-.")
    return f"{_STEMS[kind]}-{words[:70].strip('-.')}".rstrip("-")

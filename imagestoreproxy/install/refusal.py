"""What is refused before its first byte: what the cloud would not run, and what is not newer."""

from __future__ import annotations

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import (
    Compression,
    FileFormat,
    FileKind,
    ImageDocument,
    Virtualization,
    is_newer,
)
from imagestoreproxy.model.installs import Installation
from imagestoreproxy.model.plan import has_unknown_members, parts_of
from imagestoreproxy.model.taking import Taking


def refuse(document: ImageDocument, taking: Taking) -> None:
    """Refuse a document whose image cannot run, as far as is known of it.

    Raises:
        DocumentError: says why.
    """
    what = f"{document.info.title or document.uri} cannot run in this cloud"
    if document.virtualization not in taking.virtualizations:
        taken = _listed(taking.virtualizations)
        raise DocumentError(
            f"{what}: it is {document.virtualization}, but the cloud takes {taken}."
        )
    if document.architecture not in taking.architectures:
        taken = _listed(taking.architectures)
        raise DocumentError(
            f"{what}: it is for {document.architecture}, but the cloud takes {taken}."
        )
    is_known = not any(has_unknown_members(file) for file in document.files)
    if document.virtualization is Virtualization.HVM and not is_known:
        raise DocumentError(
            f"{what}: it is hvm, one bootable disk, but its files are to be kernel and file system."
        )
    for file in document.files:
        is_raw = file.format is FileFormat.RAW and file.compression is Compression.NONE
        # Of others the size is known once their ends, or they themselves, are here.
        if is_raw and (why := taking.too_large(file.size_bytes)):
            raise DocumentError(f"{what}: {why}.")
    has_ramdisk = any(part.kind is FileKind.RAMDISK for part in parts_of(document))
    is_paravirtual = document.virtualization is Virtualization.PARAVIRTUAL
    if taking.needs_ramdisk and is_paravirtual and is_known and not has_ramdisk:
        raise DocumentError(
            f"{what}: it is paravirtual and has no ramdisk, without which this cloud takes none."
        )


def refuse_older(document: ImageDocument, installed: Installation | None) -> None:
    """Refuse a document that is not of a later publication than what is installed.

    Raises:
        DocumentError: says what was signed, and what is installed.
    """
    if installed and not installed.gone and not _is_later(document, installed):
        raise DocumentError(
            f"The store lists a newer version of {document.uri}, but what it has signed is"
            f" still version {document.version} (serial {document.serial}), and version"
            f" {installed.version} is installed: wait until the store has signed the newer one."
        )


def _is_later(document: ImageDocument, installed: Installation) -> bool:
    if document.serial == installed.serial:
        # A catalogue that says no date has the serial 0 for ever.
        return is_newer(document.version, installed.version)
    return document.serial > installed.serial


def _listed(words: frozenset[str]) -> str:
    return " and ".join(sorted(words)) if words else "none"

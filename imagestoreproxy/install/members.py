"""Which file of a tarball is kernel, ramdisk and image: told by its name, where nobody signed it.

The rules are those of ``cloud-publish-tarball`` (cloud-utils, and ``uec-publish-tarball`` before),
with which the tarballs of Ubuntu and CirrOS were made to be published.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import escape

from imagestoreproxy.model.errors import UnpackError
from imagestoreproxy.model.images import FileKind

KERNEL, RAMDISK, IMAGE, LOADER = "*vmlinuz*", "*initrd*", "*.img", "*-loader"


def found_members(names: Sequence[str]) -> dict[FileKind, str]:
    """Tell which file is which.

    The first pattern that a name matches counts: an ``initrd.img`` is a ramdisk. Of several
    kernels, ramdisks and loaders the first is taken, of several images the last. A loader (a kernel
    that loads the one in the image) stands in for a kernel that is not there; a ramdisk may be
    absent.

    Args:
        names: of the files, with their directories, in the order of the archive.

    Raises:
        UnpackError: no image, or no kernel.
    """
    taken: dict[str, str] = {}
    for name in names:
        for pattern in (KERNEL, RAMDISK, IMAGE, LOADER):
            if fnmatchcase(name, pattern):
                if pattern == IMAGE or pattern not in taken:
                    taken[pattern] = name
                break
    if IMAGE not in taken:
        raise UnpackError(f"The archive has no image: none of its files is named '{IMAGE}'.")
    kernel = taken.get(KERNEL) or taken.get(LOADER)
    if not kernel:
        raise UnpackError(
            f"The archive has no kernel: none of its files is named '{KERNEL}' or '{LOADER}'."
        )
    found = {FileKind.KERNEL: kernel, FileKind.IMAGE: taken[IMAGE]}
    if RAMDISK in taken:
        found[FileKind.RAMDISK] = taken[RAMDISK]
    return {kind: found[kind] for kind in FileKind if kind in found}


def as_globs(found: dict[FileKind, str]) -> tuple[tuple[FileKind, str], ...]:
    """Give the same as ``ImageFile.members``, whose globs then match these names and no others."""
    return tuple((kind, escape(name)) for kind, name in found.items())

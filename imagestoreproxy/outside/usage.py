"""How much of the disk is used, and by what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.outside.disk import plain_words

# Beyond so many files the rest is not counted.
FILES = 100_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes; of files, what they take on the disk, holes left out."""

    free: int
    total: int
    data: int


def usage_of(data_dir: Path) -> Usage:
    """Look at a data directory and its file system. Blocks.

    Raises:
        DiskError: it cannot be read.
    """
    with plain_words(data_dir):
        system = os.statvfs(data_dir)
    return Usage(
        system.f_bavail * system.f_frsize,
        system.f_blocks * system.f_frsize,
        taken_bytes(data_dir),
    )


def taken_bytes(directory: Path) -> int:
    """Sum up what the files below a directory take; what goes away meanwhile is left out."""
    found, files, folders = 0, 0, [os.fspath(directory)]
    while folders and files < FILES:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            files += 1
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    found += entry.stat(follow_symlinks=False).st_blocks * 512
            except OSError:
                continue
    return found

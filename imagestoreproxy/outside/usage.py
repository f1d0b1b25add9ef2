"""What lies in the data directory, and how much room is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from imagestoreproxy.model.overview import DiskUse
from imagestoreproxy.outside.disk import plain_words

# No more are looked at; there are never so many.
FILES = 50_000
_BLOCK_BYTES = 512


def measure(data_dir: Path) -> DiskUse:
    """Look at a data directory. Blocks.

    The database counts with its journal and its copies.

    Raises:
        DiskError: it cannot be read.
    """
    with plain_words(data_dir):
        found = os.statvfs(data_dir)
        return DiskUse(
            path=str(data_dir),
            free_bytes=found.f_bavail * found.f_frsize,
            total_bytes=found.f_blocks * found.f_frsize,
            downloads_bytes=_taken_bytes(_below(data_dir / "downloads")),
            cache_bytes=_taken_bytes(_below(data_dir / "cache")),
            database_bytes=_taken_bytes(data_dir.glob("state.db*")),
        )


def _below(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder, name)


def _taken_bytes(paths: Iterator[Path]) -> int:
    """Add up what files take: a sparse one less than its size."""
    taken_bytes = 0
    for path in islice(paths, FILES):
        try:
            taken_bytes += path.lstat().st_blocks * _BLOCK_BYTES
        except FileNotFoundError:  # removed just now
            continue
    return taken_bytes

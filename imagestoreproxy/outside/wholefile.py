"""A file read from its first byte to its last, with its digest, and noticed when it changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imagestoreproxy.model.errors import DiskError

_BLOCK_BYTES = 2**20

Stamp = tuple[int, int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """Give size in bytes, mtime in ns and inode: what tells that a file is what it was."""
    return status.st_size, status.st_mtime_ns, status.st_ino


class WholeFile:
    """One reading of a file.

    Attributes:
        stamp: as it was when the reading began.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self.stamp = stamp_of(os.fstat(file.fileno()))

    def head(self, size_bytes: int) -> bytes:
        """Give what it begins with; that is read again later."""
        with _plain_words(self._path):
            return os.pread(self._file.fileno(), size_bytes, 0)

    def blocks(self) -> Iterator[bytes]:
        """Give the bytes that were not given yet, in blocks of at most 1 MiB."""
        with _plain_words(self._path):
            while block := self._file.read(_BLOCK_BYTES):
                self._digest.update(block)
                self._size_bytes += len(block)
                yield block

    def finish(self) -> tuple[str, int]:
        """Read the rest; give the digest of the whole, 64 hex digits, and its size in bytes.

        Raises:
            DiskError: somebody wrote to it meanwhile, or it cannot be read.
        """
        for _ in self.blocks():
            pass
        if (
            stamp_of(os.fstat(self._file.fileno())) != self.stamp
            or self._size_bytes != self.stamp[0]
        ):
            raise DiskError(
                f"{self._path} was written to while it was read; publish again once it is complete."
            )
        return self._digest.hexdigest(), self._size_bytes


@contextmanager
def opened(path: Path) -> Iterator[WholeFile]:
    """Open a file to be read whole.

    Raises:
        DiskError: it cannot be read.
    """
    with _plain_words(path):
        file = path.open("rb", buffering=0)
    with file:
        yield WholeFile(file, path)


@contextmanager
def _plain_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}.") from error

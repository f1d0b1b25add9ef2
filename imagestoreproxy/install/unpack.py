"""From the bytes of a download to the bytes of what is in it, as streams.

Generators of byte chunks, run in worker threads, that hold a chunk or two.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.codecs import (
    ERRORS,
    HEAD_BYTES,
    Decompressor,
    decompressor,
    gzip_head_bytes,
    looks_like,
)
from imagestoreproxy.model.bundles import Chunk
from imagestoreproxy.model.errors import DiskError, UnpackError
from imagestoreproxy.model.images import Compression
from imagestoreproxy.ports import Stop

CHUNK_BYTES = 2**18
# What a decoder gets at once. It copies what is left of it after the end of a member, and one
# chunk may hold thousands of members.
PIECE_BYTES = 2**18
ZEROS = bytes(CHUNK_BYTES)
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Content:
    """What a compressed file turned out to hold.

    Args:
        is_plain: it is one member, with nothing behind it.
    """

    size_bytes: int
    is_plain: bool


class Unpacking:
    """One decompression, from the first byte to the last.

    Args:
        limit_bytes: what may come out of it at the most.

    Attributes:
        size_bytes: what has come out so far.
        is_plain: no more than one member has been seen so far, and nothing behind it.
    """

    def __init__(self, compression: Compression, limit_bytes: int, stop: Stop) -> None:
        self._compression = compression
        self._limit_bytes = limit_bytes
        self._stop = stop
        self._members = 0
        self._is_over = False
        self.size_bytes = 0
        self.is_plain = True

    def chunks(self, packed: Iterable[bytes]) -> Iterator[bytes]:
        """Decompress a stream of one or more members, in chunks of at most 1 MiB.

        What follows the end of a gzip and is none is passed over, as gunzip does; zeros after the
        end fill a block up, as disk and tape tools do.

        Raises:
            UnpackError: broken, cut off, followed by something else, or more than the limit.
        """
        return (chunk for chunk in self.steps(packed) if chunk)

    def steps(self, packed: Iterable[bytes]) -> Iterator[bytes]:
        """Do the same, and give an empty chunk each time when more input is about to be taken."""
        for chunk in self._expanded(packed):
            self.size_bytes += len(chunk)
            if self.size_bytes > self._limit_bytes:
                raise UnpackError(
                    f"The file unpacks to more than {self._limit_bytes} bytes, the most that is"
                    " allowed (--max-unpacked-size)."
                )
            yield chunk

    def content(self, packed: Iterable[bytes]) -> Content:
        """Go through a whole stream for what it holds."""
        for _ in self.chunks(packed):
            pass
        return Content(self.size_bytes, self.is_plain)

    def _expanded(self, packed: Iterable[bytes]) -> Iterator[bytes]:
        codec: Decompressor | None = None
        data = b""
        for piece in _pieces(packed):
            data = b"" if self._is_over else data + piece
            while data:
                if codec is None:
                    if self._members:
                        self.is_plain = False
                        if self._is_nothing(data):
                            data = b""
                            break
                        if len(data) < len(_GZIP_MAGIC):
                            break  # too little to tell
                    if self._is_in_head(data):
                        break  # ISA-L wants the head of a gzip in one piece
                    codec = decompressor(self._compression)
                try:
                    data = yield from _fed(codec, data, self._stop)
                except ERRORS as error:
                    raise self._broken(data, error) from error
                if codec.eof:
                    self._members += 1
                    codec = None
            yield b""
        is_over = not data.strip(b"\0") or (self._members and data == _GZIP_MAGIC[:1])
        if codec is not None or not self._members or not is_over:
            after = ", or something follows its end" if self._members else ""
            raise UnpackError(f"The {self._compression} data ends too early{after}.")

    def _is_in_head(self, data: bytes) -> bool:
        is_gzip = self._compression is Compression.GZIP and _GZIP_MAGIC.startswith(data[:2])
        return is_gzip and len(data) < HEAD_BYTES and gzip_head_bytes(data) is None

    def _is_nothing(self, data: bytes) -> bool:
        """Tell whether what follows a member does not count."""
        if not data.strip(b"\0"):
            return True
        is_gzip = data.startswith(_GZIP_MAGIC) or _GZIP_MAGIC.startswith(data)
        self._is_over = self._compression is Compression.GZIP and not is_gzip
        return self._is_over

    def _broken(self, data: bytes, error: Exception) -> UnpackError:
        if self._members:
            return UnpackError(
                f"The {self._compression} data is broken, or something follows its end: {error}."
            )
        seen = looks_like(data)
        if seen and seen != f"{self._compression} data":
            return UnpackError(f"The file is no {self._compression} data, but looks like {seen}.")
        return UnpackError(f"The {self._compression} data is broken: {error}.")


def with_gzip(unpacking: Unpacking, packed: Iterable[bytes]) -> Iterator[Chunk]:
    """Decompress a gzip, and hand its own bytes on beside what comes out of them."""
    taken: deque[bytes] = deque()

    def noted() -> Iterator[bytes]:
        for block in packed:
            taken.append(block)
            yield block

    for raw in unpacking.steps(noted()):
        if raw or taken:
            yield Chunk(raw, taken.popleft() if taken else b"")
    for block in taken:
        yield Chunk(b"", block)


def read_sparse(path: Path, stop: Stop) -> Iterator[bytes]:
    """Give a file in chunks of at most 1 MiB; its holes are not read, but are ``ZEROS``."""
    try:
        with path.open("rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            position = 0
            while position < size_bytes:
                data = _next_data(file.fileno(), position, size_bytes)
                yield from _zeros(data - position, stop)
                position = file.seek(data)
                hole = _next_hole(file.fileno(), position, size_bytes)
                file.seek(position)
                while position < hole:
                    stop.check()
                    chunk = file.read(min(CHUNK_BYTES, hole - position))
                    if not chunk:
                        return  # somebody has cut it off
                    position += len(chunk)
                    yield chunk
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}.") from error


def _next_data(descriptor: int, position: int, size_bytes: int) -> int:
    with suppress(OSError):  # ENXIO: a hole up to the end
        return os.lseek(descriptor, position, os.SEEK_DATA)
    return size_bytes


def _next_hole(descriptor: int, position: int, size_bytes: int) -> int:
    with suppress(OSError):
        return os.lseek(descriptor, position, os.SEEK_HOLE)
    return size_bytes


def _zeros(size_bytes: int, stop: Stop) -> Iterator[bytes]:
    while size_bytes:
        stop.check()
        chunk = ZEROS if size_bytes >= CHUNK_BYTES else bytes(size_bytes)
        size_bytes -= len(chunk)
        yield chunk


def _pieces(packed: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in packed:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]


def _fed(codec: Decompressor, data: bytes, stop: Stop) -> Generator[bytes, None, bytes]:
    """Give all that one piece of input yields; return what follows the end of the member.

    Raises:
        Exception: one of ``codecs.ERRORS``.
    """
    while True:
        stop.check()
        chunk = codec.decompress(data, CHUNK_BYTES)
        if chunk:
            yield chunk
        if codec.eof:
            return codec.unused_data
        if codec.needs_input:
            return b""
        if not chunk and not data:
            raise ValueError("the decoder goes round in a circle")
        data = b""

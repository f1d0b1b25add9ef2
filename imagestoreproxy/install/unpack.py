"""From the bytes of a download to the bytes of an image, as streams.

Generators of byte chunks, run in worker threads. A download is gone through twice: once to check
that it is whole and within bounds and to learn the sizes (a tar header needs them in front), once
to feed the bundle. So nothing unpacked ever lies on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.install.archive import member_sizes, member_stream
from imagestoreproxy.install.codecs import ERRORS, Decompressor, decompressor, looks_like
from imagestoreproxy.model.errors import DiskError, UnpackError
from imagestoreproxy.model.images import Compression, FileFormat, ImageFile
from imagestoreproxy.model.plan import Part
from imagestoreproxy.ports import Stop

CHUNK_BYTES = 2**20
PIECE_BYTES = 2**16

Report = Callable[[int], None]
"""Called with the number of bytes of the download that were gone through since the last call."""


@dataclass(frozen=True, slots=True)
class Download:
    """A verified file on disk.

    Args:
        limit_bytes: what may come out of it at the most.
    """

    path: Path
    file: ImageFile
    limit_bytes: int


def sizes(download: Download, parts: Sequence[Part], report: Report, stop: Stop) -> dict[Part, int]:
    """Go through a whole download and give the size in bytes of each part that is in it.

    Raises:
        UnpackError: broken, out of bounds, or without one of the parts.
    """
    contents = _contents(download, report, stop)
    if download.file.format is FileFormat.TAR:
        by_glob = member_sizes(contents, [part.member for part in parts])
        return {part: by_glob[part.member] for part in parts}
    size_bytes = sum(len(chunk) for chunk in contents)
    return dict.fromkeys(parts, size_bytes)


def stream(download: Download, part: Part, report: Report, stop: Stop) -> Iterator[bytes]:
    """Give the bytes of one part, in chunks of at most 1 MiB."""
    contents = _contents(download, report, stop)
    if download.file.format is FileFormat.TAR:
        return member_stream(contents, part.member)
    return contents


def read_file(path: Path, report: Report, stop: Stop) -> Iterator[bytes]:
    """Give a file in chunks of 1 MiB."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                stop.check()
                yield chunk
                report(len(chunk))
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}.") from error


def _contents(download: Download, report: Report, stop: Stop) -> Iterator[bytes]:
    packed = read_file(download.path, report, stop)
    if download.file.compression is Compression.NONE:
        return packed
    return decompress(packed, download.file.compression, download.limit_bytes, stop)


def decompress(
    packed: Iterable[bytes], compression: Compression, limit_bytes: int, stop: Stop
) -> Iterator[bytes]:
    """Decompress a stream of one or more members, in chunks of at most 1 MiB.

    Raises:
        UnpackError: broken, cut off, followed by something else, or more than ``limit_bytes``.
    """
    total_bytes = 0
    for chunk in _expanded(packed, compression, stop):
        total_bytes += len(chunk)
        if total_bytes > limit_bytes:
            raise UnpackError(
                f"The file unpacks to more than {limit_bytes} bytes, the most that is allowed"
                " (--max-unpacked-size)."
            )
        yield chunk


def _expanded(packed: Iterable[bytes], compression: Compression, stop: Stop) -> Iterator[bytes]:
    codec: Decompressor | None = None
    members = 0
    for chunk in packed:
        # In small pieces: a member's rest is copied, and one chunk may hold thousands of members.
        for start in range(0, len(chunk), PIECE_BYTES):
            data = chunk[start : start + PIECE_BYTES]
            while data:
                if codec is None:
                    if members and not data.strip(b"\0"):
                        break  # zeros after the end fill a block up, as disk and tape tools do
                    codec = decompressor(compression)
                try:
                    data = yield from _fed(codec, data, stop)
                except ERRORS as error:
                    raise _broken(compression, data, members, error) from error
                if codec.eof:
                    members += 1
                    codec = None
    if codec is not None or not members:
        after = ", or something follows its end" if members else ""
        raise UnpackError(f"The {compression} data ends too early{after}.")


def _broken(compression: Compression, data: bytes, members: int, error: Exception) -> UnpackError:
    if members:
        return UnpackError(
            f"The {compression} data is broken, or something follows its end: {error}."
        )
    seen = looks_like(data)
    if seen and seen != f"{compression} data":
        return UnpackError(f"The file is no {compression} data, but looks like {seen}.")
    return UnpackError(f"The {compression} data is broken: {error}.")


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

"""Members of a tar, from a stream: found, measured and read without writing any of them to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import IO, Self, cast

from imagestoreproxy.model.errors import UnpackError

CHUNK_BYTES = 2**20
MEMBERS = 10_000
HEADER_BYTES = 2**16

_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def member_sizes(chunks: Iterator[bytes], globs: Sequence[str]) -> dict[str, int]:
    """Go through a whole tar and give the size in bytes of the one member that each glob names.

    Raises:
        UnpackError: broken, unsafe, or a glob that names no member, or more than one.
    """
    found: dict[str, int] = {}
    with _opened(chunks) as archive:
        for member in _safe_members(archive):
            for glob in globs:
                if not _matches(member, glob):
                    continue
                if glob in found:
                    raise UnpackError(f"The archive has more than one member named '{glob}'.")
                found[glob] = member.size
    for _ in chunks:  # to the very end, so that a broken tail is found
        pass
    for glob in globs:
        if glob not in found:
            raise UnpackError(f"The archive has no member named '{glob}'.")
    return found


def member_stream(chunks: Iterator[bytes], glob: str) -> Iterator[bytes]:
    """Give the bytes of the first member that a glob names, in chunks of at most 1 MiB."""
    with _opened(chunks) as archive:
        for member in _safe_members(archive):
            if _matches(member, glob):
                content = cast("IO[bytes]", archive.extractfile(member))
                while chunk := content.read(CHUNK_BYTES):
                    yield chunk
                return
    raise UnpackError(f"The archive has no member named '{glob}'.")


def _matches(member: tarfile.TarInfo, glob: str) -> bool:
    return member.isreg() and fnmatchcase(str(PurePosixPath(member.name)), glob)


class _BoundedTarInfo(tarfile.TarInfo):
    """Refuses extension headers that tarfile would read into memory whole, whatever their size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENSIONS and header.size > HEADER_BYTES:
            raise UnpackError(f"The archive has a header of {header.size} bytes.")
        return header


class _Reader:
    """The file object that tarfile reads from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)


@contextmanager
def _opened(chunks: Iterator[bytes]) -> Iterator[tarfile.TarFile]:
    reader = cast("IO[bytes]", _Reader(chunks))
    try:
        with tarfile.open(
            fileobj=reader, mode="r|", tarinfo=_BoundedTarInfo, bufsize=CHUNK_BYTES
        ) as archive:
            yield archive
    except tarfile.TarError as error:
        raise UnpackError(f"The tar archive is broken: {error}.") from error


def _safe_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(archive, start=1):
        if number > MEMBERS:
            raise UnpackError(f"The archive has more than {MEMBERS} members.")
        path = PurePosixPath(member.name)
        problem = _problem(member, path)
        if problem:
            raise UnpackError(f"The archive's member '{member.name[:200]}' {problem}.")
        yield member


def _problem(member: tarfile.TarInfo, path: PurePosixPath) -> str:
    checks: list[tuple[Callable[[], bool], str]] = [
        (path.is_absolute, "has an absolute name"),
        (lambda: ".." in path.parts, "has '..' in its name"),
        (member.issparse, "is sparse, which is not supported"),
        (lambda: not (member.isreg() or member.isdir()), "is a link, a device or the like"),
    ]
    return next((text for holds, text in checks if holds()), "")

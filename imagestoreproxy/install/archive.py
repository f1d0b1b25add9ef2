"""Members of a tar, from a stream: found and read without writing any of them to disk.

Read by our own hand and not by ``tarfile``, which keeps what a hostile archive says in memory (maps
of sparse files, every header of a chain) and calls itself for each header of a chain. Formats:
POSIX.1-2017 ``pax`` ("ustar" and "pax interchange"), and ``Basic Tar Format`` in GNU tar's manual;
holes: ``sparse.py``.
Whatever two readers could understand in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from imagestoreproxy.codecs import looks_like
from imagestoreproxy.install.sparse import PREFIX, PaxSparse, SparseMap, old_gnu_map
from imagestoreproxy.model.errors import UnpackError

CHUNK_BYTES = 2**20
MEMBERS = 10_000
HEADER_BYTES = 2**18
HEADERS_BYTES = 2**24
NAME_CHARACTERS = 2**12

_BLOCK = 512
_END = bytes(_BLOCK)
_FILE, _OLD_FILE, _DIRECTORY = b"0", b"\0", b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_FOR_ALL = b"L", b"K", b"x", b"g"
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_FOR_ALL)
_SPARSE = b"S"
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_LENGTH = re.compile(rb"[1-9][0-9]{0,5} ")
_DECIMAL = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive.

    Args:
        glob: the one that names it, of those that were asked for.
        size_bytes: with its holes.
        pieces: its bytes, in pieces of at most 1 MiB; to be read before the next member is.
    """

    glob: str
    size_bytes: int
    pieces: Iterator[bytes]


def wanted_members(
    chunks: Iterable[bytes], globs: Sequence[str], limit_bytes: int
) -> Iterator[Member]:
    """Go through a whole tar and give the one member that each glob names, in the tar's order.

    Args:
        limit_bytes: what the members that are given may have in all, with their holes.

    Raises:
        UnpackError: broken, unsafe, or a glob that names no member, or more than one. What may come
            after the last member was read: only who has drawn to the end knows that all is well.
    """
    found: set[str] = set()
    given_bytes = 0
    source = _Source(iter(chunks))
    for name, size_bytes, pieces in _members(source):
        matching = [glob for glob in globs if fnmatchcase(name, glob)]
        for glob in matching:
            if glob in found:
                raise UnpackError(f"The archive has more than one member named '{_shown(glob)}'.")
            found.add(glob)
        if len(matching) > 1:
            both = "' and '".join(map(_shown, matching))
            raise UnpackError(f"The archive has one member for both '{both}'.")
        if matching:
            given_bytes += size_bytes
            if given_bytes > limit_bytes:
                raise UnpackError(
                    f"The archive unpacks to {given_bytes} bytes or more, but {limit_bytes} are the"
                    " most that is allowed (--max-unpacked-size)."
                )
            yield Member(matching[0], size_bytes, pieces)
    source.expect_zeros()
    for glob in globs:
        if glob not in found:
            raise UnpackError(f"The archive has no member named '{_shown(glob)}'.")


def members(chunks: Iterable[bytes]) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Go through a whole tar and give name, size and pieces of each file, in its order.

    Raises:
        UnpackError: broken, or unsafe; only who has drawn to the end knows that all is well.
    """
    source = _Source(iter(chunks))
    yield from _members(source)
    source.expect_zeros()


def member_names(chunks: Iterable[bytes]) -> list[str]:
    """Go through a whole tar and name its files, in its order; as ``wanted_members`` sees them.

    Raises:
        UnpackError: broken, or unsafe.
    """
    return [name for name, _, _ in members(chunks)]


class _Source:
    """The bytes of the archive, in their order."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.position = 0

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Give exactly so many bytes, in pieces of at most 1 MiB."""
        while size_bytes:
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise UnpackError("The tar archive is broken: it ends too early.")
                self._rest = memoryview(chunk)
            size = min(size_bytes, CHUNK_BYTES)
            piece, self._rest = self._rest[:size], self._rest[size:]
            size_bytes -= len(piece)
            self.position += len(piece)
            yield bytes(piece)

    def read(self, size_bytes: int) -> bytes:
        return b"".join(self.pieces(size_bytes))

    def skip(self, size_bytes: int) -> None:
        for _ in self.pieces(size_bytes):
            pass

    def expect_zeros(self) -> None:
        """Go to the very end, where only zeros may follow; a broken tail is found as well."""
        chunk: bytes | None = bytes(self._rest)
        while chunk is not None:
            if chunk.count(0) != len(chunk):
                raise UnpackError("The tar archive is broken: something follows its end.")
            chunk = next(self._chunks, None)


class _Extension:
    """What the extension headers before a member say of it."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.size_bytes: int | None = None
        self.sparse = PaxSparse()

    def name_of(self, header: bytes) -> str:
        """Give the name of the member whose header that is."""
        for name in (self.sparse.name, self.name):
            if name is not None:
                return name
        return _name(header)

    def take(self, kind: bytes, content: bytes) -> None:
        if kind == _LONG_NAME:
            self.name = _text(content)
        elif kind == _PAX:
            for name, value in _pax_records(content):
                if name.startswith(PREFIX):
                    self.sparse.take(name.removeprefix(PREFIX), value)
                elif name == "path":
                    self.name = value
                elif name == "size":
                    if not _DECIMAL.fullmatch(value):
                        raise _broken("a size is no number")
                    self.size_bytes = int(value)
        elif kind == _PAX_FOR_ALL:
            for name, _ in _pax_records(content):
                if name in ("path", "size") or name.startswith(PREFIX):
                    raise UnpackError(
                        f"The archive sets '{_shown(name)}' for all members, as none should."
                    )


def _members(source: _Source) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Give name, size and bytes of each file; what is not read of it meanwhile is passed over."""
    extension = _Extension()
    count = headers_bytes = 0
    while (header := source.read(_BLOCK)) != _END:
        _check_sum(header, is_first=count == 0)
        count += 1
        if count > MEMBERS:
            raise UnpackError(f"The archive has more than {MEMBERS} members.")
        kind, size_bytes = header[156:157], _number(header[124:136])
        if kind in _EXTENSIONS:
            headers_bytes += size_bytes
            if size_bytes > HEADER_BYTES or headers_bytes > HEADERS_BYTES:
                raise UnpackError(f"The archive has a header of {size_bytes} bytes.")
            extension.take(kind, source.read(size_bytes))
            source.skip(-size_bytes % _BLOCK)
            continue
        name = extension.name_of(header)
        if extension.size_bytes is not None:
            size_bytes = extension.size_bytes
        is_file = _check(kind, name, size_bytes)
        holes: SparseMap | None = None
        if kind == _SPARSE:
            if extension.sparse or extension.size_bytes is not None:
                raise _broken("two headers say what is stored of a sparse member")
            holes = old_gnu_map(header, size_bytes, source.read, _number)
        ends_at = source.position + size_bytes
        if extension.sparse:
            holes = extension.sparse.map(size_bytes, source.read)
        extension = _Extension()
        if is_file and holes is None:
            yield str(PurePosixPath(name)), size_bytes, source.pieces(size_bytes)
        elif is_file and holes is not None:
            yield str(PurePosixPath(name)), holes.size_bytes, holes.pieces(source.pieces)
        source.skip(ends_at - source.position)
        source.skip(-size_bytes % _BLOCK)
    if not count:
        raise UnpackError("The tar archive is empty.")


def _check(kind: bytes, name: str, size_bytes: int) -> bool:
    """Check that a member is safe; tell whether it is a file, and not a directory."""
    path = PurePosixPath(name)
    is_directory = kind == _DIRECTORY or name.endswith("/")
    problem = ""
    if len(name) > NAME_CHARACTERS:
        problem = f"has a name of {len(name)} characters"
    elif "\0" in name:
        problem = "has a name that goes on after its end"
    elif path.is_absolute():
        problem = "has an absolute name"
    elif ".." in path.parts:
        problem = "has '..' in its name"
    elif kind not in (_FILE, _OLD_FILE, _DIRECTORY, _SPARSE):
        problem = "is a link, a device or the like"
    elif is_directory and size_bytes:
        problem = "is a directory with content"
    if problem:
        raise UnpackError(f"The archive's member '{_shown(name)}' {problem}.")
    return not is_directory


def _check_sum(header: bytes, *, is_first: bool) -> None:
    """Check the sum over a header, which the oldest writers took over signed bytes."""
    cleared = header[:148] + b" " * 8 + header[156:]
    plain = sum(cleared)
    expected = _OCTAL.fullmatch(header[148:156])
    if expected and int(expected[1] or b"0", 8) in (
        plain,
        plain - 256 * sum(byte > 127 for byte in cleared),
    ):
        return
    seen = looks_like(header) if is_first else ""
    if seen:
        raise UnpackError(f"The file is no tar archive, but looks like {seen}.")
    raise _broken("a header has a wrong checksum")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _number(field: bytes) -> int:
    """Read octal digits, or what GNU tar writes where they do not fit: base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _OCTAL.fullmatch(field)
    if digits is None:
        raise _broken("a header has a number that is none")
    return int(digits[1] or b"0", 8)


def _pax_records(content: bytes) -> Iterator[tuple[str, str]]:
    """Read ``LENGTH NAME=VALUE`` lines, where the length counts the whole line."""
    start = 0
    while start < len(content):
        length = _LENGTH.match(content, start)
        end = start + int(length[0]) if length else 0
        record = content[length.end() : end] if length else b""
        name, equals, value = record[:-1].partition(b"=")
        if end > len(content) or record[-1:] != b"\n" or not (name and equals):
            raise _broken("an extended header is not understood")
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        start = end


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in name[:200])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _broken(why: str) -> UnpackError:
    return UnpackError(f"The tar archive is broken: {why}.")

"""Members of a tar with holes: which of their bytes are stored, and where those belong.

GNU tar writes a map of them in four ways: type ``S`` of its own format, and versions 0.0, 0.1 and
1.0 in ``pax`` headers. Formats: ``Basic Tar Format`` and ``Storing Sparse Files`` in its manual.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator

from imagestoreproxy.model.errors import UnpackError

# Two numbers each, of 8 bytes: 16 MiB. A hole for each small file of a large file system.
ENTRIES = 2**20
PREFIX = "GNU.sparse."

_BLOCK = 512
_LARGEST = 2**63 - 1
_ZEROS = bytes(2**20)
_DECIMAL = re.compile(r"[0-9]{1,19}")
# Entries in the header of type S itself, and in each header that extends it.
_ENTRY_BYTES, _FIRST, _NEXT = 24, range(386, 482, 24), range(0, 504, 24)
_REAL_SIZE = slice(483, 495)

Read = Callable[[int], bytes]
Pieces = Callable[[int], Iterator[bytes]]


class SparseMap:
    """Which ranges of a file are stored, in their order; all between them is zeros.

    Args:
        size_bytes: of the file with its holes.
    """

    def __init__(self, size_bytes: int) -> None:
        if size_bytes > _LARGEST:
            raise _broken(f"it is to become {size_bytes} bytes")
        self.size_bytes = size_bytes
        self._starts, self._sizes = array("Q"), array("Q")
        self._end = self._stored_bytes = 0
        self._is_padded = False

    def add(self, start: int, size_bytes: int) -> None:
        """Take the next range.

        Raises:
            UnpackError: it is not behind the last one, or not within the file, or one too many.
        """
        if len(self._starts) == ENTRIES:
            raise _broken(f"it has more than {ENTRIES} entries")
        if start < self._end:
            raise _broken("its entries overlap or are in no order")
        if start + size_bytes > self.size_bytes:
            raise _broken(f"an entry is not within the {self.size_bytes} bytes of the member")
        if size_bytes and self._is_padded:
            # GNU tar fills the range before this one up to a block, and others do not.
            raise _broken("an entry is no whole number of blocks")
        self._is_padded = self._is_padded or bool(size_bytes % _BLOCK)
        self._starts.append(start)
        self._sizes.append(size_bytes)
        self._end = start + size_bytes
        self._stored_bytes += size_bytes

    def check(self, stored_bytes: int) -> None:
        """Check that the ranges are what is stored.

        Raises:
            UnpackError: they are more, or less.
        """
        if self._stored_bytes != stored_bytes:
            raise _broken(
                f"its entries have {self._stored_bytes} bytes, but {stored_bytes} are stored"
            )

    def pieces(self, stored: Pieces) -> Iterator[bytes]:
        """Give the whole file in pieces of at most 1 MiB.

        Args:
            stored: gives so many of the bytes that are stored.
        """
        end = 0
        for start, size_bytes in zip(self._starts, self._sizes, strict=True):
            yield from _zeros(start - end)
            yield from stored(size_bytes)
            end = start + size_bytes
        yield from _zeros(self.size_bytes - end)


class PaxSparse:
    """What the ``pax`` records before a member say of its holes.

    Attributes:
        name: of the member, in place of the one in its header; None where it is not said.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._said: dict[str, str] = {}
        self._pairs: list[str] = []

    def take(self, name: str, value: str) -> None:
        """Take one record, without the ``GNU.sparse.`` before its name."""
        if name in ("offset", "numbytes"):
            if (name == "offset") == bool(len(self._pairs) % 2):
                raise _broken("an offset has no size")
            self._pairs.append(value)
        elif name in self._said:
            raise _broken(f"'{name}' is said twice")
        elif name == "name":
            self._said[name] = self.name = value
        elif name in ("major", "minor", "size", "realsize", "map", "numblocks"):
            self._said[name] = value
        else:
            raise _broken("it says what is not understood")

    def __bool__(self) -> bool:
        return bool(self._said or self._pairs)

    def map(self, stored_bytes: int, read: Read) -> SparseMap:
        """Give the map of the member whose bytes come next.

        Args:
            stored_bytes: that follow, with a map that stands before the data.
            read: gives so many of them.

        Raises:
            UnpackError: it is broken, or could be understood in two ways.
        """
        said = self._said.keys() - {"name"}
        if said == {"major", "minor", "realsize"} and not self._pairs:
            if (self._said["major"], self._said["minor"]) != ("1", "0"):
                raise _broken("it is of no version that is known")
            holes = SparseMap(_decimal(self._said["realsize"]))
            return _map_before_data(holes, stored_bytes, read)
        if "size" not in said or not said <= {"size", "numblocks", "map"}:
            raise _broken("it could be understood in two ways")
        numbers = self._pairs
        if "map" in said:
            if numbers:
                raise _broken("it is there twice")
            numbers = self._said["map"].split(",")
        if len(numbers) % 2:
            raise _broken("an offset has no size")
        if "numblocks" in said and _decimal(self._said["numblocks"]) * 2 != len(numbers):
            raise _broken("it has another number of entries than it says")
        holes = SparseMap(_decimal(self._said["size"]))
        for start, size_bytes in zip(numbers[::2], numbers[1::2], strict=True):
            holes.add(_decimal(start), _decimal(size_bytes))
        holes.check(stored_bytes)
        return holes


def old_gnu_map(
    header: bytes, stored_bytes: int, read: Read, number: Callable[[bytes], int]
) -> SparseMap:
    """Give the map of a member of type ``S``; reads the headers that extend it.

    Args:
        header: of the member, 512 bytes.
        number: reads a number of a header.

    Raises:
        UnpackError: it is broken.
    """
    if header[257:265] != b"ustar  \0":
        raise _broken("it is in a header that is not of GNU tar")
    holes = SparseMap(number(header[_REAL_SIZE]))
    block, entries, is_extended = header, _FIRST, bool(header[482])
    is_over = False
    while True:
        for at in entries:
            entry = block[at : at + _ENTRY_BYTES]
            is_empty = not any(entry)
            if is_over and not is_empty:
                raise _broken("it goes on after its end")
            is_over = is_empty
            if not is_empty:
                holes.add(number(entry[:12]), number(entry[12:]))
        if not is_extended:
            break
        if is_over:
            raise _broken("it goes on after its end")
        block, entries = read(_BLOCK), _NEXT
        is_extended = bool(block[504])
    holes.check(stored_bytes)
    return holes


def _map_before_data(holes: SparseMap, stored_bytes: int, read: Read) -> SparseMap:
    taken_bytes = 0

    def block() -> bytes:
        nonlocal taken_bytes
        taken_bytes += _BLOCK
        if taken_bytes > stored_bytes:
            raise _broken("it is longer than the member")
        return read(_BLOCK)

    numbers = _lines(block)
    for _ in range(next(numbers)):
        holes.add(next(numbers), next(numbers))
    holes.check(stored_bytes - taken_bytes)
    return holes


def _lines(block: Callable[[], bytes]) -> Iterator[int]:
    """Give decimal numbers, a line each, without an end."""
    rest = b""
    while True:
        *lines, rest = (rest + block()).split(b"\n")
        for line in lines:
            yield _decimal(line.decode("ascii", "replace"))
        if len(rest) > _BLOCK:
            raise _broken("a number is none")


def _decimal(text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise _broken("a number is none")
    return int(text)


def _zeros(size_bytes: int) -> Iterator[bytes]:
    while size_bytes:
        piece = _ZEROS if size_bytes >= len(_ZEROS) else bytes(size_bytes)
        size_bytes -= len(piece)
        yield piece


def _broken(why: str) -> UnpackError:
    return UnpackError(f"The archive's map of a sparse member is broken: {why}.")

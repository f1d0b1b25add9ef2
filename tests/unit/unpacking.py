"""Archives and compressed files, read the way tests like to have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imagestoreproxy.install.archive import wanted_members
from imagestoreproxy.install.unpack import Unpacking
from imagestoreproxy.model.images import Compression
from imagestoreproxy.ports import Stop


def decompress(
    packed: Iterable[bytes], compression: Compression, limit_bytes: int, stop: Stop
) -> Iterator[bytes]:
    """Decompress a whole stream."""
    return Unpacking(compression, limit_bytes, stop).chunks(packed)


LIMIT_BYTES = 2**30


def members(chunks: Iterable[bytes], globs: Sequence[str]) -> dict[str, bytes]:
    """Read a whole archive; give the member that each glob names."""
    found = {}
    for member in wanted_members(chunks, globs, LIMIT_BYTES):
        found[member.glob] = b"".join(member.pieces)
        assert len(found[member.glob]) == member.size_bytes
    return found


def member_sizes(chunks: Iterable[bytes], globs: Sequence[str]) -> dict[str, int]:
    """Go through a whole archive without reading the members; give their sizes in bytes."""
    wanted = wanted_members(chunks, globs, LIMIT_BYTES)
    return {member.glob: member.size_bytes for member in wanted}

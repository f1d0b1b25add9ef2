"""The EC2 bundle format as streams: chunks in, parts out, joined by whoever runs them.

An image becomes a tar archive of one member, that gzip, that AES-128-CBC, that parts of 10 MiB
(manifest version 2007-10-10, as euca2ools and ec2-ami-tools make them). Every stream is lazy and
holds a chunk or two, the last one a part.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from imagestoreproxy.codecs import (
    HEAD_BYTES,
    TRAILER_BYTES,
    GzipFrame,
    deflate_piece,
    gzip_head_bytes,
    stored_piece,
)
from imagestoreproxy.model.bundles import Chunk
from imagestoreproxy.model.errors import UnpackError

PART_BYTES = 10 * 1024 * 1024
PIECE_BYTES = 2**20
CIPHER_BLOCK_BYTES = 16
_ZEROS = bytes(PIECE_BYTES)


class Tally:
    """SHA-1 and size of what passed through a stream."""

    def __init__(self) -> None:
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self.size_bytes = 0

    @property
    def sha1_hex(self) -> str:
        return self._sha1.hexdigest()

    def add(self, chunk: bytes | memoryview) -> None:
        """Count ``chunk``."""
        self._sha1.update(chunk)
        self.size_bytes += len(chunk)


def packed_archive(
    name: str, size_bytes: int, chunks: Iterable[Chunk], tar: Tally, *, has_gzip: bool
) -> Iterator[bytes]:
    """Give a gzip of a tar archive with one file in it; the same file gives the same, always.

    It is a gzip of one member: what reads several as one is not what stands in older clouds (Java
    6, Python's ``tarfile``). Where the source is a gzip, its own deflate goes into it as it is.

    Args:
        name: of the member of the archive.
        size_bytes: what the raw bytes must add up to; above 8 GiB the header is GNU's base-256.
        tar: counts the archive itself.
        has_gzip: see ``model.bundles.Stream``.

    Raises:
        UnpackError: the chunks add up to something else.
    """
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    archive = _Archive(member.tobuf(tarfile.GNU_FORMAT), tar)
    # A deflate has one last block. So nothing can follow that of the source, not even the zeros
    # that end an archive, which every reader can do without; but what fills up a record it cannot.
    if has_gzip and not size_bytes % tarfile.BLOCKSIZE:
        return archive.kept(_checked(name, size_bytes, chunks))
    return archive.packed(_checked(name, size_bytes, chunks))


class _Archive:
    """A tar archive of one member, on its way through a gzip."""

    def __init__(self, header: bytes, tar: Tally) -> None:
        self._header = header
        self._tar = tar
        self._frame = GzipFrame()

    def kept(self, chunks: Iterable[Chunk]) -> Iterator[bytes]:
        """Put the header before the deflate that came with the file."""
        yield GzipFrame.HEAD + stored_piece(self._count(self._header))
        held = b""  # of the source: its head, until that is whole; then what may be its trailer
        is_inside = False
        for chunk in chunks:
            self._count(chunk.raw)
            packed = chunk.packed
            if is_inside and len(packed) > TRAILER_BYTES:
                yield held
                yield packed[:-TRAILER_BYTES]
                held = packed[-TRAILER_BYTES:]
            elif packed:
                held += packed
                if len(held) > HEAD_BYTES + len(packed):
                    raise UnpackError(f"The gzip has a head of more than {HEAD_BYTES} bytes.")
                head_bytes = 0 if is_inside else gzip_head_bytes(held)
                if head_bytes is not None and len(held) - head_bytes > TRAILER_BYTES:
                    is_inside = True
                    yield held[head_bytes:-TRAILER_BYTES]
                    held = held[-TRAILER_BYTES:]
        yield self._frame.trailer

    def packed(self, chunks: Iterable[Chunk]) -> Iterator[bytes]:
        """Compress, each MiB of the file for itself; holes are compressed once."""
        yield GzipFrame.HEAD + deflate_piece(self._count(self._header))
        for block in _blocks(self._count(chunk.raw) for chunk in chunks):
            # The comparison stops at the first byte that is not zero.
            yield _packed_zeros() if block == _ZEROS else deflate_piece(block)
        size_bytes = self._tar.size_bytes
        padding = -size_bytes % tarfile.BLOCKSIZE
        end = -(size_bytes + padding) % tarfile.RECORDSIZE
        if end < 2 * tarfile.BLOCKSIZE:
            end += tarfile.RECORDSIZE
        yield deflate_piece(self._count(bytes(padding + end)))
        yield GzipFrame.LAST + self._frame.trailer

    def _count(self, content: bytes) -> bytes:
        self._tar.add(content)
        self._frame.add(content)
        return content


@cache
def _packed_zeros() -> bytes:
    return deflate_piece(_ZEROS)


def _checked(name: str, size_bytes: int, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Hand the chunks through, if they add up."""
    position = 0
    for chunk in chunks:
        position += len(chunk.raw)
        if position > size_bytes:
            raise UnpackError(
                f"'{name}' gave {position} bytes or more, not the {size_bytes} bytes announced."
            )
        yield chunk
    if position < size_bytes:
        raise UnpackError(f"'{name}' ended after {position} of {size_bytes} bytes.")


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Regroup into blocks of 1 MiB, the last one shorter: pieces must not depend on chunks."""
    rest: list[bytes] = []
    held = 0
    for chunk in chunks:
        start = 0
        while held + len(chunk) - start >= PIECE_BYTES:
            end = start + PIECE_BYTES - held
            piece = chunk[start:end]
            yield b"".join([*rest, piece]) if rest else piece
            rest, held, start = [], 0, end
        if start < len(chunk):
            rest.append(chunk[start:])
            held += len(chunk) - start
    if held:
        yield b"".join(rest)


def encrypted_parts(
    chunks: Iterable[bytes],
    key: bytes,
    iv: bytes,
    room: Callable[[], bytearray],
    part_bytes: int = PART_BYTES,
) -> Iterator[memoryview]:
    """Encrypt with AES-128-CBC and PKCS#7 padding, and cut into parts, the last one shorter.

    Args:
        key, iv: 16 bytes each.
        room: gives the memory for one part: ``part_bytes`` and 16 more, which it holds.
        part_bytes: a multiple of 16.
    """
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    size_bytes = filled = 0
    part: bytearray | None = None
    for chunk in _padded(chunks):
        view = memoryview(chunk)
        while view:
            part = room() if part is None else part
            # The encryptor keeps what is short of a block, so that this fills the part exactly.
            taken = min(len(view), part_bytes - filled - size_bytes % CIPHER_BLOCK_BYTES)
            filled += encryptor.update_into(view[:taken], memoryview(part)[filled:])
            size_bytes += taken
            view = view[taken:]
            if filled == part_bytes:
                yield memoryview(part)[:filled]
                part, filled = None, 0
    if part is not None:
        yield memoryview(part)[:filled]


def _padded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size_bytes = 0
    for chunk in chunks:
        size_bytes += len(chunk)
        yield chunk
    missing = CIPHER_BLOCK_BYTES - size_bytes % CIPHER_BLOCK_BYTES
    yield bytes([missing]) * missing

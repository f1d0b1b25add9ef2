"""The EC2 bundle format as streams: chunks in, chunks out, joined by whoever runs them.

An image becomes a tar archive of one member, that gzip, that AES-128-CBC, that parts of 10 MiB
(manifest version 2007-10-10, as euca2ools and ec2-ami-tools make them). Every stream is lazy and
holds a chunk or two, the last one a part.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from imagestoreproxy.model.errors import UnpackError

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None  # type: ignore[assignment]

PART_BYTES = 10 * 1024 * 1024
PIECE_BYTES = 256 * 1024
GZIP_WBITS = 31


class _Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _gzip_compressor() -> _Compressor:
    # Both write a header without time and name: the same image gives the same bytes.
    if isal_zlib is not None:
        return isal_zlib.compressobj(1, isal_zlib.DEFLATED, GZIP_WBITS)
    return zlib.compressobj(1, zlib.DEFLATED, GZIP_WBITS)


def tar_stream(name: str, size_bytes: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Wrap the bytes of one file in a tar archive.

    Args:
        name: of the member.
        size_bytes: what ``chunks`` must add up to; above 8 GiB the header is GNU's base-256.

    Raises:
        UnpackError: the chunks add up to something else.
    """
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    header = member.tobuf(tarfile.GNU_FORMAT)
    yield header
    position = 0
    for chunk in chunks:
        position += len(chunk)
        if position > size_bytes:
            raise UnpackError(f"'{name}' gave more than the {size_bytes} bytes announced.")
        yield chunk
    if position < size_bytes:
        raise UnpackError(f"'{name}' ended after {position} of {size_bytes} bytes.")
    padding = -position % tarfile.BLOCKSIZE
    end = -(len(header) + position + padding) % tarfile.RECORDSIZE
    if end < 2 * tarfile.BLOCKSIZE:
        end += tarfile.RECORDSIZE
    yield bytes(padding + end)


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


def digested(chunks: Iterable[bytes], tally: Tally) -> Iterator[bytes]:
    """Hand the chunks through and count each in ``tally`` before it goes on."""
    for chunk in chunks:
        tally.add(chunk)
        yield chunk


def gzip_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress to one gzip member without time or name; the same bytes give the same, always."""
    compressor = _gzip_compressor()
    # Regrouped: what isal gives depends on the limits between the chunks it gets.
    for chunk in part_stream(chunks, PIECE_BYTES):
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()


def encrypt_stream(chunks: Iterable[bytes], key: bytes, iv: bytes) -> Iterator[bytes]:
    """Encrypt with AES-128-CBC and PKCS#7 padding; ``key`` and ``iv`` are 16 bytes each."""
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    block = AES.block_size // 8
    size_bytes = 0
    for chunk in chunks:
        size_bytes += len(chunk)
        yield encryptor.update(chunk)
    # The encryptor keeps what is short of a block, so only the end needs padding.
    missing = block - size_bytes % block
    yield encryptor.update(bytes([missing]) * missing) + encryptor.finalize()


def part_stream(chunks: Iterable[bytes], part_bytes: int = PART_BYTES) -> Iterator[memoryview]:
    """Regroup into parts of ``part_bytes``, the last one shorter.

    Each part has memory of its own, and is not held here once the next one is asked for.
    """
    part, filled = bytearray(part_bytes), 0
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            taken = min(len(view), part_bytes - filled)
            part[filled : filled + taken] = view[:taken]
            filled += taken
            view = view[taken:]
            if filled == part_bytes:
                yield memoryview(part)
                del part  # before the next one is made, not after
                part, filled = bytearray(part_bytes), 0
    if filled:
        yield memoryview(part)[:filled]

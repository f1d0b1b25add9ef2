"""Which library compresses and decompresses what: the one place where it is chosen."""

from __future__ import annotations

import bz2
import importlib
import lzma
import struct
import sys
import zlib
from contextlib import suppress
from typing import Any, Protocol

from imagestoreproxy.model.errors import UnpackError
from imagestoreproxy.model.images import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# ISA-L where there is a build for this processor, else zlib-ng where it is installed, else zlib:
# each is two to three times as fast as the next.
try:
    from isal import igzip_lib, isal_zlib
except ImportError:
    igzip_lib = isal_zlib = None  # type: ignore[assignment]
plain_zlib: Any = zlib
with suppress(ImportError):
    plain_zlib = importlib.import_module("zlib_ng.zlib_ng")

# A decoder's window is memory: xz -9 needs 65 MiB, zstd --long=26 64 MiB; nobody needs more.
XZ_MEMORY_BYTES = 80 * 2**20
ZSTD_WINDOW_LOG = 26

_GZIP_WBITS = 31
# ISA-L's level 0 makes noise larger, and its level 2 gains two percent for a tenth of the time.
_LEVEL = 1


class Decompressor(Protocol):
    """The interface that ``lzma``, ``bz2``, ``zstd`` and ``isal`` share."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether more input is needed before more comes out."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end of the member."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take input; give at most ``max_length`` bytes."""


class _ZlibDecompressor:
    """gzip by zlib or zlib-ng, with the interface of the others."""

    def __init__(self) -> None:
        self._codec: Any = plain_zlib.decompressobj(wbits=_GZIP_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._codec.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._codec.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        chunk: bytes = self._codec.decompress(
            self._codec.unconsumed_tail + data, max(0, max_length)
        )
        # Output that is held back shows as a full chunk, with or without input left over.
        self.needs_input = not self._codec.unconsumed_tail and len(chunk) != max_length
        return chunk


ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    EOFError,
    OSError,
    zlib.error,
    plain_zlib.error,
    lzma.LZMAError,
    zstd.ZstdError,
    *((igzip_lib.IsalError,) if igzip_lib else ()),
)


_HEADS = (
    (b"\x1f\x8b", "gzip data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"QFI\xfb", "a qcow2 disk"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"-----BEGIN PGP", "an OpenPGP message"),
)
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--")


def looks_like(head: bytes) -> str:
    """Say what a file that begins so seems to be, for messages alone; empty if nobody knows."""
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower().startswith(_MARKUP):
        return "an HTML or XML page"
    return next((name for start, name in _HEADS if head.startswith(start)), "")


def decompressor(compression: Compression) -> Decompressor:
    """Make a decompressor for one member of a stream; it raises one of ``ERRORS``."""
    match compression:
        case Compression.GZIP:
            return gzip_decompressor()
        case Compression.XZ:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        case Compression.ZSTD:
            limit = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG}
            return zstd.ZstdDecompressor(options=limit)
        case Compression.BZIP2:
            return bz2.BZ2Decompressor()
        case Compression.NONE:
            raise UnpackError("A file that is not compressed has nothing to decompress.")


def gzip_decompressor(*, fast: bool = True) -> Decompressor:
    """Make one for gzip: ISA-L where it is there and wanted, else zlib."""
    if fast and igzip_lib is not None:
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return _ZlibDecompressor()


def deflate_piece(content: bytes, *, fast: bool = True) -> bytes:
    """Compress to deflate that ends at a byte and refers to nothing before it, nor is the last.

    Such pieces may stand one behind the other in any order, and the same content gives the same
    piece, always.
    """
    library: Any = isal_zlib if fast and isal_zlib is not None else plain_zlib
    compressor = library.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed: bytes = compressor.compress(content)
    return packed + bytes(compressor.flush(zlib.Z_FULL_FLUSH))


def stored_piece(content: bytes) -> bytes:
    """Give less than 64 KiB as such a piece, without compressing it (RFC 1951, 3.2.4)."""
    return struct.pack("<BHH", 0, len(content), len(content) ^ 0xFFFF) + content


class GzipFrame:
    """What stands round the deflate of a gzip (RFC 1952); without time or name.

    Args:
        fast: whether ISA-L may count.
    """

    HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    LAST = b"\x03\x00"
    """An empty last piece, for deflate that has none."""

    def __init__(self, *, fast: bool = True) -> None:
        self._crc32: Any = isal_zlib.crc32 if fast and isal_zlib is not None else plain_zlib.crc32
        self._check = 0
        self._size_bytes = 0

    def add(self, content: bytes) -> None:
        """Count what the deflate unpacks to."""
        self._check = self._crc32(content, self._check)
        self._size_bytes += len(content)

    @property
    def trailer(self) -> bytes:
        return struct.pack("<II", self._check, self._size_bytes % 2**32)


TRAILER_BYTES = 8
# Three texts and an extra field; each is usually empty.
HEAD_BYTES = 2**20


def gzip_head_bytes(start: bytes) -> int | None:
    """Give how long the header of a gzip is that begins so; None while that cannot be told."""
    flags, at = start[3] if len(start) > 3 else 0, 10
    if flags & 4:
        at += 2 + int.from_bytes(start[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            at = start.find(b"\0", at) + 1 or len(start) + 1
    at += 2 if flags & 2 else 0
    return at if at <= len(start) else None


def zstd_size_bytes(head: bytes) -> int | None:
    """Give what a zstd frame that begins so says it unpacks to, if it says so."""
    try:
        return zstd.get_frame_info(head).decompressed_size
    except zstd.ZstdError:
        return None

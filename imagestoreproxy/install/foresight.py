"""What a compressed file will unpack to, told before it has come: a guess, and checked as one.

A bundle begins with the size of what is in it. It stands at the end of a gzip or an xz file, in the
head of most zstd files, and in the head of most file systems and disks; whoever follows a download
can so begin with its first byte. Nothing of it is signed, so nothing but time is lost if it is
wrong: the true size is counted, and another one than the guess begins everything anew.

Formats: RFC 1952 (gzip), the .xz file format 1.2 (index and footer), RFC 8878 (zstd), the kernel's
``Documentation/filesystems/ext4`` (super block), UEFI 2.10 section 5.3 (GPT header).
"""

from __future__ import annotations

import struct

from imagestoreproxy.codecs import zstd_size_bytes
from imagestoreproxy.model.images import Compression

HEAD_BYTES = 2**12

_GZIP_WRAPS = 2**32
_XZ_FOOTER = struct.Struct("<4sI2s2s")
_XZ_END = b"YZ"


def foreseen_bytes(
    compression: Compression, packed_bytes: int, packed_head: bytes, tail: bytes, head: bytes
) -> int | None:
    """Give the size of what is in a file, as its ends tell it, or None.

    Args:
        packed_bytes: of the whole compressed file.
        packed_head, tail: its first and last bytes; may be empty.
        head: the first bytes of what is in it, at least ``HEAD_BYTES`` where there are as many.
    """
    told = disk_bytes(head)
    match compression:
        case Compression.GZIP if tail:
            return _gzip_bytes(tail, packed_bytes, told)
        case Compression.XZ if tail:
            return _xz_bytes(tail) or told
        case Compression.ZSTD:
            return zstd_size_bytes(packed_head) or told
    return told


def disk_bytes(head: bytes) -> int | None:
    """Give how large the file system or the disk is that begins so, or None."""
    head = head.ljust(HEAD_BYTES, b"\0")
    if head[512:520] == b"EFI PART":
        (last_sector,) = struct.unpack_from("<Q", head, 512 + 32)
        return int(last_sector + 1) * 512
    if head[1024 + 56 : 1024 + 58] == b"\x53\xef":
        (low,) = struct.unpack_from("<I", head, 1024 + 4)
        (log_size,) = struct.unpack_from("<I", head, 1024 + 24)
        (incompatible,) = struct.unpack_from("<I", head, 1024 + 96)
        (high,) = struct.unpack_from("<I", head, 1024 + 336)
        blocks = low + (high << 32 if incompatible & 0x80 else 0)
        return int(blocks << (10 + log_size)) if log_size <= 6 else None
    return None


def _gzip_bytes(tail: bytes, packed_bytes: int, told: int | None) -> int:
    """Take the size modulo 2**32 that a gzip ends with, and what else is known of it."""
    (remainder,) = struct.unpack("<I", tail[-4:].rjust(4, b"\0"))
    if told is not None and told % _GZIP_WRAPS == remainder:
        return told
    # Noise does not become smaller, and larger by less than a thousandth.
    least = packed_bytes - packed_bytes // 1000 - 1024
    wraps = max(0, -(-(least - remainder) // _GZIP_WRAPS))
    return int(remainder + wraps * _GZIP_WRAPS)


def _xz_bytes(tail: bytes) -> int | None:
    """Add up the blocks that the index of an xz file lists, if it has one stream."""
    if len(tail) < _XZ_FOOTER.size or not tail.endswith(_XZ_END):
        return None
    _, stored_size, _, _ = _XZ_FOOTER.unpack(tail[-_XZ_FOOTER.size :])
    index_bytes = (stored_size + 1) * 4
    index = tail[-_XZ_FOOTER.size - index_bytes : -_XZ_FOOTER.size]
    if len(index) < index_bytes or index[0]:
        return None
    try:
        count, at = _multibyte(index, 1)
        total = 0
        for _ in range(count):
            _, at = _multibyte(index, at)
            size_bytes, at = _multibyte(index, at)
            total += size_bytes
    except IndexError:
        return None
    return total


def _multibyte(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80 or shift > 63:
            return value, at

"""What a file will unpack to, told by its ends; and never more than a guess."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.install.foresight import HEAD_BYTES, disk_bytes, foreseen_bytes
from imagestoreproxy.model.images import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTENT = random.Random(5).randbytes(30_000) + bytes(70_000)


def foreseen(compression: Compression, packed: bytes, content: bytes = CONTENT) -> int | None:
    """Guess from what is there at the beginning of a download."""
    head = content[:HEAD_BYTES]
    return foreseen_bytes(compression, len(packed), packed[:9000], packed[-5000:], head)


def ext4(blocks: int, log_size: int = 2, *, wide: bool = True) -> bytes:
    """Make the first bytes of a file system of so many blocks of ``1024 << log_size`` bytes."""
    head = bytearray(HEAD_BYTES)
    struct.pack_into("<I", head, 1024 + 4, blocks % 2**32)
    struct.pack_into("<I", head, 1024 + 24, log_size)
    head[1024 + 56 : 1024 + 58] = b"\x53\xef"
    struct.pack_into("<I", head, 1024 + 96, 0x80 if wide else 0)
    struct.pack_into("<I", head, 1024 + 336, blocks >> 32)
    return bytes(head)


def gpt(sectors: int) -> bytes:
    """Make the first bytes of a disk of so many sectors of 512 bytes."""
    head = bytearray(HEAD_BYTES)
    head[510:520] = b"\x55\xaaEFI PART"
    struct.pack_into("<Q", head, 512 + 32, sectors - 1)
    return bytes(head)


def test_a_gzip_says_at_its_end_what_it_unpacks_to() -> None:
    assert foreseen(Compression.GZIP, gzip.compress(CONTENT)) == len(CONTENT)
    assert foreseen(Compression.GZIP, gzip.compress(b""), b"") == 0


def test_an_xz_says_at_its_end_what_it_unpacks_to() -> None:
    assert foreseen(Compression.XZ, lzma.compress(CONTENT)) == len(CONTENT)
    blocks = lzma.compress(CONTENT, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    assert foreseen(Compression.XZ, blocks) == len(CONTENT)


def test_a_zstd_says_in_its_head_what_it_unpacks_to() -> None:
    assert foreseen(Compression.ZSTD, zstd.compress(CONTENT)) == len(CONTENT)


def test_a_zstd_from_a_pipe_says_nothing() -> None:
    compressor = zstd.ZstdCompressor()
    packed = compressor.compress(CONTENT[:100]) + compressor.compress(CONTENT[100:])
    packed += compressor.flush()
    assert foreseen(Compression.ZSTD, packed) is None
    assert foreseen(Compression.ZSTD, packed, ext4(1000)) == 1000 * 4096


def test_a_bzip2_says_nothing_but_what_is_in_it_may() -> None:
    assert foreseen(Compression.BZIP2, bz2.compress(CONTENT)) is None
    assert foreseen(Compression.BZIP2, b"", gpt(2_000_000)) == 2_000_000 * 512


@pytest.mark.parametrize("gib", [1, 4, 5, 16, 5000])
def test_file_systems_and_disks_say_how_large_they_are(gib: int) -> None:
    assert disk_bytes(ext4(gib << 18)) == gib << 30
    assert disk_bytes(gpt(gib << 21)) == gib << 30
    if gib < 16:
        assert disk_bytes(ext4(gib << 18, wide=False)) == gib << 30


def ends_with(remainder: int) -> bytes:
    return bytes(100) + struct.pack("<I", remainder)


@pytest.mark.parametrize("gib", [4, 5, 16])
def test_a_gzip_of_4_gib_and_more_is_settled_by_what_is_in_it(gib: int) -> None:
    """A gzip says its size modulo 4 GiB."""
    tail = ends_with((gib << 30) % 2**32)
    size = foreseen_bytes(Compression.GZIP, 10**9, b"", tail, ext4(gib << 18))
    assert size == gib << 30


def test_a_gzip_of_noise_cannot_be_smaller_than_itself() -> None:
    tail = ends_with(2**20)
    assert foreseen_bytes(Compression.GZIP, 5 << 30, b"", tail, b"") == (2 << 32) + 2**20
    assert foreseen_bytes(Compression.GZIP, 2**20 + 300, b"", tail, b"") == 2**20


def test_what_is_in_it_counts_only_where_it_fits_the_end() -> None:
    """A file system need not fill its file."""
    assert foreseen_bytes(Compression.GZIP, 1000, b"", ends_with(5 << 20), ext4(256)) == 5 << 20


@given(
    st.sampled_from([one for one in Compression if one is not Compression.NONE]),
    st.integers(1, 2**36),
    *(st.binary(max_size=400),) * 2,
    st.binary(max_size=HEAD_BYTES)
    | st.builds(lambda start, cut: start[:cut], st.just(gpt(7)), st.integers(0, 600))
    | st.builds(lambda start, cut: start[:cut], st.just(ext4(7)), st.integers(0, 1400)),
)
def test_noise_gives_a_guess_or_none_and_never_an_error(
    compression: Compression, size: int, start: bytes, tail: bytes, head: bytes
) -> None:
    guess = foreseen_bytes(compression, size, start, tail, head)
    assert guess is None or guess >= 0


@given(st.data())
def test_a_broken_index_of_an_xz_gives_none_or_a_guess(data: st.DataObject) -> None:
    packed = bytearray(lzma.compress(CONTENT))
    for _ in range(3):
        packed[-data.draw(st.integers(1, 40))] = data.draw(st.integers(0, 255))
    guess = foreseen(Compression.XZ, bytes(packed))
    assert guess is None or guess >= 0

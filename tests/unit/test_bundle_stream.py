"""The bundle format as streams: each stage against an independent reader."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import zlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestoreproxy import codecs
from imagestoreproxy.clouds.bundle import (
    CIPHER_BLOCK_BYTES,
    MEMBER_BYTES,
    Tally,
    encrypted_parts,
    packed_archive,
)
from imagestoreproxy.model.bundles import Chunk
from imagestoreproxy.model.errors import UnpackError

CHUNKS = st.lists(st.binary(max_size=3000), max_size=12)


def in_chunks(content: bytes, chunk_bytes: int) -> Iterator[Chunk]:
    for start in range(0, len(content), chunk_bytes):
        yield Chunk(content[start : start + chunk_bytes])


def archive_of(content: bytes, chunk_bytes: int = 700, packed: bytes = b"") -> tuple[bytes, Tally]:
    """Give the gzip of the archive, and what was counted of the archive itself."""
    tally = Tally()
    chunks = [Chunk(b"", packed), *in_chunks(content, chunk_bytes)]
    size = len(content)
    out = packed_archive("image-1", size, chunks, tally, has_gzip=bool(packed))
    return b"".join(out), tally


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8191, 8192, 8704, 9216, 9728, 10240])
@pytest.mark.parametrize("keep", [False, True])
def test_a_tar_holds_the_member_byte_for_byte_and_ends_as_gnu_tar_ends(
    size: int, keep: bool
) -> None:
    content = random.Random(size).randbytes(size)
    packed, tally = archive_of(content, packed=gzip.compress(content) if keep else b"")
    archive = gzip.decompress(packed)
    assert tally.sha1_hex == hashlib.sha1(archive).hexdigest()
    assert tally.size_bytes == len(archive)
    assert len(archive) % 10240 == 0
    assert archive[-1024:] == bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.size) == ("image-1", size)
        extracted = tar.extractfile(member)
        assert extracted is not None
        assert extracted.read() == content


def test_the_gzip_of_the_source_is_in_the_bundle_as_it_came() -> None:
    content = random.Random(1).randbytes(50_000) + bytes(50_000)
    source = gzip.compress(content, 9)
    packed, _ = archive_of(content, packed=source)
    assert source in packed
    assert len(packed) < len(source) + 400


def test_a_tar_header_can_say_more_than_8_gib() -> None:
    size = 30 << 30
    header = zlib.decompress(
        next(packed_archive("image-1", size, [], Tally(), has_gzip=False)), wbits=31
    )
    assert tarfile.TarInfo.frombuf(header, "ascii", "strict").size == size
    assert header[124] == 0x80, "GNU's base-256 number"


@pytest.mark.parametrize("given_bytes", [0, 99, 101, 5000])
def test_p5_a_tar_never_ends_well_with_another_size_than_announced(given_bytes: int) -> None:
    chunks = in_chunks(bytes(given_bytes), 64)
    with pytest.raises(UnpackError, match=r"'image-1' .* 100 bytes"):
        list(packed_archive("image-1", 100, chunks, Tally(), has_gzip=False))


@given(CHUNKS)
def test_a_tally_counts_what_passes(chunks: list[bytes]) -> None:
    tally = Tally()
    for chunk in chunks:
        tally.add(chunk)
    assert tally.size_bytes == sum(map(len, chunks))
    assert tally.sha1_hex == hashlib.sha1(b"".join(chunks)).hexdigest()


HOLEY = (
    random.Random(7).randbytes(MEMBER_BYTES + 5)
    + bytes(3 * MEMBER_BYTES)
    + b"text " * 300_000
    + bytes(2 * MEMBER_BYTES + 77)
)


@given(st.lists(st.integers(1, 2**21), min_size=1, max_size=9))
@settings(max_examples=20, deadline=None)
def test_the_same_file_gives_the_same_bundle_however_it_comes_in(steps: list[int]) -> None:
    def chunks() -> Iterator[Chunk]:
        start = number = 0
        while start < len(HOLEY):
            step = steps[number % len(steps)]
            yield Chunk(HOLEY[start : start + step])
            start, number = start + step, number + 1

    one = b"".join(packed_archive("image-1", len(HOLEY), chunks(), Tally(), has_gzip=False))
    assert one == archive_of(HOLEY, MEMBER_BYTES)[0]


def test_holes_cost_next_to_nothing() -> None:
    packed, _ = archive_of(bytes(64 * MEMBER_BYTES), MEMBER_BYTES)
    assert len(packed) < 100_000


@pytest.mark.parametrize("fast", [True, False])
@given(content=st.binary(max_size=5000))
def test_a_member_unpacks_to_the_same_and_is_the_same_each_time(fast: bool, content: bytes) -> None:
    first, second = (codecs.gzip_member(content, fast=fast) for _ in range(2))
    assert first == second
    assert first[4:8] == bytes(4), "no time in the header"
    assert gzip.decompress(first) == zlib.decompress(first, 31) == content


def room(part_bytes: int) -> bytearray:
    return bytearray(part_bytes + CIPHER_BLOCK_BYTES)


@given(CHUNKS, st.integers(1, 200))
def test_parts_are_aes_128_cbc_with_pkcs7_padding_and_full_but_the_last(
    chunks: list[bytes], blocks: int
) -> None:
    key, iv = bytes(range(16)), bytes(range(16, 32))
    part_bytes = blocks * 16
    parts = [
        bytes(part)
        for part in encrypted_parts(chunks, key, iv, lambda: room(part_bytes), part_bytes)
    ]
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts)
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(b"".join(parts)) + decryptor.finalize()
    assert unpadder.update(padded) + unpadder.finalize() == b"".join(chunks)


def test_streams_are_lazy_and_hold_at_most_a_part() -> None:
    drawn = 0

    def endless() -> Iterator[Chunk]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Chunk(random.Random(drawn).randbytes(1000))

    archive = packed_archive("image-1", 1 << 40, endless(), Tally(), has_gzip=False)
    parts = encrypted_parts(archive, bytes(16), bytes(16), lambda: room(2**20), 2**20)
    next(parts)
    assert drawn < 2200, "a part, and what one member of the gzip holds back"

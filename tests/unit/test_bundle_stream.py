"""The bundle format as streams: each stage against an independent reader."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import random
import tarfile
import zlib
from collections.abc import Iterator
from functools import cache

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip as isal_igzip

from imagestoreproxy import codecs
from imagestoreproxy.clouds.bundle import (
    CIPHER_BLOCK_BYTES,
    PIECE_BYTES,
    Tally,
    encrypted_parts,
    packed_archive,
)
from imagestoreproxy.codecs import gzip_head_bytes
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


def only_member(packed: bytes) -> bytes:
    """Unpack what must be one gzip member and nothing else."""
    codec = zlib.decompressobj(wbits=31)
    content = codec.decompress(packed)
    assert codec.eof
    assert codec.unused_data == b""
    return content


def file_in(archive: bytes, name: str = "image-1") -> bytes:
    for mode in ("r:", "r|"):
        with tarfile.open(fileobj=io.BytesIO(archive), mode=mode) as tar:
            members = []
            for member in tar:
                extracted = tar.extractfile(member)
                assert extracted is not None
                members.append((member.name, extracted.read()))
            ((found, content),) = members
            assert found == name
    return content


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8191, 8192, 8704, 9216, 9728, 10240])
def test_a_tar_holds_the_member_byte_for_byte_and_ends_as_gnu_tar_ends(size: int) -> None:
    content = random.Random(size).randbytes(size)
    packed, tally = archive_of(content)
    archive = only_member(packed)
    assert tally.sha1_hex == hashlib.sha1(archive).hexdigest()
    assert tally.size_bytes == len(archive)
    assert len(archive) % 10240 == 0
    assert archive[-1024:] == bytes(1024)
    assert file_in(archive) == content


PACKERS = {
    "gzip": lambda content: gzip.compress(content, 9),
    "with a name": lambda content: named_gzip(content, "disk.img"),
    "not compressed": lambda content: gzip.compress(content, 0),
    "isal": lambda content: isal_igzip.compress(content, 1),
}


def named_gzip(content: bytes, name: str) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=out) as file:
        file.write(content)
    return out.getvalue()


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("piece", [1, 7, 5000])
@pytest.mark.parametrize("size", [512, 10240, 150 * 512])
def test_the_deflate_of_the_source_is_in_the_bundle_as_it_came(
    packer: str, piece: int, size: int
) -> None:
    content = random.Random(size).randbytes(size // 2) + bytes(size - size // 2)
    source = PACKERS[packer](content)
    tally = Tally()
    chunks = [Chunk(b"", source[start : start + piece]) for start in range(0, len(source), piece)]
    chunks[-1] = Chunk(content, chunks[-1].packed)
    packed = b"".join(packed_archive("image-1", size, chunks, tally, has_gzip=True))
    deflate = source[gzip_head_bytes(source) : -8]
    assert packed[10 + 5 + 512 : -8] == deflate
    archive = only_member(packed)
    assert len(archive) == 512 + size
    assert tally.sha1_hex == hashlib.sha1(archive).hexdigest()
    assert file_in(archive) == content


@pytest.mark.parametrize("size", [1, 511, 513])
def test_a_source_that_fills_no_record_is_compressed_anew(size: int) -> None:
    """Its archive needs what a deflate that has ended cannot take."""
    content = random.Random(size).randbytes(size)
    archive = only_member(archive_of(content, packed=gzip.compress(content))[0])
    assert archive == only_member(archive_of(content)[0])


@pytest.mark.parametrize("flags", range(32))
@given(extra=st.binary(max_size=300), name=st.binary(max_size=50), comment=st.binary(max_size=50))
@settings(max_examples=10)
def test_a_gzip_head_ends_where_its_flags_say(
    flags: int, extra: bytes, name: bytes, comment: bytes
) -> None:
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    head += len(extra).to_bytes(2, "little") + extra if flags & 4 else b""
    head += name.replace(b"\0", b"") + b"\0" if flags & 8 else b""
    head += comment.replace(b"\0", b"") + b"\0" if flags & 16 else b""
    head += b"cc" if flags & 2 else b""
    assert gzip_head_bytes(head + b"deflate") == len(head)
    assert all(gzip_head_bytes(head[:cut]) is None for cut in range(len(head)))


def test_a_tar_header_can_say_more_than_8_gib() -> None:
    size = 30 << 30
    start = next(packed_archive("image-1", size, [], Tally(), has_gzip=False))
    header = zlib.decompressobj(wbits=31).decompress(start)
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
    random.Random(7).randbytes(PIECE_BYTES + 5)
    + bytes(3 * PIECE_BYTES)
    + b"text " * 300_000
    + bytes(2 * PIECE_BYTES + 77)
)


@cache
def holey_archive() -> bytes:
    return archive_of(HOLEY, PIECE_BYTES)[0]


@given(st.lists(st.integers(1, 2**21), min_size=1, max_size=9))
@settings(max_examples=20, deadline=None)
def test_the_same_file_gives_the_same_bundle_however_it_comes_in(steps: list[int]) -> None:
    def chunks() -> Iterator[Chunk]:
        start = number = 0
        while start < len(HOLEY):
            step = steps[number % len(steps)] if number < 1000 else PIECE_BYTES
            yield Chunk(HOLEY[start : start + step])
            start, number = start + step, number + 1

    one = b"".join(packed_archive("image-1", len(HOLEY), chunks(), Tally(), has_gzip=False))
    assert one == holey_archive()


def test_holes_cost_next_to_nothing() -> None:
    packed, _ = archive_of(bytes(64 * PIECE_BYTES), PIECE_BYTES)
    assert len(packed) < 100_000


@pytest.mark.parametrize("fast", [True, False])
@given(contents=st.lists(st.binary(max_size=5000), max_size=5))
def test_pieces_stand_one_behind_the_other_and_are_the_same_each_time(
    fast: bool, contents: list[bytes]
) -> None:
    frame = codecs.GzipFrame(fast=fast)
    pieces = []
    for content in contents:
        frame.add(content)
        first, second = (codecs.deflate_piece(content, fast=fast) for _ in range(2))
        assert first == second
        pieces.append(first)
    packed = frame.HEAD + b"".join(pieces) + frame.LAST + frame.trailer
    assert packed[4:8] == bytes(4), "no time in the header"
    assert gzip.decompress(packed) == only_member(packed) == b"".join(contents)


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


@given(CHUNKS, st.integers(1, 8))
def test_there_is_room_for_each_part_once(chunks: list[bytes], blocks: int) -> None:
    """Also where a few bytes, less than a block of the cipher, lie behind the end of a part."""
    taken = 0

    def lend() -> bytearray:
        nonlocal taken
        taken += 1
        return room(blocks * 16)

    parts = encrypted_parts(chunks, bytes(16), bytes(16), lend, blocks * 16)
    count = sum(1 for _ in parts)
    assert taken == count


def test_a_gzip_with_an_endless_head_is_not_kept_in_memory() -> None:
    head = b"\x1f\x8b\x08\x08" + bytes(6)
    endless = itertools.chain([Chunk(b"", head)], itertools.repeat(Chunk(b"", b"n" * 2**18)))
    with pytest.raises(UnpackError, match="head of more than"):
        for _ in packed_archive("image-1", 512, endless, Tally(), has_gzip=True):
            pass


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
    assert drawn < 2200, "a part, and what one piece of the gzip holds back"

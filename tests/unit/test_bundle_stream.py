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
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.clouds import bundle
from imagestoreproxy.clouds.bundle import (
    Tally,
    digested,
    encrypt_stream,
    gzip_stream,
    part_stream,
    tar_stream,
)
from imagestoreproxy.model.errors import UnpackError

CHUNKS = st.lists(st.binary(max_size=3000), max_size=12)


def in_chunks(content: bytes, chunk_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(content), chunk_bytes):
        yield content[start : start + chunk_bytes]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8191, 8192, 8704, 9216, 9728, 10240])
def test_a_tar_holds_the_member_byte_for_byte_and_ends_as_gnu_tar_ends(size: int) -> None:
    content = random.Random(size).randbytes(size)
    archive = b"".join(tar_stream("image-1", size, in_chunks(content, 700)))
    assert len(archive) % 10240 == 0
    assert archive[-1024:] == bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.size) == ("image-1", size)
        extracted = tar.extractfile(member)
        assert extracted is not None
        assert extracted.read() == content


def test_a_tar_header_can_say_more_than_8_gib() -> None:
    size = 30 << 30
    header = next(tar_stream("image-1", size, []))
    assert tarfile.TarInfo.frombuf(header, "ascii", "strict").size == size
    assert header[124] == 0x80, "GNU's base-256 number"


@pytest.mark.parametrize("given_bytes", [0, 99, 101, 5000])
def test_p5_a_tar_never_ends_well_with_another_size_than_announced(given_bytes: int) -> None:
    with pytest.raises(UnpackError, match=r"'image-1' .* 100 bytes"):
        list(tar_stream("image-1", 100, in_chunks(bytes(given_bytes), 64)))


@given(CHUNKS)
def test_a_tally_counts_what_passes(chunks: list[bytes]) -> None:
    tally = Tally()
    assert b"".join(digested(chunks, tally)) == b"".join(chunks)
    assert tally.size_bytes == sum(map(len, chunks))
    assert tally.sha1_hex == hashlib.sha1(b"".join(chunks)).hexdigest()


@pytest.mark.parametrize("with_isal", [True, False])
@given(chunks=CHUNKS)
def test_gzip_unpacks_to_the_same_and_is_the_same_each_time(
    with_isal: bool, chunks: list[bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not with_isal:
            patch.setattr(bundle, "isal_zlib", None)
        first, second = (b"".join(gzip_stream(chunks)) for _ in range(2))
    assert first == second
    assert first[4:8] == bytes(4), "no time in the header"
    assert gzip.decompress(first) == zlib.decompress(first, 31) == b"".join(chunks)


@given(CHUNKS)
def test_encryption_is_aes_128_cbc_with_pkcs7_padding(chunks: list[bytes]) -> None:
    key, iv = bytes(range(16)), bytes(range(16, 32))
    encrypted = b"".join(encrypt_stream(chunks, key, iv))
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(encrypted) + decryptor.finalize()
    assert unpadder.update(padded) + unpadder.finalize() == b"".join(chunks)


@given(CHUNKS, st.integers(1, 4000))
def test_all_parts_are_full_but_the_last(chunks: list[bytes], part_bytes: int) -> None:
    parts = list(part_stream(chunks, part_bytes))
    assert b"".join(parts) == b"".join(chunks)
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts)


def test_streams_are_lazy_and_hold_at_most_a_part() -> None:
    drawn = 0

    def endless() -> Iterator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1
            yield random.Random(drawn).randbytes(1000)

    archive = tar_stream("image-1", 1 << 40, endless())
    parts = part_stream(encrypt_stream(gzip_stream(archive), bytes(16), bytes(16)), 100_000)
    first = next(parts)
    held = bytes(first)
    next(parts)
    assert drawn < 2500, "two parts, and what the compressor holds back"
    assert bytes(first) == held, "a part's memory is not used again"

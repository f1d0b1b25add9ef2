"""Streams out of downloads: whole, bounded, and nothing but what was asked for."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import random
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestoreproxy import codecs
from imagestoreproxy.install.unpack import Unpacking, read_sparse, with_gzip
from imagestoreproxy.model.errors import UnpackError
from imagestoreproxy.model.images import Compression
from tests.unit.memory import NeverStop
from tests.unit.unpacking import decompress, member_sizes, members

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTENT = random.Random(1).randbytes(300_000) + bytes(3_000_000)

PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.XZ: lzma.compress,
    Compression.BZIP2: bz2.compress,
    Compression.ZSTD: lambda data: zstd.compress(
        data, options={int(zstd.CompressionParameter.checksum_flag): 1}
    ),
}


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def unpacked(
    packed: bytes, compression: Compression, *, limit: int = 2**30, piece: int = 65536
) -> bytes:
    return b"".join(decompress(pieces(packed, piece), compression, limit, NeverStop()))


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("piece", [977, 2**20])
def test_every_compression_gives_back_what_went_in(compression: Compression, piece: int) -> None:
    packed = PACKERS[compression](CONTENT)
    assert unpacked(packed, compression, piece=piece) == CONTENT


@pytest.mark.parametrize("compression", PACKERS)
def test_several_members_and_zeros_at_the_end_are_one_stream(compression: Compression) -> None:
    packed = PACKERS[compression](CONTENT)
    assert unpacked(packed * 2 + bytes(512), compression, piece=5000) == CONTENT * 2


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("cut", [1, 5, 100])
def test_p5_a_file_that_was_cut_off_is_refused(compression: Compression, cut: int) -> None:
    with pytest.raises(UnpackError):
        unpacked(PACKERS[compression](CONTENT)[:-cut], compression)


@pytest.mark.parametrize("compression", PACKERS)
def test_an_empty_file_is_refused(compression: Compression) -> None:
    with pytest.raises(UnpackError, match="too early"):
        unpacked(b"", compression)


@pytest.mark.parametrize("compression", [one for one in PACKERS if one is not Compression.GZIP])
def test_something_after_the_end_is_refused(compression: Compression) -> None:
    with pytest.raises(UnpackError):
        unpacked(PACKERS[compression](CONTENT) + b"<html>" * 100, compression)


@pytest.mark.parametrize("compression", PACKERS)
def test_a_changed_byte_is_found(compression: Compression) -> None:
    packed = bytearray(PACKERS[compression](CONTENT))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(UnpackError):
        unpacked(bytes(packed), compression)


@pytest.mark.parametrize("compression", PACKERS)
def test_a_bomb_stops_at_the_limit_in_small_chunks(compression: Compression) -> None:
    packed = PACKERS[compression](bytes(2**26))
    largest = total = 0
    with pytest.raises(UnpackError, match="--max-unpacked-size"):
        for chunk in decompress([packed], compression, 2**22, NeverStop()):
            largest, total = max(largest, len(chunk)), total + len(chunk)
    assert largest <= 2**20
    assert total <= 2**22


def test_a_window_larger_than_anybody_needs_is_refused() -> None:
    huge = lzma.compress(CONTENT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}])
    with pytest.raises(UnpackError):
        unpacked(huge, Compression.XZ)


@given(data=st.binary(max_size=5000), piece=st.integers(1, 600), limit=st.integers(1, 700))
@settings(max_examples=50)
def test_gzip_without_isal_behaves_the_same(data: bytes, piece: int, limit: int) -> None:
    packed = gzip.compress(data) + b"rest"
    codec = codecs.gzip_decompressor(fast=False)
    given_out, rest = b"", pieces(packed, piece)
    while not codec.eof:
        given_out += codec.decompress(rest.pop(0) if codec.needs_input else b"", limit)
    assert given_out == data
    assert (codec.unused_data + b"".join(rest)) == b"rest"


def make_tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return output.getvalue()


def member(
    name: str, content: bytes = b"", *, type: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), type, link
    return info, content


def chunks(data: bytes) -> Iterator[bytes]:
    return iter(pieces(data, 700))


UEC = make_tar(
    member("README.files", b"read me"),
    member("./lucid-server-uec-amd64-vmlinuz-virtual", b"kernel" * 1000),
    member("lucid-server-uec-amd64.img", CONTENT),
)


def test_the_members_of_a_tar_are_measured_and_streamed() -> None:
    globs = ["*-vmlinuz-*", "*.img"]
    assert member_sizes(chunks(UEC), globs) == {"*-vmlinuz-*": 6000, "*.img": len(CONTENT)}
    assert members(chunks(UEC), globs) == {"*.img": CONTENT, "*-vmlinuz-*": b"kernel" * 1000}


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/passwd", b"x"),
        member("../up", b"x"),
        member("a/../../up", b"x"),
        member("link", type=tarfile.SYMTYPE, link="/etc/shadow"),
        member("hard", type=tarfile.LNKTYPE, link="x.img"),
        member("device", type=tarfile.CHRTYPE),
        member("pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda bad: bad[0].name,
)
def test_an_archive_with_an_unsafe_member_is_refused(bad: tuple[tarfile.TarInfo, bytes]) -> None:
    archive = make_tar(member("x.img", b"image"), bad)
    with pytest.raises(UnpackError, match="member"):
        member_sizes(chunks(archive), ["*.img"])


def test_a_glob_without_a_member_or_with_two_is_refused() -> None:
    with pytest.raises(UnpackError, match="no member"):
        member_sizes(chunks(UEC), ["*.qcow2"])
    twice = make_tar(member("a.img", b"1"), member("b.img", b"2"))
    with pytest.raises(UnpackError, match="more than one"):
        member_sizes(chunks(twice), ["*.img"])


@pytest.mark.parametrize("cut", [10, 2000, 200_000])
def test_a_tar_that_was_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(UnpackError):
        member_sizes(chunks(UEC[: len(UEC) - 10240 - cut]), ["*.img"])


def test_a_header_that_would_fill_the_memory_is_refused() -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    with pytest.raises(UnpackError, match="header of"):
        member_sizes(chunks(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)), ["*.img"])


def header(
    name: str,
    fields: dict[str, str] | None = None,
    *,
    type: bytes = tarfile.REGTYPE,
    size: int = 0,
) -> bytes:
    """Make one header as it is, whatever it claims."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = type, size, fields or {}
    return info.tobuf(tarfile.PAX_FORMAT if fields else tarfile.GNU_FORMAT)


END = bytes(1024)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (header("x" * 5000), "a name of 5000 characters"),
        (header("x.img", {"path": "/etc/passwd"}), "absolute name"),
        (header("x.img", {"path": "a/../b"}), "'..' in its name"),
        (header("x.img", size=-1), "number that is none"),
        (header("d/", type=tarfile.DIRTYPE, size=512) + bytes(512), "directory with content"),
        (header("x.img", size=2**25), "ends too early"),
        (header("x.img", size=2**40), "more, but 1073741824 are the most"),
        (header("x.img"), "ends too early"),
        (header("x.img") + END + header("y.img") + END, "something follows its end"),
        (header("x.img") + END + b"<html>", "something follows its end"),
        (bytes(10240), "is empty"),
        (b"", "ends too early"),
        (b"<!DOCTYPE html><html>404</html>".ljust(2000), "looks like an HTML or XML page"),
        (gzip.compress(random.Random(2).randbytes(2000)), "looks like gzip data"),
        (random.Random(3).randbytes(2000), "broken"),
    ],
)
def test_what_an_archive_may_not_be_is_said(archive: bytes, words: str) -> None:
    with pytest.raises(UnpackError, match=words) as caught:
        member_sizes(chunks(archive), ["x.img"])
    assert caught.value.message.isprintable()


def pax(**records: str) -> bytes:
    """Make an extended header."""
    content = b""
    for name, value in records.items():
        rest = f" {name}={value}\n".encode()
        length = len(rest) + len(str(len(rest)))
        length += len(str(length)) - len(str(len(rest)))
        content += str(length).encode() + rest
    return (
        header("pax", type=tarfile.XHDTYPE, size=len(content))
        + content
        + bytes(-len(content) % 512)
    )


def test_a_size_and_a_name_in_an_extended_header_count_for_every_check() -> None:
    """What is checked is what is read: tarfile's own writer and an odd one agree."""
    archive = pax(size="700", path="y.img") + header("x.img", size=1) + b"i" * 1024 + END
    with pytest.raises(UnpackError):  # the archive says 700, so the next header is at 1024
        member_sizes(chunks(archive), ["x.img"])
    assert member_sizes(chunks(archive), ["y.img"]) == {"y.img": 700}
    assert members(chunks(archive), ["y.img"]) == {"y.img": b"i" * 700}
    with pytest.raises(UnpackError, match="for all members"):
        whole = pax(path="../up").replace(b"ustar", b"ustar")
        member_sizes(chunks(_for_all(whole) + header("x.img") + END), ["x.img"])


def _for_all(extended: bytes) -> bytes:
    info = tarfile.TarInfo.frombuf(extended[:512], "utf-8", "replace")
    info.type = tarfile.XGLTYPE
    return info.tobuf(tarfile.GNU_FORMAT) + extended[512:]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format_of_tar(format: int) -> None:
    name = "/".join(["directory-" * 4] * 4) + "/image.img"
    archive = make_tar(member("d", type=tarfile.DIRTYPE), member(name, b"image"), format=format)
    assert member_sizes(chunks(archive), [name]) == {name: 5}
    assert members(chunks(archive), ["*.img"]) == {"*.img": b"image"}


@pytest.mark.parametrize(
    "block",
    [header("x"), header("x", type=tarfile.XHDTYPE), header("x", type=tarfile.GNUTYPE_LONGNAME)],
    ids=["members", "extended headers", "long names"],
)
def test_an_archive_of_countless_headers_is_refused_early(block: bytes) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield block * 100

    with pytest.raises(UnpackError, match="more than 10000 members"):
        member_sizes(endless(), ["*.img"])
    assert taken <= 101


@pytest.mark.parametrize(
    ("file", "compression", "words"),
    [
        (gzip.compress(CONTENT), Compression.XZ, "no xz data, but looks like gzip data"),
        (lzma.compress(CONTENT), Compression.GZIP, "no gzip data, but looks like xz data"),
        (UEC, Compression.ZSTD, "no zstd data, but looks like a tar archive"),
        (b"\n <HTML><body>404", Compression.BZIP2, "no bzip2 data, but looks like an HTML"),
        (lzma.compress(b"x") + b"<html>", Compression.XZ, "something follows its end"),
    ],
)
def test_a_wrong_kind_of_file_under_the_right_name_is_told(
    file: bytes, compression: Compression, words: str
) -> None:
    with pytest.raises(UnpackError, match=words):
        unpacked(file, compression)


@given(st.binary(max_size=3000))
def test_noise_is_no_archive(noise: bytes) -> None:
    with pytest.raises(UnpackError):
        member_sizes(chunks(noise), ["*.img"])


def plainness(packed: bytes, compression: Compression = Compression.GZIP) -> tuple[bytes, bool]:
    unpacking = Unpacking(compression, 2**30, NeverStop())
    content = b"".join(unpacking.chunks(pieces(packed, 1000)))
    assert unpacking.size_bytes == len(content)
    return content, unpacking.is_plain


@pytest.mark.parametrize("piece", [1, 999, 2**20])
@pytest.mark.parametrize("tail", [b"<html>", b"\x1f", b"\x1f\x8c", b"\0" * 600, b"x\x1f\x8b\x08"])
def test_what_follows_a_gzip_is_passed_over_as_gunzip_does(tail: bytes, piece: int) -> None:
    packed = gzip.compress(b"content" * 100) + tail
    assert unpacked(packed, Compression.GZIP, piece=piece) == b"content" * 100
    assert plainness(packed) == (b"content" * 100, False)


def test_only_one_member_with_nothing_behind_it_is_plain() -> None:
    one = gzip.compress(CONTENT)
    assert plainness(one) == (CONTENT, True)
    assert plainness(one + one) == (CONTENT * 2, False)
    assert plainness(one + bytes(512)) == (CONTENT, False)
    assert plainness(lzma.compress(CONTENT), Compression.XZ) == (CONTENT, True)


@given(piece=st.integers(1, 3000), size=st.integers(0, 20_000))
@settings(max_examples=30)
def test_a_gzip_is_handed_on_byte_for_byte_beside_what_is_in_it(piece: int, size: int) -> None:
    content = random.Random(size).randbytes(size)
    packed = gzip.compress(content)
    unpacking = Unpacking(Compression.GZIP, 2**30, NeverStop())
    both = list(with_gzip(unpacking, pieces(packed, piece)))
    assert b"".join(chunk.packed for chunk in both) == packed
    assert b"".join(chunk.raw for chunk in both) == content


def test_a_gzip_that_gives_nothing_is_handed_on_all_the_same() -> None:
    """Empty blocks without end must not be kept until something comes out."""
    drawn = 0

    def endless() -> Iterator[bytes]:
        nonlocal drawn
        yield gzip.compress(b"")[:10]
        while True:
            drawn += 1
            yield b"\x00\x00\x00\xff\xff" * 50_000

    chunks = with_gzip(Unpacking(Compression.GZIP, 2**30, NeverStop()), endless())
    for handed, chunk in enumerate(itertools.islice(chunks, 50)):
        assert chunk.raw == b""
        assert drawn - handed < 3


@pytest.mark.parametrize("cut", [1, 3, 10, 14, 20, 60, 90])
def test_a_head_of_a_gzip_may_come_in_two_pieces(cut: int) -> None:
    head = (
        b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x14\x00" + b"e" * 20 + b"name" * 8 + b"\0" + b"note\0"
    )
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    packed = head + gzip.compress(b"content" * 50)[10:]
    assert gzip.decompress(packed) == b"content" * 50
    codec = Unpacking(Compression.GZIP, 2**30, NeverStop())
    assert b"".join(codec.chunks([packed[:cut], packed[cut:]])) == b"content" * 50


@pytest.mark.parametrize("extents", [[], [(0, 5)], [(3 << 20, 70_000)], [(0, 1), (5 << 20, 9)]])
def test_holes_of_a_sparse_file_are_zeros(extents: list[tuple[int, int]], tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        for start, size_bytes in extents:
            file.seek(start)
            file.write(random.Random(start).randbytes(size_bytes))
        file.truncate(7 << 20)
    chunks = list(read_sparse(path, NeverStop()))
    assert b"".join(chunks) == path.read_bytes()
    assert max(map(len, chunks)) <= 2**20

"""Members of a tar with holes: what tarfile reads is what is read, and no map is believed."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagestoreproxy.install.archive import wanted_members
from imagestoreproxy.install.sparse import ENTRIES
from imagestoreproxy.model.errors import UnpackError
from tests.unit.unpacking import members

Entries = Sequence[tuple[int, int]]

END = bytes(1024)
FORMS = ["gnu", "0.0", "0.1", "1.0"]


def pax(records: Sequence[tuple[str, object]]) -> bytes:
    """Make an extended header."""
    content = b""
    for name, value in records:
        rest = f" {name}={value}\n".encode()
        length = len(rest) + len(str(len(rest)))
        length += len(str(length)) - len(str(len(rest)))
        content += str(length).encode() + rest
    return plain("pax", len(content), tarfile.XHDTYPE) + padded(content)


def plain(name: str, size_bytes: int, type: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size_bytes, type
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def number(value: int) -> bytes:
    if value < 8**11:
        return f"{value:011o}\0".encode()
    return b"\x80" + value.to_bytes(11, "big")


def sparse(
    form: str,
    size_bytes: int,
    entries: Entries,
    stored: bytes,
    claims: int = 0,
    name: str = "x.img",
) -> bytes:
    """Write a whole archive with one member, whatever it claims.

    Args:
        form: ``gnu`` for type S, else the version in extended headers.
        claims: more entries than there are.
    """
    count = len(entries) + claims
    if form == "gnu":
        return gnu(size_bytes, entries, stored)
    if form == "1.0":
        numbers = [count, *(number for entry in entries for number in entry)]
        stored = padded("".join(f"{number}\n" for number in numbers).encode()) + stored
        said: list[tuple[str, object]] = [("major", 1), ("minor", 0), ("realsize", size_bytes)]
    else:
        said = [("size", size_bytes), ("numblocks", count)]
        if form == "0.1":
            said.append(("map", ",".join(f"{start},{size}" for start, size in entries)))
        else:
            for start, size in entries:
                said += [("offset", start), ("numbytes", size)]
    if form != "0.0":
        said.append(("name", name))
    head = pax([(f"GNU.sparse.{key}", value) for key, value in said])
    written = name if form == "0.0" else f"GNUSparseFile.1/{name}"
    return head + plain(written, len(stored)) + padded(stored) + END


def gnu(size_bytes: int, entries: Entries, stored: bytes) -> bytes:
    packed = [number(start) + number(size) for start, size in entries]
    head = bytearray(plain("x.img", len(stored), tarfile.GNUTYPE_SPARSE))
    head[386:482] = b"".join(packed[:4]).ljust(96, b"\0")
    head[482], head[483:495] = len(packed) > 4, number(size_bytes)
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    more = b""
    for at in range(4, len(packed), 21):
        more += b"".join(packed[at : at + 21]).ljust(504, b"\0")
        more += bytes([len(packed) > at + 21]) + bytes(7)
    return bytes(head) + more + padded(stored) + END


def read(archive: bytes) -> bytes:
    chunks = (archive[start : start + 700] for start in range(0, len(archive), 700))
    return members(chunks, ["x.img"])["x.img"]


def read_by_tarfile(archive: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (member,) = tar.getmembers()
        assert member.name == "x.img"
        content = tar.extractfile(member)
        assert content
        return content.read()


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Give the size of a file, and where it is stored."""
    end, entries = 0, []
    for gap, blocks in draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=50)):
        entries.append((end + gap * 512, blocks * 512))
        end += (gap + blocks) * 512
    tail = draw(st.integers(0, 511))
    if tail:
        entries.append((end, tail))
    return end + tail + draw(st.integers(0, 3000)), entries


@given(maps(), st.sampled_from(FORMS))
@settings(max_examples=150)
def test_every_form_is_read_as_tarfile_reads_it(
    made: tuple[int, list[tuple[int, int]]], form: str
) -> None:
    size_bytes, entries = made
    entries = entries or [(size_bytes, 0)]  # as tar does
    content = bytearray(size_bytes)
    for start, size in entries:
        content[start : start + size] = random.Random(start).randbytes(size)
    stored = b"".join(content[start : start + size] for start, size in entries)
    archive = sparse(form, size_bytes, entries, stored)
    assert read(archive) == content
    # Of a map that goes on in another block, tarfile takes no entry there that begins at 0.
    if form != "gnu" or all(start for start, _ in entries[4:]):
        assert read_by_tarfile(archive) == content


NUMBERS = st.one_of(
    st.sampled_from([0, 1, 511, 512, 513, 1024, 2**31, 2**60, 2**63 - 1, 2**63, 2**64, 2**80]),
    st.integers(0, 4096),
)


@given(
    form=st.sampled_from(FORMS),
    size_bytes=NUMBERS,
    entries=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30),
    stored=st.binary(max_size=3000),
    claims=st.sampled_from([-1, 0, 0, 0, 1, 10**6, 10**18]),
)
@settings(max_examples=300)
def test_a_map_that_lies_ends_in_a_sentence(
    form: str, size_bytes: int, entries: Entries, stored: bytes, claims: int
) -> None:
    archive = sparse(form, size_bytes, entries, stored, claims)
    try:
        content = read(archive)
    except UnpackError as error:
        assert error.message.isprintable()
    else:
        assert content == read_by_tarfile(archive)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("size_bytes", "entries", "stored", "words"),
    [
        (2048, [(512, 512), (0, 512)], 1024, "overlap or are in no order"),
        (2048, [(0, 1024), (512, 512)], 1536, "overlap or are in no order"),
        (1024, [(512, 1024)], 1024, "not within the 1024 bytes"),
        (2048, [(2**62, 2**62), (2**62, 512)], 512, "not within"),
        (2048, [(0, 512)], 1024, "have 512 bytes, but 1024 are stored"),
        (2048, [(0, 1024)], 512, "have 1024 bytes, but 512 are stored"),
        (2048, [(0, 100), (512, 512)], 612, "no whole number of blocks"),
        (2**60, [(0, 512)], 512, "1152921504606846976 bytes or more, but 1073741824 are the most"),
        (2**64, [(0, 512)], 512, "to become 18446744073709551616 bytes|number is none"),
    ],
)
def test_what_a_map_may_not_say(
    form: str, size_bytes: int, entries: Entries, stored: int, words: str
) -> None:
    with pytest.raises(UnpackError, match=words):
        read(sparse(form, size_bytes, entries, bytes(stored)))


def test_a_map_of_countless_entries_is_refused_while_it_comes() -> None:
    """In the form where only memory would bound it."""
    head = pax([("GNU.sparse.major", 1), ("GNU.sparse.minor", 0), ("GNU.sparse.realsize", 9)])
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield head + plain("x.img", 2**32) + padded(b"99999999\n")
        while True:
            taken += 1
            yield b"0\n" * 2**18

    with pytest.raises(UnpackError, match=f"more than {ENTRIES} entries|a number is none"):
        list(wanted_members(endless(), ["x.img"], 2**30))
    assert taken <= 9


def test_headers_that_extend_a_map_without_end_are_refused() -> None:
    one = gnu(9, [(0, 0)] * 30, b"")
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield one[:512]
        while True:
            taken += 1
            yield one[512:1024] * 1000

    one = one[:512] + one[512 : 512 + 504] + b"\1" + bytes(7)
    with pytest.raises(UnpackError, match=f"more than {ENTRIES} entries"):
        list(wanted_members(endless(), ["x.img"], 2**30))
    assert taken <= ENTRIES // 21_000 + 1


@pytest.mark.parametrize(
    "said",
    [
        {"name": "y"},
        {"size": 9},
        {"map": "0,9"},
        {"size": 9, "map": "0"},
        {"size": 9, "map": "0,9", "offset": 0, "numbytes": 9},
        {"size": 9, "offset": 0},
        {"size": 9, "numbytes": 9},
        {"size": 9, "numblocks": 2, "map": "0,9"},
        {"size": 9, "map": "0,9", "major": 1, "minor": 0, "realsize": 9},
        {"major": 2, "minor": 0, "realsize": 9},
        {"major": 1, "minor": 0},
        {"size": "0x9", "map": "0,9"},
        {"size": 9, "map": "0,9", "hole": 1},
    ],
)
def test_records_that_could_be_understood_in_two_ways_are_refused(said: dict[str, object]) -> None:
    head = pax([(f"GNU.sparse.{name}", value) for name, value in said.items()])
    with pytest.raises(UnpackError, match="map of a sparse member is broken"):
        read(head + plain("x.img", 9) + padded(b"123456789") + END)


def test_a_member_has_one_map() -> None:
    head = pax([("GNU.sparse.size", 512), ("GNU.sparse.map", "0,512")])
    with pytest.raises(UnpackError, match="two headers"):
        read(head + gnu(512, [(0, 512)], bytes(512)))
    with pytest.raises(UnpackError, match="two headers"):
        read(pax([("size", 512)]) + gnu(512, [(0, 512)], bytes(512)))
    with pytest.raises(UnpackError, match="said twice"):
        twice = pax([("GNU.sparse.size", 1), ("GNU.sparse.size", 512)])
        read(twice + plain("x.img", 0) + END)


def test_the_name_in_a_map_is_checked_as_any_other() -> None:
    for name, words in (("/etc/passwd", "absolute"), ("../up", "'..'"), ("x" * 5000, "5000")):
        head = pax(
            [("GNU.sparse.size", 512), ("GNU.sparse.map", "512,0"), ("GNU.sparse.name", name)]
        )
        with pytest.raises(UnpackError, match=words):
            read(head + plain("x.img", 0) + END)


def test_what_all_members_have_together_is_bounded_with_their_holes() -> None:
    first = sparse("0.1", 600, [(0, 512)], bytes(512), name="a.img")[: -len(END)]
    archive = first + sparse("gnu", 600, [(0, 512)], bytes(512))
    globs = ["a.img", "x.img"]
    sizes = [member.size_bytes for member in wanted_members([archive], globs, 1200)]
    assert sizes == [600, 600]
    with pytest.raises(UnpackError, match="1200 bytes or more, but 1199"):
        list(wanted_members([archive], globs, 1199))


def test_holes_come_as_one_block_again_and_again() -> None:
    (member,) = wanted_members([sparse("gnu", 2**36, [], b"")], ["x.img"], 2**36)
    first = next(member.pieces)
    assert first == bytes(2**20)
    assert all(next(member.pieces) is first for _ in range(100))


@given(
    form=st.sampled_from(FORMS[1:]),
    at=st.integers(0, 2**20),
    value=st.one_of(st.sampled_from(b"0123456789,=.\n\0 _x"), st.integers(0, 255)),
)
@example(form="0.1", at=27, value=ord("="))  # a name that is empty
@settings(max_examples=500)
def test_what_one_changed_byte_makes_of_a_map_is_refused_or_read_as_tarfile_reads_it(
    form: str, at: int, value: int
) -> None:
    """Nothing sums up what extended headers say."""
    stored = random.Random(3).randbytes(1024 + 512 + 7)
    archive = bytearray(sparse(form, 9000, [(0, 1024), (4096, 512), (8192, 7)], stored))
    head = 512 if form != "1.0" else 1536 + at % 2 * -1024  # the records, or the map before data
    archive[head + at % 200] = value
    try:
        content = read(bytes(archive))
    except UnpackError as error:
        assert error.message.isprintable()
    else:
        assert content == read_by_tarfile(bytes(archive))

"""Fuzzing of everything that reads what strangers wrote: only the declared errors may come out.

The parsers of documents, catalogues and archives are tried for ``tally.SECONDS`` each, the others
for a share of it; ``FAULTS_SEED`` repeats a run.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError, InstallError, UnpackError
from imagestoreproxy.model.images import Compression
from imagestoreproxy.outside.exchange import Answer, Limits, Request
from imagestoreproxy.outside.gpg import GpgVerifier
from imagestoreproxy.outside.neterrors import network_error, retry_after_s, status_error
from imagestoreproxy.outside.qemu import _check_header, _checked_size
from imagestoreproxy.outside.statuslines import check_shape, signer
from imagestoreproxy.ports import Signed
from imagestoreproxy.sources.document import read_document
from imagestoreproxy.sources.storeapi import read_listing
from tests.faults import tally
from tests.functional import test_gpg
from tests.functional.gpg_home import TEXT, Signer
from tests.functional.reactor_thread import in_reactor
from tests.unit.memory import NOW_S, URI, NeverStop
from tests.unit.test_catalogue import DASHBOARD
from tests.unit.test_document import DOCUMENT
from tests.unit.test_outside_statuslines import BLOCK, GOOD, NEW, PRIMARY, VALID
from tests.unit.test_outside_statuslines import TEXT as PLAIN
from tests.unit.test_unpack import PACKERS, make_tar, member
from tests.unit.unpacking import decompress, member_sizes, members

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.timeout(tally.SECONDS * 3 + 120)

keyring, keys, threads, verifier = (
    test_gpg.keyring,
    test_gpg.keys,
    test_gpg.threads,
    test_gpg.verifier,
)

T = TypeVar("T")
LIMIT_BYTES = 2**22
ROUND = 100 if tally.LONG else 50
SHARE = 1 / 6


def hammer(
    kind: str,
    strategy: st.SearchStrategy[T],
    attempt: Callable[[T], str],
    share: float = SHARE,
) -> None:
    """Try examples until the time is over; ``attempt`` gives an outcome of ``tally``, or raises."""
    outcomes: Counter[str] = Counter()
    ends_s = time.monotonic() + tally.SECONDS * share

    def one(example: T) -> None:
        outcomes[attempt(example)] += 1

    number = 0
    while not number or time.monotonic() < ends_s:
        number += 1
        run = settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )(given(strategy)(one))
        try:
            seed(tally.SEED * 1_000_003 + number)(run)()
        except BaseException:
            tally.record(kind, "an error that nobody declared")
            raise
    for outcome, times in outcomes.items():
        tally.record(kind, outcome, times=times)
    assert outcomes[tally.REFUSED]


_changes = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "insert", "drop", "cut", "copy"]),
        st.integers(0, 2**24),
        st.integers(0, 2**24),
        st.binary(min_size=1, max_size=6),
    ),
    max_size=6,
)


def changed(sample: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    """Give a file with bytes altered, added, left out, cut off or moved about."""
    data = bytearray(sample)
    for how, one, other, content in changes:
        at = one % (len(data) + 1)
        size = other % 600
        if how == "set":
            data[at : at + len(content)] = content
        elif how == "insert":
            data[at:at] = content
        elif how == "drop":
            del data[at : at + size]
        elif how == "cut":
            del data[at:]
        else:
            data[at:at] = data[other % (len(data) + 1) :][:size]
    return bytes(data)


def of_bytes(*samples: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(changed, st.sampled_from(samples), _changes)


_words = st.sampled_from(
    [
        "",
        "image",
        "x86_64",
        "hvm",
        "\ud800",
        "\x00",
        "<script>",
        "http://h/",
        "javascript:x",
        "9" * 99,
    ]
)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-1, 2**70)
    | st.floats()
    | st.text(max_size=20)
    | _words
)
_json = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*DOCUMENT, "kind", "url"]), inner, max_size=4)
    ),
    max_leaves=10,
)


def of_json(sample: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Give the sample with values replaced at any depth, and as text with bytes altered."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        def walk(value: Any) -> Any:
            if draw(st.integers(0, 9)) == 0:
                return draw(_json)
            if isinstance(value, dict):
                return {name: walk(one) for name, one in value.items()}
            return [walk(one) for one in value] if isinstance(value, list) else value

        return json.dumps(walk(sample)).encode()

    return build() | of_bytes(json.dumps(sample).encode())


def outcome_of(attempt: Callable[[], object], error: type[InstallError]) -> str:
    """Tell how an attempt ended; an error's text is fit to be shown."""
    try:
        attempt()
    except error as refused:
        assert refused.message
        assert len(refused.message) < 2000
        return tally.REFUSED
    return tally.SERVED


def test_documents() -> None:
    def attempt(payload: bytes) -> str:
        def read() -> None:
            document = read_document(Signed(payload, "F" * 40), b"", URI, NOW_S)
            assert document.uri == URI
            assert all(file.size_bytes <= 2**40 for file in document.files)
            assert all(file.url.startswith(("http://", "https://")) for file in document.files)
            repr(document).encode()

        return outcome_of(read, DocumentError)

    hammer("hostile: image documents", of_json(DOCUMENT), attempt, share=1)


def test_listings() -> None:
    def attempt(body: bytes) -> str:
        def read() -> None:
            for info in read_listing(body).images:
                assert not info.icon_uri or info.icon_uri.startswith(("http://", "https://"))
                repr(info).encode()

        return outcome_of(read, DocumentError)

    hammer("hostile: dashboards and searches", of_json(DASHBOARD), attempt, share=1)


REPORT = "".join(f"[GNUPG:] {line}\n" for line in (PLAIN, NEW, GOOD, VALID))
_status_words = st.sampled_from(
    ["NEWSIG", "GOODSIG", "VALIDSIG", "PLAINTEXT", "BADSIG", "ERRSIG", "NO_PUBKEY", "NODATA",
     "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "KEYREVOKED", "UNEXPECTED", "[GNUPG:]", PRIMARY, "01", "8",
     "\x85", "\u2028", "\r", ""]
)  # fmt: skip
_reports = st.lists(
    st.sampled_from([PLAIN, NEW, GOOD, VALID])
    | st.lists(_status_words | st.text(max_size=9), max_size=12).map(" ".join),
    max_size=8,
).map(lambda lines: "".join(f"[GNUPG:] {line}\n" for line in lines))


def test_reports_of_gnupg() -> None:
    def attempt(report: str) -> str:
        def read() -> None:
            # The only report to be believed is the one good one, with nothing bad beside it.
            assert signer(report, "ring") == PRIMARY
            assert f"[GNUPG:] {GOOD}" in report
            assert VALID.rpartition(" ")[0].partition(" ")[2] in report

        return outcome_of(read, DocumentError)

    mutated = of_bytes(REPORT.encode()).map(lambda data: data.decode("latin-1"))
    hammer("hostile: reports of GnuPG", _reports, attempt)

    def only_ends(report: str) -> str:
        return outcome_of(lambda: signer(report, "ring"), DocumentError)

    hammer("hostile: reports of GnuPG, altered", mutated, only_ends)


def test_shapes_of_signed_messages() -> None:
    def attempt(message: bytes) -> str:
        return outcome_of(lambda: check_shape(message), DocumentError)

    hammer("hostile: shapes of signed messages", of_bytes(BLOCK, BLOCK * 2), attempt)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_signed_messages_with_the_real_gpg(
    verifier: GpgVerifier,
    keys: Signer,
) -> None:
    message = keys.sign("good")

    def attempt(altered: bytes) -> str:
        def read() -> None:
            signed = in_reactor(verifier.verify, altered)
            # What is taken is what was signed, letter by letter; armour and line ends may differ.
            assert signed.payload.split() == TEXT.split()
            assert signed.fingerprint == keys.fingerprint("good")

        return outcome_of(read, DocumentError)

    one_byte = st.tuples(st.integers(0, len(message) - 1), st.integers(1, 255)).map(
        lambda change: bytes(
            byte ^ change[1] if at == change[0] else byte for at, byte in enumerate(message)
        )
    )
    hammer("hostile: signed messages", one_byte | of_bytes(message), attempt, share=0.5)


def chunked(data: bytes, size_bytes: int) -> Iterator[bytes]:
    return (data[start : start + size_bytes] for start in range(0, len(data), size_bytes))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


CONTENT = b"some text that packs well " * 4000 + bytes(range(256)) * 50
SPARE_CODEC_BYTES = 100 * 2**20  # the windows that a decoder may have, and its heap


@pytest.mark.parametrize("compression", PACKERS)
def test_compressed_files(compression: Compression) -> None:
    before_bytes = resident_bytes()
    packed = PACKERS[compression](CONTENT)
    bomb = PACKERS[compression](bytes(2**24))

    def attempt(data: bytes) -> str:
        def read() -> None:
            total = 0
            for chunk in decompress(chunked(data, 5000), compression, LIMIT_BYTES, NeverStop()):
                assert 0 < len(chunk) <= 2**20
                total += len(chunk)
            assert total <= LIMIT_BYTES

        return outcome_of(read, UnpackError)

    samples = of_bytes(packed, packed + packed, packed + bytes(600), bomb)
    hammer(f"hostile: {compression} files", samples, attempt)
    assert resident_bytes() - before_bytes < SPARE_CODEC_BYTES


def test_bombs() -> None:
    """A thousandfold and worse, also a bomb within a bomb, stops at the limit."""
    for compression, pack in PACKERS.items():
        bomb = pack(bytes(2**24))
        for nested in (bomb, pack(bomb * 50)):
            before_bytes = resident_bytes()
            total = 0
            try:
                for chunk in decompress([nested], compression, LIMIT_BYTES, NeverStop()):
                    total += len(chunk)
                outcome = tally.SERVED  # only the outer one was unpacked, which is small
            except UnpackError as error:
                assert "--max-unpacked-size" in error.message
                outcome = tally.REFUSED
            assert total <= LIMIT_BYTES
            assert resident_bytes() - before_bytes < SPARE_CODEC_BYTES
            tally.record("hostile: bombs", outcome)


_ARCHIVES = [
    make_tar(
        member("d", type=tarfile.DIRTYPE),
        member("./d/x.img", b"image" * 300),
        member("kernel", b"k" * 700),
        format=how,
    )
    for how in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT)
]
_LONG = "/".join(["long-name" * 5] * 5) + "/x.img"
_ARCHIVES += [
    make_tar(member(_LONG, b"image" * 300), member("kernel", b"k"), format=how)
    for how in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
]


def mended(data: bytes) -> bytes:
    """Give every block that could be a header the right sum, so that what it says is looked at."""
    blocks = []
    for start in range(0, len(data), 512):
        block = data[start : start + 512]
        if block[257:262] == b"ustar" and len(block) == 512:
            total = sum(block[:148]) + sum(block[156:]) + 8 * 32
            block = block[:148] + b"%06o\0 " % total + block[156:]
        blocks.append(block)
    return b"".join(blocks)


def test_archives() -> None:
    before_bytes = resident_bytes()

    def attempt(data: bytes) -> str:
        def read() -> None:
            content = members(chunked(data, 700), ["*.img"])["*.img"]
            assert member_sizes(chunked(data, 700), ["*.img"]) == {"*.img": len(content)}
            theirs = by_tarfile(data)
            assert theirs is None or theirs == content

        return outcome_of(read, UnpackError)

    altered = of_bytes(*_ARCHIVES)
    hammer("hostile: tar archives", altered | altered.map(mended), attempt, share=1)
    assert resident_bytes() - before_bytes < 30 * 2**20


def by_tarfile(data: bytes) -> bytes | None:
    """Give what another reader takes for the image; None where it refuses the archive.

    It does so without a word at a header it does not like, and then has seen no image.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8") as archive:
            found = [
                one
                for one in archive
                if one.isreg() and fnmatchcase(str(PurePosixPath(one.name)), "*.img")
            ]
            if not found:
                return None
            if len(found) > 1:
                return b"more than one image"
            content = archive.extractfile(found[0])
            return content.read() if content else None
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, RecursionError):
        return None


def test_archives_within_compressed_files() -> None:
    packers: list[tuple[Compression, Callable[[bytes], bytes]]] = [
        (Compression.GZIP, gzip.compress),
        (Compression.XZ, lzma.compress),
        (Compression.BZIP2, bz2.compress),
        (Compression.ZSTD, zstd.compress),
    ]

    def attempt(example: tuple[bytes, int]) -> str:
        data, number = example
        compression, pack = packers[number]

        def read() -> None:
            packed = chunked(pack(data), 999)
            stream = decompress(packed, compression, LIMIT_BYTES, NeverStop())
            member_sizes(stream, ["*.img"])

        return outcome_of(read, UnpackError)

    altered = st.tuples(of_bytes(*_ARCHIVES).map(mended), st.integers(0, 3))
    hammer("hostile: packed tar archives", altered, attempt)


_texts = st.text(max_size=60) | st.sampled_from(
    ["Operation too slow", "wrong version number", "certificate has expired", "subject name"]
)


def test_network_errors() -> None:
    answers = st.builds(
        Answer,
        code=st.integers(0, 130),
        text=_texts,
        status=st.integers(0, 999),
        headers=st.dictionaries(st.sampled_from(["retry-after", "date"]), _texts),
        address=st.sampled_from(["", "127.0.0.1", "::1"]),
        refused=st.sampled_from(["", "10.0.0.1"]),
        os_errno=st.integers(0, 140),
        connect_status=st.integers(0, 600),
        looked_up=st.booleans(),
        connected=st.booleans(),
        certificate=st.dictionaries(st.sampled_from(["Issuer", "Expire date"]), _texts),
    )
    url = "http://u:secret@store.example/%s"
    requests = st.builds(
        Request,
        url=st.text("abc/?&=[]:@%\\", max_size=30).map(lambda rest: url % rest),
        proxy=st.sampled_from(["", "http://u:secret@proxy:1", "https://proxy:1"]),
        allow_local=st.booleans(),
    )

    def attempt(example: tuple[Request, Answer]) -> str:
        request, answer = example
        for error in (
            network_error(request, answer, Limits(), answer),
            status_error(request, answer),
        ):
            assert error.message.startswith("Cannot fetch http://***@store.example/")
            assert error.message.endswith(".")
            assert error.message.isprintable()
            assert "secret" not in error.message
            assert 0 <= error.retry_after_s <= 86400
        return tally.REFUSED

    hammer("hostile: network errors", st.tuples(requests, answers), attempt)


def test_dates_to_wait_for() -> None:
    dates = of_bytes(b"Wed, 21 Oct 2026 07:28:00 GMT", b"120", b"Sunday, 06-Nov-94 08:49:37 GMT")
    headers = st.fixed_dictionaries({"retry-after": dates, "date": dates}).map(
        lambda both: {name: value.decode("latin-1") for name, value in both.items()}
    )

    def attempt(one: dict[str, str]) -> str:
        assert 0 <= retry_after_s(one, NOW_S) <= 86400
        return tally.REFUSED

    hammer("hostile: Retry-After", headers, attempt)


_QCOW2 = (
    b"QFI\xfb" + bytes([0, 0, 0, 3]) + bytes(12) + bytes([0, 0, 0, 16])
    + (2**20).to_bytes(8, "big") + bytes(72)
)  # fmt: skip
_INFO = {"virtual-size": 2**20, "format": "qcow2", "format-specific": {"data": {"compat": "1.1"}}}


def test_disks(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def header(data: bytes) -> str:
        disk.write_bytes(data)
        return outcome_of(lambda: _check_header(disk, LIMIT_BYTES), UnpackError)

    def report(data: bytes) -> str:
        def read() -> None:
            assert _checked_size(data, "disk", LIMIT_BYTES) <= LIMIT_BYTES

        return outcome_of(read, UnpackError)

    hammer("hostile: qcow2 disks", of_bytes(_QCOW2), header)
    hammer("hostile: reports of qemu-img", of_json(_INFO), report)

"""Which of GnuPG's reports make a signature one to believe."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.outside.statuslines import (
    SIGNATURE_LIMIT_BYTES,
    check_shape,
    check_signature_shape,
    signer,
)

KEY = "A" * 24 + "0123456789ABCDEF"
PRIMARY = "B" * 40
NEW = "NEWSIG"
GOOD = "GOODSIG 0123456789ABCDEF Somebody <a@b>"
VALID = f"VALIDSIG {KEY} 2026-01-01 1767225600 0 4 0 1 8 01 {PRIMARY}"
TEXT = "PLAINTEXT 74 0 "
BLOCK = b"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

- -----BEGIN dashes, escaped
text
-----BEGIN PGP SIGNATURE-----

iQ==
=abcd
-----END PGP SIGNATURE-----
"""


ARMORED = BLOCK[BLOCK.index(b"-----BEGIN PGP SIGNATURE-----") :]
DETACHED = "The document's detached signature "


def report(*lines: str) -> str:
    return "".join(f"[GNUPG:] {line}\n" for line in lines) + "gpg: Good signature of someone\n"


def test_one_good_signature_gives_the_fingerprint_of_the_primary_key() -> None:
    assert signer(report(TEXT, NEW, GOOD, VALID), "ring") == PRIMARY


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([TEXT, NEW, VALID], "one GOODSIG"),
        ([TEXT, NEW, GOOD], "one VALIDSIG"),
        ([NEW, GOOD, VALID], "one PLAINTEXT"),
        ([TEXT, TEXT, NEW, GOOD, VALID], "one PLAINTEXT"),
        ([TEXT, NEW, GOOD, VALID, NEW, GOOD, VALID], "one NEWSIG"),
        ([TEXT, NEW, GOOD, VALID, VALID], "one VALIDSIG"),
        ([TEXT, NEW, GOOD, VALID, "BADSIG 01 Else"], "was changed after the key 01"),
        ([TEXT, NEW, "EXPKEYSIG 01 Old", VALID], "has expired; get the store's renewed key"),
        ([TEXT, NEW, "KEYEXPIRED 1", "EXPKEYSIG 01 Old", VALID], "renewed key"),
        ([TEXT, NEW, "EXPSIG 01 Old", VALID], "sign it anew"),
        ([TEXT, NEW, "REVKEYSIG 01 Old", VALID], "revoked"),
        ([TEXT, NEW, "KEYREVOKED", GOOD, VALID], "KEYREVOKED"),
        ([TEXT, NEW, "ERRSIG 01 1 8 01 17 9 -"], "key 01, which is not in the keyring ring"),
        ([TEXT, NEW, "ERRSIG 01 1 8 01 17 4 -"], "cannot be checked"),
        ([TEXT, NEW, GOOD, VALID, "NO_PUBKEY 01"], "not in the keyring ring"),
        (["NODATA 1"], "not signed"),
        ([TEXT, NEW, GOOD, VALID.replace(" 8 01", " 2 01")], "digest SHA-1, which is too weak"),
        ([TEXT, NEW, GOOD, VALID.replace(" 8 01", " 11 01")], "SHA-224"),
        ([TEXT, NEW, GOOD, VALID.replace(" 8 01", " 99 01")], "digest 99"),
        ([TEXT, NEW, GOOD, VALID.replace(" 8 01", " 8 10")], "class 10"),
        ([TEXT, NEW, GOOD, VALID.rpartition(" ")[0]], "not understood"),
        ([TEXT, NEW, GOOD, VALID.replace(PRIMARY, "B" * 39)], "not understood"),
        ([TEXT, NEW, GOOD.replace("0123", "9999"), VALID], "two different keys"),
        ([TEXT, NEW, "GOODSIG", VALID], "two different keys"),
        ([TEXT, NEW, "GOODSIG ", VALID], "two different keys"),
        ([TEXT, NEW, "BADSIG"], "was changed after the key ?"),
        ([TEXT, NEW, GOOD, "VALIDSIG"], "not understood"),
        ([], "one NEWSIG"),
    ],
)
def test_everything_else_is_refused_in_plain_words(lines: list[str], words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        signer(report(*lines), "ring")
    assert words in caught.value.message
    assert not caught.value.retry_helps


def test_words_within_other_lines_are_no_status() -> None:
    with pytest.raises(DocumentError):
        signer(f"gpg: [GNUPG:] {GOOD}\n gpg: {VALID}\n", "ring")


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\r"])
def test_a_name_chosen_by_a_stranger_cannot_make_up_a_report(mark: str) -> None:
    forged = mark.join(["PLAINTEXT 74 0 name", *(f"[GNUPG:] {one}" for one in (NEW, GOOD, VALID))])
    with pytest.raises(DocumentError, match="one NEWSIG"):
        signer(report(forged), "ring")


@given(st.lists(st.text(max_size=80), max_size=20))
def test_no_report_ends_in_anything_but_a_fingerprint_or_a_refusal(lines: list[str]) -> None:
    with contextlib.suppress(DocumentError):
        assert len(signer(report(*lines), "ring")) == 40


def test_one_clear_signed_text_has_the_right_shape_with_blank_lines_around_it_too() -> None:
    check_shape(BLOCK)
    check_shape(b"\n\n" + BLOCK.replace(b"\n", b"\r\n") + b"\n \n")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "not signed"),
        (b'{"format": "image:1"}', "not signed"),
        (b"before\n" + BLOCK, "outside its signed part"),
        (BLOCK + b"after\n", "outside its signed part"),
        (BLOCK + BLOCK, "exactly one"),
        (BLOCK.replace(b"-----END PGP SIGNATURE-----", b""), "exactly one"),
        (b"-----BEGIN PGP MESSAGE-----\n\nxx\n-----END PGP MESSAGE-----\n", "not signed"),
        (b"-----BEGIN PGP MESSAGE-----\n" + BLOCK, "exactly one"),
    ],
)
def test_other_shapes_are_refused_before_gpg_sees_them(message: bytes, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        check_shape(message)


def old_check_shape(message: bytes) -> str:
    """The rule in its plainest words, for small messages: what is wrong with it, or nothing."""
    lines = [line.rstrip() for line in message.strip().splitlines()]
    marks = [line for line in lines if line.startswith(b"-----")]
    begin, end = b"-----BEGIN PGP SIGNED MESSAGE-----", b"-----END PGP SIGNATURE-----"
    if begin not in marks:
        return "not signed"
    if marks != [begin, b"-----BEGIN PGP SIGNATURE-----", end]:
        return "exactly one"
    return "" if lines[0] == begin and lines[-1] == end else "outside its signed part"


PIECES = st.sampled_from(
    [
        b"-----BEGIN PGP SIGNED MESSAGE-----",
        b"-----BEGIN PGP SIGNATURE-----",
        b"-----END PGP SIGNATURE-----",
        b"-----",
        b"- -----BEGIN PGP SIGNATURE-----",
        b"-",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\x0b",
        b"\x0c",
        b"\x85",
        b"text",
    ]
)


def around(pieces: list[bytes]) -> bytes:
    """A whole block, with other pieces in the five places round its parts."""
    marks = [piece + b"\n" for piece in BLOCK.split(b"\n") if piece.startswith(b"-----")]
    return b"".join(part for both in zip(pieces, [*marks, b"", b""], strict=True) for part in both)


@settings(max_examples=600)
@given(
    st.lists(PIECES, max_size=14).map(b"".join)
    | st.lists(st.lists(PIECES, max_size=2).map(b"".join), min_size=5, max_size=5).map(around)
)
def test_the_shape_is_judged_as_by_looking_at_every_line(message: bytes) -> None:
    expected = old_check_shape(message)
    if expected:
        with pytest.raises(DocumentError, match=expected):
            check_shape(message)
    else:
        check_shape(message)


def test_white_space_around_a_block_does_not_matter_however_much_there_is() -> None:
    check_shape(b" \r\n" * 60_000 + BLOCK + b"\n\t" * 100_000)
    with pytest.raises(DocumentError, match="not signed"):
        check_shape(b" \n" * 200_000)


def test_many_marks_are_not_gathered_and_the_reason_stays_the_same() -> None:
    many = b"-----BEGIN PGP SIGNATURE-----\n" * 10_000
    with pytest.raises(DocumentError, match="not signed"):
        check_shape(many)
    with pytest.raises(DocumentError, match="exactly one"):
        check_shape(many + BLOCK)


def test_a_large_text_is_judged_without_a_copy_of_it() -> None:
    line = b'  "sha256": "' + b"0-" * 32 + b'",\n'
    message = BLOCK.replace(b"text\n", line * 50_000)
    tracemalloc.start()
    try:
        check_shape(message)
        assert tracemalloc.get_traced_memory()[1] < len(message) / 10
    finally:
        tracemalloc.stop()


def test_a_signature_without_end_is_refused() -> None:
    stuffed = b"!" * SIGNATURE_LIMIT_BYTES
    with pytest.raises(DocumentError, match="at most 65536 are taken"):
        check_shape(BLOCK.replace(b"iQ==", stuffed))
    with pytest.raises(DocumentError, match="at most 65536 are taken"):
        check_signature_shape(ARMORED.replace(b"iQ==", stuffed))
    with pytest.raises(DocumentError, match="at most 65536 are taken"):
        check_signature_shape(b"\x89" + stuffed)


@pytest.mark.parametrize(
    "signature",
    [
        ARMORED,
        b"\n" + ARMORED.replace(b"\n", b"\r\n") + b"\n \n",
        *(bytes([tag]) + b"\x00" for tag in (0x88, 0x89, 0x8A, 0xC2)),
    ],
)
def test_a_detached_signature_is_one_block_or_one_packet(signature: bytes) -> None:
    check_signature_shape(signature)


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (b"", "is not an OpenPGP signature"),
        (b"<html>404</html>", "is not an OpenPGP signature"),
        (b"\x90\x0d", "is not an OpenPGP signature"),  # a one-pass signature: of a whole message
        (b"\xa3\x01", "is not an OpenPGP signature"),  # compressed
        (BLOCK, "is a whole signed message instead"),
        (b"-----BEGIN PGP MESSAGE-----\n\nxx\n-----END PGP MESSAGE-----\n", "is a whole signed"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxx", "is not an OpenPGP signature"),
        (ARMORED + ARMORED, "must be exactly one"),
        (b"before\n" + ARMORED, "must be exactly one"),
        (ARMORED + b"after", "must be exactly one"),
        (ARMORED.rpartition(b"-----END")[0], "must be exactly one"),
    ],
)
def test_other_things_in_place_of_a_signature_are_told_apart(signature: bytes, words: str) -> None:
    with pytest.raises(DocumentError, match=DETACHED + words):
        check_signature_shape(signature)


def test_a_detached_signature_has_no_text_of_its_own() -> None:
    assert signer(report(NEW, GOOD, VALID), "ring", is_detached=True) == PRIMARY
    with pytest.raises(DocumentError, match="whole signed message instead"):
        signer(report(TEXT, NEW, GOOD, VALID), "ring", is_detached=True)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "one NEWSIG"),
        ([NEW, VALID], "one GOODSIG"),
        ([NEW, GOOD, VALID, NEW, GOOD, VALID], "one NEWSIG"),
        ([NEW, "BADSIG 01 Else"], "was changed after the key 01"),
        ([NEW, "EXPKEYSIG 01 Old", VALID], "renewed key"),
        ([NEW, GOOD, VALID.replace(" 8 01", " 3 00")], "RIPEMD-160"),
        ([NEW, GOOD, VALID.replace(" 8 01", " 8 18")], "class 18"),
        (["NODATA 4"], "not signed"),
    ],
)
def test_detached_signatures_are_judged_as_strictly(lines: list[str], words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        signer(report(*lines), "ring", is_detached=True)


def test_a_detached_signature_of_either_class_is_one_of_a_document() -> None:
    binary = VALID.replace(" 8 01", " 10 00")
    assert signer(report(NEW, GOOD, binary), "ring", is_detached=True) == PRIMARY

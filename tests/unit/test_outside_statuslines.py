"""Which of GnuPG's reports make a signature one to believe."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.outside.statuslines import check_shape, signer

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

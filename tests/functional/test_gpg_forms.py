"""Clear-signed and detached: one strictness, with the real gpg."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DocumentError, OwnStateError, SettingsError
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.gpg import GpgVerifier
from tests.functional.gpg_home import PAST, TEXT, Signer, fresh_home
from tests.functional.reactor_thread import in_reactor, running_reactor

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")

NOT_THERE = "not in the keyring"


@dataclass(frozen=True)
class Published:
    """What a store publishes: one clear-signed message, or a content and its signature."""

    document: bytes
    signature: bytes | None

    def changed(self, old: bytes, new: bytes) -> Published:
        assert old in self.document
        return Published(self.document.replace(old, new, 1), self.signature)

    def check(self, verifier: GpgVerifier) -> ports.Signed:
        if self.signature is None:
            return in_reactor(verifier.verify, self.document)
        return in_reactor(verifier.verify_detached, self.document, self.signature)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.getbasetemp()) as made:
        made.make("good")
        made.make("other")
        yield made


Sign = Callable[..., Published]


@pytest.fixture(params=["clear-signed", "detached", "detached, armored", "detached, of a text"])
def sign(request: pytest.FixtureRequest, keys: Signer) -> Sign:
    """Publish in each of the forms."""
    more = {"detached, armored": ["--armor"], "detached, of a text": ["--armor", "--textmode"]}

    def publish(name: str, *options: str, text: bytes = TEXT) -> Published:
        if request.param == "clear-signed":
            return Published(keys.sign(name, *options, text=text), None)
        options = (*options, *more.get(request.param, []))
        return Published(text, keys.detach(name, *options, content=text))

    return publish


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(running_reactor(), size=2)
    yield made
    made.close()


Ring = Callable[..., GpgVerifier]


@pytest.fixture
def ring(threads: Threads, tmp_path: Path, keys: Signer) -> Ring:
    """Make a verifier whose keyring has the keys of these names."""

    def make(*names: str, pinned: tuple[str, ...] = (), limit_bytes: int = 2 << 20) -> GpgVerifier:
        file = tmp_path / "ring"
        file.write_bytes(keys.export(*names))
        return GpgVerifier(
            threads,
            file,
            tmp_path / "home",
            fingerprints=pinned,
            limit_bytes=limit_bytes,
        )

    return make


_numbers = count()


def a_name(word: str) -> str:
    """Name a key as no other of the home that all tests share."""
    return f"{word} {next(_numbers)}"


def refused(published: Published, verifier: GpgVerifier, words: str) -> str:
    with pytest.raises(DocumentError, match=words) as caught:
        published.check(verifier)
    return caught.value.message


def test_a_good_signature_gives_the_text_and_the_primary_key(
    sign: Sign, ring: Ring, keys: Signer, tmp_path: Path
) -> None:
    signed = sign("good").check(ring("good"))
    assert signed == ports.Signed(TEXT, keys.fingerprint("good"))
    assert not (tmp_path / "home" / "signature").exists()


def test_a_subkey_signs_for_its_primary_key(sign: Sign, ring: Ring, keys: Signer) -> None:
    name = a_name("parts")
    keys.run("--quick-gen-key", name, "ed25519", "cert", "1y")
    whole = keys.fingerprint(name)
    keys.run("--quick-add-key", whole, "ed25519", "sign", "1y")
    assert sign(whole).check(ring(whole, pinned=(whole,))).fingerprint == whole


def test_a_changed_byte_is_refused(sign: Sign, ring: Ring) -> None:
    refused(sign("good").changed(b"image:1", b"image:2"), ring("good"), "was changed after the key")


def test_a_signature_of_another_document_is_refused(sign: Sign, ring: Ring) -> None:
    other = sign("good", text=b"other\n")
    mixed = sign("good")
    if mixed.signature is None:
        mixed = mixed.changed(TEXT.split(b"\n", 1)[0], b"other")
    refused(Published(mixed.document, other.signature), ring("good"), "was changed after the key")


def test_an_unknown_key_is_refused(sign: Sign, ring: Ring, keys: Signer) -> None:
    message = refused(sign("other"), ring("good"), NOT_THERE)
    assert keys.fingerprint("other")[-16:] in message


def test_an_expired_key_is_refused(sign: Sign, ring: Ring, keys: Signer) -> None:
    name = a_name("bygone")
    keys.run(*PAST, "--quick-gen-key", name, "ed25519", "sign", "1d")
    refused(sign(name, *PAST), ring(name), "has expired; get the store's renewed key")


def test_a_revoked_key_is_refused(sign: Sign, ring: Ring, keys: Signer) -> None:
    name = a_name("withdrawn")
    keys.make(name)
    published = sign(name)
    assert published.check(ring(name)).payload == TEXT
    keys.revoke(name)
    refused(published, ring(name), "revoked")


def test_an_expired_signature_is_refused(sign: Sign, ring: Ring) -> None:
    published = sign("good", "--default-sig-expire", "seconds=1")
    time.sleep(2.1)
    refused(published, ring("good"), "must sign it anew")


def test_weak_digests_are_refused_and_strong_ones_taken(
    sign: Sign, ring: Ring, keys: Signer
) -> None:
    name = a_name("rsa")
    keys.run("--quick-gen-key", name, "rsa2048", "sign", "1y")
    for weak, words in (
        ("SHA1", r"SHA-1, which is too weak|refuses it as too weak"),
        ("RIPEMD160", r"RIPEMD-160, which is too weak|refuses it as too weak"),
        ("SHA224", "SHA-224, which is too weak"),
    ):
        refused(sign(name, "--digest-algo", weak), ring(name), words)
    for strong in ("SHA256", "SHA384", "SHA512"):
        assert sign(name, "--digest-algo", strong).check(ring(name)).payload == TEXT


def test_two_signatures_are_not_one_even_if_both_are_good(sign: Sign, ring: Ring) -> None:
    both = ring("good", "other")
    refused(sign("good", "--local-user", "other"), both, "exactly one")
    refused(sign("good", "--local-user", "other"), ring("good"), f"exactly one|{NOT_THERE}")


def test_a_pinned_key_alone_is_believed(sign: Sign, ring: Ring, keys: Signer) -> None:
    good, other = keys.fingerprint("good"), keys.fingerprint("other")
    written = " ".join(good[at : at + 4] for at in range(0, 40, 4)).lower()
    narrow = ring("good", "other", pinned=(written,))
    assert sign("good").check(narrow).fingerprint == good
    message = refused(sign("other"), narrow, "signed by the key .*, but only .* is to be believed")
    assert good in message
    assert other in message
    assert sign("other").check(ring("good", "other", pinned=(good, other))).fingerprint == other


def test_relative_paths_will_do(
    sign: Sign, threads: Threads, keys: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ring").write_bytes(keys.export("good"))
    verifier = GpgVerifier(threads, Path("ring"), Path("home"))
    assert sign("good").check(verifier).payload == TEXT


def test_p3_a_gpg_that_hangs_is_ended_whatever_is_still_to_be_read(
    sign: Sign, ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = sign("good", text=TEXT * 20_000)
    verifier = ring("good")
    in_reactor(verifier.fingerprints)
    verifier._timeout_s = 2.0
    slow = tmp_path / "bin" / "gpg"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\ncase "$*" in *--decrypt*|*--verify*) exec sleep 30;; esac\n'
        'exec /usr/bin/gpg "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    refused(published, verifier, "did not answer within 2 s")


def test_a_gpg_that_reports_well_but_fails_is_not_believed(
    sign: Sign, ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = sign("good")
    verifier = ring("good")
    in_reactor(verifier.fingerprints)
    odd = tmp_path / "bin" / "gpg"
    odd.parent.mkdir()
    odd.write_text(
        '#!/bin/sh\n/usr/bin/gpg "$@"\ncase "$*" in *--decrypt*|*--verify*) exit 2;; esac\n'
    )
    odd.chmod(0o755)
    monkeypatch.setenv("PATH", str(odd.parent))
    refused(published, verifier, "exit status 2")


def test_a_document_over_the_limit_is_refused_and_one_under_it_taken(
    sign: Sign, ring: Ring
) -> None:
    text = b"0123456\n" * (3 << 17)
    published = sign("good", text=text)
    refused(published, ring("good"), "bytes; at most 2097152 are taken")
    assert published.check(ring("good", limit_bytes=4 << 20)).payload == text


def test_a_catalogue_of_twenty_megabytes_takes_one_copy_of_it(sign: Sign, ring: Ring) -> None:
    row = {"ftype": "disk1.img", "path": "server/x.img", "sha256": "0-" * 32, "size": 586022912}
    text = json.dumps({f"item-{n}": row for n in range(120_000)}, indent=1).encode() + b"\n"
    assert len(text) > 20_000_000
    published = sign("good", text=text)
    verifier = ring("good", limit_bytes=64 << 20)
    in_reactor(verifier.fingerprints)
    tracemalloc.start()
    try:
        signed = published.check(verifier)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert signed.payload == text
    assert peak_bytes < 2.2 * len(text)


def test_lines_that_gpg_complains_of_are_not_gathered(ring: Ring, keys: Signer) -> None:
    head, tail = keys.sign("good").split(TEXT.split(b"\n", 1)[0])
    flood = Published(head + b"-x\n" * 200_000 + tail, None)
    verifier = ring("good", limit_bytes=8 << 20)
    in_reactor(verifier.fingerprints)
    tracemalloc.start()
    try:
        refused(flood, verifier, "GnuPG|changed")
        assert tracemalloc.get_traced_memory()[1] < 4 * len(flood.document)
    finally:
        tracemalloc.stop()


# Clear-signed only.


def test_line_ends_of_windows_do_not_harm(ring: Ring, keys: Signer) -> None:
    message = keys.sign("good").replace(b"\n", b"\r\n")
    signed = Published(message, None).check(ring("good"))
    assert signed.payload.replace(b"\r\n", b"\n") == TEXT


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"{}\n", b"", "outside its signed part"),
        (b"", b"{}\n", "outside its signed part"),
        (b"\xef\xbb\xbf", b"", "not signed"),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\n\nforged\n", b"", "exactly one"),
    ],
)
def test_what_stands_around_a_clear_signed_text_is_refused(
    ring: Ring, keys: Signer, before: bytes, after: bytes, words: str
) -> None:
    refused(Published(before + keys.sign("good") + after, None), ring("good"), words)


def test_two_clear_signed_texts_are_not_one(ring: Ring, keys: Signer) -> None:
    refused(Published(keys.sign("good") * 2, None), ring("good"), "exactly one")


@pytest.mark.parametrize("message", [b"", b"\n", TEXT])
def test_an_unsigned_document_is_refused(ring: Ring, message: bytes) -> None:
    refused(Published(message, None), ring("good"), "not signed")


# Detached only.


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\0\xff" * 100, TEXT.rstrip()])
def test_a_detached_signature_covers_any_bytes(ring: Ring, keys: Signer, content: bytes) -> None:
    signature = keys.detach("good", content=content)
    assert Published(content, signature).check(ring("good")).payload == content
    refused(Published(content + b"\0", signature), ring("good"), "was changed after the key")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nothing", "not an OpenPGP signature"),
        ("garbage", "not an OpenPGP signature"),
        ("armored message", "whole signed message instead"),
        ("binary message", "not an OpenPGP signature"),
        ("message called signature", "whole signed message instead|GnuPG"),
        ("clear-signed", "whole signed message instead"),
        ("twice", "must be exactly one"),
        ("twice, binary", "exactly one"),
        ("key", "not an OpenPGP signature"),
        ("cut", "GnuPG|changed|must be exactly one"),
        ("cut, binary", "GnuPG|changed"),
        ("tag alone", "GnuPG"),
        ("followed by garbage", "GnuPG"),
        ("followed by a text", "GnuPG|whole signed message instead"),
        ("not base64", "GnuPG"),
    ],
)
def test_other_things_in_place_of_a_signature_are_refused(
    ring: Ring, keys: Signer, kind: str, words: str
) -> None:
    binary, armored = keys.detach("good"), keys.detach("good", "--armor")
    message = keys.run("--local-user", "good", "--armor", "--sign", data=TEXT)
    signature = {
        "nothing": b"",
        "garbage": b"<html>404</html>",
        "armored message": message,
        "binary message": keys.run("--local-user", "good", "--sign", data=TEXT),
        "message called signature": message.replace(b"PGP MESSAGE", b"PGP SIGNATURE"),
        "clear-signed": keys.sign("good"),
        "twice": armored * 2,
        "twice, binary": binary * 2,
        "key": keys.export("good", armor=True),
        "cut": armored[: len(armored) // 2],
        "cut, binary": binary[:-5],
        "tag alone": binary[:1],
        "followed by garbage": binary + b"garbage that is no packet",
        "followed by a text": binary + b"\xcb\x0ab\x00\x00\x00\x00\x00" + b"text",
        "not base64": b"-----BEGIN PGP SIGNATURE-----\n\n" + b"!\n" * 20_000
        + b"-----END PGP SIGNATURE-----\n",
    }[kind]  # fmt: skip
    refused(Published(TEXT, signature), ring("good"), words)
    # And where gpg ends before it has read the whole of a large content.
    large = Published(TEXT * 200_000, signature)
    refused(large, ring("good", limit_bytes=16 << 20), f"{words}|changed")


# What is told at the start.


def test_the_keys_that_are_believed_are_told(ring: Ring, keys: Signer) -> None:
    good, other = keys.fingerprint("good"), keys.fingerprint("other")
    assert set(in_reactor(ring("good", "other").fingerprints)) == {good, other}
    assert in_reactor(ring("good", "other", pinned=(good,)).fingerprints) == (good,)


def test_a_pinned_key_that_the_keyring_lacks_is_told_at_the_start(
    ring: Ring, keys: Signer, tmp_path: Path
) -> None:
    good, other = keys.fingerprint("good"), keys.fingerprint("other")
    with pytest.raises(OwnStateError) as caught:
        in_reactor(ring("good", pinned=(good, other)).fingerprints)
    assert f"{tmp_path / 'ring'} has no key {other}," in caught.value.message


def test_what_is_no_fingerprint_cannot_be_pinned(ring: Ring) -> None:
    with pytest.raises(SettingsError, match="40 hex digits"):
        ring("good", pinned=("good",))


def test_a_document_is_looked_at_in_the_background_alone(tmp_path: Path) -> None:
    asked: list[object] = []

    class Waiting:
        def run(self, work: object) -> Deferred[object]:
            asked.append(work)
            return Deferred()

    verifier = GpgVerifier(Waiting(), tmp_path / "ring", tmp_path / "home")  # type: ignore[arg-type]
    waiting = Deferred.fromCoroutine(verifier.verify(b"unsigned"))
    assert len(asked) == 1
    assert not waiting.called

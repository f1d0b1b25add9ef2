"""Signed documents, with the real gpg."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DocumentError, OwnStateError
from imagestoreproxy.outside import gpgcall
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.gpg import LIMIT_BYTES, GpgVerifier
from tests.functional.gpg_home import TEXT, Signer, fresh_home
from tests.functional.reactor_thread import in_reactor, running_reactor

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.getbasetemp()) as made:
        made.make("good")
        made.make("other")
        made.make("revoked")
        yield made


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(running_reactor(), size=2)
    yield made
    made.close()


@pytest.fixture
def keyring(tmp_path: Path, keys: Signer) -> Path:
    file = tmp_path / "keyring.gpg"
    file.write_bytes(keys.export("good"))
    return file


@pytest.fixture
def verifier(threads: Threads, keyring: Path, tmp_path: Path) -> GpgVerifier:
    return GpgVerifier(threads, keyring, tmp_path / "home")


def verify(verifier: GpgVerifier, message: bytes) -> ports.Signed:
    return in_reactor(verifier.verify, message)


def test_a_good_signature_gives_the_signed_bytes_and_the_primary_key(
    verifier: GpgVerifier, keys: Signer
) -> None:
    signed = verify(verifier, keys.sign("good"))
    assert signed.payload == TEXT
    assert signed.fingerprint == keys.fingerprint("good")


def test_the_name_in_a_key_of_the_keyring_is_known_once_it_was_read(
    verifier: GpgVerifier, keyring: Path, keys: Signer
) -> None:
    good, other = keys.fingerprint("good"), keys.fingerprint("other")
    assert verifier.name_of(good) == ""
    in_reactor(verifier.fingerprints)
    assert "good" in verifier.name_of(good)
    assert verifier.name_of(other) == ""
    keyring.write_bytes(keys.export("other"))
    in_reactor(verifier.fingerprints)
    assert (verifier.name_of(good), "other" in verifier.name_of(other)) == ("", True)


@pytest.mark.parametrize("kind", ["armored", "keybox"])
def test_a_keyring_may_be_armored_or_a_keybox(
    verifier: GpgVerifier, keyring: Path, keys: Signer, kind: str
) -> None:
    box = keys.home / "pubring.kbx"
    keyring.write_bytes(keys.export("good", armor=True) if kind == "armored" else box.read_bytes())
    assert verify(verifier, keys.sign("good")).payload == TEXT
    expected = 1 if kind == "armored" else 3
    assert len(in_reactor(verifier.fingerprints)) == expected


def test_a_changed_byte_is_refused(verifier: GpgVerifier, keys: Signer) -> None:
    message = keys.sign("good").replace(b"image:1", b"image:2")
    with pytest.raises(DocumentError, match="was changed after the key"):
        verify(verifier, message)


def test_an_unknown_key_is_named_with_the_keyring(
    verifier: GpgVerifier, keyring: Path, keys: Signer
) -> None:
    with pytest.raises(DocumentError) as caught:
        verify(verifier, keys.sign("other"))
    assert keys.fingerprint("other")[-16:] in caught.value.message
    assert f"not in the keyring {keyring}" in caught.value.message


def test_two_signatures_are_not_one_even_if_both_are_good(
    verifier: GpgVerifier, keyring: Path, keys: Signer
) -> None:
    keyring.write_bytes(keys.export("good", "other"))
    message = keys.sign("good", "--local-user", "other")
    with pytest.raises(DocumentError, match="exactly one"):
        verify(verifier, message)


def test_a_weak_digest_is_refused(threads: Threads, tmp_path: Path, keys: Signer) -> None:
    keys.run("--quick-gen-key", "weak", "rsa2048", "sign", "1y")
    ring = tmp_path / "weak.gpg"
    ring.write_bytes(keys.export("weak"))
    verifier = GpgVerifier(threads, ring, tmp_path / "home")
    with pytest.raises(DocumentError, match=r"SHA-1, which is too weak|refuses it as too weak"):
        verify(verifier, keys.sign("weak", "--digest-algo", "SHA1"))
    with pytest.raises(DocumentError, match="SHA-224, which is too weak"):
        verify(verifier, keys.sign("weak", "--digest-algo", "SHA224"))
    assert verify(verifier, keys.sign("weak", "--digest-algo", "SHA256")).payload == TEXT


def test_an_expired_key_is_refused(threads: Threads, tmp_path: Path, keys: Signer) -> None:
    past = ["--faked-system-time", "20200101T000000!"]
    keys.run(*past, "--quick-gen-key", "expired", "ed25519", "sign", "1d")
    message = keys.sign("expired", *past)
    ring = tmp_path / "expired.gpg"
    ring.write_bytes(keys.export("expired"))
    with pytest.raises(DocumentError, match=r"key .* has expired; get the store's renewed key"):
        verify(GpgVerifier(threads, ring, tmp_path / "home"), message)


def test_an_expired_signature_is_refused(verifier: GpgVerifier, keys: Signer) -> None:
    message = keys.sign("good", "--default-sig-expire", "seconds=1")
    time.sleep(2.1)
    with pytest.raises(DocumentError, match="sign it anew"):
        verify(verifier, message)


def test_a_revoked_key_is_refused(threads: Threads, tmp_path: Path, keys: Signer) -> None:
    message = keys.sign("revoked")
    keys.revoke("revoked")
    ring = tmp_path / "revoked.gpg"
    ring.write_bytes(keys.export("revoked"))
    with pytest.raises(DocumentError, match="revoked"):
        verify(GpgVerifier(threads, ring, tmp_path / "home"), message)


def test_a_message_that_is_signed_but_not_clear_signed_is_refused(
    verifier: GpgVerifier, keys: Signer
) -> None:
    with pytest.raises(DocumentError, match="not signed"):
        verify(verifier, keys.run("--local-user", "good", "--armor", "--sign", data=TEXT))


def test_packed_data_within_a_signature_block_cannot_stand_for_the_text(
    verifier: GpgVerifier, keys: Signer
) -> None:
    inner = keys.run("--local-user", "good", "--armor", "--sign", data=bytes(10_000_000))
    armored = inner.split(b"\n\n", 1)[1].rsplit(b"\n-----END", 1)[0]
    message = (
        b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nforged\n"
        b"-----BEGIN PGP SIGNATURE-----\n\n" + armored + b"\n-----END PGP SIGNATURE-----\n"
    )
    with pytest.raises(DocumentError):
        verify(verifier, message)


def test_a_message_over_the_limit_is_refused(verifier: GpgVerifier) -> None:
    with pytest.raises(DocumentError, match="at most"):
        verify(verifier, b"x" * (LIMIT_BYTES + 1))


def test_p12_a_changed_keyring_is_read_again_without_a_restart(
    verifier: GpgVerifier, keyring: Path, keys: Signer
) -> None:
    message = keys.sign("other")
    with pytest.raises(DocumentError):
        verify(verifier, message)
    keyring.write_bytes(keys.export("good", "other"))
    assert verify(verifier, message).payload == TEXT
    keyring.write_bytes(keys.export("good"))
    with pytest.raises(DocumentError):
        verify(verifier, message)


def test_the_keyring_is_left_alone_and_nothing_stays_running(
    verifier: GpgVerifier, keyring: Path, keys: Signer, tmp_path: Path
) -> None:
    keyring.chmod(0o400)
    before = (keyring.read_bytes(), keyring.stat().st_mtime_ns)
    verify(verifier, keys.sign("good"))
    assert (keyring.read_bytes(), keyring.stat().st_mtime_ns) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "keyring.gpg"]
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    home = str(tmp_path / "home").encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert home not in process.read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize("content", [None, b"", b"no key at all"])
def test_a_keyring_without_keys_is_told_at_the_start(
    verifier: GpgVerifier, keyring: Path, content: bytes | None
) -> None:
    if content is None:
        keyring.unlink()
    else:
        keyring.write_bytes(content)
    with pytest.raises(OwnStateError) as caught:
        in_reactor(verifier.fingerprints)
    assert str(keyring) in caught.value.message


def test_a_missing_gpg_is_told(verifier: GpgVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpgcall, "ENVIRONMENT", {"PATH": "/nowhere"})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OwnStateError, match="install the package gpg"):
        in_reactor(verifier.fingerprints)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_gpg_whose_report_cannot_be_read_is_not_believed(
    verifier: GpgVerifier, tmp_path: Path, keys: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = keys.sign("good")
    in_reactor(verifier.fingerprints)
    odd = tmp_path / "bin" / "gpg"
    odd.parent.mkdir()
    odd.write_text(
        '#!/bin/sh\ncase "$*" in *--decrypt*) echo "[GNUPG:] VALIDSIG" >&2; exit 0;; esac\n'
        'exec /usr/bin/gpg "$@"\n'
    )
    odd.chmod(0o755)
    monkeypatch.setenv("PATH", str(odd.parent))
    with pytest.raises(DocumentError, match="exactly one"):
        verify(verifier, message)


def test_p3_a_gpg_that_hangs_is_ended(
    threads: Threads, keyring: Path, tmp_path: Path, keys: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = keys.sign("good")
    verifier = GpgVerifier(threads, keyring, tmp_path / "home")
    in_reactor(verifier.fingerprints)
    verifier._timeout_s = 2.0
    slow = tmp_path / "bin" / "gpg"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\ncase "$*" in *--decrypt*) exec sleep 30;; esac\nexec /usr/bin/gpg "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    with pytest.raises(DocumentError, match="did not answer within 2 s"):
        verify(verifier, message)

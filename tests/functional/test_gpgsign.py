"""What is published is signed by the person's own gpg, and believed by ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.gpg import GpgVerifier
from imagestoreproxy.outside.gpgsign import LONGEST_LINE_BYTES, GpgSigner
from tests.functional.gpg_home import PAST, TEXT, Signer, fresh_home
from tests.functional.reactor_thread import in_reactor, running_reactor

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.getbasetemp()) as made:
        made.make("publisher of images")
        yield made


@pytest.fixture
def signer(keys: Signer) -> GpgSigner:
    return GpgSigner("publisher of images", gnupg_home=str(keys.home))


@pytest.fixture
def verifier(signer: GpgSigner, tmp_path: Path) -> Iterator[GpgVerifier]:
    threads = Threads(running_reactor(), size=2)
    ring = tmp_path / "ring"
    ring.write_bytes(signer.export_public())
    yield GpgVerifier(threads, ring, tmp_path / "home", limit_bytes=4 << 20)
    threads.close()


def catalogue(size_bytes: int) -> bytes:
    row = {"ftype": "disk1.img", "path": "server/releases/x.img", "sha256": "0" * 64, "size": 1}
    rows = {f"item-{n}": row for n in range(size_bytes // 160)}
    return json.dumps({"format": "products:1.0", "items": rows}, indent=1).encode() + b"\n"


def test_what_is_signed_in_line_is_believed_a_large_text_too(
    signer: GpgSigner, verifier: GpgVerifier
) -> None:
    for text in (TEXT, catalogue(2 << 20)):
        signed = in_reactor(verifier.verify, signer.clearsign(text))
        assert signed.payload == text
        assert signed.fingerprint == signer.fingerprint()


def test_what_is_signed_beside_is_believed_and_armored(
    signer: GpgSigner, verifier: GpgVerifier
) -> None:
    for content in (TEXT, b"", bytes(range(256)) * 8000):
        signature = signer.detach_sign(content)
        assert signature.startswith(b"-----BEGIN PGP SIGNATURE-----")
        signed = in_reactor(verifier.verify_detached, content, signature)
        assert (signed.payload, signed.fingerprint) == (content, signer.fingerprint())


@pytest.mark.parametrize("armor", [True, False])
def test_the_public_half_alone_is_exported(signer: GpgSigner, keys: Signer, armor: bool) -> None:
    exported = signer.export_public(armor=armor)
    assert exported.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----") is armor
    packets = keys.run("--list-packets", data=exported)
    assert b":public key packet:" in packets
    assert b"secret" not in packets


def test_a_key_is_found_by_fingerprint_key_id_and_name(keys: Signer) -> None:
    whole = keys.fingerprint("publisher of images")
    for name in (whole, whole.lower(), whole[-16:], "0x" + whole[-16:], "publisher of"):
        assert GpgSigner(name, gnupg_home=str(keys.home)).fingerprint() == whole


def test_the_home_of_the_environment_is_used_when_none_is_named(
    keys: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    whole = keys.fingerprint("publisher of images")
    assert GpgSigner("publisher of images").fingerprint() == whole


def test_a_line_that_gnupg_would_cut_is_refused_and_the_longest_is_whole(
    signer: GpgSigner, verifier: GpgVerifier
) -> None:
    longest = b"- " + b"x" * (LONGEST_LINE_BYTES - 2)
    text = longest + b"\n" + longest + b"\n"
    assert in_reactor(verifier.verify, signer.clearsign(text)).payload == text
    with pytest.raises(OwnStateError, match="would cut the line"):
        signer.clearsign(b"{\n" + longest + b"x\n}")
    in_reactor(verifier.verify_detached, longest + b"x", signer.detach_sign(longest + b"x"))


def test_a_key_that_is_not_there_is_named_with_the_place(keys: Signer) -> None:
    with pytest.raises(OwnStateError) as caught:
        GpgSigner("nobody", gnupg_home=str(keys.home)).clearsign(TEXT)
    assert "no key nobody" in caught.value.message
    assert str(keys.home) in caught.value.message


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_key_must_be_named(keys: Signer, name: str) -> None:
    with pytest.raises(OwnStateError, match="must be named"):
        GpgSigner(name, gnupg_home=str(keys.home)).fingerprint()


def test_a_name_that_looks_like_an_option_is_a_name(keys: Signer) -> None:
    with pytest.raises(OwnStateError, match="no key --version"):
        GpgSigner("--version", gnupg_home=str(keys.home)).fingerprint()


def test_a_public_half_alone_cannot_sign(keys: Signer, tmp_path: Path) -> None:
    with fresh_home(tmp_path) as elsewhere:
        elsewhere.run("--import", data=keys.export("publisher of images"))
        other = GpgSigner("publisher of images", gnupg_home=str(elsewhere.home))
        with pytest.raises(OwnStateError, match="only the public half"):
            other.detach_sign(TEXT)


def test_an_expired_or_revoked_key_and_one_for_other_uses_are_refused(keys: Signer) -> None:
    keys.run(*PAST, "--quick-gen-key", "bygone", "ed25519", "sign", "1d")
    keys.make("withdrawn")
    keys.revoke("withdrawn")
    keys.run("--quick-gen-key", "certifier", "ed25519", "cert", "1y")
    for name, words in (
        ("bygone", "has expired; prolong it"),
        ("withdrawn", "has been revoked"),
        ("certifier", "not made for signing"),
    ):
        with pytest.raises(OwnStateError, match=words) as caught:
            GpgSigner(name, gnupg_home=str(keys.home)).clearsign(TEXT)
        assert keys.fingerprint(name) in caught.value.message


def test_a_primary_key_kept_elsewhere_signs_with_its_subkey(keys: Signer, tmp_path: Path) -> None:
    keys.run("--quick-gen-key", "two part", "ed25519", "cert", "1y")
    keys.run("--quick-add-key", keys.fingerprint("two part"), "ed25519", "sign", "1y")
    with fresh_home(tmp_path) as elsewhere:
        elsewhere.run("--import", data=keys.run("--export-secret-subkeys", "two part"))
        apart = GpgSigner("two part", gnupg_home=str(elsewhere.home))
        assert apart.fingerprint() == keys.fingerprint("two part")
        assert b"PGP SIGNATURE" in apart.detach_sign(TEXT)


def test_a_name_of_two_keys_is_not_guessed_at(keys: Signer) -> None:
    keys.make("twin one")
    keys.make("twin two")
    with pytest.raises(OwnStateError, match="twin means 2 keys") as caught:
        GpgSigner("twin", gnupg_home=str(keys.home)).fingerprint()
    assert keys.fingerprint("twin one") in caught.value.message


def test_other_keys_and_settings_of_gpg_conf_do_not_sign_along(
    signer: GpgSigner, keys: Signer, verifier: GpgVerifier
) -> None:
    keys.make("along")
    conf = keys.home / "gpg.conf"
    conf.write_text(f"local-user {keys.fingerprint('along')}\ndigest-algo SHA1\n")
    try:
        assert in_reactor(verifier.verify, signer.clearsign(TEXT)).payload == TEXT
    finally:
        conf.unlink()


def test_a_passphrase_that_nobody_can_give_is_a_clear_error(keys: Signer) -> None:
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--homedir", str(keys.home), "--pinentry-mode", "loopback",
         "--passphrase", "secret words", "--quick-gen-key", "locked", "ed25519", "sign", "1y"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (keys.home / "gpg-agent.conf").write_text("pinentry-program /bin/false\n")
    subprocess.run(["gpgconf", "--homedir", str(keys.home), "--kill", "gpg-agent"], check=True)
    locked = GpgSigner("locked", gnupg_home=str(keys.home))
    with pytest.raises(OwnStateError, match="gpg-agent must be able to ask") as caught:
        locked.clearsign(TEXT)
    assert "secret words" not in caught.value.message


def test_a_gpg_that_waits_for_ever_is_ended(
    keys: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = GpgSigner("publisher of images", gnupg_home=str(keys.home))
    waiting.fingerprint()
    waiting._timeout_s = 2.0
    slow = tmp_path / "gpg"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(OwnStateError, match="did not answer within 2 s"):
        waiting.detach_sign(TEXT)


def test_a_missing_gpg_is_told(signer: GpgSigner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagestoreproxy.outside.gpgcall.ENVIRONMENT", {"PATH": "/nowhere"})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OwnStateError, match="install the package gpg"):
        signer.fingerprint()

"""Files that others have really signed, or not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.keys import UBUNTU
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.gpg import GpgVerifier
from tests.functional.reactor_thread import in_reactor, running_reactor

ROOT = Path(__file__).parents[2]
STREAMS = ROOT.parent / "shared" / "data" / "streams"
KEYS = STREAMS / "keys"
NOBLE = STREAMS / "cloud-images.ubuntu.com/noble/current"
FEDORA = STREAMS / "other-real-signed/fedora-44/Fedora-Cloud-44-1.7-aarch64-CHECKSUM"
EXAMPLES = STREAMS / "fixtures/simplestreams-2013-signed"
IMAGES_KEY = "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81"
STREAMS_KEY = "4A3CE3CD565D7EB5C810E2B97FF3F408476CF100"

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
needs_streams = pytest.mark.skipif(
    not STREAMS.is_dir(), reason="the shared sample data is not here"
)


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(running_reactor(), size=2)
    yield made
    made.close()


def old_files(pattern: str) -> list[Path]:
    return sorted(EXAMPLES.rglob(pattern))


@pytest.mark.parametrize("ring", [UBUNTU, ROOT / "image-store-key.asc"], ids=["packaged", "root"])
def test_the_keys_of_ubuntu_are_a_keyring_as_they_are(
    threads: Threads, tmp_path: Path, ring: Path
) -> None:
    verifier = GpgVerifier(threads, ring, tmp_path / "home")
    assert set(in_reactor(verifier.fingerprints)) == {IMAGES_KEY, STREAMS_KEY}
    for key in (IMAGES_KEY, STREAMS_KEY):
        pinned = GpgVerifier(threads, ring, tmp_path / "home", fingerprints=[key])
        assert in_reactor(pinned.fingerprints) == (key,)


@needs_streams
@pytest.mark.parametrize("ring", [KEYS / "ubuntu-cloudimage-keyring.gpg", UBUNTU])
def test_the_detached_signature_of_ubuntu_is_believed(
    threads: Threads, tmp_path: Path, ring: Path
) -> None:
    content = (NOBLE / "SHA256SUMS").read_bytes()
    signature = (NOBLE / "SHA256SUMS.gpg").read_bytes()
    verifier = GpgVerifier(threads, ring, tmp_path / "home")
    signed = in_reactor(verifier.verify_detached, content, signature)
    assert (signed.payload, signed.fingerprint) == (content, IMAGES_KEY)
    at = content.index(b"disk") if b"disk" in content else len(content) // 2
    changed = content[:at] + b"?" + content[at + 1 :]
    with pytest.raises(DocumentError, match="was changed after the key 1A5D6C4C7DB87C81"):
        in_reactor(verifier.verify_detached, changed, signature)


@needs_streams
def test_an_older_keyring_of_ubuntu_lacks_the_key_of_the_images(
    threads: Threads, tmp_path: Path
) -> None:
    verifier = GpgVerifier(
        threads, KEYS / "ubuntu-cloudimage-keyring.2012-onekey.gpg", tmp_path / "home"
    )
    assert in_reactor(verifier.fingerprints) == (STREAMS_KEY,)
    with pytest.raises(DocumentError, match="1A5D6C4C7DB87C81, which is not in the keyring"):
        in_reactor(
            verifier.verify_detached,
            (NOBLE / "SHA256SUMS").read_bytes(),
            (NOBLE / "SHA256SUMS.gpg").read_bytes(),
        )


@needs_streams
def test_of_the_two_keys_of_ubuntu_the_pinned_one_is_believed(
    threads: Threads, tmp_path: Path
) -> None:
    content = (NOBLE / "SHA256SUMS").read_bytes()
    signature = (NOBLE / "SHA256SUMS.gpg").read_bytes()
    right = GpgVerifier(threads, UBUNTU, tmp_path / "home", fingerprints=[IMAGES_KEY])
    wrong = GpgVerifier(threads, UBUNTU, tmp_path / "home", fingerprints=[STREAMS_KEY])
    assert in_reactor(right.verify_detached, content, signature).fingerprint == IMAGES_KEY
    with pytest.raises(DocumentError, match=f"by the key {IMAGES_KEY}, but only {STREAMS_KEY} is"):
        in_reactor(wrong.verify_detached, content, signature)


@needs_streams
def test_a_real_clear_signed_file_is_believed_with_its_own_keyring_only(
    threads: Threads, tmp_path: Path
) -> None:
    message = FEDORA.read_bytes()
    right = GpgVerifier(threads, KEYS / "fedora-44-primary.gpg", tmp_path / "right")
    wrong = GpgVerifier(threads, KEYS / "ubuntu-cloudimage-keyring.gpg", tmp_path / "wrong")
    signed = in_reactor(right.verify, message)
    assert signed.fingerprint in in_reactor(right.fingerprints)
    assert b"SHA256 (Fedora-Cloud" in signed.payload
    with pytest.raises(DocumentError, match="not in the keyring"):
        in_reactor(wrong.verify, message)
    with pytest.raises(DocumentError, match="was changed after the key DBFCF71C6D9F90A6"):
        in_reactor(right.verify, message.replace(b"SHA256 (", b"SHA256 [", 1))


@needs_streams
def test_examples_of_2013_are_refused_for_their_expired_key(
    threads: Threads, tmp_path: Path
) -> None:
    verifier = GpgVerifier(threads, KEYS / "example.pub", tmp_path / "home")
    files = old_files("*.sjs")
    assert files
    for file in files:
        with pytest.raises(DocumentError, match="has expired; get the store's renewed key"):
            in_reactor(verifier.verify, file.read_bytes())


@needs_streams
def test_examples_of_2013_that_are_said_to_be_detached_are_whole_messages(
    threads: Threads, tmp_path: Path
) -> None:
    verifier = GpgVerifier(threads, KEYS / "example.pub", tmp_path / "home")
    files = old_files("*.js.gpg")
    assert files
    for file in files:
        content = file.with_suffix("").read_bytes()
        with pytest.raises(DocumentError, match="is a whole signed message instead"):
            in_reactor(verifier.verify_detached, content, file.read_bytes())


@needs_streams
def test_a_real_mirror_that_does_not_sign_is_refused(threads: Threads, tmp_path: Path) -> None:
    verifier = GpgVerifier(threads, UBUNTU, tmp_path / "home")
    files = sorted((STREAMS / "eumel8.github.io").rglob("*.sjson"))
    assert files
    for file in files:
        with pytest.raises(DocumentError, match="not signed"):
            in_reactor(verifier.verify, file.read_bytes())

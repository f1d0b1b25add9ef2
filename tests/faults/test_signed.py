"""Signed things that must not be believed, with the real gpg and the real daemon.

Each is refused for the right reason in plain words, and nothing of it reaches the cloud.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults import tally
from tests.faults.faulty_store import BODY, Fault, Turns, describe
from tests.faults.ground import at_rest, fake_cloud, problems, said_500
from tests.functional import test_gpg
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.gpg_home import Signer
from tests.functional.rig import SECRET, Daemon

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")

keys = test_gpg.keys  # a fixture

Document = dict[str, Any]
SCRIPT = "<script>alert(1)</script><b onclick='x()'>bold</b>"
MARKUP: Document = {
    "title": SCRIPT,
    "summary": SCRIPT,
    "description_html": SCRIPT,
    "tags": [SCRIPT],
    "icon_uri": "javascript:alert(1)",
    "provider": {"title": SCRIPT, "uri": "javascript:alert(1)"},
}


@dataclass(frozen=True)
class Case:
    """What is published, and what the error has to say; no words: it is sound."""

    kind: str
    words: str
    message: Callable[[Signer, Document], bytes]


def text(document: object) -> bytes:
    # In many lines: gpg breaks one of more than 19,995 characters when it signs.
    return json.dumps(document, indent=0).encode()


def by(name: str, *options: str) -> Callable[[Signer, Document], bytes]:
    return lambda keys, document: keys.sign(name, *options, text=text(document))


def saying(**fields: Any) -> Callable[[Signer, Document], bytes]:
    """Sign another content with the right key."""
    other = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda keys, document: keys.sign("good", text=text({**document, **other}))


def verbatim(content: Callable[[bytes], bytes]) -> Callable[[Signer, Document], bytes]:
    return lambda keys, document: keys.sign("good", text=content(text(document)))


def around(change: Callable[[bytes], bytes]) -> Callable[[Signer, Document], bytes]:
    """Change what was signed."""
    return lambda keys, document: change(keys.sign("good", text=text(document)))


CASES = [
    Case("sound", "", by("good")),
    Case("unsigned", "not signed", lambda keys, document: text(document)),
    Case("wrong key", "not in the keyring", by("other")),
    Case("expired key", "renewed key", by("expired", "--faked-system-time", "20200101T000000!")),
    Case("revoked key", "revoked", by("revoked")),
    Case("expired signature", "sign it anew", by("good", "--default-sig-expire", "seconds=1")),
    Case("SHA-1", "too weak", by("weak", "--digest-algo", "SHA1")),
    Case("two signatures", "exactly one", by("good", "--local-user", "weak")),
    Case("two messages in one", "exactly one", around(lambda signed: signed * 2)),
    Case("text before", "outside its signed part", around(lambda signed: b"x\n" + signed)),
    Case("text after", "outside its signed part", around(lambda signed: signed + b"x\n")),
    Case("altered", "was changed after", around(lambda s: s.replace(b"hvm", b"hvn"))),
    Case("not clear-signed", "not signed", lambda keys, document: keys.run(
        "--local-user", "good", "--armor", "--sign", data=text(document))),
    Case("another image's", "document of another image",
         saying(uri="http://store.example/api/images/1")),
    Case("past its expiry", "it expired on 2021", saying(expires="2021-01-01T00:00:00Z")),
    Case("from the future", "clocks is wrong", saying(published="2098-01-01T00:00:00Z")),
    Case("huge", "larger than the 1048576", saying(tags=["x" * 1000] * 1100)),
    Case("many values", "more values", saying(tags=[[]] * 110_000)),
    Case("deep", "nested too deeply", verbatim(lambda _: b'{"a":' * 9000 + b"1" + b"}" * 9000)),
    Case("a name twice", "twice", verbatim(lambda t: t[:-1] + b', "serial": 9}')),
    Case("NaN", "NaN", verbatim(lambda t: t[:-1] + b', "x": NaN}')),
    Case("no JSON", "not valid JSON", verbatim(lambda t: t[:-1])),
    Case("wrong type", "'serial' must be", saying(serial="1")),
    Case("lone surrogate", "half a character", saying(title="\ud800")),
    Case("no files", "names no image", saying(files=[])),
    Case("file:", "'url' must be", saying(files=[{"kind": "image", "url": "file:///etc/passwd",
                                                  "sha256": "a" * 64, "size-in-bytes": 1}])),
    Case("markup", "", saying(**MARKUP)),
]  # fmt: skip


@pytest.fixture
def keyring(tmp_path: Path, keys: Signer) -> Path:
    past = ["--faked-system-time", "20200101T000000!"]
    keys.run(*past, "--quick-gen-key", "expired", "ed25519", "sign", "1d")
    keys.run("--quick-gen-key", "weak", "rsa2048", "sign", "1y")
    file = tmp_path / "keyring.gpg"
    file.touch(mode=0o600)
    return file


def finish(keyring: Path, keys: Signer) -> None:
    """Revoke what is to be revoked, after it has signed, and write the keyring."""
    made = keys.home / "openpgp-revocs.d" / f"{keys.fingerprint('revoked')}.rev"
    keys.run("--import", data=made.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
    keyring.write_bytes(keys.export("good", "expired", "weak", "revoked"))


def test_what_must_not_be_believed_is_refused_with_its_reason_and_nothing_is_registered(
    tmp_path: Path,
    keys: Signer,
    keyring: Path,
) -> None:
    with FaultyServer() as server:
        api_url, pages = server.url("/api"), Turns()
        documents = {}
        for number, case in enumerate(CASES):
            uri = f"{api_url}/images/{number}"
            fault = Fault(case.kind, tally.REFUSED)
            documents[uri] = describe(uri, f"{api_url}/file", fault)
            pages[f"/api/images/{number}"] = Page(case.message(keys, documents[uri]))
        finish(keyring, keys)
        older = f"{api_url}/images/older"
        documents[older] = describe(older, f"{api_url}/none", Fault("older", tally.REFUSED))
        pages.turns["/api/images/older"] = [
            Page(saying(serial=5)(keys, documents[older])),
            Page(by("good")(keys, documents[older])),
        ]
        dressed = {name.replace("_", "-"): value for name, value in MARKUP.items()}
        documents[f"{api_url}/images/{len(CASES) - 1}"].update(dressed)
        pages["/api/file"] = Page(BODY)
        pages["/api/dashboard"] = Page(text({"images": list(documents.values())}))
        server.pages = pages
        daemon = Daemon(
            tmp_path,
            f"--api-url={api_url}",
            f"--fake-eucalyptus={SECRET}",
            f"--keyring={keyring}",
            "--max-installs=8",
            "--debug",
        )
        time.sleep(1.1)  # until the signature that lasts a second is over
        daemon.start()
        try:
            for uri in documents:
                daemon.act(uri, "install")
            states = at_rest(daemon, list(documents))
            assert "no such file" in states[older]["error-message"]
            daemon.act(older, "clear-error")
            daemon.act(older, "install")
            states = at_rest(daemon, list(documents))
            wrong = []
            for case, state in zip(CASES, states.values(), strict=False):
                told = _judged(case, state)
                tally.record(f"signed: {case.kind}", told)
                if told not in tally.GOOD:
                    wrong.append(f"{case.kind}: {told}: {state.get('error-message')}")
            assert not wrong
            assert "its serial is 1, but 5 was seen before" in states[older]["error-message"]
            tally.record("signed: older serial", tally.REFUSED)
            _check_markup(daemon, f"{api_url}/images/{len(CASES) - 1}")
            for uri, state in states.items():
                if "clear-error" in state["actions"]:
                    daemon.act(uri, "clear-error")
            sound = [case for case in CASES if not case.words]
            assert len(fake_cloud(daemon)().registered) == len(sound)
            assert problems(daemon, fake_cloud(daemon)) == []
            assert not said_500(daemon)
            daemon.end()
        finally:
            if daemon.running and daemon.running.poll() is None:
                daemon.end(signal.SIGKILL)


def _judged(case: Case, state: dict[str, Any]) -> str:
    if not case.words:
        return tally.INSTALLED if state["status"] == "installed" else "not installed"
    if state["status"] == "installed":
        return "installed all the same"
    message = str(state.get("error-message", ""))
    if case.words not in message or "Traceback" in message:
        return "the cause is not named"
    return tally.REFUSED if state["image-uri"] in message else "the URL is not named"


def _check_markup(daemon: Daemon, uri: str) -> None:
    """What a browser takes for text arrives as it is, and what it takes for HTML is harmless."""
    images = daemon.proxy.get("/api/dashboard")["images"]
    image = next(one for one in images if one["uri"] == uri)
    assert (image["title"], image["summary"]) == (SCRIPT, SCRIPT)
    assert "bold" in image["description-html"]
    assert "<script" not in image["description-html"]
    assert "onclick" not in image["description-html"]
    assert "javascript:" not in json.dumps([image.get("icon-uri"), image["provider"]])
    tally.record("signed: markup", tally.SERVED)

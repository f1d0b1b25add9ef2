"""A browser's session with the real daemon: over HTTP and TLS, and over a restart."""

from __future__ import annotations

import gzip
import json
import secrets
import sqlite3
import ssl
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from imagestoreproxy.model.signing import signed_pairs
from tests.functional.ports import free_port
from tests.functional.rig import CLIENT_ID, SECRET, Rig, fake_rig
from tests.functional.test_site_tls import self_signed

FORM = "application/x-www-form-urlencoded;charset=UTF-8"


@dataclass
class Browser:
    """Keeps cookies, and asks as the page does.

    Attributes:
        tls: how the certificate is checked; None: without TLS.
    """

    port: int
    tls: ssl.SSLContext | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    attributes: str = ""
    csrf_token: str = ""

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def connect(self) -> HTTPConnection:
        if self.tls is None:
            return HTTPConnection("localhost", self.port, timeout=20)
        return HTTPSConnection("localhost", self.port, timeout=20, context=self.tls)

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, self._headers(headers))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        for given in response.headers.get_all("set-cookie", []):
            self.attributes = given
            for name, morsel in SimpleCookie(given).items():
                self.cookies[name] = morsel.value
        return response, content

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scheme = "https" if self.tls else "http"
        found = {
            "Sec-Fetch-Site": "same-origin",
            "Origin": f"{scheme}://{self.host}",
            "Content-Type": FORM,
            "X-CSRF-Token": self.csrf_token,
            "Cookie": cookie,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        return {name: value for name, value in found.items() if value}

    def get(self, path: str, status: int = 200, **headers: str) -> dict[str, Any]:
        response, content = self.ask("GET", path, **headers)
        assert response.status == status, content
        return dict(json.loads(content))

    def post(self, path: str, status: int = 200, body: str = "", **headers: str) -> dict[str, Any]:
        response, content = self.ask("POST", path, body, **headers)
        assert response.status == status, content
        return dict(json.loads(content))

    def log_in(self, secret: str = SECRET, status: int = 200) -> dict[str, Any]:
        pairs = signed_pairs(
            secret,
            CLIENT_ID,
            "POST",
            self.host,
            "/api/session",
            [],
            now_s=time.time(),
            nonce=str(secrets.randbits(63)),
        )
        answer = self.post("/api/session", status, urlencode(pairs))
        self.csrf_token = answer.get("session", {}).get("csrf-token", "")
        return answer


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    with fake_rig(tmp_path, images) as running:
        yield running


def test_a_session_reads_acts_outlives_a_restart_and_ends(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    assert "signature" in browser.log_in("wrong", 401)["error-message"]
    browser.log_in()
    assert set(browser.cookies) == {f"image-store-{browser.port}"}
    wanted = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"
    assert browser.attributes.endswith(wanted)
    uri = browser.get("/api/dashboard?brief=1&count=1")["images"][0]["uri"]
    actions = browser.post("/api/states", body=urlencode({"image-uri": uri}))["states"][0]
    install = actions["actions"]["install"].partition(str(browser.port))[2]
    browser.post(install, 403, X_CSRF_Token="wrong")
    assert browser.post(install)["state"]["status"] in {"downloading", "installing"}
    rig.daemon.wait(uri, "installed")

    (token,) = browser.cookies.values()
    with sqlite3.connect(f"file:{rig.daemon.data_dir}/state.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT digest FROM sessions").fetchall()
    assert rows == [(sha256(token.encode()).hexdigest(),)]
    for file in rig.daemon.data_dir.glob("state.db*"):
        with suppress(FileNotFoundError):  # the copy that is being made gets another name
            assert token.encode() not in file.read_bytes()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in rig.daemon.said()
    assert browser.csrf_token not in rig.daemon.said()

    before = browser.get("/api/session")
    rig.daemon.end()
    rig.daemon.start()
    assert browser.get("/api/session") == before
    # At once: a session has no need to prove that it is not from before the start.
    path = actions["actions"]["install"].rpartition("/")[0].partition(str(browser.port))[2]
    assert browser.post(f"{path}/uninstall")["state"]["image-uri"] == uri
    browser.post("/api/session/end")
    browser.get("/api/session", 401)
    rig.daemon.end()
    rig.daemon.start()
    browser.get("/api/session", 401)


def test_another_secret_key_ends_all_sessions(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    browser.log_in()
    rig.daemon.end()
    rig.daemon.command = [option.replace(SECRET, "another-secret") for option in rig.daemon.command]
    rig.daemon.start()
    assert "Log in again" in browser.get("/api/session", 401)["error-message"]


def test_a_stream_of_a_session_is_told_of_changes_and_ends_with_it(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    browser.log_in()
    stream = browser.connect()
    stream.request("GET", "/api/events", headers=browser._headers({}))
    events = stream.getresponse()
    assert events.status == 200
    assert events.headers["content-type"] == "text/event-stream"
    assert events.headers["content-encoding"] is None
    assert events.readline().startswith(b"retry:")
    browser.post("/api/session/end")
    assert b"event: states" in events.read()
    stream.close()


def test_the_page_is_there_for_everybody(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    response, content = browser.ask("GET", "/")
    assert response.status == 200
    assert b"<html" in content
    assert "default-src 'none'" in response.headers["content-security-policy"]
    response, packed = browser.ask("GET", "/page/index.html", Accept_Encoding="gzip")
    is_packed = response.headers["content-encoding"] == "gzip"
    assert (gzip.decompress(packed) if is_packed else packed) == content
    response, nothing = browser.ask("GET", "/", If_None_Match=response.headers["etag"])
    assert (response.status, nothing) == (304, b"")
    response, nothing = browser.ask("HEAD", "/")
    assert (response.status, nothing) == (200, b"")
    assert int(response.headers["content-length"]) == len(content)


def test_a_packed_answer_unpacks_to_the_bytes_of_the_plain_one(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    browser.log_in()
    _, plain = browser.ask("GET", "/api/dashboard")
    response, packed = browser.ask("GET", "/api/dashboard", Accept_Encoding="gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain)


@pytest.fixture
def over_tls(tmp_path: Path, images: Path) -> Iterator[Browser]:
    """A browser that trusts a daemon which listens with TLS."""
    pem = tmp_path / "both.pem"
    pem.touch(mode=0o600)
    pem.write_bytes(self_signed(tmp_path / "ca.pem"))
    port = free_port()
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    option = f"--listen=ssl:{port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    with fake_rig(tmp_path, images, option):
        yield Browser(port, trusting)


def test_over_tls_the_cookie_is_only_sent_over_tls(over_tls: Browser) -> None:
    over_tls.log_in()
    assert over_tls.attributes.endswith("; Secure")
    assert set(over_tls.cookies) == {f"__Host-image-store-{over_tls.port}"}
    assert over_tls.get("/api/session")["session"]["client-id"] == CLIENT_ID
    over_tls.get("/api/session", 403, Origin=f"http://{over_tls.host}")
    over_tls.post("/api/session/end")
    assert over_tls.get("/api/session", 401)


def test_behind_an_external_url_with_https_the_cookie_is_secure(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images, "--external-url=https://store.example") as rig:
        browser = Browser(rig.daemon.port)
        browser.log_in()
        assert browser.attributes.endswith("; Secure")
        assert browser.get("/api/session", Origin="https://store.example")["session"]


def test_a_cookie_of_a_proxy_on_another_port_is_none_of_ours(rig: Rig) -> None:
    browser = Browser(rig.daemon.port)
    browser.log_in()
    (token,) = browser.cookies.values()
    browser.cookies = {"image-store-1": token}
    browser.get("/api/session", 401)

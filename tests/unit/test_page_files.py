"""The web page's files are there for everybody, with the headers that keep it safe."""

# mypy: allow-untyped-calls

from __future__ import annotations

import gzip
from importlib import resources

import pytest

from imagestoreproxy.web.pagefiles import UNSIGNED_PAGE, read_page
from tests.unit.logins import Browser
from tests.unit.memory_store import MemorySite, Reply

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
FOLDER = resources.files("imagestoreproxy.web").joinpath("page")
FILES = {file.name: file.read_bytes() for file in FOLDER.iterdir()}
PATHS = {"/": "index.html", **{f"/page/{name}": name for name in FILES}}


def ask(path: str, method: str = "GET", **headers: str) -> Reply:
    site = MemorySite()
    wire = site.wire()
    wire.send(Browser(site).raw(method, path, headers))
    if method != "HEAD":
        return wire.reply()
    head = bytes(wire.transport.value())
    assert head.endswith(b"\r\n\r\n")
    return Reply(int(head.split()[1]), dict(_fields(head)), b"")


def _fields(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


def test_every_file_of_the_folder_is_served_and_nothing_else_is_there() -> None:
    assert set(read_page()) == set(FILES)
    assert all(UNSIGNED_PAGE.fullmatch(path.encode()) for path in PATHS)
    assert ask("/page/nothing.js").status == 404
    for path in ("/page", "/page/", "/page/../auth.py", "/page/%2e%2e/auth.py", "/page//x"):
        assert ask(path).status == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_file_comes_whole_and_with_all_headers(path: str) -> None:
    reply = ask(path)
    assert (reply.status, reply.body) == (200, FILES[PATHS[path]])
    kind = reply.headers.pop("content-type")
    assert kind != "application/json"
    assert kind.startswith("text/") is kind.endswith("; charset=utf-8")
    for name, value in {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
        "vary": "accept-encoding",
    }.items():
        assert reply.headers[name] == value
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("path", PATHS)
def test_the_head_of_a_file_is_that_of_the_file(path: str) -> None:
    head, whole = ask(path, "HEAD"), ask(path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers == whole.headers


@pytest.mark.parametrize("path", PATHS)
def test_who_takes_gzip_gets_the_same_bytes_and_the_same_tag(path: str) -> None:
    reply = ask(path, Accept_Encoding="br, gzip")
    plain = ask(path)
    if reply.headers.get("content-encoding") == "gzip":
        assert gzip.decompress(reply.body) == plain.body
    else:
        assert reply.body == plain.body
    assert reply.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize("form", ["{}", '"x", {}', "{} ,x"])
def test_who_has_the_file_is_told_that_it_is_the_same(form: str) -> None:
    tag = ask("/").headers["etag"]
    for given in (tag, tag.removeprefix("W/")):
        raw = MemorySite()
        wire = raw.wire()
        wire.send(Browser(raw).raw("GET", "/", {"If-None-Match": form.format(given)}))
        head = bytes(wire.transport.value())
        assert head.startswith(b"HTTP/1.1 304 ")
        assert head.endswith(b"\r\n\r\n")
        assert b"Content-Security-Policy" in head
        assert b"Connection: close" not in head
    assert ask("/", If_None_Match='"another"').status == 200


def test_only_get_and_head_are_possible() -> None:
    site = MemorySite()
    browser = Browser(site)
    browser.log_in()
    assert (browser.post("/").status, browser.post("/page/index.html").status) == (405, 405)
    assert browser.post("/").headers["allow"] == "GET, HEAD"


def test_a_client_that_signs_finds_no_page_but_json() -> None:
    for path in PATHS:
        assert MemorySite().get(path).status == 404


def test_a_stranger_gets_the_whole_page_over_one_connection() -> None:
    wire = MemorySite().wire()
    for method, path in (("GET", "/"), ("HEAD", "/page/main.js"), ("GET", "/page/style.css")):
        wire.transport.clear()
        wire.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = bytes(wire.transport.value()).partition(b"\r\n\r\n")[0].lower()
        assert head.startswith(b"http/1.1 200 ")
        assert b"connection: close" not in head
    wire.transport.clear()
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"connection: close" in bytes(wire.transport.value()).lower()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nG",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" * 1000,
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" * 1000,
    ],
)
def test_a_stranger_who_asks_for_much_at_once_gets_one_answer(sent: bytes) -> None:
    wire = MemorySite().wire()
    wire.send(sent)
    assert wire.reply().headers["connection"] == "close"

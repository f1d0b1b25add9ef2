"""The server bounds whatever comes in, and whatever goes out is a JSON object."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from imagestoreproxy.web.site import Limits
from tests.unit.memory_store import KARMIC, MemorySite, Wire, action_path
from tests.unit.test_api import logged

__all__ = ["logged"]

HEAD = b"POST /api/states HTTP/1.1\r\nHost: localhost\r\n"


def refused(site: MemorySite, raw: bytes, status: int) -> Wire:
    """Check that it is refused in JSON, and the connection given up soon after."""
    wire = site.wire()
    wire.send(raw)
    reply = wire.reply()
    assert reply.status == status
    assert reply.json.keys() == {"error-message"}
    assert reply.headers["connection"] == "close"
    assert not wire.transport.disconnecting
    wire.send(b"x" * 100_000 + b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(wire.replies()) == 1
    site.reactor.advance(2)
    assert wire.transport.disconnecting
    return wire


def test_a_body_that_is_too_long_is_refused_before_it_is_read() -> None:
    site = MemorySite()
    for extra in (b"", b"Expect: 100-continue\r\n"):
        refused(site, HEAD + extra + b"Content-Length: 1048577\r\n\r\n" + b"a" * 5, 413)


def test_a_body_in_chunks_is_refused_once_it_is_too_long() -> None:
    site = MemorySite()
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    refused(site, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 33, 413)
    wire = site.wire()
    wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(31):
        wire.send(chunk)
    assert wire.replies() == []
    wire.send(chunk)
    wire.send(b"0\r\n\r\n")
    assert [reply.status for reply in wire.replies()] == [413]


def test_a_body_may_come_in_chunks() -> None:
    site = MemorySite()
    head, _, body = site.signed("POST", "/api/states").partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunks = b"5\r\n" + body[:5] + b"\r\n%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n"
    raw = b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", chunks])
    assert site.ask(raw).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n",
        b"GET\r\n",
        b"GET /\xff HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 17000 + b"\r\n\r\n",
        b"GET /" + b"y" * 17000 + b" HTTP/1.1\r\n\r\n",
        b"GET /" + b"y" * 40000,
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_json(raw: bytes) -> None:
    refused(MemorySite(), raw, 400)


def test_too_many_parameters_are_refused() -> None:
    site = MemorySite(limits=Limits(parameters=20))
    assert site.post("/api/states", pairs=[("image-uri", KARMIC)] * 13).status == 200
    reply = site.post("/api/states", pairs=[("image-uri", KARMIC)] * 14)
    assert reply.status == 413
    assert "20 parameters" in reply.error


def test_one_connection_carries_many_requests_in_order() -> None:
    site = MemorySite()
    wire = site.wire()
    gate: Deferred[None] = Deferred()
    site.store.gate = gate
    wire.send(
        site.signed("GET", "/api/search", pairs=[("q", "karmic")])
        + site.signed("POST", "/api/states")
        + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert wire.replies() == []
    gate.callback(None)
    first, second, third = wire.replies()
    assert "sections" in first.json
    assert second.json == {"states": []}
    assert third.json == {"status": "ok"}
    assert not wire.transport.disconnecting


def test_an_idle_connection_is_closed_and_one_that_waits_for_an_answer_is_not() -> None:
    site = MemorySite()
    gate: Deferred[None] = Deferred()
    site.store.gate = gate
    idle, waiting = site.wire(), site.wire()
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    waiting.send(site.signed("GET", "/api/dashboard"))
    site.reactor.advance(29)
    assert not idle.transport.disconnecting
    site.reactor.advance(1.1)
    assert idle.transport.disconnecting
    assert not waiting.transport.disconnecting
    site.reactor.advance(16)
    assert idle.transport.aborted
    gate.callback(None)
    assert waiting.reply().status == 200
    site.reactor.advance(31)
    assert waiting.transport.disconnecting


def test_p3_a_request_that_trickles_in_is_given_up() -> None:
    site = MemorySite()
    wire = site.wire()
    for _ in range(31):
        wire.send(b"G")
        site.reactor.advance(1)
    assert wire.transport.disconnecting


def test_connections_are_counted_and_one_too_many_is_closed_at_once() -> None:
    site = MemorySite(limits=Limits(connections=2))
    first, second = site.wire(), site.wire()
    assert site.site.buildProtocol(None) is None
    first.lose()
    assert site.wire().channel
    assert site.site.buildProtocol(None) is None
    second.lose()
    assert site.site.open_connections == 1


def test_no_answer_names_a_version_or_may_be_stored() -> None:
    for reply in (MemorySite().get("/api/dashboard"), MemorySite().ask(b"x\r\n")):
        assert reply.headers["server"] == "image-store-proxy"
        assert reply.headers["content-type"] == "application/json"
    headers = MemorySite().get("/api/dashboard").headers
    assert headers["cache-control"] == "no-store"
    assert headers["date"] == "Wed, 18 Nov 2026 11:06:40 GMT"


def test_a_closed_connection_is_no_longer_timed() -> None:
    site = MemorySite()
    wire = site.wire()
    wire.send(HEAD)
    wire.lose()
    assert site.reactor.getDelayedCalls() == []


def test_no_signature_nonce_or_query_reaches_the_log(logged: list[LogEvent]) -> None:
    site = MemorySite()
    site.site.startFactory()
    site.get("/api/search", pairs=[("q", "private-words")], nonce="1122334455")
    site.get("/api/search", secret="wrong", nonce="1122334466")
    site.post(action_path(KARMIC, "install"), nonce="1122334477")
    site.store.trouble = ZeroDivisionError()
    site.get("/api/search", pairs=[("q", "private-words")], nonce="1122334488")
    site.site.stopFactory()
    assert any("/api/search" in str(event) for event in logged)
    for event in logged:
        text = str(
            {key: value for key, value in event.items() if not key.startswith("log_failure")}
        )
        for private in ("Signature", "11223344", "private-words"):
            assert private not in text


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda b: HEAD + b),
        st.binary(max_size=100).map(lambda b: b"GET /" + b + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        st.binary(max_size=100).map(lambda b: HEAD + b"Content-Length: 9\r\n\r\n" + b),
        st.binary(max_size=60).map(lambda b: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b),
    ),
    st.integers(1, 50),
)
def test_no_bytes_on_the_wire_get_anything_but_refusals_in_json(raw: bytes, size: int) -> None:
    wire = MemorySite().wire()
    for start in range(0, len(raw), size):
        wire.send(raw[start : start + size])
    for reply in wire.replies():
        assert reply.status in {400, 401, 405, 413}
        assert reply.body == b"" or reply.error

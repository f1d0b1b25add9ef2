"""The server bounds whatever comes in, and whatever goes out is a JSON object."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from imagestoreproxy.web.connections import client_of
from imagestoreproxy.web.pages.api import STATES_AT_ONCE
from imagestoreproxy.web.site import Limits
from tests.unit.logins import Browser
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


def test_as_many_parameters_as_images_may_be_asked_for_are_taken() -> None:
    pairs = [("image-uri", f"http://x/{n}") for n in range(STATES_AT_ONCE)]
    assert MemorySite().post("/api/states", pairs=pairs).status == 200


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
    )
    assert wire.replies() == []
    gate.callback(None)
    first, second = wire.replies()
    assert "sections" in first.json
    assert second.json == {"states": []}
    assert not wire.transport.disconnecting


def test_strangers_get_one_answer_for_a_connection() -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for first, status in ((health, 200), (b"GET /api/dashboard HTTP/1.1\r\nHost: a\r\n\r\n", 401)):
        site = MemorySite()
        wire = site.wire()
        wire.send(site.signed("POST", "/api/states") + (first + health) * 500)
        assert [reply.status for reply in wire.replies()] == [200, status]
        assert wire.replies()[-1].headers["connection"] == "close"
        assert wire.transport.disconnecting


def test_an_idle_connection_is_closed_and_one_that_waits_for_an_answer_is_not() -> None:
    site = MemorySite()
    gate: Deferred[None] = Deferred()
    site.store.gate = gate
    idle, waiting = site.wire(), site.wire()
    idle.send(site.signed("POST", "/api/states"))
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


def busy(site: MemorySite, host: str = "") -> Wire:
    """Open a connection on which a signed request is being answered."""
    if site.store.gate is None:
        site.store.gate = Deferred()
    wire = site.wire(host)
    wire.send(site.signed("GET", "/api/dashboard"))
    assert wire.replies() == []
    return wire


def test_the_connection_that_waited_longest_gives_way_to_a_new_one() -> None:
    site = MemorySite(limits=Limits(connections=3))
    kept = busy(site)
    first, second = site.wire(), site.wire()
    first.send(site.signed("POST", "/api/states"))
    site.wire()
    # The first waits since it was answered, the second since it was opened.
    assert (kept.transport.aborted, first.transport.aborted, second.transport.aborted) == (
        False,
        False,
        True,
    )
    second.lose()
    assert len(site.site.connections) == 3
    site.wire()
    assert first.transport.aborted
    assert site.store.gate is not None
    site.store.gate.callback(None)
    assert kept.reply().status == 200


def test_a_new_connection_is_closed_at_once_while_all_others_are_busy() -> None:
    site = MemorySite(limits=Limits(connections=2))
    first, _second = busy(site), busy(site)
    assert site.site.buildProtocol(None) is None
    first.lose()
    assert site.wire().channel
    assert len(site.site.connections) == 2


def test_one_address_leaves_room_for_others_and_a_flood_of_it_hurts_itself_alone() -> None:
    site = MemorySite(limits=Limits(connections=10, connections_of_one=4))
    other = site.wire("10.0.0.2")
    local = site.wire()
    flood = [site.wire("10.0.0.1") for _ in range(100)]
    assert len(site.site.connections) == 6
    assert sum(wire.transport.aborted for wire in flood) == 96
    for wire in (other, local, flood[-1]):
        assert not wire.transport.aborted
        wire.send(site.signed("POST", "/api/states"))
        assert wire.reply().status == 200
    for wire in (*flood, other, local):
        wire.lose()
    assert len(site.site.connections) == 0


def test_a_network_of_ipv6_addresses_is_one_client() -> None:
    def client(host: str) -> str:
        return client_of(IPv6Address("TCP", host, 1))

    assert client("2001:db8::1") == client("2001:db8::2:3:4:5%eth0") != client("2001:db8:0:1::1")
    assert client("::ffff:10.0.0.1") == client_of(IPv4Address("TCP", "10.0.0.1", 5)) == "10.0.0.1"
    assert client_of(UNIXAddress(b"/run/x")) == client_of(None) == ""


def test_a_client_that_does_not_take_its_last_answer_is_given_up() -> None:
    site = MemorySite()
    wire = site.wire()
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    site.reactor.advance(29)
    assert not wire.transport.aborted
    site.reactor.advance(1)
    assert wire.transport.aborted


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


@cache
def page_body() -> bytes:
    return Browser(MemorySite()).get("/").body


@settings(max_examples=200, deadline=None)
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
def test_no_bytes_on_the_wire_get_anything_but_the_page_and_refusals_in_json(
    raw: bytes, size: int
) -> None:
    wire = MemorySite().wire()
    for start in range(0, len(raw), size):
        wire.send(raw[start : start + size])
    page = page_body()
    for reply in wire.replies():
        if reply.body == page:
            continue
        # Below "/page/" there may be nothing of that name.
        assert reply.status in {400, 401, 404, 405, 413}
        assert reply.body == b"" or reply.error

"""Hostile requests: never an exception, never a 500, always JSON, and nothing done unsigned."""

from __future__ import annotations

import gc
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, TypeVar, cast
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from imagestoreproxy.model.signing import Pair, signed_pairs
from imagestoreproxy.web.site import Limits
from tests.faults import tally
from tests.functional.reactor_thread import in_reactor
from tests.functional.test_site_cli import Server
from tests.unit.memory_store import (
    CLIENT,
    KARMIC,
    LUCID,
    NOW_S,
    MemorySite,
    Reply,
    Wire,
    action_path,
    raw_request,
)
from tests.unit.test_auth import vector_bytes, vector_site
from tests.unit.test_signing import vectors

T = TypeVar("T")

ROUND = 300
UNSIGNED_STATUSES = {400, 401, 403, 405, 413}
STATUSES = UNSIGNED_STATUSES | {200, 404, 429, 503}
PATHS = [
    ("GET", "/api/dashboard"),
    ("GET", "/api/search"),
    ("POST", "/api/states"),
    ("POST", "/api/reconcile"),
    ("GET", "/readyz"),
    ("GET", action_path(KARMIC)),
    ("POST", action_path(KARMIC, "install")),
    ("POST", action_path(LUCID, "uninstall")),
]


@pytest.fixture(autouse=True)
def nothing_unforeseen() -> Iterator[None]:
    """No failure may reach the log."""
    failures: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    # What earlier tests have left, and nobody heard of, is told now or never.
    gc.collect()
    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield
    globalLogPublisher.removeObserver(observer)
    assert [event["log_failure"].getTraceback() for event in failures] == []


def fuzz(kind: str, examples: st.SearchStrategy[T], check: Callable[[T], None], end: str) -> None:
    """Try examples for as long as ``FAULTS_SECONDS`` says."""
    ends_s = time.monotonic() + tally.SECONDS
    sent, number, failed = 0, 0, False
    while time.monotonic() < ends_s:

        @seed(tally.SEED * 1_000_003 + number)
        @settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(examples)
        def once(example: T) -> None:
            nonlocal sent, failed
            if failed or time.monotonic() < ends_s:
                failed = True  # until it did not: what fails is made smaller, however long
                check(example)
                failed = False
                sent += 1

        once()
        number += 1
    tally.record(f"requests: {kind}", end, times=sent)


def sound(replies: Sequence[Reply], statuses: set[int]) -> None:
    """Check that each answer is a JSON object with one of these statuses."""
    for reply in replies:
        assert reply.status in statuses, reply
        assert reply.headers["content-type"] == "application/json"
        if reply.body:  # of HEAD only the head may be answered
            assert "error-message" in reply.json or reply.status == 200
            assert b"Traceback" not in reply.body


def sent_in_pieces(site: MemorySite, raw: bytes, size: int) -> Wire:
    wire = site.wire()
    for start in range(0, len(raw), size):
        wire.send(raw[start : start + size])
    return wire


words = st.sampled_from(
    [
        b"GET ", b"POST ", b"/api/states", b"/healthz", b"/readyz", b"?", b"&", b"=", b"%", b"%00",
        b"%ff", b"+", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\0", b"\xff",
        b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: Upgrade\r\n", b"Expect: 100-continue\r\n",
        b"Content-Type: application/x-www-form-urlencoded; charset=utf-7\r\n",
        b"Cookie: \xff=;\r\n",
        b"SignatureMethod=HmacSHA256", b"SignatureVersion=2", b"Version=2009-10-01", b"Nonce=1",
        b"ClientId=" + CLIENT.encode(), b"Expires=%d" % (NOW_S + 30), b"Signature=AAAA",
    ]
)  # fmt: skip
garbage = st.lists(st.one_of(words, st.binary(max_size=30)), max_size=40).map(b"".join)


def test_no_garbage_on_the_wire_is_answered_with_anything_but_a_refusal() -> None:
    def check(example: tuple[bytes, int]) -> None:
        site = MemorySite()
        wire = sent_in_pieces(site, *example)
        sound(wire.replies(), UNSIGNED_STATUSES | {200})
        assert site.store.acted == site.store.asked == []
        wire.lose()
        assert len(site.site.connections) == 0

    fuzz("garbage", st.tuples(garbage, st.integers(1, 400)), check, tally.REFUSED)


def mutated(raw: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Replace at each place so many bytes by others."""
    for place, length, new in changes:
        at = place % (len(raw) + 1)
        raw = raw[:at] + new + raw[at + length :]
    return raw


def test_a_signed_request_that_was_changed_does_nothing_but_what_was_signed() -> None:
    changes = st.lists(
        st.tuples(
            st.integers(0, 5000),
            st.sampled_from([0, 0, 1, 1, 2, 10, 100]),
            st.one_of(words, st.binary(max_size=4)),
        ),
        min_size=1,
        max_size=4,
    )

    def check(example: tuple[tuple[str, str], list[tuple[int, int, bytes]], int]) -> None:
        (method, path), how, size = example
        site = MemorySite()
        raw = site.signed(method, path, [("q", "é"), ("image-uri", KARMIC)])
        wire = sent_in_pieces(site, mutated(raw, how), size)
        sound(wire.replies(), STATUSES)
        action = path.rpartition("/")[2]
        signed = {"install": ("install", KARMIC), "uninstall": ("uninstall", LUCID)}
        may = [signed[action]] if action in signed else [("reconcile", "")] * ("recon" in path)
        assert site.store.acted in ([], may)

    examples = st.tuples(st.sampled_from(PATHS), changes, st.integers(1, 2000))
    fuzz("signed, then changed", examples, check, tally.REFUSED)


def test_whatever_is_signed_is_answered_in_json() -> None:
    text = st.text(max_size=30)
    path = st.one_of(
        st.sampled_from([path for _, path in PATHS]),
        st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=9)).map(
            lambda parts: "/api/images/" + "/".join(parts).replace("?", "")
        ),
    )
    names = st.one_of(text, st.sampled_from(["q", "image-uri", "Nonce", "Signature", "Expires"]))
    pairs = st.lists(st.tuples(names, text), max_size=12)

    def check(example: tuple[str, str, list[Pair]]) -> None:
        method, path, pairs = example
        clean = [(_plain(name), _plain(value)) for name, value in pairs]
        site = MemorySite()
        reply = site.ask(site.signed(method, path, clean))
        sound([reply], STATUSES)

    examples = st.tuples(st.sampled_from(["GET", "POST"]), path, pairs)
    fuzz("signed oddities", examples, check, tally.SERVED)


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def tampered(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Change each single part of a signed request; give what was changed, and the bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    method, target, version = first.split(b" ")
    path, _, query = target.partition(b"?")

    def made(path: bytes, form: bytes, headers: list[bytes], method: bytes = method) -> bytes:
        if method == b"GET":
            line, sent = path + b"?" + form, b""
        else:
            line, sent = path, form
        kept = [line for line in headers if not line.lower().startswith(b"content-length:")]
        length = [] if method == b"GET" else [b"Content-Length: %d" % len(sent)]
        lines = [b" ".join([method, line, version]), *kept, *length]
        return b"\r\n".join(lines) + b"\r\n\r\n" + sent

    form = query if method == b"GET" else body
    pairs = form.split(b"&")
    yield "method", made(path, form, headers, b"POST" if method == b"GET" else b"GET")
    yield "path", made(path + b"x", form, headers)
    yield "path case", made(path.swapcase() + b"X", form, headers)
    yield "path slash", made(path + b"/", form, headers)
    other = [line.replace(b": ", b": x", 1) if line.lower().startswith(b"host:") else line
             for line in headers]  # fmt: skip
    yield "host", made(path, form, other)
    for index, pair in enumerate(pairs):
        name, _, value = pair.partition(b"=")
        rest = (pairs[:index], pairs[index + 1 :])
        for what, new in (
            ("value", [name + b"=" + value + b"1"]),
            ("name", [name + b"x=" + value]),
            ("left out", []),
            ("twice", [pair, pair]),
        ):
            shown = name.decode("ascii", "replace")
            yield f"{what} of {shown}", made(path, b"&".join([*rest[0], *new, *rest[1]]), headers)
    yield "added", made(path, form + b"&a=b", headers)
    yield "added before", made(path, b"a=b&" + form, headers)


def own_requests() -> Iterator[bytes]:
    for method, path in PATHS:
        if path == "/readyz":
            continue  # without a signature it is answered, too
        pairs = [("q", "a b&é~"), ("image-uri", KARMIC), ("image-uri", LUCID)]
        yield MemorySite().signed(method, path, pairs)


def test_h3_tampering_with_any_single_part_of_a_request_is_refused() -> None:
    count = 0
    for raw in own_requests():
        for what, changed in tampered(raw):
            site = MemorySite()
            reply = site.ask(changed)
            sound([reply], UNSIGNED_STATUSES)
            assert site.store.acted == site.store.asked == [], what
            count += 1
        assert MemorySite().ask(raw).status == 200
    tally.record("requests: one part tampered with", tally.REFUSED, times=count)


# The page itself is for everybody; of a request without a signature nothing else is heard.
PAGES = {"root_path", "empty_path"}
NO_SIGNATURE = {"name of Signature", "left out of Signature"}


@pytest.mark.parametrize("vector", vectors())
def test_h3_tampering_with_any_single_part_of_the_real_clients_requests_is_refused(
    vector: dict[str, Any],
) -> None:
    raw = vector_bytes(vector)
    count = 0
    for what, changed in tampered(raw):
        if vector["server_can_verify_with"] is not None and "twice of Signature" in what:
            continue  # the last one is the signature, the first a parameter that was not signed
        site = vector_site(vector)
        reply = site.ask(changed)
        if vector["name"] in PAGES and what in NO_SIGNATURE:
            assert reply.body == MemorySite().ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").body
        else:
            assert reply.status in UNSIGNED_STATUSES, what
            assert reply.error
        assert site.store.acted == site.store.asked == [], what
        count += 1
    tally.record("requests: one part tampered with", tally.REFUSED, times=count)


LIMITS = Limits(connections=60, connections_of_one=40, idle_s=5.0, linger_s=1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(LIMITS)
    in_reactor(server.start)
    yield server
    in_reactor(server.stop)


def connected(server: Server, source: str) -> socket.socket:
    return socket.create_connection(server.address, 20, (source, 0))


def poll(server: Server) -> None:
    """Poll as the Store tab does: a new connection, and the same bytes again if it was closed."""
    host = f"localhost:{server.address[1]}"
    nonce = str(secrets.randbits(63))
    uris = [("image-uri", f"http://store.example/{number}") for number in range(100)]
    pairs = signed_pairs(
        "SK", "AK", "POST", host, "/api/states", uris, now_s=time.time(), nonce=nonce
    )
    raw = raw_request("POST", "/api/states", pairs, host=host)
    for _ in range(4):
        with suppress(ConnectionError), connected(server, "127.0.0.1") as connection:
            connection.sendall(raw)
            if answer := _read(connection):
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 "), head
                assert len(json.loads(body)["states"]) == 100
                return
    raise AssertionError("four times closed without an answer")


def _read(connection: socket.socket) -> bytes:
    found = b""
    while block := connection.recv(65536):
        found += block
        head, separator, body = found.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        if separator and len(body) >= length:
            break
    return found


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_p3_signed_polls_go_on_while_silent_and_trickling_connections_pile_up(
    server: Server, source: str
) -> None:
    polls, count = 0, 300
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(connected(server, source))
            with suppress(ConnectionError):
                connection.sendall(
                    (b"", b"P", b"POST /api/states HTTP/1.1\r\nHost: a\r\n")[number % 3]
                )
            if number % 10 == 0:
                poll(server)
                polls += 1
        assert len(server.site.connections) <= LIMITS.connections_of_one + 5
    tally.record("requests: silent or trickling connection", tally.REFUSED, times=count)
    tally.record("requests: signed poll meanwhile", tally.SERVED, times=polls)


def flood_bytes() -> list[bytes]:
    """What strangers send: nothing signed, long lists, and a forged signature of a known client."""
    forged = signed_pairs(
        "wrong", "AK", "POST", "a", "/api/states",
        [("image-uri", f"http://x/{n}") for n in range(500)], now_s=time.time(), nonce="1",
    )  # fmt: skip
    unsigned = "&".join(f"image-uri={quote_plus(f'http://x/{n}')}" for n in range(5000))
    head = f"POST /api/states HTTP/1.1\r\nHost: a\r\nContent-Length: {len(unsigned)}\r\n\r\n"
    health = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    return [
        b"GET /api/dashboard HTTP/1.1\r\nHost: a\r\n\r\n",
        (head + unsigned).encode(),
        raw_request("POST", "/api/states", forged, host="a"),
        health * 1000,
        b"\xff" * 40_000,
        b"POST /api/states HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n",
    ]


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_p3_signed_polls_go_on_while_strangers_flood(server: Server, source: str) -> None:
    ends_s = time.monotonic() + tally.SECONDS
    counts: list[int] = []

    def flood(number: int) -> None:
        kinds, sent = flood_bytes(), 0
        while time.monotonic() < ends_s:
            with suppress(OSError), connected(server, source) as connection:
                connection.sendall(kinds[(sent + number) % len(kinds)])
                connection.recv(4096)
            sent += 1
        counts.append(sent)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    polls = 0
    try:
        while time.monotonic() < ends_s:
            poll(server)
            polls += 1
    finally:
        for thread in threads:
            thread.join(30)
    assert len(counts) == len(threads)
    poll(server)
    tally.record("requests: flood of strangers", tally.REFUSED, times=sum(counts))
    tally.record("requests: signed poll meanwhile", tally.SERVED, times=polls)

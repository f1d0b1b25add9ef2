"""Long answers are sent as gzip to those who say that they take it, and to nobody else."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from imagestoreproxy.web.packing import FROM_BYTES, PIECE_BYTES, names_gzip, packed
from tests.unit.logins import Browser
from tests.unit.memory import MemoryClock, result
from tests.unit.memory_store import MemorySite, Reply


def asked(site: MemorySite, raw: bytes, accepted: str = "gzip") -> Reply:
    return site.ask(raw.replace(b"\r\n", f"\r\nAccept-Encoding: {accepted}\r\n".encode(), 1))


def long_site() -> MemorySite:
    site = MemorySite()
    for uri, info in site.store.images.items():
        object.__setattr__(info, "summary", f"{uri} " * 40)
    return site


@pytest.mark.parametrize(
    ("header", "is_named"),
    [
        (b"gzip", True),
        (b"deflate, gzip;q=1.0, *;q=0.5", True),
        (b"br ,GZIP ; q=0.1", True),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000", False),
        (b"gzip;q=x", False),
        (b"xgzip, x-gzip, gzipx", False),
        (b"*", False),
        (b"identity", False),
        (b"", False),
    ],
)
def test_gzip_must_be_named(header: bytes, is_named: bool) -> None:
    assert names_gzip([b"x", header]) is is_named
    assert names_gzip([]) is False


def test_a_long_answer_unpacks_to_the_same_bytes() -> None:
    site = long_site()
    plain = site.get("/api/dashboard")
    assert len(plain.body) >= FROM_BYTES
    assert {"content-encoding", "vary"}.isdisjoint(plain.headers)
    reply = asked(site, site.signed("GET", "/api/dashboard"))
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["vary"] == "accept-encoding"
    assert reply.headers["content-type"] == "application/json"
    assert gzip.decompress(reply.body) == plain.body
    assert len(reply.body) < len(plain.body)
    refused = asked(site, site.signed("GET", "/api/dashboard"), "gzip;q=0")
    assert refused.body == plain.body


def test_a_short_answer_stays_as_it_is() -> None:
    site = MemorySite()
    reply = asked(site, site.signed("POST", "/api/states"))
    assert len(reply.body) < FROM_BYTES
    assert "content-encoding" not in reply.headers


def test_a_repeat_gets_what_it_can_read() -> None:
    site = long_site()
    raw = site.signed("GET", "/api/dashboard")
    first = asked(site, raw)
    assert site.ask(raw).body == gzip.decompress(first.body)
    assert "content-encoding" not in asked(site, raw).headers


def test_a_session_is_told_of_itself_in_the_clear() -> None:
    """Nothing that is packed holds a secret beside what others may have put there."""
    browser = Browser(MemorySite())
    browser.log_in()
    assert "content-encoding" not in browser.get("/api/session", Accept_Encoding="gzip").headers


class Turns(MemoryClock):
    """Counts how often others had their turn."""

    count = 0

    def sleep(self, seconds: float) -> Deferred[None]:
        self.count += 1
        return succeed(None)


@given(st.integers(0, 3 * PIECE_BYTES), st.integers(0, 9))
def test_whatever_is_packed_is_one_gzip_of_it_and_others_have_their_turn(
    size: int, seed: int
) -> None:
    body = (b'{"a":%d}' % seed * (size // 7 + 1))[:size]
    clock = Turns()
    content = result(packed(body, clock))
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(content) == body
    assert unpacker.eof
    assert unpacker.unused_data == b""
    assert clock.count == max(0, -(-size // PIECE_BYTES) - 1)

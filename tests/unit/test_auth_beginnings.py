"""What is remembered of the forms of a client changes no answer, and strangers add nothing."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.signing import Pair, canonical, signed_pairs
from imagestoreproxy.web.entry import form
from imagestoreproxy.web.entry.auth import SignedTree
from imagestoreproxy.web.entry.claims import OF_SIGNING
from imagestoreproxy.web.entry.form import Beginnings
from tests.unit.memory_store import (
    CLIENT,
    KARMIC,
    LUCID,
    NOW_S,
    SECRET,
    MemorySite,
    Reply,
    raw_request,
)
from tests.unit.test_auth import vector_bytes, vector_site
from tests.unit.test_signing import vectors

ASKED = [("image-uri", LUCID), ("image-uri", KARMIC)]


def kept(site: MemorySite) -> int:
    return len(cast(SignedTree, site.site.resource).beginnings)


def send(site: MemorySite, pairs: list[Pair], *, encoding: str = "utf-8") -> Reply:
    body = "&".join(f"{n}={quote_plus(v, encoding=encoding)}" for n, v in pairs)
    head = f"POST /api/states HTTP/1.1\r\nHost: localhost:52780\r\nContent-Length: {len(body)}"
    return site.ask(f"{head}\r\n\r\n{body}".encode())


def signed(own: list[Pair], nonce: str, *, secret: str = SECRET) -> list[Pair]:
    return signed_pairs(
        secret, CLIENT, "POST", "localhost:52780", "/api/states", own, now_s=NOW_S, nonce=nonce
    )


@pytest.mark.parametrize("vector", vectors())
def test_a_request_of_the_real_client_is_answered_as_before_when_its_form_is_known(
    vector: dict[str, Any],
) -> None:
    fresh, known = vector_site(vector), vector_site(vector)
    first = fresh.ask(vector_bytes(vector))
    # Another signature over the same form: the beginning is known, the rest is not.
    tree = cast(SignedTree, known.site.resource)
    raw = vector["raw_query_or_body"].encode("ascii")
    for charset in ("utf-8", "iso8859-1"):
        try:
            tree.beginnings.keep(raw, charset)
        except CallerError:
            continue
    assert known.ask(vector_bytes(vector)).body == first.body


def test_the_second_poll_is_answered_as_the_first() -> None:
    site = MemorySite()
    first = site.post("/api/states", pairs=ASKED)
    assert (first.status, kept(site)) == (200, 1)
    assert site.post("/api/states", pairs=ASKED).body == first.body
    assert (site.post("/api/states", pairs=ASKED[:1]).status, kept(site)) == (200, 2)


def test_only_what_was_signed_rightly_is_kept() -> None:
    site = MemorySite()
    assert site.post("/api/states", pairs=ASKED, secret="wrong").status == 401
    assert site.post("/api/states", pairs=ASKED, client_id="nobody").status == 401
    assert kept(site) == 0


def test_a_known_beginning_lets_nothing_through_that_is_not_signed() -> None:
    site = MemorySite()
    assert site.post("/api/states", pairs=ASKED).status == 200
    assert site.post("/api/states", pairs=ASKED, secret="wrong").status == 401
    pairs = signed(ASKED, "9")
    # The signature of another form with the same beginning, and of another beginning.
    for changed in ([*pairs[:-1], ("x", "1"), pairs[-1]], [*pairs[1:]], pairs[:-1]):
        assert site.ask(raw_request("POST", "/api/states", changed)).status == 401
    assert site.ask(raw_request("POST", "/api/states", pairs)).status == 200


def test_a_replay_is_refused_also_when_the_form_is_known() -> None:
    site = MemorySite()
    assert site.post("/api/states", pairs=ASKED, nonce="5").status == 200
    assert site.post("/api/states", pairs=ASKED, nonce="5", host="localhost").status == 403
    assert site.post("/api/states", pairs=ASKED, now_s=NOW_S - 31).status == 401


@pytest.mark.parametrize("name", sorted(OF_SIGNING))
def test_a_beginning_with_a_name_of_signing_is_read_as_a_whole_each_time(name: str) -> None:
    site = MemorySite()
    for nonce in ("1", "2"):
        reply = send(site, signed([("image-uri", LUCID), (name, "other")], nonce))
        assert reply.status == 200
    assert kept(site) == 0


def test_what_is_no_ascii_is_read_in_the_charset_that_verifies_each_time() -> None:
    own = [("image-uri", "http://x/é"), ("image-uri", LUCID)]
    site = MemorySite()
    for nonce, encoding in enumerate(("latin-1", "utf-8", "latin-1", "utf-8")):
        reply = send(site, signed(own, str(nonce)), encoding=encoding)
        assert [state["image-uri"] for state in reply.json["states"]] == [LUCID]
    assert kept(site) == 2


def test_the_ones_not_used_for_longest_are_forgotten_and_long_ones_are_not_kept() -> None:
    beginnings = Beginnings(OF_SIGNING)
    for number in range(40):
        beginnings.keep(b"a=%d&SignatureMethod=x" % number, "utf-8")
        assert beginnings.split(b"a=0&SignatureMethod=y", "utf-8")[1] == b"SignatureMethod=y"
    assert len(beginnings) == 16
    assert beginnings.split(b"a=1&SignatureMethod=y", "utf-8")[1].startswith(b"a=1")
    for long in (b"a=" + b"x" * 70_000, b"a=&" * 1001):
        beginnings.keep(long + b"&SignatureMethod=x", "utf-8")
        assert not beginnings.split(long + b"&SignatureMethod=y", "utf-8")[0].pairs


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text("aZ-~é😀ﾞ&=+ ", max_size=3), st.text(max_size=4)), max_size=8),
    st.lists(st.tuples(st.text("aZ-~é😀ﾞ&=+ ", max_size=3), st.text(max_size=4)), max_size=4),
)
def test_what_is_signed_is_the_same_whether_the_beginning_is_known_or_not(
    own: list[Pair], added: list[Pair]
) -> None:
    pairs = [*own, ("SignatureMethod", "x"), *added]
    raw = "&".join(f"{q(n)}={q(v)}" for n, v in pairs).encode()
    beginnings = Beginnings(OF_SIGNING)
    beginnings.keep(raw, "utf-8")
    beginning, rest = beginnings.split(raw, "utf-8")
    parameters = form.parse(rest, "utf-8")
    whole = form.parse(raw, "utf-8")
    assert canonical([*beginning.ordered, *parameters]) == canonical(whole)
    named = [(p.name, p.value) for p in parameters]
    assert [*beginning.pairs, *named] == [(p.name, p.value) for p in whole]
    assert (beginning.is_ascii and form.plain(parameters)) == form.plain(whole)


def q(text: str) -> str:
    return quote_plus(text.encode("utf-8", "replace"))

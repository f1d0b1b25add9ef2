"""Nothing is reachable unsigned, and what the real client signs is let through."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.resource import Resource

from imagestoreproxy.model.signing import Pair, Parameter, signed_pairs
from imagestoreproxy.shop import Shop
from imagestoreproxy.web.entry import form
from imagestoreproxy.web.entry.auth import UNSIGNED_PATHS
from imagestoreproxy.web.entry.browser import Browsers
from imagestoreproxy.web.pagefiles import UNSIGNED_PAGE
from imagestoreproxy.web.pages.api import make_tree
from imagestoreproxy.web.ready import ReadyStates
from imagestoreproxy.web.streams import Streams
from tests.unit.memory_store import (
    CLIENT,
    KARMIC,
    NOW_S,
    SECRET,
    FixedClock,
    MemorySite,
    MemoryStore,
    Reply,
    action_path,
    raw_request,
)
from tests.unit.test_signing import vectors

REFUSED = {401, 403}
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "CONNECT", "get"]


def vector_site(vector: dict[str, Any]) -> MemorySite:
    site = MemorySite()
    site.keys[vector["client_id"]] = vector["secret"]
    site.clock.time_s = vector["expires"] - 30.0
    return site


def vector_bytes(vector: dict[str, Any]) -> bytes:
    body = "" if vector["method"] == "GET" else vector["raw_query_or_body"]
    head = "\r\n".join([vector["request_line"], *vector["headers"]])
    return f"{head}\r\n\r\n{body}".encode("ascii")


@pytest.mark.parametrize("vector", vectors())
def test_every_request_of_the_real_client_is_let_through_unless_nobody_could_verify_it(
    vector: dict[str, Any],
) -> None:
    reply = vector_site(vector).ask(vector_bytes(vector))
    assert reply.json
    if vector["server_can_verify_with"] is None:
        assert reply.status == 401
        assert "signature" in reply.error
    else:
        assert reply.status in {200, 404, 405}, reply.body
        paths = ("/api/dashboard ", "/api/dashboard?", "/api/search?")
        if vector["method"] == "GET" and vector["request_line"][4:].startswith(paths):
            assert reply.status == 200
            assert {"images", "states", "sections"} <= reply.json.keys()
        if vector["request_line"].startswith("POST /api/states "):
            assert reply.status == 200
            assert "states" in reply.json


@pytest.mark.parametrize("vector", vectors())
def test_h3_every_request_of_the_real_client_is_refused_once_it_has_expired(
    vector: dict[str, Any],
) -> None:
    site = vector_site(vector)
    site.clock.time_s = vector["expires"] + 61.0
    reply = site.ask(vector_bytes(vector))
    assert reply.status == 401
    if vector["server_can_verify_with"] is not None:
        assert "61 seconds ago" in reply.error
        assert str(vector["expires"] + 61) in reply.error


def test_the_parameters_handed_on_are_those_of_the_charset_that_verified() -> None:
    site = MemorySite()
    pairs = signed_pairs(
        SECRET,
        CLIENT,
        "POST",
        "localhost:52780",
        "/api/states",
        [("image-uri", "http://x/é"), ("image-uri", "http://x/e")],
        now_s=NOW_S,
        nonce="1",
    )
    form = "&".join(f"{n}={quote_plus(v, encoding='latin-1')}" for n, v in pairs)
    head = "POST /api/states HTTP/1.1\r\nHost: localhost:52780\r\nContent-Type: {}\r\n"
    rest = f"Content-Length: {len(form)}\r\n\r\n{form}"
    plain = head.format("application/x-www-form-urlencoded") + rest
    named = head.format('application/x-www-form-urlencoded; charset="ISO-8859-1"') + rest
    wrong = head.format("application/x-www-form-urlencoded; charset=utf-8") + rest
    odd = head.format("application/x-www-form-urlencoded; charset=utf-7") + rest
    other = head.format("text/plain") + rest
    assert MemorySite().ask(wrong.encode()).status == 400
    assert "utf-7" in MemorySite().ask(odd.encode()).error
    assert "text/plain" in MemorySite().ask(other.encode()).error
    assert MemorySite().ask(named.encode()).status == 200
    assert site.ask(plain.encode()).status == 200
    # Not ASCII, so it is no image URI: it was read, and passed over.
    assert site.store.asked == [["http://x/e"]]


def test_a_content_type_in_no_known_charset_is_a_plain_refusal() -> None:
    raw = MemorySite().signed("POST", "/api/states")
    odd = raw.replace(b"Content-Type: application", b"Content-Type: \x98application")
    reply = MemorySite().ask(odd)
    assert (reply.status, "x-www-form" in reply.error) == (400, True)


def test_a_utf8_body_without_a_charset_verifies() -> None:
    site = MemorySite()
    assert site.post("/api/states", pairs=[("image-uri", "http://x/日本")]).status == 200


def complete_pairs(path: str = "/api/dashboard", method: str = "GET") -> list[Pair]:
    return signed_pairs(
        SECRET, CLIENT, method, "localhost:52780", path, [("a", "1")], now_s=NOW_S, nonce="77"
    )


def test_h3_changing_any_single_part_is_refused_and_says_what_is_wrong() -> None:
    pairs = complete_pairs()
    assert MemorySite().ask(raw_request("GET", "/api/dashboard", pairs)).status == 200
    for index, (name, value) in enumerate(pairs):
        for changed in ((name, value + "1"), (name + "x", value), (name, "")):
            tampered = [*pairs[:index], changed, *pairs[index + 1 :]]
            reply = MemorySite().ask(raw_request("GET", "/api/dashboard", tampered))
            assert reply.status == 401, changed
            if name != "a":
                assert any(word in reply.error for word in (name, "signature")), reply.error
        assert (
            MemorySite()
            .ask(raw_request("GET", "/api/dashboard", pairs[:index] + pairs[index + 1 :]))
            .status
            == 401
        )
    for request in (
        raw_request("GET", "/api/dashboard/", pairs),
        raw_request("GET", "/api/search", pairs),
        raw_request("GET", "/api/%64ashboard", pairs),
        raw_request("GET", "/api/dashboard", pairs, host="localhost:52781"),
        raw_request("GET", "/api/dashboard", [*pairs, ("b", "2")]),
        raw_request("GET", "/api/dashboard", [("", ""), *pairs]),
        raw_request("POST", "/api/dashboard", pairs),
    ):
        reply = MemorySite().ask(request)
        assert reply.status == 401
        assert "signature" in reply.error


def test_a_name_signed_twice_has_the_value_of_the_client_and_cannot_be_replayed_reordered() -> None:
    site = MemorySite()
    own = [("Nonce", "own"), ("Expires", str(int(NOW_S) + 600))]
    pairs = signed_pairs(
        SECRET, CLIENT, "POST", "localhost:52780", action_path(KARMIC, "install"), own,
        now_s=NOW_S, nonce="added",
    )  # fmt: skip
    path = action_path(KARMIC, "install")
    assert site.ask(raw_request("POST", path, pairs)).status == 200
    site.clock.time_s += 40
    reordered = [*pairs[2:-1], *own, pairs[-1]]
    site.ask(raw_request("POST", path, reordered))
    assert site.store.acted == [("install", KARMIC)]


def test_what_is_remembered_of_a_request_is_bounded() -> None:
    site = MemorySite()
    reply = site.post("/api/states", pairs=[("Nonce", "x")] * 7)
    assert reply.status == 401
    assert "more than twice" in reply.error
    reply = site.post("/api/states", nonce="9" * 257)
    assert reply.status == 401
    assert "256 characters" in reply.error


def test_an_unknown_client_is_refused_by_name() -> None:
    reply = MemorySite().get("/api/dashboard", client_id="somebody")
    assert reply.status == 401
    assert "somebody" in reply.error


def test_a_client_without_a_secret_is_refused() -> None:
    site = MemorySite()
    site.keys["nobody"] = ""
    assert site.get("/api/dashboard", client_id="nobody", secret="").status == 401


def test_no_refusal_holds_the_secret_or_the_right_signature() -> None:
    pairs = complete_pairs()
    wrong = [*pairs[:-1], ("Signature", "AAAA")]
    reply = MemorySite().ask(raw_request("GET", "/api/dashboard", wrong))
    assert reply.status == 401
    assert SECRET not in reply.error
    assert pairs[-1][1] not in reply.error


@pytest.mark.parametrize("seconds", [31, 3600])
def test_h3_an_expired_request_is_told_both_clocks_and_the_difference(seconds: int) -> None:
    site = MemorySite()
    raw = site.signed("GET", "/api/dashboard")
    site.clock.time_s += seconds
    reply = site.ask(raw)
    assert reply.status == 401
    assert f"{seconds - 30} seconds ago" in reply.error
    assert str(int(NOW_S) + 30) in reply.error
    assert str(int(site.clock.time_s)) in reply.error
    assert "2026-11-18" in reply.error


def test_h3_a_request_from_the_future_is_told_both_clocks_and_the_difference() -> None:
    site = MemorySite()
    assert site.get("/api/dashboard", now_s=NOW_S + 870).status == 200
    reply = site.get("/api/dashboard", now_s=NOW_S + 871)
    assert reply.status == 401
    assert "901 seconds from now" in reply.error
    assert str(int(NOW_S)) in reply.error


@pytest.mark.parametrize("expires", ["", "soon", "-1", "1e9", "٣", "9" * 40, "1795000020.5"])
def test_expires_must_be_whole_seconds(expires: str) -> None:
    site = MemorySite()
    pairs = [("Expires", expires)]
    # Signed by a client that makes its own: the last one counts.
    complete = signed_pairs(
        SECRET, CLIENT, "GET", "localhost:52780", "/api/dashboard", pairs, now_s=NOW_S, nonce="1"
    )
    reordered = [p for p in complete[1:-1] if p[0] != "Expires"]
    both = [complete[5], complete[0]] if complete[5][0] == "Expires" else []
    assert both
    reply = site.ask(raw_request("GET", "/api/dashboard", [*reordered, *both, complete[-1]]))
    assert reply.status == 401
    assert "Expires must be" in reply.error


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a:b",
        "a:",
        "a:0",
        "a:65536",
        "a:-1",
        "[::1",
        "a/b",
        "ä",
        "a\\b",
        "a@b",
        "[1:2]:3",
    ],
)
def test_a_malformed_host_is_refused(host: str) -> None:
    raw = MemorySite().signed("GET", "/api/dashboard", host=host)
    assert MemorySite().ask(raw).status == 400
    assert MemorySite().ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 400


@pytest.mark.parametrize("host", ["localhost", "[::1]", "[::1]:52780", "A.b-c_d:80", "10.0.0.1:1"])
def test_a_host_may_be_a_name_or_an_address_with_or_without_a_port(host: str) -> None:
    signed_host = host.lower().removesuffix(":80")
    site = MemorySite()
    pairs = signed_pairs(
        SECRET, CLIENT, "GET", signed_host, "/api/dashboard", [], now_s=NOW_S, nonce="1"
    )
    assert site.ask(raw_request("GET", "/api/dashboard", pairs, host=host)).status == 200


def resources(resource: Resource, path: str = "") -> list[str]:
    """Give the paths of a tree."""
    found = [path or "/"]
    for name, child in cast(dict[bytes, Resource], resource.children).items():
        found += resources(child, f"{path}/{name.decode()}")
    return found


def test_nothing_but_the_written_list_is_reachable_unsigned() -> None:
    assert {b"/healthz", b"/readyz", b"/metrics", b"/api/openapi.json"} == UNSIGNED_PATHS
    site = MemorySite()
    ready = ReadyStates(site.store)
    streams = Streams(site.store, ready, site.reactor, most=1)
    shop = Shop(store=site.store, keys=site.keys, supply=site.supply, following=site.following)
    browsers = Browsers(site.sessions, "")
    known = resources(make_tree(shop, "", ready, streams, browsers=browsers))
    page = {"/", "/page/index.html"}
    assert page <= {path for path in known if path == "/" or path.startswith("/page/")}
    assert {
        "/api/dashboard",
        "/api/events",
        "/api/search",
        "/api/session",
        "/api/session/end",
        "/api/states",
        "/healthz",
        "/readyz",
    } <= set(known)
    below = [f"{path.rstrip('/')}/{more}" for path in known for more in ("", "x", "..", "%2e%2e")]
    odd = [
        "/healthz/../api/dashboard",
        "//healthz",
        "/healthz;",
        "/HEALTHZ",
        "/%68ealthz",
        "*",
        "/readyz/",
        "/page/x",
        "/page/index.html/x",
        "/page/%69ndex.html",
        "/page/..%2f..%2fauth.py",
        "/page/.hidden",
        "//page/index.html",
    ]
    actions = [action_path(KARMIC), action_path(KARMIC, "install"), action_path(KARMIC, "cancel")]
    for path in [*known, *below, *odd, *actions, "/healthz?a=b"]:
        for method in METHODS:
            for headers in ("", "Content-Length: 3\r\n"):
                raw = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
                reply = site.ask(raw.encode() + (b"a=b" if headers else b""))
                is_of_page = UNSIGNED_PAGE.fullmatch(path.encode())
                if is_of_page and path in known and method in {"GET", "HEAD"}:
                    assert reply.status == 200
                    assert reply.headers["content-type"] != "application/json"
                elif is_of_page:
                    assert reply.status in {404, 405}, (method, path)
                    assert method == "HEAD" or reply.json.keys() == {"error-message"}
                elif path.partition("?")[0] in {"/healthz", "/readyz"} and method == "GET":
                    assert reply.status == 200
                    assert reply.json.keys() <= {"status", "ready", "findings"}
                elif path.partition("?")[0] == "/api/openapi.json" and method == "GET":
                    assert reply.json["openapi"]
                else:
                    assert reply.status in {400, 401, 405}, (method, path)
                    # Of HEAD only the head may be answered.
                    assert method == "HEAD" or reply.json.keys() == {"error-message"}
    assert site.store.acted == site.store.asked == []


def body_of(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


def test_the_same_bytes_again_get_the_first_answer_and_act_once() -> None:
    site = MemorySite()
    raw = site.signed("POST", action_path(KARMIC, "install"))
    first = site.ask(raw)
    assert first.json["state"]["status"] == "downloading"
    site.store.trouble = RuntimeError("must not be asked")
    assert [body_of(site.ask(raw)) for _ in range(3)] == [body_of(first)] * 3
    assert site.store.acted == [("install", KARMIC)]


def test_a_repeat_while_the_first_is_under_way_waits_for_its_answer() -> None:
    from twisted.internet.defer import Deferred

    site = MemorySite()
    gate: Deferred[None] = Deferred()
    site.store.gate = gate
    raw = site.signed("POST", action_path(KARMIC, "install"))
    wires = [site.wire() for _ in range(4)]
    for wire in wires:
        wire.send(raw)
    # The client of the first is gone before there is an answer, as that of the third.
    wires[0].lose()
    wires[2].lose()
    assert [wire.replies() for wire in wires] == [[], [], [], []]
    gate.callback(None)
    assert wires[0].replies() == wires[2].replies() == []
    assert body_of(wires[1].reply()) == body_of(wires[3].reply())
    assert wires[1].reply().json["state"]["status"] == "downloading"
    assert site.store.acted == [("install", KARMIC)]


def test_a_refused_action_is_not_tried_again_by_a_repeat() -> None:
    site = MemorySite()
    raw = site.signed("POST", action_path("http://x/unknown", "install"))
    assert site.ask(raw).status == site.ask(raw).status == 404
    assert len(site.store.acted) == 1


def test_a_nonce_of_another_request_is_refused_as_a_replay() -> None:
    site = MemorySite()
    site.keys["other"] = "secret"
    assert site.get("/api/dashboard", nonce="5").status == 200
    reply = site.get("/api/search", nonce="5")
    assert reply.status == 403
    assert "Nonce" in reply.error
    assert site.get("/api/search", nonce="5", client_id="other", secret="secret").status == 200
    site.clock.time_s += 31
    assert site.get("/api/search", nonce="5").status == 200


def test_an_action_that_an_earlier_process_may_have_done_is_refused_and_fresh_ones_never() -> None:
    site = MemorySite()
    old = site.signed("POST", action_path(KARMIC, "install"))
    poll = site.signed("POST", "/api/states", pairs=[("image-uri", KARMIC)])
    compare = site.signed("POST", "/api/reconcile")
    # The client signed in the second before the next process began.
    for seconds in (1, 29.9):
        restarted = MemorySite(clock=FixedClock(NOW_S + seconds))
        for raw in (old, compare):
            reply = restarted.ask(raw)
            assert reply.status == 403
            assert "before the proxy was started" in reply.error
        assert restarted.ask(poll).status == 200
        assert restarted.store.acted == []
        # Whatever a second holds: "Expires" has whole ones.
        assert restarted.post(action_path(KARMIC, "install"), nonce="new").status == 200
        assert restarted.store.acted == [("install", KARMIC)]


def test_a_clock_that_is_set_back_after_the_start_does_not_refuse_actions_for_long() -> None:
    site = MemorySite()
    site.clock.set_back_s = 3600
    assert site.post(action_path(KARMIC, "install")).status == 403
    site.clock.time_s += 30
    assert site.post(action_path(KARMIC, "install")).status == 200


def test_what_is_not_signed_is_refused_before_its_parameters_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [("image-uri", f"http://x/{n}") for n in range(4000)]
    site = MemorySite()
    good = signed_pairs(
        SECRET, CLIENT, "POST", "localhost:52780", "/api/states", many, now_s=NOW_S, nonce="1"
    )
    read: list[bytes] = []
    parse = form.parse

    def noted(raw: bytes, charset: str) -> list[Parameter]:
        read.append(raw)
        return parse(raw, charset)

    monkeypatch.setattr(form, "parse", noted)
    changes = {
        "Signature": None,
        "ClientId": "somebody",
        "Expires": str(int(NOW_S) - 1),
        "Nonce": None,
        "Version": "1",
    }
    for name, value in changes.items():
        pairs = [(n, v if n != name else value) for n, v in good if n != name or value]
        raw = raw_request("POST", "/api/states", [(n, str(v)) for n, v in pairs])
        assert site.ask(raw).status == 401
    assert max(map(len, read)) < 1000
    assert site.ask(raw_request("POST", "/api/states", good)).status == 200


def test_a_refused_request_uses_up_no_nonce() -> None:
    site = MemorySite()
    assert site.get("/api/dashboard", nonce="5", secret="wrong").status == 401
    assert site.get("/api/dashboard", nonce="5").status == 200


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["GET", "POST"]), st.booleans())
def test_no_bytes_make_the_parser_fail(form: bytes, method: str, signed_names: bool) -> None:
    if signed_names:
        form += b"&SignatureMethod=HmacSHA256&SignatureVersion=2&Version=2009-10-01"
        form += b"&ClientId=%ff&Expires=1&Nonce=1&Signature=%00"
    if method == "GET":
        query = bytes(c for c in form if 0x20 < c < 0x7F)
        raw = b"GET /api/search?" + query + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    else:
        raw = b"POST /api/states HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(form)
        raw += form
    reply = MemorySite().ask(raw)
    assert reply.status in {400, 401}
    assert reply.error


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=10))
def test_whatever_parameters_are_signed_reach_the_page_as_they_were(pairs: list[Pair]) -> None:
    pairs = [(name.encode("utf-8", "replace").decode(), v) for name, v in pairs]
    pairs = [(name, v.encode("utf-8", "replace").decode()) for name, v in pairs]
    # These ask for a part of the listing, and of that for other states.
    pairs = [(name, v) for name, v in pairs if name not in {"brief", "from", "count", "section"}]
    store = MemoryStore()
    site = MemorySite(store)
    text = pairs[0][1] if pairs else ""
    reply = site.get("/api/search", pairs=[*pairs, ("q", text)])
    assert reply.status == 200
    assert store.asked == [text]
    assert json.loads(reply.body)

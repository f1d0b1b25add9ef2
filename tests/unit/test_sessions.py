"""A browser logs in once with its keys, and is let through until its session ends."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.sessions import Session, digest_of
from imagestoreproxy.web.entry.sessions import LIFETIME_S
from tests.unit.logins import COOKIE, HOST, Browser, attributes
from tests.unit.memory import MemoryRecords
from tests.unit.memory_store import (
    CLIENT,
    KARMIC,
    NOW_S,
    SECRET,
    FixedClock,
    MemorySite,
    action_path,
)

INSTALL = action_path(KARMIC, "install")


def logged_in(site: MemorySite | None = None) -> Browser:
    browser = Browser(site or MemorySite())
    assert browser.log_in().status == 200
    return browser


def test_a_signed_login_gives_a_cookie_that_no_script_reads_and_no_other_site_sends() -> None:
    browser = Browser(MemorySite())
    reply = browser.log_in()
    assert reply.json["session"]["client-id"] == CLIENT
    assert reply.json["session"]["expires-at"] == "2026-11-18T23:06:40Z"
    assert browser.cookie.partition("=")[0] == COOKIE
    wanted = {"Path=/", "HttpOnly", "SameSite=Strict", f"Max-Age={LIFETIME_S}"}
    assert attributes(reply) == wanted
    assert browser.get("/api/session").json == reply.json


def test_the_token_is_kept_nowhere_but_in_the_browser() -> None:
    browser = logged_in()
    token = browser.cookie.partition("=")[2]
    (kept,) = browser.site.records.logins.values()
    assert kept.digest == digest_of(token)
    assert token not in repr(kept)
    assert SECRET not in repr(kept)
    assert browser.csrf_token not in repr(kept)


def test_a_login_must_be_signed() -> None:
    browser = Browser(MemorySite())
    assert browser.post("/api/session").status == 401
    assert browser.log_in(secret="wrong").status == 401
    assert logged_in(browser.site).post("/api/session").status == 401
    assert len(browser.site.sessions) == 1


def test_a_session_may_read_and_act_without_a_signature() -> None:
    browser = logged_in()
    assert browser.get("/api/dashboard").json["images"]
    assert browser.get("/api/search?q=9.10").status == 200
    assert browser.site.store.asked == ["9.10"]
    assert browser.post("/api/states", [("image-uri", KARMIC)]).json["states"]
    assert browser.post(INSTALL).json["state"]["status"] == "downloading"
    assert browser.site.store.acted == [("install", KARMIC)]


def test_a_session_acts_also_in_the_first_seconds_after_a_restart() -> None:
    browser = logged_in()
    browser.site = MemorySite(records=browser.site.records)
    assert browser.post(INSTALL).status == 200


def test_only_a_session_may_ask_for_itself() -> None:
    site = MemorySite()
    assert site.get("/api/session").status == 401
    assert Browser(site).get("/api/session").status == 401
    assert site.post("/api/session/end").status == 400


@pytest.mark.parametrize("came", ["", "wrong", "0" * 64, "ä"])
def test_whatever_changes_something_needs_the_csrf_token(came: str) -> None:
    browser = logged_in()
    other = logged_in(browser.site)
    for token in (came, other.csrf_token):
        for path in (INSTALL, "/api/session/end", "/api/states"):
            reply = browser.post(path, X_CSRF_Token=token)
            assert (reply.status, "csrf-token" in reply.error) == (403, True)
    assert browser.site.store.acted == []
    assert browser.post(INSTALL).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", " ", "none, same-origin", "x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_page_of_another_site_sends_is_refused(site: str, method: str) -> None:
    browser = logged_in()
    path = "/api/session" if method == "GET" else INSTALL
    raw = browser.raw(method, path, {"X-Fetch": "1"})
    reply = browser.site.ask(raw.replace(b"X-Fetch: 1", b"Sec-Fetch-Site: " + site.encode()))
    assert (reply.status, "another site" in reply.error) == (403, True)
    assert browser.site.store.acted == []


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_what_our_own_page_or_the_user_sends_is_let_through(site: str) -> None:
    browser = logged_in()
    assert browser.get("/api/session", Sec_Fetch_Site=site).status == 200
    assert browser.post(INSTALL, Sec_Fetch_Site=site, Origin=f"http://{HOST}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://localhost",
        "http://localhost:52781",
        "https://localhost:52780",
        "http://evil.example",
        "http://localhost:52780.evil.example",
        "http://x@localhost:52780",
        "http://localhost:x",
        "http://[",
        "file://",
    ],
)
def test_an_origin_that_is_not_our_own_is_refused(origin: str) -> None:
    browser = logged_in()
    for reply in (
        browser.get("/api/session", Origin=origin),
        browser.post(INSTALL, Origin=origin),
        Browser(browser.site).post("/api/session", Origin=origin),
    ):
        assert reply.status in {401, 403}
    assert browser.get("/api/session", Origin=origin).status == 403
    assert browser.site.store.acted == []


def test_a_host_of_which_no_origin_can_be_made_lets_nobody_in() -> None:
    browser = logged_in()
    # Else "null" would be the same origin: none.
    host = "[1:2:3]:52780"
    for origin in ("null", "http://[1:2:3]:52780", ""):
        raw = browser.raw("GET", "/api/session", {"Host": host, "X-Origin": "1"})
        reply = browser.site.ask(raw.replace(b"X-Origin: 1", b"Origin: " + origin.encode()))
        assert (reply.status, "Host" in reply.error) == (400, True)


@pytest.mark.parametrize("host", ["evil.example:52780", "10.0.0.1:52780"])
def test_by_a_name_that_gives_no_session_none_is_good(host: str) -> None:
    """As when a page of others has its own name lead here."""
    browser = logged_in()
    assert browser.get("/api/session", Host=host).status == 403
    assert browser.post(INSTALL, Host=host).status == 403
    assert browser.site.store.acted == []


def test_behind_tls_no_neighbour_of_the_name_can_set_our_cookie() -> None:
    site = MemorySite(external_url="https://store.example")
    reply = site.ask(site.signed("POST", "/api/session", host="store.example"))
    name, _, token = reply.headers["set-cookie"].partition(";")[0].partition("=")
    assert (name, attributes(reply) >= {"Secure", "Path=/"}) == ("__Host-image-store-443", True)
    browser = Browser(site, f"{name}={token}", headers={"Host": "store.example"})
    assert browser.get("/api/session").status == 200
    # Anybody who has a name below "example" can set one without the prefix.
    browser.cookie = f"{name.removeprefix('__Host-')}={token}"
    assert browser.get("/api/session").status == 401


def test_the_external_url_is_an_origin_of_our_own_and_makes_the_cookie_secure() -> None:
    browser = Browser(MemorySite(external_url="https://store.example"))
    assert "Secure" in attributes(browser.log_in())
    assert browser.post(INSTALL, Origin="https://store.example").status == 200
    assert browser.post(INSTALL, Origin="https://store.example:8443").status == 403


def test_a_page_of_another_site_cannot_log_a_browser_in() -> None:
    site = MemorySite()
    raw = site.signed("POST", "/api/session")
    for header in (b"Sec-Fetch-Site: cross-site", b"Origin: http://evil.example"):
        raw = site.signed("POST", "/api/session")
        reply = site.ask(raw.replace(b"Content-Type", header + b"\r\nContent-Type", 1))
        assert reply.status == 403
        assert "set-cookie" not in reply.headers
    assert len(site.sessions) == 0


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "a.localhost:52780", "127.0.0.1:52780", "127.9.9.9", "[::1]:80"],
)
def test_on_this_machine_a_browser_may_log_in_without_tls(host: str) -> None:
    signed = host.lower().removesuffix(":80")
    site = MemorySite()
    raw = site.signed("POST", "/api/session", host=signed)
    raw = raw.replace(f"Host: {signed}".encode(), f"Host: {host}".encode())
    assert site.ask(raw).status == 200


@pytest.mark.parametrize(
    "host",
    ["store.example", "10.0.0.1:52780", "[fe80::1]:52780", "localhost.example", "xlocalhost:1"],
)
def test_elsewhere_nobody_is_given_a_cookie_that_can_be_read_on_the_way(host: str) -> None:
    site = MemorySite()
    reply = site.ask(site.signed("POST", "/api/session", host=host))
    assert (reply.status, "https" in reply.error) == (403, True)
    assert len(site.sessions) == 0
    behind = MemorySite(external_url="https://store.example")
    assert behind.ask(behind.signed("POST", "/api/session", host=host)).status == 200


def test_a_session_ends_when_its_time_is_over_however_busy_it_is() -> None:
    browser = logged_in()
    for _ in range(11):
        browser.site.clock.time_s += 3600
        assert browser.get("/api/session").status == 200
    browser.site.clock.time_s += 3599
    assert browser.get("/api/dashboard").status == 200
    browser.site.clock.time_s += 1
    reply = browser.get("/api/dashboard")
    assert (reply.status, "Log in again" in reply.error) == (401, True)


def test_setting_the_clock_back_does_not_make_a_session_longer() -> None:
    browser = logged_in()
    browser.site.clock.set_back_s = 24 * 3600
    assert browser.get("/api/session").status == 200
    browser.site.clock.time_s += LIFETIME_S
    assert browser.get("/api/session").status == 401


def test_logging_out_ends_this_session_and_no_other() -> None:
    browser = logged_in()
    other = logged_in(browser.site)
    reply = browser.post("/api/session/end")
    assert reply.status == 200
    assert reply.headers["set-cookie"].startswith(f"{COOKIE}=; ")
    assert "Max-Age=0" in attributes(reply)
    assert browser.get("/api/session").status == 401
    assert other.get("/api/session").status == 200
    assert len(browser.site.records.logins) == 1


def test_a_logout_that_cannot_be_written_down_is_none() -> None:
    """In memory alone it would be forgotten at the next start, and the session be there again."""

    class Full(MemoryRecords):
        is_full = False

        def end_sessions(self, digests: Collection[str]) -> Deferred[None]:
            error = OwnStateError("The disk is full.")
            return fail(error) if self.is_full else super().end_sessions(digests)

    records = Full()
    browser = logged_in(MemorySite(records=records))
    records.is_full = True
    reply = browser.post("/api/session/end")
    assert (reply.status, reply.error) == (503, "The disk is full.")
    assert "set-cookie" not in reply.headers
    records.is_full = False
    assert browser.post("/api/session/end").status == 200
    assert browser.get("/api/session").status == 401
    assert records.logins == {}


def test_a_session_goes_on_after_a_restart_until_it_expires_and_no_longer() -> None:
    browser = logged_in()
    token = browser.csrf_token
    clock = FixedClock(NOW_S + LIFETIME_S - 1)
    browser.site = MemorySite(records=browser.site.records, clock=clock)
    assert browser.get("/api/session").json["session"]["csrf-token"] == token
    clock.time_s += 1
    assert browser.get("/api/session").status == 401
    assert MemorySite(records=browser.site.records, clock=clock).records.logins == {}


def test_changed_keys_end_a_session_at_once_and_over_a_restart() -> None:
    browser = logged_in()
    browser.site.keys[CLIENT] = "another"
    assert browser.get("/api/session").status == 401
    browser.site.keys[CLIENT] = SECRET
    assert browser.get("/api/session").status == 200
    del browser.site.keys[CLIENT]
    assert browser.get("/api/session").status == 401


def test_a_row_that_was_not_made_with_the_clients_key_is_forgotten_at_the_start() -> None:
    browser = logged_in()
    (row,) = browser.site.records.logins.values()
    for change in (
        {"proof": ""},
        {"proof": "0" * 64},
        {"client_id": "somebody"},
        {"expires_at_s": row.expires_at_s + 1},
        {"digest": digest_of("x" * 43)},
    ):
        records = MemoryRecords()
        changed = replace(row, **change)
        records.logins[changed.digest] = changed
        browser.site = MemorySite(records=records)
        assert browser.get("/api/session").status == 401
        assert records.logins == {}


def test_the_oldest_session_of_a_client_makes_room_for_a_new_one() -> None:
    site = MemorySite(session_limits={"most_of_one": 2, "most": 3})
    site.keys |= {"other": "x", "third": "y"}
    first, second, third = logged_in(site), logged_in(site), logged_in(site)
    assert [one.get("/api/session").status for one in (first, second, third)] == [401, 200, 200]
    other, last = Browser(site), Browser(site)
    assert other.log_in(client_id="other", secret="x").status == 200
    assert last.log_in(client_id="third", secret="y").status == 200
    statuses = [one.get("/api/session").status for one in (second, third, other, last)]
    assert statuses == [401, 200, 200, 200]
    assert len(site.records.logins) == len(site.sessions) == 3


def test_of_many_logins_at_once_no_more_than_allowed_stay() -> None:
    gates: list[Deferred[None]] = []

    class Slow(MemoryRecords):
        def begin_session(self, session: Session, ended: Collection[str]) -> Deferred[None]:
            gates.append(Deferred())
            return gates[-1].addCallback(lambda _: super(Slow, self).begin_session(session, ended))

    site = MemorySite(records=Slow(), session_limits={"most_of_one": 2})
    wires = [site.wire() for _ in range(5)]
    for wire in wires:
        wire.send(site.signed("POST", "/api/session"))
    for gate in gates:
        gate.callback(None)
    assert [wire.reply().status for wire in wires] == [200] * 5
    assert len(site.sessions) == len(site.records.logins) == 2


def test_those_that_have_expired_are_forgotten_when_a_new_one_begins() -> None:
    browser = logged_in()
    browser.site.clock.time_s += LIFETIME_S
    logged_in(browser.site)
    assert len(browser.site.records.logins) == len(browser.site.sessions) == 1


def test_a_login_is_answered_when_it_is_on_the_disk_and_not_before() -> None:
    gate: Deferred[None] = Deferred()

    class Slow(MemoryRecords):
        def begin_session(self, session: Session, ended: Collection[str]) -> Deferred[None]:
            return gate.addCallback(lambda _: super(Slow, self).begin_session(session, ended))

    site = MemorySite(records=Slow())
    wire = site.wire()
    wire.send(site.signed("POST", "/api/session"))
    assert wire.replies() == []
    gate.callback(None)
    assert wire.reply().status == 200


def test_a_login_that_cannot_be_written_down_is_none() -> None:
    class Full(MemoryRecords):
        def begin_session(self, session: Session, ended: Collection[str]) -> Deferred[None]:
            return fail(OwnStateError("The disk is full."))

    browser = Browser(MemorySite(records=Full()))
    reply = browser.log_in()
    assert (reply.status, reply.error) == (503, "The disk is full.")
    assert "set-cookie" not in reply.headers
    assert len(browser.site.sessions) == 0


def test_who_sends_a_login_again_is_not_given_the_session() -> None:
    site = MemorySite()
    raw = site.signed("POST", "/api/session")
    assert "set-cookie" in site.ask(raw).headers
    again = site.ask(raw)
    assert (again.status, "set-cookie" in again.headers) == (403, False)
    restarted = MemorySite(clock=FixedClock(NOW_S + 5))
    assert restarted.ask(raw).status == 403
    assert len(restarted.sessions) == 0


def test_of_a_request_with_a_signature_and_a_cookie_the_signature_counts() -> None:
    browser = logged_in()
    for secret, status in ((SECRET, 200), ("wrong", 401)):
        raw = browser.site.signed("GET", "/api/dashboard", secret=secret)
        both = raw.replace(b"\r\n\r\n", f"\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert browser.site.ask(both).status == status
    raw = browser.site.signed("POST", INSTALL)
    both = raw.replace(b"\r\n\r\n", f"\r\nCookie: {browser.cookie}\r\n\r\n".encode(), 1)
    assert [browser.site.ask(both).status for _ in range(2)] == [200, 200]
    assert browser.site.store.acted == [("install", KARMIC)]


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        ("{0}", 200),
        ("a=b; {0}; c", 200),
        ("a=b;{0}", 200),
        ("{0};", 200),
        ("{0}; {0}", 401),
        ("{0}x", 401),
        ("x{0}", 401),
        ('image-store-52780="{1}"', 401),
        ("image-store-52780 = {1}", 401),
        ("image-store-52780=", 401),
        ("IMAGE-STORE-52780={1}", 401),
        ("image-store-52781={1}", 401),
        ("image-store-52780={1}, a=b", 401),
        ("image-store-52780=%41{1}", 401),
        ("a=" + "b" * 15_000 + "; {0}", 200),
        ("image-store-52780=" + "A" * 43, 401),
    ],
)
def test_a_cookie_is_read_strictly(cookie: str, status: int) -> None:
    browser = logged_in()
    token = browser.cookie.partition("=")[2]
    assert browser.get("/api/session", Cookie=cookie.format(browser.cookie, token)).status == status


def test_two_cookie_headers_are_one() -> None:
    browser = logged_in()
    raw = browser.raw("GET", "/api/session", {})
    twice = raw.replace(b"Cookie:", b"Cookie: a=b\r\nCookie:")
    assert browser.site.ask(twice).status == 200
    same = raw.replace(b"Cookie:", f"Cookie: {browser.cookie}\r\nCookie:".encode())
    assert browser.site.ask(same).status == 401


def test_a_bad_cookie_hides_nothing_that_everybody_may_see() -> None:
    browser = logged_in()
    browser.cookie = browser.cookie[:-1]
    for path in ("/", "/page/index.html", "/healthz", "/readyz"):
        assert browser.get(path).status == 200
    good = logged_in(browser.site)
    assert good.get("/", Sec_Fetch_Site="cross-site").status == 200


def test_a_connection_of_a_session_stays_and_that_of_a_stranger_does_not() -> None:
    browser = logged_in()
    assert "connection" not in browser.get("/api/session").headers
    for path in ("/readyz", "/healthz"):
        assert "connection" not in browser.get(path).headers
        assert Browser(browser.site).get(path).headers["connection"] == "close"


def test_details_of_readyz_are_told_to_a_session() -> None:
    browser = logged_in(MemorySite(findings=[Finding("disk", problem="full")]))
    assert browser.get("/readyz").json["findings"] == [
        {"what": "disk", "ok": False, "problem": "full"}
    ]
    assert Browser(browser.site).get("/readyz").json["findings"] == [{"what": "disk", "ok": False}]


def test_no_page_of_another_origin_may_have_what_a_session_is_told() -> None:
    headers = logged_in().get("/api/dashboard").headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control") for name in headers)


def test_a_form_of_a_session_is_bounded_and_checked_as_a_signed_one() -> None:
    browser = logged_in()
    many = [("image-uri", KARMIC)] * 5200
    assert browser.post("/api/states", many).status == 413
    assert browser.post("/api/states", Content_Type="application/json").status == 400
    assert browser.get("/api/search?q=%ff").status == 400
    assert browser.get("/api/search?q=a%C3%A9").status == 200
    assert browser.site.store.asked == ["aé"]


def test_a_stream_ends_with_its_session() -> None:
    site = MemorySite()
    browsers = [logged_in(site) for _ in range(3)]
    wires = []
    for browser in browsers:
        wires.append(site.wire())
        wires[-1].send(browser.raw("GET", "/api/events", {"Accept": "text/event-stream"}))
    site.reactor.advance(1)
    assert [wire.transport.disconnecting for wire in wires] == [False] * 3
    assert browsers[0].post("/api/session/end").status == 200
    site.reactor.advance(1)
    assert [wire.transport.disconnecting for wire in wires] == [True, False, False]
    site.clock.time_s += LIFETIME_S
    site.reactor.advance(1)
    assert [wire.transport.disconnecting for wire in wires] == [True] * 3


# What may stand in a header at all.
header_bytes = st.binary(max_size=200).map(lambda b: b.translate(None, b"\r\n\0"))


@given(header_bytes, st.sampled_from([b"", b"image-store-52780=", b"a=b; image-store-52780="]))
def test_whatever_a_cookie_is_a_stranger_gets_nothing_but_a_refusal(
    cookie: bytes, beginning: bytes
) -> None:
    site = MemorySite()
    raw = b"GET /api/dashboard HTTP/1.1\r\nHost: localhost:52780\r\nCookie: %s\r\n\r\n"
    reply = site.ask(raw % (beginning + cookie))
    assert (reply.status, bool(reply.error)) == (401, True)


@given(st.sampled_from(["Origin", "Sec-Fetch-Site", "X-CSRF-Token"]), header_bytes)
def test_whatever_a_header_says_that_is_not_right_nothing_is_done(name: str, value: bytes) -> None:
    assume(value.strip() not in (b"same-origin", b"none"))  # with these it is right
    browser = logged_in()
    raw = browser.raw("POST", INSTALL, {name: "value"})
    reply = browser.site.ask(raw.replace(b": value", b": " + value))
    assert (reply.status, bool(reply.error)) == (403, True)
    assert browser.site.store.acted == []

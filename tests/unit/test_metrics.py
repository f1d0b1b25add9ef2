"""The numbers for Prometheus: their names, who may read them, and what moves them."""

from __future__ import annotations

import re
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.task import Clock as ReactorClock

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.model.errors import SignatureError
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.outside.background import Reactor
from imagestoreproxy.outside.lateness import LOOK_S, Lateness
from imagestoreproxy.outside.metrics import READ, Metrics, Readings
from imagestoreproxy.ports.metering import ENDS
from imagestoreproxy.watching import images
from imagestoreproxy.web.entry.claims import MAX_FUTURE_S
from imagestoreproxy.web.site import Limits
from tests.unit.logins import Browser
from tests.unit.memory import InlineBackground, MemoryJournal, result
from tests.unit.memory_store import KARMIC, NOW_S, MemorySite, Reply, Wire, action_path, raw_request

REQUESTS = "image_store_http_request_duration_seconds_count"
REFUSED = "image_store_http_refused_requests_total"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def numbers(site: MemorySite) -> Samples:
    return samples(result(site.metrics.text()).decode())


def value(site: MemorySite, name: str, **labels: str) -> float:
    return numbers(site).get((name, tuple(sorted(labels.items()))), 0.0)


def scrape(
    site: MemorySite, *, peer: str = "127.0.0.1", host: str = "localhost", more: str = ""
) -> Reply:
    wire = site.wire()
    wire.transport.peerAddr = IPv4Address("TCP", peer, 1) if peer else UNIXAddress(b"/run/x")
    wire.send(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    return wire.reply()


def everything() -> str:
    """Give a text in which every metric has a value."""
    site = MemorySite()
    for outcome in ENDS:
        site.metrics.install_ended(outcome, 2.0)
    for step in Step:
        site.metrics.stage_ended(step, 2.0)
    site.metrics.was_late(0.1)
    site.metrics.uploaded(1)
    site.get("/api/dashboard")
    site.metrics.watch(lambda: {name: {labels: 1.0} for name, (_, labels) in READ.items()})
    site.metrics.watch(lambda: {"image_store_images": images(Inventory())})
    return result(site.metrics.text()).decode()


def test_names_and_texts_are_as_prometheus_wants_them() -> None:
    families = list(text_string_to_metric_families(everything()))
    ours = [family for family in families if family.name.startswith("image_store_")]
    assert len(ours) > 20
    for family in families:
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert re.fullmatch(r"(image_store|process|python)_[a-z_]+", family.name)
        assert family.samples, family.name
    for family in ours:
        assert re.fullmatch(r"[A-Z].*\.", family.documentation), family.name
        name = family.samples[0].name
        assert (family.type == "counter") == name.endswith("_total"), name
        # Base units, and never as a part of the name only.
        assert not re.search("(milli|micro|kilo|mega|_ms|_kb|_mb|minutes|hours|percent)", name)
        assert re.search("_(duration|age|delay|time)_", name) is None or "_seconds" in name
        assert "bytes" not in name or re.search("_bytes(_total)?$", name)
        for sample in family.samples:
            assert not {"instance", "job"} & sample.labels.keys()


def test_each_registry_is_its_own() -> None:
    first, second = (Metrics(InlineBackground(MemoryJournal())) for _ in range(2))
    first.uploaded(5)
    told = [samples(result(one.text()).decode()) for one in (first, second)]
    assert [one["image_store_uploaded_bytes_total", ()] for one in told] == [5, 0]


def test_where_the_numbers_cannot_be_read_no_old_ones_are_given() -> None:
    site = MemorySite()
    assert site.get("/metrics").status == 200

    def broken() -> Readings:
        raise RuntimeError("no")

    site.metrics.watch(broken, is_slow=True)
    reply = site.get("/metrics")
    assert (reply.status, "log" in reply.error) == (503, True)


def test_who_asks_from_this_machine_needs_no_signature() -> None:
    site = MemorySite()
    for host in ("localhost", "localhost:52780", "127.0.0.1:52780", "[::1]:52780", "[::1]"):
        reply = scrape(site, host=host)
        assert reply.status == 200, host
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for peer in ("::1", "::ffff:127.0.0.1", "127.8.8.8", ""):
        assert scrape(site, peer=peer).status == 200, peer


@pytest.mark.parametrize(
    "header", ["Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "x-real-ip: 1.2.3.4", "Via: x"]
)
def test_what_a_proxy_passes_on_is_not_of_this_machine(header: str) -> None:
    site = MemorySite()
    reply = scrape(site, more=f"{header}\r\n")
    assert reply.status == 401
    assert value(site, REFUSED, reason="unsigned") == 1
    assert "--share-metrics" in reply.error


@pytest.mark.parametrize("host", ["203.0.113.9", "[2001:db8::1]:52780", "evil.example", "0.0.0.0"])
def test_by_a_name_that_others_know_nobody_is_of_this_machine(host: str) -> None:
    """Whatever hands on connections of others does so from here."""
    assert scrape(MemorySite(), host=host).status == 401


@pytest.mark.parametrize("peer", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "10.0.0.1"])
def test_who_asks_from_elsewhere_signs_or_gets_nothing(peer: str) -> None:
    site = MemorySite()
    assert scrape(site, peer=peer).status == 401
    wire = Wire(site.site)
    wire.transport.peerAddr = IPv4Address("TCP", peer, 1)
    wire.send(site.signed("GET", "/metrics"))
    assert wire.reply().status == 200
    assert scrape(MemorySite(share_metrics=True), peer=peer).status == 200


def test_a_page_of_others_cannot_make_a_browser_of_this_machine_read_them() -> None:
    assert scrape(MemorySite(), host="evil.example:52780").status == 401


def test_all_images_have_one_route_and_what_is_asked_for_adds_none() -> None:
    site = MemorySite()
    for number in range(50):
        site.get(action_path(f"http://store.example/{number}"))
        site.post(action_path(f"http://store.example/{number}", "install"))
        site.get(f"/api/{number}/x/{number}")
        site.get(f"/x{number}/cancel")
        site.ask(raw_request("GET", f"/api/images/{number}", []))
        site.ask(f"ODD{number} /api/states HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    site.get("/api/dashboard")
    counted = {
        tuple(dict(labels)[name] for name in ("method", "route", "status")): count
        for (name, labels), count in numbers(site).items()
        if name == REQUESTS
    }
    assert counted == {
        ("GET", "/api/images/*", "404"): 50,
        ("POST", "/api/images/*/install", "404"): 50,
        ("GET", "/api/*", "404"): 50,
        ("GET", "/*", "404"): 50,
        ("GET", "none", "401"): 50,
        ("other", "none", "405"): 50,
        ("GET", "/api/dashboard", "200"): 1,
    }


def test_a_stream_is_counted_when_it_begins_and_shown_while_it_is_open() -> None:
    site = MemorySite()
    wire = site.wire()
    wire.send(site.signed("GET", "/api/events"))
    labels = {"route": "/api/events", "method": "GET", "status": "200"}
    assert value(site, REQUESTS, **labels) == 1
    assert value(site, "image_store_event_streams") == 1
    assert value(site, "image_store_connections") == 0
    wire.lose()
    assert value(site, REQUESTS, **labels) == 1
    assert value(site, "image_store_event_streams") == 0


def test_each_refusal_is_counted_by_its_reason() -> None:
    site = MemorySite(limits=Limits(body_bytes=2000, remembered_requests=9))
    site.clock.time_s += 100  # what is signed now is of this process
    wrong: dict[Reason, list[bytes]] = {
        Reason.UNSIGNED: [raw_request("GET", "/api/log", []), raw_request("GET", "/api/x", [])],
        Reason.SIGNATURE: [site.signed("GET", "/api/log", secret="no")],
        Reason.UNKNOWN_CLIENT: [site.signed("GET", "/api/log", client_id="who")],
        Reason.EXPIRED: [
            site.signed("GET", "/api/log", now_s=NOW_S - 1000),
            site.signed("GET", "/api/log", now_s=NOW_S + 2 * MAX_FUTURE_S),
        ],
        Reason.TOO_LARGE: [b"POST /api/states HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n"],
        Reason.MALFORMED: [b"GET /\r\n\r\n", b"GET /api/log HTTP/1.1\r\n\r\n"],
    }  # fmt: skip
    for raws in wrong.values():
        for raw in raws:
            assert site.ask(raw).status in (400, 401, 413)
    site.get("/api/log", nonce="again")
    assert site.get("/api/log", nonce="again", pairs=[("count", "2")]).status == 403
    for _ in range(10):
        site.get("/api/log")
    assert {reason: value(site, REFUSED, reason=reason.value) for reason in Reason} == {
        **dict.fromkeys(Reason, 0),
        **{reason: len(raws) for reason, raws in wrong.items()},
        Reason.REPLAY: 1,
        Reason.TOO_MANY: 2,
    }


def test_who_has_logged_in_may_read_them_and_what_is_wrong_of_a_session_is_counted() -> None:
    browser = Browser(MemorySite())
    browser.log_in()
    assert browser.get("/metrics").status == 200
    assert browser.post("/api/states", X_CSRF_Token="wrong").status == 403
    assert browser.get("/api/dashboard", Sec_Fetch_Site="cross-site").status == 403
    browser.cookie = browser.cookie[:-5] + "wrong"
    assert browser.get("/api/dashboard").status == 401
    assert browser.get("/metrics").status == 401  # of what everybody may see a stranger's part
    assert value(browser.site, REFUSED, reason="csrf") == 2
    assert value(browser.site, REFUSED, reason="session") == 1


def test_what_may_be_from_before_the_start_is_counted() -> None:
    site = MemorySite()
    assert site.post(action_path(KARMIC, "install"), now_s=NOW_S - 10).status == 403
    assert value(site, REFUSED, reason="from-before") == 1


def test_a_connection_for_which_there_is_no_room_is_counted() -> None:
    site = MemorySite(limits=Limits(connections=0))
    assert site.site.buildProtocol(None) is None
    assert value(site, REFUSED, reason="no-room") == 1


def test_an_error_of_a_caller_says_its_reason() -> None:
    assert SignatureError("no").reason is Reason.UNSIGNED


def test_the_reactor_is_asked_how_late_it_is_until_it_is_stopped() -> None:
    reactor, told = ReactorClock(), list[float]()
    lateness = Lateness(cast(Reactor, reactor), told.append)
    lateness.stop()
    lateness.start()
    reactor.advance(LOOK_S)
    reactor.advance(LOOK_S + 2)
    lateness.stop()
    reactor.advance(10 * LOOK_S)
    assert told == [0.0, pytest.approx(2.0)]
    assert list(reactor.getDelayedCalls()) == []

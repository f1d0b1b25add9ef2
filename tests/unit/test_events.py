"""A page that listens is told of every change, in time, and costs nobody else anything."""

# mypy: allow-untyped-calls

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent

from imagestoreproxy.doors import OPEN_FILES, allow_open_files, roomy
from imagestoreproxy.model.installs import Action, ImageState, Progress, Status, Step
from imagestoreproxy.web.changes import Changes
from imagestoreproxy.web.present import state_json
from imagestoreproxy.web.site import Limits
from imagestoreproxy.web.streams import BUFFER_BYTES
from tests.unit.memory import URI, MemoryDisk, World, boot, result, trio
from tests.unit.memory_store import KARMIC, LUCID, MemorySite, MemoryStore, Wire, action_path
from tests.unit.test_api import logged

__all__ = ["logged"]

EVENTS = "/api/events"
BASE = "http://localhost:52780"
Event = tuple[str, dict[str, Any]]


def listen(site: MemorySite, host: str = "", **fields: Any) -> Wire:
    """Open a stream; what was sent so far is forgotten."""
    wire = site.wire(host)
    wire.send(site.signed("GET", EVENTS, **fields))
    assert wire.transport.value().startswith(b"HTTP/1.1 200 OK\r\n"), wire.transport.value()
    wire.transport.clear()
    return wire


def told(wire: Wire) -> list[Event]:
    """Give the events that came since it was last asked for."""
    found = []
    for block in wire.transport.value().decode("ascii").split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    wire.transport.clear()
    return found


def progress(site: MemorySite, percent: int, uri: str = LUCID) -> None:
    done = Progress(Step.DOWNLOADING, percent, percent, 100, 8.0, 7.5)
    site.store.state_of[uri] = ImageState(uri, Status.DOWNLOADING, (Action.CANCEL,), done)


def installed(site: MemorySite, uri: str = LUCID) -> None:
    site.store.state_of[uri] = ImageState(uri, Status.INSTALLED, (Action.UNINSTALL,), emi="emi-1")


def test_a_stream_begins_with_what_is_in_progress_as_states_gives_it() -> None:
    site = MemorySite()
    progress(site, 40)
    expected = site.post("/api/states").body
    wire = site.wire()
    wire.send(site.signed("GET", EVENTS))
    head, _, rest = wire.transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    for line in (b"Content-Type: text/event-stream", b"Cache-Control: no-store"):
        assert line in head.split(b"\r\n")
    assert b"Content-Length" not in head
    assert rest == b"retry: 2000\n\nevent: states\ndata: " + expected + b"\n\n"


def test_a_page_that_comes_again_may_ask_for_what_it_shows() -> None:
    site = MemorySite()
    wire = site.wire()
    wire.send(site.signed("GET", EVENTS, pairs=[("image-uri", KARMIC)]))
    _, _, rest = wire.transport.value().partition(b"retry: 2000\n\n")
    (_, data, *_) = rest.decode().split("\n")
    states = json.loads(data.removeprefix("data: "))["states"]
    assert [state["image-uri"] for state in states] == [KARMIC]


def test_a_stream_is_signed_and_a_get_like_everything_else() -> None:
    site = MemorySite()
    assert site.ask(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 401
    assert site.get(EVENTS, secret="wrong").status == 401
    reply = site.post(EVENTS)
    assert (reply.status, reply.headers["allow"]) == (405, "GET")
    assert site.reactor.getDelayedCalls() == []


def test_a_change_of_status_is_told_at_the_next_look_to_all_who_listen() -> None:
    site = MemorySite()
    wires = [listen(site) for _ in range(3)]
    site.post(action_path(LUCID, "install"))
    site.reactor.advance(0.25)
    for wire in wires:
        assert told(wire) == [("state", state_json(site.store.state_of[LUCID], BASE))]
    site.reactor.advance(5)
    assert [told(wire) for wire in wires] == [[], [], []]


def test_action_uris_are_those_of_the_host_that_each_page_named() -> None:
    site = MemorySite()
    wires = {}
    for host in ("a.example:1", "b.example:2", "a.example:1"):
        wire = site.wire()
        wire.send(site.signed("GET", EVENTS, host=host))
        wire.transport.clear()
        wires[wire] = host
    progress(site, 40)
    site.reactor.advance(0.25)
    for wire, host in wires.items():
        assert told(wire) == [
            ("state", state_json(site.store.state_of[LUCID], f"http://{host}")),
        ]


def test_progress_is_told_twice_a_second_and_the_end_at_once() -> None:
    site = MemorySite()
    progress(site, 1)
    wire = listen(site)
    percents = []
    for percent in range(2, 22):
        progress(site, percent)
        site.reactor.advance(0.1)
        percents += [state["progress-percentage"] for _, state in told(wire)]
    assert 3 <= len(percents) <= 5
    assert percents == sorted(percents)
    site.reactor.advance(0.25)
    told(wire)
    for change in (installed, lambda site: progress(site, 3)):
        change(site)
        site.reactor.advance(0.25)
        ((_, state),) = told(wire)
        assert state["status"] == site.store.state_of[LUCID].status


def test_a_newer_version_of_what_is_installed_is_told() -> None:
    site = MemorySite()
    installed(site)
    wire = listen(site)
    site.reactor.advance(1)
    assert told(wire) == []
    site.store.state_of[LUCID] = replace(site.store.state_of[LUCID], is_upgrade=True)
    site.reactor.advance(0.25)
    ((_, state),) = told(wire)
    assert state["is-upgrade"]


def test_signs_of_life_keep_a_stream_for_as_long_as_somebody_listens() -> None:
    site = MemorySite()
    wire = listen(site)
    site.reactor.pump([0.25] * 60)
    assert wire.transport.value() == b": still here\n\n"
    site.reactor.pump([1.0] * 600)
    assert not wire.transport.disconnecting
    assert not wire.transport.aborted


def test_nothing_runs_while_nobody_listens() -> None:
    site = MemorySite()
    asked = len(site.store.asked)
    assert site.reactor.getDelayedCalls() == []
    wires = [listen(site), listen(site)]
    assert len(site.reactor.getDelayedCalls()) == 1
    wires[0].lose()
    assert len(site.reactor.getDelayedCalls()) == 1
    wires[1].lose()
    assert site.reactor.getDelayedCalls() == []
    asked = len(site.store.asked)
    site.reactor.advance(60)
    assert len(site.store.asked) == asked
    # And begins anew: what changed meanwhile is in the first event, and no change.
    progress(site, 40)
    again = listen(site)
    site.reactor.advance(0.5)
    assert told(again) == []


def test_the_store_is_looked_at_once_however_many_listen() -> None:
    site = MemorySite()
    wires = [listen(site) for _ in range(50)]
    site.store.asked.clear()
    progress(site, 40)
    site.reactor.advance(0.25)
    assert len(site.store.asked) == 1
    assert len({wire.transport.value() for wire in wires}) == 1


def test_the_same_request_opens_no_second_stream() -> None:
    site = MemorySite()
    raw = site.signed("GET", EVENTS)
    wire = site.wire()
    wire.send(raw)
    wire.transport.clear()
    reply = site.ask(raw)
    assert reply.status == 403
    assert "Nonce" in reply.error
    wire.lose()
    assert site.ask(raw).status == 403
    assert site.post("/api/states").status == 200
    progress(site, 40)
    assert told(listen(site)) == []


def test_a_slow_reader_is_told_the_latest_when_it_reads_again() -> None:
    site = MemorySite()
    slow, quick = listen(site), listen(site)
    assert slow.transport.bufferSize == BUFFER_BYTES  # type: ignore[attr-defined]
    slow.channel.pauseProducing()
    for percent in range(2, 22):
        progress(site, percent)
        site.reactor.advance(0.25)
    assert told(slow) == []
    assert len(told(quick)) >= 10
    slow.channel.resumeProducing()
    ((name, state),) = told(slow)
    assert (name, state["progress-percentage"]) == ("state", 21)
    slow.channel.pauseProducing()
    slow.channel.resumeProducing()
    assert told(slow) == []


def test_one_that_does_not_read_at_all_is_given_up() -> None:
    site = MemorySite()
    slow, quick = listen(site), listen(site)
    slow.channel.pauseProducing()
    site.reactor.pump([0.25] * 60)
    assert not slow.transport.aborted
    site.reactor.pump([0.25] * 60)
    assert slow.transport.aborted
    slow.lose()
    assert not quick.transport.aborted
    # Slow at a heartbeat, but not at the next.
    quick.channel.pauseProducing()
    site.reactor.pump([0.25] * 60)
    quick.channel.resumeProducing()
    quick.channel.pauseProducing()
    site.reactor.pump([0.25] * 60)
    assert not quick.transport.aborted


def test_streams_have_bounds_of_their_own_and_leave_room_for_requests() -> None:
    limits = Limits(connections=4, connections_of_one=2, streams=6)
    site = MemorySite(limits=limits)
    wires = [listen(site, "10.0.0.1") for _ in range(6)]
    assert len(site.site.connections) == 0
    wire = site.wire("10.0.0.1")
    wire.send(site.signed("GET", EVENTS))
    reply = wire.reply()
    assert (reply.status, "6 pages" in reply.error) == (503, True)
    for _ in range(5):
        # On the same connection, too, which is counted as before.
        wire.send(site.signed("POST", "/api/states"))
    assert [one.status for one in wire.replies()] == [503] + [200] * 5
    assert len(site.site.connections) == 1
    assert not any(one.transport.aborted for one in wires)
    wires.pop().lose()
    listen(site, "10.0.0.1")


def test_streams_fit_into_the_files_that_may_be_open() -> None:
    assert Limits.within(2**20) == Limits()
    assert Limits.within(1024).streams == 256
    assert Limits.within(256).streams == 0


@pytest.fixture
def few_files() -> Iterator[int]:
    """As on most machines; gives what it may be raised to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_daemon_asks_for_as_many_files_as_its_streams_need(few_files: int) -> None:
    allow_open_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == few_files
    assert soft == (OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard))
    assert Limits.within(OPEN_FILES) == Limits()


@pytest.mark.parametrize(
    ("described", "listening"),
    [
        ("tcp:1:interface=127.0.0.1", "tcp:1:interface=127.0.0.1:backlog=128"),
        ("tcp:1:backlog=5", "tcp:1:backlog=5"),
        ("unix:/run/x", "unix:/run/x:backlog=128"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_many_pages_may_come_at_once_unless_the_endpoint_says_how_many(
    described: str, listening: str
) -> None:
    assert roomy(described) == listening


def test_all_streams_end_when_the_daemon_is_stopped() -> None:
    site = MemorySite()
    reading, slow = listen(site), listen(site)
    slow.channel.pauseProducing()
    site.site.startFactory()
    site.site.stopFactory()
    assert reading.transport.disconnecting
    assert slow.transport.aborted
    reading.lose()
    slow.lose()
    assert site.reactor.getDelayedCalls() == []


def test_what_a_listener_sends_is_thrown_away() -> None:
    site = MemorySite()
    wire = listen(site)
    for _ in range(100):
        wire.send(site.signed("POST", action_path(LUCID, "install")) * 10)
    assert site.store.acted == []
    assert wire.transport.value() == b""
    assert wire.channel._dataBuffer == []
    assert wire.transport.producerState == "producing"


def test_a_look_that_fails_ends_no_stream(logged: list[LogEvent]) -> None:
    site = MemorySite()
    wire = listen(site)
    site.store.trouble = ZeroDivisionError()
    site.reactor.advance(0.25)
    site.store.trouble = None
    progress(site, 40)
    site.reactor.advance(0.25)
    assert [name for name, _ in told(wire)] == ["state"]
    assert any("could not be looked at" in str(event.get("log_format")) for event in logged)


def test_a_store_that_fails_at_the_beginning_is_a_plain_refusal(logged: list[LogEvent]) -> None:
    site = MemorySite()
    site.store.trouble = ZeroDivisionError()
    reply = site.get(EVENTS)
    assert reply.status == 500
    assert site.reactor.getDelayedCalls() == []


def test_an_install_is_told_from_the_click_to_the_end(tmp_path: Path) -> None:
    world = World(MemoryDisk(tmp_path))
    world.sources.offer(trio(world.fetcher))
    daemon = boot(world)
    changes = Changes(daemon.store)
    assert changes.since(progress=True) == []
    result(daemon.store.install(URI))
    statuses = []
    for _ in range(200):
        daemon.clock.twisted.advance(0.5)
        statuses += [state.status for state in changes.since(progress=True)]
    assert statuses[-1] is Status.INSTALLED
    world.sources.offer(trio(world.fetcher, version="2.0", serial=2))
    (newer,) = changes.since(progress=False)
    assert newer.is_upgrade
    (installation,) = daemon.inventory.installed[URI]
    daemon.inventory.replace(installation, replace(installation, gone="It is gone."))
    assert [state.error_message for state in changes.since(progress=False)] == ["It is gone."]
    assert changes.since(progress=True) == []
    result(daemon.store.uninstall(URI))
    daemon.clock.twisted.advance(60)
    assert changes.since(progress=False)[-1].status is Status.UNINSTALLED
    assert changes.since(progress=True) == []


def test_what_is_no_longer_there_is_not_remembered() -> None:
    store = MemoryStore()
    changes = Changes(store)
    for number in range(10):
        uri = f"http://x/{number}"
        store.state_of[uri] = ImageState(
            uri, Status.DOWNLOADING, progress=Progress(Step.WAITING, 0)
        )
        assert len(changes.since(progress=False)) == 1
        store.state_of[uri] = ImageState(uri, Status.UNINSTALLED)
        assert [s.status for s in changes.since(progress=False)] == [Status.UNINSTALLED]
    assert not changes._seen


def test_what_has_to_wait_is_told_later_and_only_once() -> None:
    store = MemoryStore()
    changes = Changes(store)
    working = ImageState(LUCID, Status.INSTALLED, progress=Progress(Step.WAITING, 0))
    store.state_of[LUCID] = working
    changes.since(progress=True)
    progress = Progress(Step.WAITING, 1)
    store.state_of[LUCID] = replace(working, progress=progress, updated_at_s=5.0)
    assert changes.since(progress=False) == []
    assert [state.updated_at_s for state in changes.since(progress=True)] == [5.0]
    assert changes.since(progress=True) == []

"""States that are kept as JSON are never older than what the store says now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.installs import Action, ImageState, Installation, Progress, Status, Step
from imagestoreproxy.web.present import state_json
from imagestoreproxy.web.ready import ReadyStates
from tests.unit.memory import URI, MemoryDisk, World, boot, result, trio
from tests.unit.memory_store import KARMIC, LUCID, MemorySite, MemoryStore

BASE = "http://localhost:52780"


def shown(ready: ReadyStates, *uris: str, base: str = BASE) -> list[dict[str, Any]]:
    return [json.loads(state) for state in ready.of(uris, base).states]


def test_what_does_not_change_is_asked_for_once() -> None:
    store = MemoryStore()
    ready = ReadyStates(store)
    first = shown(ready, LUCID, KARMIC)
    assert shown(ready, KARMIC, LUCID) == first[::-1]
    assert first == [state_json(store.state_of[uri], BASE) for uri in (LUCID, KARMIC)]
    assert store.asked == [[LUCID, KARMIC], []]


def test_a_change_is_seen_with_the_next_question() -> None:
    store = MemoryStore()
    ready = ReadyStates(store)
    shown(ready, LUCID, KARMIC)
    store.state_of[LUCID] = ImageState(LUCID, Status.INSTALLED, (Action.UNINSTALL,), emi="emi-1")
    assert [state["status"] for state in shown(ready, LUCID, KARMIC)] == [
        "installed",
        "uninstalled",
    ]


def test_what_is_under_way_is_never_kept() -> None:
    store = MemoryStore()
    ready = ReadyStates(store)
    shown(ready, LUCID, KARMIC)
    for percent in (40, 41):
        progress = Progress(Step.DOWNLOADING, percent)
        store.state_of[LUCID] = ImageState(LUCID, Status.DOWNLOADING, progress=progress)
        assert [s.get("progress-percentage") for s in shown(ready, LUCID, KARMIC)] == [
            percent,
            None,
        ]
        encoded = ready.of([KARMIC], BASE)
        assert [info.uri for info in encoded.infos] == [LUCID]
        assert len(encoded.states) == 2


def test_an_error_is_not_kept_so_that_it_is_also_shown_to_who_did_not_ask() -> None:
    store = MemoryStore()
    ready = ReadyStates(store)
    store.state_of[LUCID] = replace(store.state_of[LUCID], error_message="gone")
    for _ in range(2):
        assert [s["image-uri"] for s in shown(ready, LUCID)] == [LUCID]
        assert ready.of([LUCID], BASE).infos == ()
        assert [s["image-uri"] for s in shown(ready, KARMIC)] == [KARMIC, LUCID]


def test_action_uris_are_those_of_the_base_that_was_asked_at() -> None:
    ready = ReadyStates(MemoryStore())
    for base in ("http://a:1", "https://b:2", "http://a:1"):
        (state,) = shown(ready, KARMIC, base=base)
        assert state["actions"]["install"].startswith(base + "/")
    assert shown(ready, KARMIC, base="")[0]["actions"] == {}


def test_what_is_kept_stays_within_its_bound() -> None:
    ready = ReadyStates(MemoryStore(), max_bytes=20_000)
    for number in range(1000):
        shown(ready, f"http://x/{number}", base=f"http://host{number % 50}:1")
    assert ready.kept_bytes < 21_000


def test_an_odd_uri_is_passed_over_also_the_second_time() -> None:
    ready = ReadyStates(MemoryStore())
    for _ in range(2):
        assert [s["image-uri"] for s in shown(ready, "x", KARMIC, "http://x/ y")] == [KARMIC]


def test_the_answer_is_one_json_object_whatever_is_in_it() -> None:
    site = MemorySite()
    assert site.post("/api/states").body == b'{"states":[]}'
    problem = site.post("/api/states", host="[2001:db8::1]:52780").json
    assert problem.keys() == {"states", "error-message"}
    site.store.state_of[LUCID] = replace(site.store.state_of[LUCID], error_message="é")
    content = site.post("/api/states", host="[2001:db8::1]:52780").json
    assert content.keys() == {"states", "error-message", "images"}
    assert content["states"][0]["error-message"] == "é"


def test_every_step_of_an_install_is_seen_through_what_is_kept(tmp_path: Path) -> None:
    world = World(MemoryDisk(tmp_path))
    world.sources.offer(trio(world.fetcher))
    daemon = boot(world)
    ready = ReadyStates(daemon.store)

    def now() -> dict[str, Any]:
        (kept,) = shown(ready, URI)
        (state,) = daemon.store.states([URI]).states
        assert kept == state_json(state, BASE)
        return kept

    assert now()["actions"].keys() == {"install"}
    result(daemon.store.install(URI))
    daemon.clock.twisted.advance(60)
    assert now()["status"] == "installed"
    # A newer one is on offer.
    world.sources.offer(trio(world.fetcher, version="2.0", serial=2))
    assert now()["is-upgrade"]
    (installation,) = daemon.inventory.installed[URI]
    daemon.inventory.replace(installation, replace(installation, gone="It is gone."))
    assert now()["error-message"] == "It is gone."
    daemon.inventory.replace(daemon.inventory.installed[URI][0], installation)
    assert now()["is-upgrade"]
    result(daemon.store.uninstall(URI))
    daemon.clock.twisted.advance(60)
    assert now()["status"] == "uninstalled"


def test_every_change_of_what_is_installed_has_another_revision(tmp_path: Path) -> None:
    inventory = boot(World(MemoryDisk(tmp_path))).inventory
    one = Installation(KARMIC, "s", "1", 1, ImageInfo(KARMIC), "emi-1", "", "", b"", "", 1.0)
    revisions = [inventory.revision]
    inventory.add(one)
    revisions.append(inventory.revision)
    inventory.replace(one, replace(one, gone="yes"))
    revisions.append(inventory.revision)
    inventory.remove(inventory.installed[KARMIC][0])
    revisions.append(inventory.revision)
    assert len(set(revisions)) == 4

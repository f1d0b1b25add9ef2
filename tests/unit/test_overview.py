"""How the proxy is, at a glance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.install import overview as glances
from imagestoreproxy.install.overview import Glance
from imagestoreproxy.install.reconcile import EVERY_S
from imagestoreproxy.model.errors import CloudError, DiskError
from imagestoreproxy.model.overview import DiskUse, Overview
from imagestoreproxy.outside.usage import measure
from tests.unit.memory import NOW_S, URI, Daemon, MemoryDisk, World, boot, result, trio
from tests.unit.memory_store import KARMIC, MemorySite
from tests.unit.test_actions import hold

DISK = DiskUse("/var/lib/proxy", 10, 100, 1, 2, 3)


class Measuring:
    """Tells what it is told to; counts how often it looked."""

    def __init__(self) -> None:
        self.looks = 0
        self.trouble: DiskError | None = None

    def __call__(self) -> DiskUse:
        self.looks += 1
        if self.trouble:
            raise self.trouble
        return DISK


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(MemoryDisk(tmp_path))
    for number in range(4):
        made.sources.offer(trio(made.fetcher, uri=f"{URI}{number}"))
    return made


def started(world: World) -> tuple[Daemon, Glance, Measuring]:
    daemon, measuring = boot(world), Measuring()
    result(daemon.actions.take_up())
    return daemon, daemon.glance(measuring), measuring


def test_what_has_failed_is_counted_and_what_cloud_it_is_told(world: World) -> None:
    daemon, glance, _ = started(world)
    world.cloud.trouble["check"] = CloudError("away")
    result(daemon.store.install(f"{URI}0"))
    told = result(glance.overview())
    assert (told.failed, told.installed, told.running, told.waiting) == (1, 0, [], [])
    assert (told.cloud, told.running_most, told.disk) == ("memory", 2, DISK)


def test_installs_are_told_by_what_they_do_in_the_order_of_the_queue(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon, glance, _ = started(world)
    for number in (3, 2, 1, 0):
        result(daemon.store.install(f"{URI}{number}"))
    told = result(glance.overview())
    assert told.running == [f"{URI}3", f"{URI}2"]
    assert told.waiting == [f"{URI}1", f"{URI}0"]
    result(daemon.store.pause(f"{URI}1"))
    told = result(glance.overview())
    assert (told.waiting, told.paused) == ([f"{URI}0"], [f"{URI}1"])


def test_what_is_installed_is_counted(world: World) -> None:
    daemon, glance, _ = started(world)
    result(daemon.store.install(f"{URI}0"))
    assert result(glance.overview()).installed == 1


def test_the_disk_is_measured_once_for_all_who_ask_within_some_seconds(world: World) -> None:
    daemon, glance, measuring = started(world)
    for _ in range(5):
        result(glance.overview())
    assert measuring.looks == 1
    daemon.clock.twisted.advance(glances.KEEP_S)
    result(glance.overview())
    assert measuring.looks == 2


def test_a_disk_that_cannot_be_looked_at_is_said_and_looked_at_again(world: World) -> None:
    _, glance, measuring = started(world)
    measuring.trouble = DiskError("It is broken.")
    with pytest.raises(DiskError):
        result(glance.overview())
    measuring.trouble = None
    assert result(glance.overview()).disk == DISK


def test_when_the_cloud_is_compared_next_is_told_once_it_was(world: World) -> None:
    daemon, glance, _ = started(world)
    assert not result(glance.overview()).next_comparison_at_s
    Deferred.fromCoroutine(daemon.reconciler.run())
    assert result(glance.overview()).next_comparison_at_s == NOW_S + EVERY_S


def test_what_lies_in_the_data_directory_is_measured_by_what_it_takes(tmp_path: Path) -> None:
    empty = measure(tmp_path)
    assert (empty.downloads_bytes, empty.cache_bytes, empty.database_bytes) == (0, 0, 0)
    assert 0 < empty.free_bytes <= empty.total_bytes
    for name in ("downloads/token/image", "cache/files/digest", "state.db", "state.db-wal"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10_000)
    with (tmp_path / "downloads/token/raw").open("wb") as sparse:
        sparse.truncate(2**30)
    found = measure(tmp_path)
    assert 10_000 <= found.downloads_bytes < 2**20
    assert 10_000 <= found.cache_bytes < 2**20
    assert 20_000 <= found.database_bytes < 2**20
    with pytest.raises(DiskError):
        measure(tmp_path / "nowhere")


class MemoryGlancing:
    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    async def overview(self) -> Overview:
        return self._overview


def test_the_page_has_all_that_was_agreed_on() -> None:
    waiting, paused = [f"{KARMIC}1"], [f"{KARMIC}2"]
    told = Overview("1.0", NOW_S, "ec2", 2, 1, [KARMIC], 2, waiting, paused, DISK, 4, 0)
    content = MemorySite(glancing=MemoryGlancing(told)).get("/api/overview").json["overview"]
    assert content == {
        "version": "1.0", "started-at": "2026-09-21T14:13:20Z", "cloud": "ec2", "installed": 2,
        "failed": 1,
        "queue": {"running": [KARMIC], "running-most": 2, "waiting": [f"{KARMIC}1"],
                  "paused": [f"{KARMIC}2"]},
        "disk": {"path": "/var/lib/proxy", "free-bytes": 10, "total-bytes": 100,
                 "downloads-bytes": 1, "cache-bytes": 2, "cache-limit-bytes": 4,
                 "database-bytes": 3},
    }  # fmt: skip
    later = MemoryGlancing(replace(told, next_comparison_at_s=NOW_S))
    content = MemorySite(glancing=later).get("/api/overview").json["overview"]
    assert content["next-comparison-at"] == "2026-09-21T14:13:20Z"


def test_without_an_overview_there_is_no_page() -> None:
    assert MemorySite().get("/api/overview").status == 404

"""Comparing many images with the cloud: few questions, and none of them forgotten for good."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from imagestoreproxy.install.listed import FEW, TURNS, Listed, Turns, to_look_at
from imagestoreproxy.install.reconcile import ASKED_S, EVERY_S, FAILURES
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import FileKind, ImageInfo
from imagestoreproxy.model.installs import Bundle, Installation, Reconciliation
from tests.unit.memory import Daemon, MemoryDisk, World, boot

MANY = 2 * FEW
KERNEL = "eki-00000001"


class Counting:
    """A cloud that counts what it is asked."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._port, name)


def an_installation(number: int, gone: str = "") -> Installation:
    uri = f"http://store.example/api/images/{number}"
    emi, bucket = f"emi-{number:08x}", f"image-store-{number:016x}-image"
    shared = Bundle(
        uri,
        FileKind.KERNEL,
        "shared",
        "vmlinuz",
        image_id=KERNEL,
        location="shared/vmlinuz.manifest.xml",
    )
    own = Bundle(
        uri,
        FileKind.IMAGE,
        bucket,
        "image",
        image_id=emi,
        location=f"{bucket}/image.manifest.xml",
    )
    return Installation(
        image_uri=uri,
        source="store",
        version="1",
        serial=1,
        info=ImageInfo(uri),
        emi=emi,
        eki=KERNEL,
        eri="",
        document=b"",
        fingerprint="",
        installed_at_s=1.0,
        bundles=(shared, own),
        gone=gone,
        number=number,
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(MemoryDisk(tmp_path))
    for number in range(1, MANY + 1):
        one = an_installation(number)
        world.records.installations.append(one)
        for bundle in one.bundles:
            world.cloud.stored[bundle.bucket] = b""
            world.cloud.sealed.add(bundle.bucket)
            world.cloud.registered[bundle.image_id] = bundle.location
    return world


def loaded(world: World) -> tuple[Daemon, Counting]:
    cloud = Counting(world.cloud)
    daemon = boot(world, around=lambda port: cloud if port is world.cloud else port)
    remembered: list[Any] = []
    world.records.load().addCallback(remembered.append)
    daemon.inventory.load(remembered[0], world.records, daemon.clock)
    return daemon, cloud


def compared(daemon: Daemon) -> Reconciliation:
    found: list[Any] = []

    async def once() -> None:
        found.append(await daemon.store.reconcile())

    Deferred.fromCoroutine(once()).addErrback(found.append)
    daemon.clock.twisted.pump([0.0] * (MANY // 10))
    assert isinstance(found[0], Reconciliation), found
    return found[0]


def test_h11_what_is_asked_for_everything_is_two_listings_and_each_manifest_once(
    world: World,
) -> None:
    daemon, cloud = loaded(world)
    found = compared(daemon)
    assert found == Reconciliation(checked=MANY)
    assert cloud.calls == {"registered_ids": 1, "buckets": 1, "is_stored": MANY + 1}


def test_an_hourly_comparison_asks_for_a_share_and_a_day_of_them_for_every_manifest(
    world: World,
) -> None:
    daemon, cloud = loaded(world)
    running = Deferred.fromCoroutine(daemon.reconciler.run())
    shares = []
    for _ in range(TURNS):
        daemon.clock.twisted.pump([0.0] * 20)
        shares.append(cloud.calls.pop("is_stored"))
        daemon.clock.twisted.advance(EVERY_S)
    assert max(shares) < MANY / TURNS * 2
    assert sum(shares) == MANY + TURNS, "each image once, and the kernel each time"
    assert not cloud.calls["is_registered"]
    assert cloud.calls["buckets"] == TURNS + 1
    running.addErrback(lambda _: None)
    running.cancel()


def test_an_hour_that_was_missed_is_made_up_for() -> None:
    turns = Turns(100, 103)
    alone = [Turns(hour - 1, hour) for hour in (101, 102, 103)]
    for number in range(200):
        uri = str(number)
        assert turns.is_due(uri) == any(one.is_due(uri) for one in alone)
    assert all(Turns(0, 1000).is_due(str(number)) for number in range(200))
    assert not any(Turns(5, 5).is_due(str(number)) for number in range(200))


def test_h12_what_a_listing_leaves_out_is_asked_for_before_it_counts_as_gone(
    world: World,
) -> None:
    daemon, cloud = loaded(world)
    all_ids = frozenset(world.cloud.registered)
    hidden, deleted = "emi-00000005", "emi-00000006"
    del world.cloud.registered[deleted]
    listing: Deferred[Any] = succeed(all_ids - {hidden, deleted})
    world.cloud.registered_ids = lambda: listing  # type: ignore[method-assign]
    found = compared(daemon)
    assert found.gone == (an_installation(6).image_uri,)
    assert cloud.calls["is_registered"] == 2


def test_p5_empty_listings_make_nothing_gone_that_is_there_when_it_is_asked_for(
    world: World,
) -> None:
    daemon, cloud = loaded(world)
    nothing: Deferred[Any] = succeed(frozenset())
    world.cloud.registered_ids = lambda: nothing  # type: ignore[method-assign]
    world.cloud.buckets = lambda: nothing  # type: ignore[method-assign]
    assert compared(daemon) == Reconciliation(checked=MANY)
    assert cloud.calls["is_registered"] == MANY + 1


def test_a_bucket_that_vanished_is_noticed_without_waiting_for_its_turn(world: World) -> None:
    lost = an_installation(7)
    world.cloud.stored.pop(lost.bundles[1].bucket)
    world.cloud.sealed.discard(lost.bundles[1].bucket)
    daemon, _ = loaded(world)
    running = Deferred.fromCoroutine(daemon.reconciler.run())
    daemon.clock.twisted.pump([0.0] * 20)
    newest = daemon.inventory.newest(lost.image_uri)
    assert newest
    assert "no longer in S3" in newest.gone
    running.addErrback(lambda _: None)
    running.cancel()


def test_a_cloud_that_is_away_is_not_asked_for_each_image(world: World) -> None:
    for call in ("registered_ids", "is_registered", "buckets", "is_stored"):
        world.cloud.trouble[call] = CloudError(f"{call}: away")
    daemon, cloud = loaded(world)
    found = compared(daemon)
    assert found.problem == "registered_ids: away"
    assert (found.checked, found.gone) == (0, ())
    assert cloud.calls["is_registered"] <= FAILURES + 4


def test_what_was_not_reached_in_time_is_told_to_who_asked(world: World) -> None:
    daemon, _ = loaded(world)
    real, clock = world.cloud.is_stored, daemon.clock.twisted

    def slow(location: str) -> Deferred[bool]:
        clock.rightNow += ASKED_S / 100
        return real(location)

    world.cloud.is_stored = slow  # type: ignore[method-assign]
    found = compared(daemon)
    assert "could not be looked at one by one within 45 s" in found.problem
    assert 90 < found.checked < 110
    assert not found.gone


def test_an_idle_daemon_with_nothing_installed_asks_no_cloud(tmp_path: Path) -> None:
    daemon, cloud = loaded(World(MemoryDisk(tmp_path)))
    running = Deferred.fromCoroutine(daemon.reconciler.run())
    assert not cloud.calls
    running.addErrback(lambda _: None)
    running.cancel()


def test_what_is_gone_and_not_listed_waits_for_its_turn_and_what_is_listed_again_does_not() -> None:
    gone = [an_installation(number, gone="it is gone") for number in range(MANY)]
    assert not to_look_at(gone, Listed(), Turns(7, 7))
    back = gone[3]
    listed = Listed(
        frozenset(bundle.image_id for bundle in back.bundles),
        frozenset(bundle.bucket for bundle in back.bundles),
    )
    (look,) = to_look_at(gone, listed, Turns(7, 7))
    assert look.one is back
    assert look.closely

"""What the inside offers to pages that show a part of it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, succeed

from imagestoreproxy.model.images import ImageInfo, Listing, Section
from imagestoreproxy.ports import Offer
from tests.unit.memory import URI, Daemon, MemoryDisk, MemorySources, World, boot, result, trio

URIS = [f"{URI}{number}" for number in range(3)]
SECTION = Section("All", "", tuple(URIS))


class Sectioned(MemorySources):
    """A source whose searches find one image, and tell of no sections."""

    def dashboard(self) -> Deferred[Offer]:
        return succeed(Offer(Listing(tuple(self.offered.values()), (SECTION,))))

    def search(self, text: str) -> Deferred[Offer]:
        return succeed(Offer(Listing((self.offered[URIS[1]],)), f"No {text}."))


def started(tmp_path: Path) -> tuple[World, Daemon]:
    world = World(MemoryDisk(tmp_path))
    world.sources = Sectioned(world.fetcher)
    for uri in URIS:
        world.sources.offer(trio(world.fetcher, uri=uri))
    daemon = boot(world)
    result(daemon.actions.take_up())
    return world, daemon


def test_what_is_offered_has_no_states_and_always_all_sections(tmp_path: Path) -> None:
    _, daemon = started(tmp_path)
    result(daemon.store.install(URIS[0]))
    whole = result(daemon.store.offered(None))
    assert [info.uri for info in whole.listing.images] == URIS
    found = result(daemon.store.offered("server"))
    assert [info.uri for info in found.listing.images] == [URIS[1]]
    assert found.error_message == "No server."
    for shelf in (whole, found):
        assert shelf.listing.sections == (SECTION,)
        assert list(shelf.states) == []


def test_what_was_installed_last_comes_first_offered_or_not(tmp_path: Path) -> None:
    world, daemon = started(tmp_path)
    for number in (1, 0, 2):
        result(daemon.store.install(URIS[number]))
        daemon.clock.twisted.advance(5)
    assert daemon.store.installed_newest_first() == [URIS[2], URIS[0], URIS[1]]
    world.sources.offered.clear()
    assert daemon.store.installed_newest_first() == [URIS[2], URIS[0], URIS[1]]
    (info,) = daemon.store.image(URIS[0]).listing.images
    assert isinstance(info, ImageInfo)
    assert info.title == "An image"

"""What stays in the cache of verified files, for how long, and who gets it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from imagestoreproxy.install.cache import KEPT_S, SHORT_BYTES
from imagestoreproxy.model.carrying import read_index
from imagestoreproxy.model.errors import CallerError, FetchError
from imagestoreproxy.model.images import FileKind, ImageDocument
from imagestoreproxy.model.installs import Status
from imagestoreproxy.outside.depot import DepotDirectory
from tests.unit.carrying import reference, sha256
from tests.unit.memory import (
    LIMITS,
    NOW_S,
    URI,
    Daemon,
    MemoryDisk,
    World,
    boot,
    make_document,
    make_file,
    result,
    trio,
)

OTHER = "http://store.example/api/images/2"
CACHING = replace(LIMITS, cache_bytes=20_000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(MemoryDisk(tmp_path))


def depot(world: World) -> DepotDirectory:
    return DepotDirectory(world.disk.directory / "cache")


def listed(world: World) -> list[str]:
    return [image.uri for image in depot(world).images()]


def held(world: World) -> set[str]:
    return {file.digest for file in depot(world).files()}


def install(daemon: Daemon, uri: str = URI) -> None:
    result(daemon.actions.install(uri))
    daemon.clock.twisted.pump([1] * 3)
    assert daemon.store.states([uri]).states[0].status is Status.INSTALLED


def offered(world: World, uri: str = URI, *, version: str = "1.0") -> ImageDocument:
    document = trio(world.fetcher, uri=uri, version=version)
    world.sources.offer(document)
    return document


def big(world: World, uri: str, size_bytes: int) -> ImageDocument:
    content = uri.encode() * (size_bytes // len(uri))
    file = make_file(world.fetcher, FileKind.IMAGE, content.ljust(size_bytes, b"x"))
    document = replace(make_document([file], uri=uri), signed_text=uri.encode())
    world.sources.offer(document)
    return document


def test_an_install_leaves_its_files_and_what_is_signed_about_them(world: World) -> None:
    document = offered(world)
    install(boot(world, limits=CACHING))
    assert held(world) == {file.digest for file in document.files}
    assert listed(world) == [URI]
    path = depot(world).document(sha256(document.signed_text))
    assert path
    assert path.read_bytes() == document.signed_text
    assert not world.disk.files


def test_without_a_size_nothing_stays(world: World) -> None:
    offered(world)
    install(boot(world))
    assert held(world) == set()
    assert not depot(world).exists()


def test_what_is_there_is_not_downloaded_again(world: World) -> None:
    offered(world)
    daemon = boot(world, limits=CACHING)
    install(daemon)
    asked = len(world.fetcher.asked)
    result(daemon.store.uninstall(URI))
    install(daemon)
    assert len(world.fetcher.asked) == asked


def test_it_is_taken_also_where_downloads_do_not_lie_on_the_disk(world: World) -> None:
    offered(world)
    daemon = boot(world, limits=CACHING)
    install(daemon)
    result(daemon.store.uninstall(URI))
    asked = len(world.fetcher.asked)
    install(boot(world, limits=replace(CACHING, keep_downloads=False)))
    assert len(world.fetcher.asked) == asked


def test_a_damaged_file_is_dropped_and_comes_anew(world: World) -> None:
    document = offered(world)
    daemon = boot(world, limits=CACHING)
    install(daemon)
    result(daemon.store.uninstall(URI))
    path = depot(world).file(document.files[2].digest)
    assert path
    path.write_bytes(bytes(path.stat().st_size))
    install(daemon)
    assert sha256(path.read_bytes()) == path.name
    assert any("damaged" in text for text, _ in daemon.journal.failures)


def test_the_longest_unused_goes_first_and_images_that_are_not_whole_are_not_listed(
    world: World,
) -> None:
    daemon = boot(world, limits=CACHING)
    first, second = big(world, URI, 9000), big(world, OTHER, 9000)
    install(daemon)
    daemon.clock.twisted.advance(10)
    install(daemon, OTHER)
    result(daemon.store.uninstall(URI))
    daemon.clock.twisted.advance(10)
    install(daemon)  # from the cache: so it is the second one that was not used for longer
    third = big(world, "http://store.example/api/images/3", 9000)
    daemon.clock.twisted.advance(10)
    install(daemon, third.uri)
    assert held(world) == {first.files[0].digest, third.files[0].digest}
    assert listed(world) == [URI, third.uri]
    assert depot(world).document(sha256(second.signed_text)) is None
    assert depot(world).document(sha256(third.signed_text))


def test_an_install_gets_the_room_that_the_cache_takes(world: World) -> None:
    daemon = boot(world, limits=CACHING)
    big(world, URI, 9000)
    install(daemon)
    needed_bytes = 64 * 2**20 + 9000

    class Full(MemoryDisk):
        def free_bytes(self) -> int:
            return needed_bytes - sum(file.size_bytes for file in depot(world).files())

    world.disk = Full(world.disk.directory)
    big(world, OTHER, 9000)
    install(boot(world, limits=CACHING), OTHER)


def test_when_the_disk_gets_short_nothing_stays_that_nobody_waits_for(world: World) -> None:
    daemon = boot(world, limits=CACHING)
    offered(world)
    install(daemon)
    assert held(world)
    world.disk.free = SHORT_BYTES - 10**6
    daemon.cache.trim()
    assert held(world) == set()
    assert listed(world) == []


def fetched(daemon: Daemon, uri: str = URI) -> object:
    for _ in range(20):
        told = daemon.fetches.ask(uri)
        if told.image or told.error:
            return told.image or told.error
        daemon.clock.twisted.advance(0.1)
    raise AssertionError("it has no end")


def test_a_fetch_brings_all_files_and_touches_no_cloud(world: World) -> None:
    document = offered(world)
    daemon = boot(world)
    image = fetched(daemon)
    assert image == read_index((depot(world).path / "images.json").read_bytes())[0]
    assert held(world) == {file.digest for file in document.files}
    assert not world.cloud.stored
    assert not world.disk.files
    assert daemon.store.states([URI]).states[0].status is Status.UNINSTALLED


def test_what_was_fetched_stays_a_day_without_any_cache_or_until_it_is_released(
    world: World,
) -> None:
    offered(world)
    daemon = boot(world)
    fetched(daemon)
    daemon.clock.twisted.advance(KEPT_S - 60)
    daemon.cache.trim()
    assert held(world)
    daemon.clock.twisted.advance(120)
    daemon.cache.trim()
    assert held(world) == set()
    fetched(daemon)
    assert held(world)
    result(daemon.fetches.release(URI))
    assert held(world) == set()


def test_a_clock_that_was_set_back_keeps_nothing_for_years(world: World) -> None:
    offered(world)
    daemon = boot(world)
    fetched(daemon)
    for file in (depot(world).path / "files").iterdir():
        os.utime(file, (NOW_S + 10 * KEPT_S, NOW_S + 10 * KEPT_S))
    daemon.cache.trim()
    assert held(world) == set()


def test_what_is_fetched_already_is_not_downloaded_again_also_when_the_store_is_away(
    world: World,
) -> None:
    offered(world)
    daemon = boot(world)
    image = fetched(daemon)
    asked = len(world.fetcher.asked)
    assert fetched(daemon) == image
    del world.sources.documents[URI]  # the store does not answer
    assert fetched(daemon) == image
    assert len(world.fetcher.asked) == asked


def test_what_is_damaged_in_the_cache_is_fetched_anew_instead_of_given_out_again_and_again(
    world: World,
) -> None:
    document = offered(world)
    daemon = boot(world)
    image = fetched(daemon)
    file = document.files[0]
    path = depot(world).file(file.digest)
    assert path
    for content in (b"?" * file.size_bytes, b"?"):
        path.write_bytes(content)
        assert fetched(daemon) == image
        assert path.read_bytes() == world.fetcher.pages[file.url]


def test_a_failed_fetch_says_why_once_and_is_tried_again_when_asked(world: World) -> None:
    document = offered(world)
    pages = dict(world.fetcher.pages)
    for file in document.files:
        world.fetcher.pages[file.url] = FetchError("No route to store.example.", retry_helps=False)
    daemon = boot(world)
    assert "No route" in str(fetched(daemon))
    world.fetcher.pages.update(pages)
    assert not isinstance(fetched(daemon), str)


def test_a_broken_fetch_goes_on_from_the_bytes_that_are_there_after_a_restart(
    world: World,
) -> None:
    document = offered(world)
    image = document.files[2]
    page = world.fetcher.pages[image.url]
    assert isinstance(page, bytes)
    token = "fetch-" + sha256(URI.encode())[:16]
    world.disk.files[token] = {f"image-{image.digest[:16]}": page[:3000]}
    daemon = boot(world)
    result(daemon.actions.take_up())
    assert not isinstance(fetched(daemon), str)
    assert (image.url, 3000) in world.fetcher.asked


def test_a_fetch_that_nobody_waits_for_is_stopped_and_goes_on_another_time(
    world: World,
) -> None:
    document = offered(world)
    for file in document.files:  # which is tried again and again
        world.fetcher.pages[file.url] = FetchError("Connection reset.")
    daemon = boot(world)
    daemon.fetches.ask(URI)
    asked = len(world.fetcher.asked)
    assert asked
    result(daemon.fetches.release(URI))
    daemon.clock.twisted.pump([10] * 100)
    assert len(world.fetcher.asked) == asked
    trio(world.fetcher)
    assert not isinstance(fetched(daemon), str)


def test_what_nobody_has_signed_is_not_fetched(world: World) -> None:
    document = offered(world)
    for unsigned in (
        replace(document, fingerprint=""),
        replace(document, info=replace(document.info, is_unsigned=True)),
    ):
        world.sources.offer(unsigned)
        assert "Nobody has signed" in str(fetched(boot(world)))
        assert held(world) == set()


def test_an_image_of_an_unsigned_source_is_not_cached(world: World) -> None:
    world.sources.offer(replace(offered(world), fingerprint=""))
    install(boot(world, limits=CACHING))
    assert held(world) == set()


def test_an_image_that_nobody_offers_cannot_be_fetched(world: World) -> None:
    with pytest.raises(CallerError, match="No image store offers"):
        boot(world).fetches.ask(OTHER)


def test_an_image_of_a_catalogue_is_kept_with_the_messages_that_the_records_have(
    world: World,
) -> None:
    message = b"the signed catalogue"
    text = reference("http://mirror.example/", sha256(message))
    world.sources.offer(replace(offered(world), signed_text=text))
    daemon = boot(world)
    assert "Not all of" in str(fetched(daemon)), "without its messages nobody could verify it"
    world.records.messages[sha256(message)] = message
    fetched(daemon)
    path = depot(world).document(sha256(message))
    assert path
    assert path.read_bytes() == message


def test_what_was_carried_here_is_lent_and_not_kept_a_second_time(world: World) -> None:
    document = offered(world)
    carried = DepotDirectory(world.disk.directory / "carried")
    for file in document.files:
        page = world.fetcher.pages[file.url]
        assert isinstance(page, bytes)
        path = world.disk.directory / "came"
        path.write_bytes(page)
        carried.take(path, file.digest, NOW_S)
    install(boot(world, limits=CACHING, lenders=[carried]))
    assert world.fetcher.asked == []
    assert held(world) == set()


class Vanishing(DepotDirectory):
    """A directory from which an import removes each file right after it was found."""

    def file(self, digest: str) -> Path | None:
        return self.path / "files" / digest


def test_a_file_that_an_import_removes_meanwhile_is_downloaded(world: World) -> None:
    document = offered(world)
    lender = Vanishing(world.disk.directory / "carried")
    install(boot(world, limits=CACHING, lenders=[lender]))
    assert {url for url, _ in world.fetcher.asked} == {file.url for file in document.files}


def test_a_damaged_list_is_made_anew(world: World) -> None:
    offered(world)
    daemon = boot(world, limits=CACHING)
    install(daemon)
    (depot(world).path / "images.json").write_bytes(b"{")
    offered(world, OTHER)
    install(daemon, OTHER)
    assert listed(world) == [OTHER]

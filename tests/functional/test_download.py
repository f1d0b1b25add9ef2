"""One file from real servers: mirrors that take over, and several connections."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.feed import FileFeed
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import Cancelled, DigestError, FetchError
from imagestoreproxy.model.images import FileKind, ImageFile, ImageInfo
from imagestoreproxy.model.installs import Install, State
from imagestoreproxy.outside.background import ReactorClock, Threads
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.disk import DataDirectory
from imagestoreproxy.outside.exchange import Limits
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.unit.memory import (
    NOW_S,
    URI,
    MemoryJournal,
    MemoryRecords,
    MemorySources,
    NeverStop,
)

BODY = os.urandom(3_000_000)
SEGMENT = 256 * 1024
HOSTS = ("127.0.0.1", "localhost")


class Bench:
    """A downloader of the real things, into a real directory."""

    def __init__(self, directory: Path) -> None:
        self.fetcher = CurlFetcher(
            running_reactor(),
            limits=Limits(stall_bytes_per_s=100, stall_s=3),
            environment={},
        )
        self.threads = Threads(running_reactor())
        self.clock = ReactorClock(running_reactor())
        self.journal = MemoryJournal()
        self._disk = DataDirectory(directory / "data")
        self.path = self._disk.path("token", "image")

    def begin(self, *urls: str, connections: int = 1) -> Deferred[None]:
        held = self._disk.partial("token", "image", len(BODY), NeverStop())
        feed = FileFeed(held, lambda: self.path, len(BODY), lambda _size_bytes: None)
        digest = hashlib.sha256(BODY).hexdigest()
        file = ImageFile(FileKind.IMAGE, urls[0], digest, len(BODY), urls[1:])
        install = Install(URI, "store", State.DOWNLOADING, "token", ImageInfo(URI), NOW_S)
        downloader = Downloader(
            sources=MemorySources(self.fetcher),
            background=self.threads,
            clock=self.clock,
            journal=self.journal,
            max_downloads=1,
            connections=connections,
            segment_bytes=SEGMENT,
        )

        async def run() -> list[Deferred[None]]:
            work = Work(install, MemoryRecords(), self.clock)
            return [Deferred.fromCoroutine(downloader.fetch(work, file, feed))]

        return in_reactor(run)[0]

    def fetch(self, *urls: str, connections: int = 1) -> None:
        running = self.begin(*urls, connections=connections)
        in_reactor(lambda: running, timeout_s=60)

    def close(self) -> None:
        self.fetcher.close()
        self.threads.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def ranges(server: FaultyServer) -> list[str]:
    return [asked.headers.get("range", "") for asked in server.requests]


@pytest.mark.parametrize(
    "fault", [Page(BODY, cut_after_bytes=1_000_000), Page(BODY, silent_after_bytes=1_000_000)]
)
def test_p1_p3_a_mirror_goes_on_where_the_first_has_stopped(bench: Bench, fault: Page) -> None:
    with (
        FaultyServer({"/f": fault}) as first,
        FaultyServer({"/f": Page(BODY, etag='"its own"')}) as second,
    ):
        bench.fetch(first.url("/f"), second.url("/f"))
    assert bench.path.read_bytes() == BODY
    assert len(first.requests) == 1
    assert ranges(second) == ["bytes=1000000-"]
    assert "if-range" not in second.requests[0].headers


def test_h9_when_no_address_works_the_message_names_each(bench: Bench) -> None:
    gone = {f"/{status}": Page(status=status) for status in (403, 404)}
    with FaultyServer(gone) as server:
        urls = [server.url(path, host) for path, host in zip(gone, HOSTS, strict=True)]
        with pytest.raises(FetchError) as caught:
            bench.fetch(*urls)
    for url, status in zip(urls, (403, 404), strict=True):
        assert f"Cannot fetch {url} " in caught.value.message
        assert f"the HTTP status {status};" in caught.value.message
    assert len(server.requests) == 2


def test_p1_several_connections_bring_one_file_side_by_side(bench: Bench) -> None:
    page = Page(BODY, pause_s=0.1)  # each connection is slow
    with FaultyServer({"/f": page}) as server:
        bench.fetch(server.url("/f"), connections=4)
        assert server.most_answering >= 4
        asked = ranges(server)
    assert bench.path.read_bytes() == BODY
    assert sorted(asked, key=lambda one: int(one[6:].partition("-")[0])) == [
        f"bytes={start}-{min(start + SEGMENT, len(BODY)) - 1}"
        for start in range(0, len(BODY), SEGMENT)
    ]
    assert [one.headers.get("if-range") for one in server.requests[1:]] == ['"v1"'] * (
        len(asked) - 1
    )


def test_one_connection_is_all_that_is_made_unless_more_are_wanted(bench: Bench) -> None:
    with FaultyServer({"/f": Page(BODY)}) as server:
        bench.fetch(server.url("/f"))
    assert ranges(server) == [""]


@pytest.mark.parametrize(
    "page",
    [
        Page(BODY, ranges=False),
        Page(BODY, claims_range="bytes 0-1/3000000"),
        Page(BODY, claims_range=f"bytes 0-{SEGMENT - 1}/2999999"),
        Page(BODY, etag=""),
    ],
    ids=["no ranges", "other ranges", "another size", "no version"],
)
def test_where_ranges_cannot_be_trusted_one_connection_is_enough(bench: Bench, page: Page) -> None:
    with FaultyServer({"/f": page}) as server:
        bench.fetch(server.url("/f"), connections=4)
    assert bench.path.read_bytes() == BODY
    if page.etag:
        assert server.most_answering <= 2
        assert ranges(server)[-1] == ""


def test_a_version_that_changes_between_two_segments_ends_the_side_by_side(bench: Bench) -> None:
    class Changing(Page):
        """Another ETag for each request."""

    page = Changing(BODY, pause_s=0.01)
    tags = (f'"v{number}"' for number in range(10_000))
    Changing.etag = property(lambda _page: next(tags), lambda _page, _tag: None)  # type: ignore[assignment]
    with FaultyServer({"/f": page}) as server:
        bench.fetch(server.url("/f"), connections=4)
    assert bench.path.read_bytes() == BODY
    assert any("if-range" in one.headers for one in server.requests)


def test_p1_p7_a_server_that_dies_in_the_middle_is_replaced_segment_by_segment(
    bench: Bench,
) -> None:
    dying = Page(BODY, pause_s=0.2)
    with (
        FaultyServer({"/f": dying}) as first,
        FaultyServer({"/f": Page(BODY, etag='"its own"')}) as second,
    ):
        running = bench.begin(first.url("/f"), second.url("/f"), connections=4)
        wait_until(lambda: bench.path.exists() and bench.path.stat().st_size > SEGMENT)
        dying.cut_after_bytes = 1000
        in_reactor(lambda: running, timeout_s=60)
        asked = ranges(second)
    assert bench.path.read_bytes() == BODY
    assert asked
    # From where the segment was cut off, not from its beginning.
    assert any((int(one[6:].partition("-")[0]) - 1000) % SEGMENT == 0 for one in asked)


def test_p7_wrong_bytes_side_by_side_end_as_over_one_connection(bench: Bench) -> None:
    with (
        FaultyServer({"/f": Page(b"!" * len(BODY))}) as server,
        pytest.raises(DigestError, match="another content than was signed"),
    ):
        bench.fetch(server.url("/f"), connections=4)


def test_p7_one_lying_mirror_among_segments_does_not_end_it(bench: Bench) -> None:
    lying = Page(b"!" * len(BODY))
    with (
        FaultyServer({"/f": lying}) as first,
        FaultyServer({"/f": Page(BODY)}) as second,
    ):
        bench.fetch(first.url("/f"), second.url("/f"), connections=4)
    assert bench.path.read_bytes() == BODY


def test_p8_a_cancel_ends_all_connections(bench: Bench) -> None:
    with FaultyServer({"/f": Page(BODY, pause_s=0.2)}) as server:
        running = bench.begin(server.url("/f"), connections=4)
        wait_until(lambda: server.answering == 4)

        async def cancel() -> None:
            running.cancel()

        in_reactor(cancel)
        with pytest.raises(Cancelled):
            in_reactor(lambda: running, timeout_s=5)
        wait_until(lambda: server.answering == 0)
        asked = len(server.requests)
        time.sleep(0.3)
        assert len(server.requests) == asked


def test_what_segments_have_brought_is_kept_for_the_next_start(bench: Bench) -> None:
    page = Page(BODY, pause_s=0.2)
    with FaultyServer({"/f": page}) as server:
        running = bench.begin(server.url("/f"), connections=2)
        wait_until(lambda: bench.path.exists() and bench.path.stat().st_size >= SEGMENT)
        in_reactor(partial(_cancel, running))
        with pytest.raises(Cancelled):
            in_reactor(lambda: running, timeout_s=5)
        held_bytes = bench.path.stat().st_size
        before = len(server.requests)
        bench.fetch(server.url("/f"), connections=2)
        asked = ranges(server)[before:]
    assert bench.path.read_bytes() == BODY
    assert min(int(one[6:].partition("-")[0]) for one in asked) == held_bytes


async def _cancel(running: Deferred[None]) -> None:
    running.cancel()


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.01)

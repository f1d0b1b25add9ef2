"""One file from servers that break off, change it, and ask for patience."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.feed import FileFeed
from imagestoreproxy.install.segments import PROGRESS_BYTES
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DigestError, FetchError
from imagestoreproxy.model.images import FileKind, ImageFile, ImageInfo
from imagestoreproxy.model.installs import Install, State
from imagestoreproxy.ports import WHOLE, Sink, Span
from tests.unit.memory import (
    NOW_S,
    URI,
    InlineBackground,
    MemoryClock,
    MemoryDisk,
    MemoryFetcher,
    MemoryJournal,
    MemoryRecords,
    MemorySources,
    NeverStop,
    make_file,
)

CONTENT = random.Random(4).randbytes(100_000)
BROKEN = FetchError("the connection broke")
Server = Callable[[Sink], Exception | None]


class Bench:
    """One download, from servers that are functions."""

    def __init__(
        self,
        directory: Path,
        servers: dict[str, Server],
        mirrors: int = 0,
        *,
        connections: int = 1,
    ) -> None:
        self.sources = MemorySources(self)
        self.clock = MemoryClock()
        self.disk = MemoryDisk(directory)
        self.asked: list[tuple[str, int, float]] = []
        self.spans: list[tuple[str, Span, float]] = []
        self._servers = servers
        names = [f"http://mirror.example/{number}" for number in range(mirrors)]
        self.file: ImageFile = make_file(MemoryFetcher(), FileKind.IMAGE, CONTENT, mirrors=names)
        install = Install(URI, "store", State.DOWNLOADING, "token", ImageInfo(URI), NOW_S)
        self._work = Work(install, MemoryRecords(), self.clock)
        journal = MemoryJournal()
        self._downloader = Downloader(
            sources=self.sources,
            background=InlineBackground(journal),
            clock=self.clock,
            journal=journal,
            max_downloads=1,
            connections=connections,
            segment_bytes=30_000,
        )
        held = self.disk.partial("token", "image", self.file.size_bytes, NeverStop())
        path = partial(self.disk.path, "token", "image")
        self.feed = FileFeed(held, path, self.file.size_bytes, lambda _size_bytes: None)

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Any]:
        raise AssertionError("not used")

    def download(
        self,
        url: str,
        sink: Sink,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: Span = WHOLE,
    ) -> Deferred[None]:
        self.asked.append((url, sink.position, self.clock.monotonic_s()))
        self.spans.append((sink.validator, span, patience_s))
        server = self._servers["any" if "any" in self._servers else url]
        try:
            problem = server(sink)
        except DigestError as error:
            return fail(error)
        return fail(problem) if problem else succeed(None)

    def run(self) -> list[object]:
        """Run to the end, however long it takes by the clock; gives what it ended with."""
        ended: list[object] = []
        running = Deferred.fromCoroutine(self._downloader.fetch(self._work, self.file, self.feed))
        running.addBoth(ended.append)
        for _ in range(10_000):
            if ended:
                break
            self.clock.twisted.advance(1)
        return [getattr(one, "value", one) for one in ended]

    def held(self) -> bytes:
        return next(iter(self.disk.files["token"].values()), b"")


def gives(size_bytes: int, *, resumed: bool = True) -> Server:
    def server(sink: Sink) -> Exception | None:
        start = sink.position if resumed else 0
        sink.begin(resumed=start > 0, validator='"1"')
        sink.write(CONTENT[start : start + size_bytes])
        return BROKEN if start + size_bytes < len(CONTENT) else None

    return server


def test_p1_p7_a_link_that_breaks_again_and_again_is_followed_while_it_brings_bytes(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, {"any": gives(PROGRESS_BYTES)})
    assert bench.run() == [None]
    assert bench.held() == CONTENT
    assert len(bench.asked) > 20


@pytest.mark.parametrize("size_bytes", [0, 1, 800])
def test_p7_a_server_that_brings_next_to_nothing_is_given_up(
    tmp_path: Path, size_bytes: int
) -> None:
    bench = Bench(tmp_path, {"any": gives(size_bytes)})
    assert bench.run() == [BROKEN]
    assert 5 <= len(bench.asked) <= 10


def test_p7_a_server_that_brings_next_to_nothing_of_a_part_is_given_up(tmp_path: Path) -> None:
    def server(sink: Sink) -> Exception | None:
        start, (_, span, _) = sink.position, bench.spans[-1]
        sink.begin(resumed=start > 0 or span.end > 0, validator='"1"')
        sink.write(CONTENT[start : start + 1])
        return BROKEN

    bench = Bench(tmp_path, {"any": server}, connections=2)
    assert bench.run() == [BROKEN]
    assert len(bench.asked) <= 20


def test_p7_a_file_that_changes_with_every_try_is_given_up(tmp_path: Path) -> None:
    sizes = [90_000, 10_000] * 100

    def server(sink: Sink) -> Exception | None:
        return gives(sizes.pop(), resumed=False)(sink)

    bench = Bench(tmp_path, {"any": server})
    assert bench.run() == [BROKEN]
    assert len(bench.asked) <= 10


def test_a_server_that_asks_for_patience_gets_it_and_no_more_than_two_minutes(
    tmp_path: Path,
) -> None:
    def server(sink: Sink) -> Exception | None:
        return FetchError("busy", status=503, retry_after_s=[50.0, 86400.0][len(bench.asked) - 1])

    bench = Bench(tmp_path, {"any": lambda sink: gives(10**6)(sink) if pauses() else server(sink)})

    def pauses() -> bool:
        return len(bench.asked) > 2

    assert bench.run() == [None]
    moments = [moment_s for _, _, moment_s in bench.asked]
    assert 50 <= moments[1] - moments[0] <= 51
    assert 120 <= moments[2] - moments[1] <= 121


def test_all_the_signed_bytes_are_enough_whatever_else_the_server_announced(
    tmp_path: Path,
) -> None:
    def server(sink: Sink) -> Exception | None:
        gives(len(CONTENT))(sink)
        return FetchError("cut off before the end (5 bytes missing)")

    bench = Bench(tmp_path, {"any": server})
    assert bench.run() == [None]
    assert len(bench.asked) == 1


def test_p7_one_byte_too_much_goes_to_the_next_mirror_once(tmp_path: Path) -> None:
    def server(sink: Sink) -> Exception | None:
        sink.begin(resumed=False, validator="")
        sink.write(CONTENT + b"!")
        return None

    bench = Bench(tmp_path, {"any": server}, mirrors=5)
    (error,) = bench.run()
    assert isinstance(error, DigestError)
    assert [url for url, _, _ in bench.asked] == [bench.file.url, "http://mirror.example/0"]


def test_p7_a_file_that_ends_too_early_is_told_in_bytes(tmp_path: Path) -> None:
    def server(sink: Sink) -> Exception | None:
        sink.begin(resumed=False, validator="")
        sink.write(CONTENT[:-1])
        return None

    (error,) = Bench(tmp_path, {"any": server}).run()
    assert isinstance(error, DigestError)
    assert "gave 99999 bytes for the image, but 100000 bytes are signed" in error.message


def test_what_a_store_may_send_to_is_asked_again_when_it_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart in the middle of an install the store itself may be away for a moment."""
    bench = Bench(tmp_path, {"any": gives(10**6)})
    answers: list[Deferred[bool]] = [fail(BROKEN), fail(BROKEN), succeed(True)]
    monkeypatch.setattr(bench.sources, "may_be_local", lambda source, url: answers.pop(0))
    assert bench.run() == [None]
    assert bench.held() == CONTENT

"""Downloads and small answers over real connections, with everything that goes wrong there."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, gatherResults

from imagestoreproxy.model.errors import Cancelled, DigestError, FetchError
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.exchange import Limits
from tests.functional.faulty_server import FaultyServer, Page, SilentServer
from tests.functional.reactor_thread import in_reactor, running_reactor

HASTY = Limits(connect_s=2.0, stall_bytes_per_s=100, stall_s=1, get_s=2.0)


class MemorySink:
    """``ports.Sink`` in memory."""

    def __init__(self, held: bytes = b"", validator: str = "") -> None:
        self.content = bytearray(held)
        self.validator = validator
        self.begun: list[tuple[bool, str]] = []
        self.threads: set[str] = set()
        self.largest_block_bytes = 0

    @property
    def position(self) -> int:
        return len(self.content)

    def begin(self, *, resumed: bool, validator: str) -> None:
        self.begun.append((resumed, validator))
        self.validator = validator
        if not resumed:
            self.content.clear()

    def write(self, block: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        self.largest_block_bytes = max(self.largest_block_bytes, len(block))
        self.content += block


class BlockedSink(MemorySink):
    """Stays in ``write`` until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.left = False

    def write(self, block: bytes) -> None:
        self.inside.set()
        self.go_on.wait(20)
        super().write(block)
        self.left = True


class RefusingSink(MemorySink):
    """Takes so much and no more."""

    def write(self, block: bytes) -> None:
        if self.position > 2 << 20:
            raise DigestError("too much")
        super().write(block)


@pytest.fixture
def fetcher() -> Iterator[CurlFetcher]:
    made = CurlFetcher(running_reactor(), environment={})
    yield made
    made.close()


@pytest.fixture
def hasty() -> Iterator[CurlFetcher]:
    """One that waits for nothing longer than two seconds."""
    made = CurlFetcher(running_reactor(), limits=HASTY, environment={})
    yield made
    made.close()


def download(fetcher: CurlFetcher, url: str, sink: MemorySink, *, allow_local: bool = True) -> None:
    async def run() -> None:
        await fetcher.download(url, sink, allow_local=allow_local)

    in_reactor(run)


def get(fetcher: CurlFetcher, url: str, *, limit_bytes: int = 1000, allow_local: bool = True):  # type: ignore[no-untyped-def]
    async def run():  # type: ignore[no-untyped-def]
        return await fetcher.get(url, limit_bytes=limit_bytes, allow_local=allow_local)

    return in_reactor(run)


def test_a_download_arrives_whole_in_blocks_and_in_a_thread_of_the_sink(
    fetcher: CurlFetcher,
) -> None:
    body = os.urandom(5_000_000)
    sink = MemorySink()
    with FaultyServer({"/image": Page(body)}) as server:
        download(fetcher, server.url("/image"), sink)
    assert bytes(sink.content) == body
    assert sink.begun == [(False, '"v1"')]
    assert sink.threads == {"sink"}
    assert sink.largest_block_bytes >= 1 << 18
    assert "range" not in server.requests[0].headers


def test_an_empty_file_is_begun_and_written_as_nothing(fetcher: CurlFetcher) -> None:
    sink = MemorySink(b"old")
    with FaultyServer({"/image": Page(b"")}) as server:
        download(fetcher, server.url("/image"), sink)
    assert (bytes(sink.content), sink.begun) == (b"", [(False, '"v1"')])


def test_p1_a_cut_off_download_keeps_what_came_and_resumes_by_range(fetcher: CurlFetcher) -> None:
    body = os.urandom(3_000_000)
    sink = MemorySink()
    page = Page(body, cut_after_bytes=2_500_001)
    with FaultyServer({"/image": page}) as server:
        with pytest.raises(FetchError, match="cut off before the end") as caught:
            download(fetcher, server.url("/image"), sink)
        assert caught.value.retry_helps
        assert sink.position == 2_500_001
        page.cut_after_bytes = None
        download(fetcher, server.url("/image"), sink)
    assert bytes(sink.content) == body
    assert sink.begun == [(False, '"v1"'), (True, '"v1"')]
    asked = server.requests[1].headers
    assert (asked["range"], asked["if-range"]) == ("bytes=2500001-", '"v1"')


@pytest.mark.parametrize(
    "page",
    [
        Page(b"new file", etag='"v2"'),
        Page(b"new file", ranges=False),
        Page(b"new file", claims_range="bytes 0-7/8"),
        Page(b"new"),
    ],
    ids=["the file changed", "no ranges", "another range", "416"],
)
def test_p1_where_the_rest_cannot_be_had_the_file_is_fetched_from_its_start(
    fetcher: CurlFetcher, page: Page
) -> None:
    sink = MemorySink(b"new f", '"v1"')
    with FaultyServer({"/image": page}) as server:
        download(fetcher, server.url("/image"), sink)
    assert bytes(sink.content) == page.body
    assert sink.begun == [(False, page.etag)]


@pytest.mark.parametrize("validator", ["", "bad\r\nX-Injected: 1"])
def test_without_a_usable_validator_no_range_is_asked(fetcher: CurlFetcher, validator: str) -> None:
    sink = MemorySink(b"old", validator)
    with FaultyServer({"/image": Page(b"file")}) as server:
        download(fetcher, server.url("/image"), sink)
    assert bytes(sink.content) == b"file"
    assert not {"range", "if-range", "x-injected"} & set(server.requests[0].headers)


def test_a_weak_etag_is_no_validator_and_the_date_is_used_instead(fetcher: CurlFetcher) -> None:
    date = "Wed, 01 Jul 2026 10:00:00 GMT"
    sink = MemorySink()
    page = Page(b"file", etag='W/"v1"', headers={"Last-Modified": date})
    with FaultyServer({"/image": page}) as server:
        download(fetcher, server.url("/image"), sink)
    assert sink.begun == [(False, date)]


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 429, 500, 503])
def test_the_body_of_an_error_never_reaches_the_sink(fetcher: CurlFetcher, status: int) -> None:
    sink = MemorySink(b"held", '"v1"')
    body = b"" if status == 204 else b"<html>error</html>" * 10_000
    with (
        FaultyServer({"/image": Page(body, status=status)}) as server,
        pytest.raises(FetchError, match=f"HTTP status {status}") as caught,
    ):
        download(fetcher, server.url("/image"), sink)
    assert caught.value.status == status
    assert caught.value.retry_helps == (status >= 500 or status == 429)
    assert (bytes(sink.content), sink.begun) == (b"held", [])


def test_p2_p3_a_stalled_download_ends_and_keeps_what_came(hasty: CurlFetcher) -> None:
    sink = MemorySink()
    page = Page(b"x" * 100_000, silent_after_bytes=50)
    with (
        FaultyServer({"/image": page}) as server,
        pytest.raises(FetchError, match="less than 100 bytes a second") as caught,
    ):
        download(hasty, server.url("/image"), sink)
    assert caught.value.retry_helps
    assert sink.position == 50


def test_p2_a_slow_but_steady_download_is_left_alone_longer_than_any_limit() -> None:
    limits = Limits(connect_s=0.5, stall_bytes_per_s=1000, stall_s=5, get_s=0.5)
    steady = CurlFetcher(running_reactor(), limits=limits, environment={})
    page = Page(b"x" * 65536 * 10, pause_s=0.1)
    sink = MemorySink()
    with FaultyServer({"/image": page}) as server:
        download(steady, server.url("/image"), sink)
        with pytest.raises(FetchError, match=r"no whole answer .* within 0\.5 s"):
            get(steady, server.url("/image"), limit_bytes=10**6)
        # A catalogue of many megabytes has longer, or it would never come over a slow line.
        assert get(steady, server.url("/image"), limit_bytes=64 * 2**20).body == page.body
    steady.close()
    assert sink.position == len(page.body)


@pytest.mark.parametrize("call", ["get", "download"])
def test_p3_a_server_that_takes_the_connection_and_is_silent_does_not_hold_us(
    hasty: CurlFetcher, call: str
) -> None:
    with SilentServer() as server, pytest.raises(FetchError) as caught:
        url = f"http://127.0.0.1:{server.port}/x"
        if call == "get":
            get(hasty, url)
        else:
            download(hasty, url, MemorySink())
    assert caught.value.retry_helps


def test_a_sink_that_is_behind_pauses_the_transfer_so_that_memory_stays_bounded(
    hasty: CurlFetcher,
) -> None:
    body = os.urandom(40_000_000)
    sink = BlockedSink()
    before_bytes = resident_bytes()
    with FaultyServer({"/image": Page(body)}) as server:

        async def begin() -> list[Deferred[None]]:
            run = hasty.download(server.url("/image"), sink, allow_local=True)
            return [Deferred.fromCoroutine(run)]

        (running,) = in_reactor(begin)
        assert sink.inside.wait(10)
        time.sleep(1.5)  # longer than the stall limit: being paused is no stall
        grown_bytes = resident_bytes() - before_bytes
        sink.go_on.set()
        in_reactor(lambda: running)
    assert bytes(sink.content) == body
    assert grown_bytes < 20_000_000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_an_error_of_the_sink_ends_the_transfer_and_is_what_is_raised(
    fetcher: CurlFetcher,
) -> None:
    sink = RefusingSink()
    page = Page(os.urandom(20_000_000))
    with FaultyServer({"/image": page}) as server, pytest.raises(DigestError, match="too much"):
        download(fetcher, server.url("/image"), sink)
    assert sink.position < 4 << 20


def test_an_error_of_the_sink_ends_a_transfer_in_which_nothing_more_comes(
    fetcher: CurlFetcher,
) -> None:
    sink = RefusingSink(b"x" * (3 << 20), '"v1"')
    page = Page(bytes(9 << 20), silent_after_bytes=2 << 20)
    with FaultyServer({"/image": page}) as server, pytest.raises(DigestError, match="too much"):
        download(fetcher, server.url("/image"), sink)


def test_p8_a_cancel_ends_only_when_the_sink_has_been_left(fetcher: CurlFetcher) -> None:
    sink = BlockedSink()
    with FaultyServer({"/image": Page(os.urandom(9_000_000))}) as server:

        async def begin() -> list[Deferred[None]]:
            run = fetcher.download(server.url("/image"), sink, allow_local=True)
            return [Deferred.fromCoroutine(run)]

        async def cancel() -> bool:
            running.cancel()
            return running.called and not running.paused

        (running,) = in_reactor(begin)
        assert sink.inside.wait(10)
        in_reactor(cancel)
        time.sleep(0.2)
        assert not sink.left
        sink.go_on.set()
        with pytest.raises(Cancelled):
            in_reactor(lambda: running, timeout_s=5)
        assert sink.left
        assert sink.position <= 1_500_000


@pytest.mark.parametrize("moment", ["at once", "while connecting"])
def test_p8_a_cancel_before_the_answer_ends_at_once(fetcher: CurlFetcher, moment: str) -> None:
    with SilentServer() as server:

        async def cancelled() -> None:
            url = f"http://127.0.0.1:{server.port}/"
            running = Deferred.fromCoroutine(fetcher.download(url, MemorySink(), allow_local=True))
            if moment == "while connecting":
                wait: Deferred[None] = Deferred()
                running_reactor().callLater(0.2, wait.callback, None)
                await wait
            running.cancel()
            await running

        with pytest.raises(Cancelled):
            in_reactor(cancelled, timeout_s=10)


def test_close_ends_what_is_going_on_with_cancelled_and_what_comes_later_too() -> None:
    fetcher = CurlFetcher(running_reactor(), environment={})
    with SilentServer() as server:
        url = f"http://127.0.0.1:{server.port}/"

        async def begin() -> list[Deferred[object]]:
            run = fetcher.get(url, limit_bytes=10, allow_local=True)
            return [Deferred.fromCoroutine(run)]

        (running,) = in_reactor(begin)
        fetcher.close()
        with pytest.raises(Cancelled):
            in_reactor(lambda: running, timeout_s=5)
        with pytest.raises(Cancelled):
            get(fetcher, url)
    assert not fetcher._thread._thread.is_alive()


def test_p3_eight_downloads_at_once_all_arrive_beside_one_that_hangs(fetcher: CurlFetcher) -> None:
    bodies = {f"/{number}": os.urandom(3_000_000) for number in range(8)}
    sinks = {path: MemorySink() for path in bodies}
    pages = {path: Page(body) for path, body in bodies.items()}
    with SilentServer() as silent, FaultyServer(pages) as server:

        async def run() -> None:
            hanging = Deferred.fromCoroutine(
                fetcher.download(f"http://127.0.0.1:{silent.port}/", MemorySink(), allow_local=True)
            )
            await gatherResults(
                Deferred.fromCoroutine(
                    fetcher.download(server.url(path), sinks[path], allow_local=True)
                )
                for path in bodies
            )
            hanging.cancel()
            with pytest.raises(Cancelled):
                await hanging

        in_reactor(run)
    assert {path: bytes(sink.content) for path, sink in sinks.items()} == bodies


def test_many_small_answers_leave_no_thread_and_no_socket_behind(fetcher: CurlFetcher) -> None:
    with FaultyServer({"/api": Page(b"{}")}) as server:

        async def run() -> None:
            for _ in range(20):
                await gatherResults(
                    Deferred.fromCoroutine(
                        fetcher.get(server.url("/api"), limit_bytes=10, allow_local=True)
                    )
                    for _ in range(10)
                )

        in_reactor(run)
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        in_reactor(run)
        open_after = len(list(Path("/proc/self/fd").iterdir()))
    assert len(server.requests) == 400
    assert open_after <= open_before + 20


def test_while_nothing_is_going_on_the_transfer_thread_sleeps(fetcher: CurlFetcher) -> None:
    with FaultyServer({"/api": Page(b"{}")}) as server:
        get(fetcher, server.url("/api"))
        thread = next(one for one in threading.enumerate() if one is fetcher._thread._thread)
        status = Path(f"/proc/self/task/{thread.native_id}/status")
        time.sleep(0.3)
        before = switches(status)
        time.sleep(2.5)
        assert switches(status) - before <= 2


def switches(status: Path) -> int:
    return sum(
        int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line
    )


def test_a_small_answer_has_body_headers_final_url_and_where_it_came_from(
    fetcher: CurlFetcher,
) -> None:
    packed = gzip.compress(b"hello " * 20)
    headers = {"Content-Encoding": "gzip", "X-Thing": "1"}
    with FaultyServer({"/api": Page(packed, headers=headers)}) as server:
        server.pages["/old"] = Page(status=302, headers={"Location": "/api"})
        got = get(fetcher, server.url("/old"))
    assert got.body == b"hello " * 20
    assert got.url == server.url("/api")
    assert got.headers["x-thing"] == "1"
    assert got.from_local
    asked = server.requests[-1].headers
    assert asked["user-agent"].startswith("image-store-proxy/")
    assert asked["accept-encoding"] == "gzip"
    assert "cookie" not in asked


def test_an_answer_over_its_limit_is_refused_also_when_it_is_small_on_the_wire(
    fetcher: CurlFetcher,
) -> None:
    packed = gzip.compress(bytes(10_000_000))
    page = Page(packed, headers={"Content-Encoding": "gzip"})
    with (
        FaultyServer({"/api": page}) as server,
        pytest.raises(FetchError, match="larger than the 1000 bytes"),
    ):
        get(fetcher, server.url("/api"))


def test_a_transfer_that_may_be_local_leaves_no_connection_for_one_that_may_not(
    fetcher: CurlFetcher,
) -> None:
    with FaultyServer({"/api": Page(b"{}")}) as server:
        url = server.url("/api", host="127.0.0.1")
        get(fetcher, url)
        with pytest.raises(FetchError, match="local address"):
            get(fetcher, url, allow_local=False)
    assert len(server.requests) == 1

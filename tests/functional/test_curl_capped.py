"""Downloads under a bandwidth cap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.exchange import Limits
from imagestoreproxy.ports import Bandwidth
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.functional.test_curl import MemorySink

# A cap of 40 kB/s for four is far below what would be a stall.
STRICT = Limits(stall_bytes_per_s=20_000, stall_s=1, block_bytes=4096)


@pytest.fixture
def fetchers() -> Iterator[list[CurlFetcher]]:
    made = [CurlFetcher(running_reactor(), limits=STRICT, environment={}) for _ in range(2)]
    yield made
    for one in made:
        one.close()


def begin(fetcher: CurlFetcher, url: str) -> tuple[MemorySink, Deferred[None]]:
    sink = MemorySink()

    async def run() -> list[Deferred[None]]:
        return [Deferred.fromCoroutine(fetcher.download(url, sink, allow_local=True))]

    return sink, in_reactor(run)[0]


def limit(bandwidth: Bandwidth, bytes_per_s: int) -> None:
    async def run() -> None:
        bandwidth.limit_bytes_per_s = bytes_per_s

    in_reactor(run)


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def end(running: Deferred[None]) -> None:
    async def cancel() -> None:
        running.cancel()

    in_reactor(cancel)
    with pytest.raises(Cancelled):
        in_reactor(lambda: running, timeout_s=5)


def test_siblings_share_a_cap_fairly_and_none_is_taken_for_stalled(
    fetchers: list[CurlFetcher],
) -> None:
    slow, fast = fetchers
    limit(slow, 40_000)
    limit(fast, 400_000)
    slow_sibling = slow.sibling()
    assert slow_sibling.limit_bytes_per_s == 40_000
    with FaultyServer({"/image": Page(bytes(50_000_000))}) as server:
        url = server.url("/image")
        slow_ones = [begin(one, url) for one in (slow, slow_sibling, slow, slow_sibling)]
        fast_ones = [begin(fast, url) for _ in range(4)]
        # Several seconds under the slow cap: a stall would have been seen long ago.
        wait_until(lambda: sum(sink.position for sink, _ in slow_ones) > 220_000)
        of_slow = [sink.position for sink, _ in slow_ones]
        of_fast = [sink.position for sink, _ in fast_ones]
        assert sum(of_fast) > 4 * sum(of_slow)
        assert max(of_slow) < 2.5 * min(of_slow)
        assert not any(running.called for _, running in slow_ones + fast_ones)
        for _, running in slow_ones + fast_ones:
            end(running)


def test_p8_a_download_that_waits_for_the_cap_is_cancelled_and_others_let_go(
    fetchers: list[CurlFetcher],
) -> None:
    fetcher = fetchers[0]
    limit(fetcher, 100)  # a chunk, and then nothing for minutes
    body = bytes(range(256)) * 20_000
    with FaultyServer({"/image": Page(body), "/api": Page(b"{}")}) as server:
        ones = [begin(fetcher, server.url("/image")) for _ in range(3)]
        wait_until(lambda: sum(sink.position for sink, _ in ones) > 0)
        for _, running in ones[:2]:
            end(running)

        async def get() -> bytes:
            url = server.url("/api")
            return (await fetcher.get(url, limit_bytes=10, allow_local=True)).body

        assert in_reactor(get) == b"{}"
        sink, running = ones[2]
        assert not running.called
        limit(fetcher, 0)
        in_reactor(lambda: running)
    assert bytes(sink.content) == body

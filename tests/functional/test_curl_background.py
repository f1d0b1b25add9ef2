"""Worker threads, with the real reactor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy import ports
from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.outside.background import Threads
from tests.functional.reactor_thread import in_reactor, running_reactor


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads(running_reactor(), size=2)
    yield pool
    pool.close()


def test_work_runs_beside_the_reactor_and_gives_its_result(threads: Threads) -> None:
    async def names() -> tuple[str, str]:
        return threading.current_thread().name, await threads.run(
            lambda stop: threading.current_thread().name
        )

    of_reactor, of_work = in_reactor(names)
    assert of_reactor == "reactor"
    assert "work" in of_work


def test_an_error_of_the_work_is_raised_where_it_is_awaited(threads: Threads) -> None:
    def work(stop: ports.Stop) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        in_reactor(threads.run, work)


@pytest.mark.parametrize("listens", [True, False])
def test_p8_a_cancel_ends_only_when_the_thread_has_left_the_work(
    threads: Threads, listens: bool
) -> None:
    inside, left = threading.Event(), threading.Event()

    def work(stop: ports.Stop) -> str:
        inside.set()
        try:
            if listens:
                stop.wait(20)
            else:
                time.sleep(0.3)
            return "finished in spite of the cancel"
        finally:
            time.sleep(0.1)
            left.set()

    async def cancelled_in_the_middle() -> bool:
        waiting = threads.run(work)
        await threads.run(lambda stop: inside.wait(5))
        waiting.cancel()
        assert not waiting.called
        with pytest.raises(Cancelled):
            await waiting
        return left.is_set()

    assert in_reactor(cancelled_in_the_middle)


def test_work_that_has_not_begun_when_cancelled_never_runs(threads: Threads) -> None:
    release, ran = threading.Event(), threading.Event()

    async def cancel_the_third() -> None:
        busy = [threads.run(lambda stop: release.wait(10)) for _ in range(2)]
        waiting: Deferred[None] = threads.run(lambda stop: ran.set())
        waiting.cancel()
        with pytest.raises(Cancelled):
            await waiting
        release.set()
        for one in busy:
            await one
        await threads.run(lambda stop: None)

    in_reactor(cancel_the_third)
    assert not ran.is_set()


def test_close_asks_all_work_to_stop_and_does_not_wait_for_the_deaf() -> None:
    pool = Threads(running_reactor(), size=2)
    deaf = threading.Event()

    async def begin() -> list[Deferred[object]]:
        return [pool.run(lambda stop: stop.wait(60)), pool.run(lambda stop: deaf.wait(60))]

    listening, ignored = in_reactor(begin)
    pool.close(timeout_s=0.2)
    with pytest.raises(Cancelled):
        in_reactor(lambda: listening)
    deaf.set()
    with pytest.raises(Cancelled):
        in_reactor(lambda: ignored)
    with pytest.raises(Cancelled):
        in_reactor(pool.run, lambda stop: None)

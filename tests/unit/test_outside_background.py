"""Coroutines of their own, and time, on a clock that stands still."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.outside.background import Patient, ReactorClock, RunningTask, StopFlag


def task(clock: Clock, coroutine: Any) -> RunningTask:
    reactor: Any = clock
    return RunningTask(reactor, "a task", coroutine)


def test_a_sleep_ends_when_its_time_has_come_and_not_before() -> None:
    clock: Any = Clock()
    waiting = ReactorClock(clock).sleep(2)
    clock.advance(1.9)
    assert not waiting.called
    clock.advance(0.2)
    assert waiting.called


def test_a_cancelled_sleep_raises_our_cancelled_and_leaves_no_timer() -> None:
    clock: Any = Clock()
    seen: list[Any] = []
    waiting = ReactorClock(clock).sleep(2)
    waiting.addBoth(seen.append)
    waiting.cancel()
    assert isinstance(seen[0].value, Cancelled)
    assert clock.getDelayedCalls() == []


def test_a_cancelled_coroutine_may_undo_and_await_again() -> None:
    clock: Any = Clock()
    steps: list[str] = []

    async def work() -> None:
        try:
            await ReactorClock(clock).sleep(10)
        except Cancelled:
            steps.append("undoing")
            await ReactorClock(clock).sleep(1)
            steps.append("undone")
            raise

    running = task(clock, work())
    ended: list[object] = []
    running.ended().addBoth(ended.append)
    running.cancel()
    clock.advance(0)
    assert (steps, ended) == (["undoing"], [])
    clock.advance(1)
    assert (steps, ended) == (["undoing", "undone"], [None])


def test_a_patient_deferred_stays_unfired_until_the_work_says_so() -> None:
    asked: list[bool] = []
    waiting: Patient[int] = Patient(lambda: asked.append(True))
    results: list[object] = []
    waiting.addBoth(results.append)
    waiting.cancel()
    assert (asked, results) == ([True], [])
    waiting.callback(3)
    assert results == [3]


def test_a_task_may_cancel_itself() -> None:
    clock: Any = Clock()
    running: list[RunningTask] = []
    seen: list[str] = []

    async def work() -> None:
        await ReactorClock(clock).sleep(1)
        running[0].cancel()
        try:
            await ReactorClock(clock).sleep(1)
        except Cancelled:
            seen.append("cancelled")

    running.append(task(clock, work()))
    clock.pump([1, 0])
    assert seen == ["cancelled"]


def test_everybody_who_waits_for_a_task_is_told_and_its_error_is_logged_once() -> None:
    clock: Any = Clock()
    events: list[Any] = []
    observe: Any = events.append
    globalLogPublisher.addObserver(observe)
    try:
        first: Deferred[None] = Deferred()

        async def work() -> None:
            await first
            raise RuntimeError("broken")

        running = task(clock, work())
        ended: list[object] = []
        running.ended().addBoth(ended.append)
        running.ended().addBoth(ended.append)
        first.callback(None)
        running.ended().addBoth(ended.append)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert ended == [None, None, None]
    failures = [event for event in events if "log_failure" in event]
    assert [event["name"] for event in failures] == ["a task"]


def test_who_waits_for_a_task_may_be_cancelled_without_the_task() -> None:
    clock: Any = Clock()
    first: Deferred[None] = Deferred()

    async def work() -> None:
        await first

    running = task(clock, work())
    results: list[Any] = []
    waiting = running.ended().addBoth(results.append)
    other = running.ended()
    waiting.cancel()
    assert isinstance(results[0].value, Cancelled)
    assert not other.called
    first.callback(None)
    assert other.called


def test_a_set_stop_raises_wherever_it_is_asked() -> None:
    stop = StopFlag()
    stop.check()
    stop.set()
    with pytest.raises(Cancelled):
        stop.check()
    with pytest.raises(Cancelled):
        stop.wait(60)

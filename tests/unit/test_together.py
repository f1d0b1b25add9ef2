"""Coroutines side by side, and places that are limited."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from imagestoreproxy.install.places import Places
from imagestoreproxy.install.together import Beside, together
from imagestoreproxy.model.errors import Cancelled, CloudError
from tests.unit.memory import InlineBackground, MemoryClock, MemoryJournal

BACKGROUND = InlineBackground(MemoryJournal())


class Waits:
    """Something to wait for, that notes whether it was cancelled."""

    def __init__(self) -> None:
        self.cancelled = False
        self.deferred: Deferred[int] = Deferred(self._cancel)

    def _cancel(self, waiting: Deferred[int]) -> None:
        self.cancelled = True
        waiting.errback(Cancelled())

    async def run(self) -> int:
        return await self.deferred


def started(coroutine: Any) -> tuple[Deferred[Any], list[Any]]:
    outcome: list[Any] = []
    running = Deferred.fromCoroutine(coroutine)
    running.addBoth(lambda result: outcome.append(getattr(result, "value", result)))
    return running, outcome


def test_what_each_gives_comes_in_their_order() -> None:
    first, second = Waits(), Waits()
    _, outcome = started(together(BACKGROUND, {"a": first.run(), "b": second.run()}))
    second.deferred.callback(2)
    assert outcome == []
    first.deferred.callback(1)
    assert outcome == [[1, 2]]


def test_nothing_is_together_at_once() -> None:
    assert started(together(BACKGROUND, {}))[1] == [[]]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_ends_the_others_and_is_what_is_raised(failing: int) -> None:
    several = [Waits() for _ in range(3)]
    names = {str(number): one.run() for number, one in enumerate(several)}
    _, outcome = started(together(BACKGROUND, names))
    problem = CloudError("no route to S3")
    several[failing].deferred.errback(problem)
    assert outcome == [problem]
    assert [one.cancelled for one in several] == [number != failing for number in range(3)]


def test_p8_a_cancel_reaches_all_of_them_before_it_is_over() -> None:
    several = [Waits() for _ in range(3)]
    names = {str(number): one.run() for number, one in enumerate(several)}
    running, outcome = started(together(BACKGROUND, names))
    running.cancel()
    assert [one.cancelled for one in several] == [True] * 3
    assert isinstance(outcome[0], Cancelled | CancelledError)


def test_what_runs_beside_can_be_stopped_and_asked() -> None:
    failed: list[bool] = []
    waits = Waits()
    beside = Beside(BACKGROUND, "x", waits.run(), lambda: failed.append(True))
    assert not beside.is_over
    started(beside.stop())
    assert (beside.is_over, waits.cancelled, failed) == (True, True, [True])
    _, outcome = started(beside.outcome())
    assert [type(one) for one in outcome] == [Cancelled]


def test_who_comes_first_gets_the_next_place_and_a_cancel_gives_it_up() -> None:
    clock, order = MemoryClock(), []
    places = Places(2, clock)
    waits = [Waits() for _ in range(5)]

    async def visit(number: int) -> None:
        async with places.one():
            order.append(number)
            await waits[number].deferred

    running = [started(visit(number))[0] for number in range(5)]
    clock.twisted.pump([0.05] * 5)
    assert order == [0, 1]
    running[2].cancel()
    waits[1].deferred.callback(0)
    clock.twisted.pump([0.05] * 5)
    assert order == [0, 1, 3]
    waits[0].deferred.errback(CloudError("fails"))
    clock.twisted.pump([0.05] * 5)
    assert order == [0, 1, 3, 4]


def test_a_failure_in_the_first_turn_starts_none_of_the_others() -> None:
    begun: list[str] = []

    async def fails() -> int:
        raise CloudError("no route to S3")

    async def begins() -> int:
        begun.append("second")
        return 1

    _, outcome = started(together(BACKGROUND, {"a": fails(), "b": begins()}))
    assert [type(one) for one in outcome] == [CloudError]
    assert not begun


def test_how_one_ends_is_not_broken_off_by_the_end_of_another() -> None:
    log: list[str] = []
    last, ending = Waits(), Waits()

    async def ends_slowly() -> int:
        try:
            return await Waits().run()
        finally:
            await ending.deferred
            log.append("ended")

    names = {"slow": ends_slowly(), "a": Waits().run(), "b": last.run()}
    _, outcome = started(together(BACKGROUND, names))
    last.deferred.errback(CloudError("no route to S3"))
    assert not outcome
    assert not log
    ending.deferred.callback(0)
    assert log == ["ended"]
    assert [type(one) for one in outcome] == [CloudError]

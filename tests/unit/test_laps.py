"""What an install tells of itself as numbers: its stages, and how it ended."""

from __future__ import annotations

import pytest

from imagestoreproxy.install.laps import Laps
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.history import Outcome
from imagestoreproxy.model.installs import State, Step
from tests.unit.memory import (
    URI,
    MemoryClock,
    MemoryMeters,
    World,
    boot,
    result,
)


def test_an_install_that_works_is_counted_once_with_its_stages(world: World) -> None:
    daemon = boot(world)
    result(daemon.actions.take_up())
    result(daemon.actions.install(URI))
    daemon.clock.twisted.pump([0.1] * 100)
    assert [outcome for outcome, _ in daemon.meters.outcomes] == [Outcome.INSTALLED]
    steps = [step for step, _ in daemon.meters.stages]
    assert steps[:2] == [Step.WAITING, Step.CHECKING]
    assert {Step.DOWNLOADING, Step.UPLOADING} <= set(steps)
    assert steps[-1] is Step.REGISTERING
    ((_, seconds),) = daemon.meters.outcomes
    assert seconds == pytest.approx(sum(seconds for _, seconds in daemon.meters.stages))


def test_one_that_fails_is_counted_once_however_often_it_is_taken_back(world: World) -> None:
    daemon = boot(world)
    result(daemon.actions.take_up())
    for url in world.fetcher.pages:
        world.fetcher.pages[url] = FetchError("404", retry_helps=False)
    result(daemon.actions.install(URI))
    daemon.clock.twisted.pump([1.0] * 100)
    assert [outcome for outcome, _ in daemon.meters.outcomes] == [Outcome.FAILED]
    result(daemon.actions.clear_error(URI))
    assert len(daemon.meters.outcomes) == 1


def test_what_an_earlier_process_has_told_is_not_told_again() -> None:
    meters = MemoryMeters()
    laps = Laps(meters, MemoryClock())
    laps.entered(State.FAILING, State.FAILING)
    laps.entered(State.FAILING, State.FAILED)
    laps.entered(State.CANCELLING, State.UNINSTALLED)
    assert not meters.outcomes
    assert not meters.stages


def test_a_pause_is_no_part_of_the_time_and_what_is_stopped_enters_no_stage() -> None:
    meters, clock = MemoryMeters(), MemoryClock()
    laps = Laps(meters, clock)

    def passes(seconds: float) -> None:
        clock.twisted.advance(seconds)

    laps.entered(State.UNINSTALLED, State.WAITING)
    passes(1)
    laps.entered(State.WAITING, State.DOWNLOADING)
    laps.begin(Step.DOWNLOADING)
    passes(2)
    laps.begin(Step.DOWNLOADING)
    passes(3)
    laps.entered(State.DOWNLOADING, State.PAUSED)
    laps.begin(Step.UPLOADING)  # by what has not heard of it yet
    passes(1000)
    laps.entered(State.PAUSED, State.WAITING)
    passes(4)
    laps.entered(State.WAITING, State.CANCELLING)
    laps.entered(State.CANCELLING, State.CANCELLING)
    assert meters.stages == [(Step.WAITING, 1), (Step.DOWNLOADING, 5), (Step.WAITING, 4)]
    assert meters.outcomes == [(Outcome.CANCELLED, 10)]


def test_one_that_is_cancelled_while_it_is_paused_is_cancelled() -> None:
    meters = MemoryMeters()
    laps = Laps(meters, MemoryClock())
    laps.entered(State.UNINSTALLED, State.WAITING)
    laps.entered(State.WAITING, State.PAUSED)
    laps.entered(State.PAUSED, State.CANCELLING)
    assert meters.outcomes == [(Outcome.CANCELLED, 0)]

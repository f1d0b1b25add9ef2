"""A look at all that an install needs: each error is a finding, and nobody can make it costly."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.checks import compare_clocks
from imagestoreproxy.install.preflight import LIMIT_S, Check, Look, Preflight
from imagestoreproxy.model.errors import CloudError, OwnStateError
from imagestoreproxy.model.findings import Finding
from tests.unit.memory import InlineBackground, MemoryClock, MemoryJournal

FINE = Finding("disk", note="5 GiB are free")


class Ground:
    """Checks in memory; ``asked`` counts how often one that is fine was run."""

    def __init__(self, *more: tuple[str, Check]) -> None:
        self.asked = 0
        self.clock = MemoryClock()
        self.journal = MemoryJournal()
        self.preflight = Preflight(
            lambda: [Look("disk", self.fine), *(Look(what, check) for what, check in more)],
            background=InlineBackground(self.journal),
            clock=self.clock,
        )

    async def fine(self) -> list[Finding]:
        self.asked += 1
        return [FINE]

    def ask(self) -> Deferred[Sequence[Finding]]:
        return Deferred.fromCoroutine(self.preflight.findings())

    def found(self) -> Sequence[Finding]:
        results: list[Sequence[Finding]] = []
        self.ask().addCallback(results.append)
        return results[0]


def test_h8_an_error_is_a_finding_and_the_others_are_looked_at_all_the_same() -> None:
    async def refused() -> list[Finding]:
        raise CloudError("S3_URL is missing.")

    async def lost() -> list[Finding]:
        raise OwnStateError("The keyring is missing.")

    ground = Ground(("cloud", refused), ("keyring", lost))
    assert ground.found() == (
        FINE,
        Finding("cloud", "S3_URL is missing."),
        Finding("keyring", "The keyring is missing."),
    )


def test_what_nobody_foresaw_is_a_finding_too_and_in_the_log() -> None:
    async def broken() -> list[Finding]:
        raise ZeroDivisionError

    ground = Ground(("cloud", broken))
    assert [finding.is_ok for finding in ground.found()] == [True, False]
    assert [type(error) for _, error in ground.journal.failures] == [ZeroDivisionError]


def test_p3_a_check_that_hangs_is_given_up_and_says_so() -> None:
    async def hangs() -> list[Finding]:
        await ground.clock.sleep(1e9)
        return []

    ground = Ground(("cloud", hangs))
    results: list[Sequence[Finding]] = []
    ground.ask().addCallback(results.append)
    ground.clock.twisted.advance(LIMIT_S - 1)
    assert results == []
    ground.clock.twisted.advance(1)
    assert results == [(FINE, Finding("cloud", "There was no answer within 60 seconds."))]
    assert ground.clock.twisted.getDelayedCalls() == []


def test_who_asks_again_soon_or_meanwhile_costs_nothing() -> None:
    gate: Deferred[None] = Deferred()

    async def slow() -> list[Finding]:
        await gate
        return [Finding("cloud")]

    ground = Ground(("cloud", slow))
    results: list[Sequence[Finding]] = []
    for _ in range(100):
        ground.ask().addCallback(results.append)
    assert results == []
    gate.callback(None)
    ground.clock.twisted.advance(0.1)
    assert len(results) == 100
    assert ground.asked == 1
    ground.clock.twisted.advance(29.8)
    ground.found()
    assert ground.asked == 1
    ground.clock.twisted.advance(0.2)
    ground.found()
    assert ground.asked == 2


def test_a_finding_is_one_plain_line() -> None:
    assert FINE.line() == "ok       disk: 5 GiB are free"
    assert Finding("qemu-img").line() == "ok       qemu-img"
    problem = Finding("cloud", "It is\n away.", note="not shown")
    assert problem.line() == "PROBLEM  cloud: It is away."


@pytest.mark.parametrize(
    ("headers", "ok", "said"),
    [
        ({"date": "Wed, 18 Nov 2026 11:06:40 GMT"}, True, "the same as that of the store"),
        ({"date": "Wed, 18 Nov 2026 11:06:10 GMT"}, True, "30 seconds ahead of that of the store"),
        ({"date": "Wed, 18 Nov 2026 11:11:40 GMT"}, False, "300 seconds behind that of the store"),
        ({"date": "Wed, 18 Nov 2026 10:06:40 GMT", "age": "3600"}, True, "the same"),
    ],
)
def test_h3_a_clock_that_differs_is_told_with_by_how_much(
    headers: dict[str, str], ok: bool, said: str
) -> None:
    (finding,) = compare_clocks(headers, 1_795_000_000.0, "the store")
    assert finding.is_ok == ok
    assert said in finding.line()


@pytest.mark.parametrize(
    "headers",
    [{}, {"date": ""}, {"date": "soon"}, {"date": "Wed, 18 Nov 9999999 11:06:40 GMT"},
     {"date": "Wed, 18 Nov 2026 11:06:40 GMT", "age": "old"}],
)  # fmt: skip
def test_a_server_that_does_not_tell_the_time_is_no_finding(headers: dict[str, str]) -> None:
    assert compare_clocks(headers, 0.0, "the store") == []


def test_while_the_daemon_starts_or_stops_nothing_is_ready_and_nothing_is_looked_at() -> None:
    ground = Ground()
    ground.preflight.not_now = "The proxy is being stopped."
    assert ground.found() == [Finding("daemon", "The proxy is being stopped.")]
    assert ground.asked == 0
    ground.preflight.not_now = ""
    assert list(ground.found()) == [FINE]

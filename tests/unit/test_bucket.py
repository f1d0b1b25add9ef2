"""The bandwidth cap and the watch for stalls, by a clock that is a number."""

from __future__ import annotations

import pytest

from imagestoreproxy.outside.bucket import CHUNK_BYTES, Bucket
from imagestoreproxy.outside.pace import Pace


class Bench:
    """Transfers that could bring any number of bytes."""

    def __init__(self, *names: str, limit: int) -> None:
        self.bucket: Bucket[str] = Bucket()
        self.bucket.limit(limit, 0.0)
        self.now_s = 0.0
        self.turns = 0
        self.came = dict.fromkeys(names, 0)
        self.moments: dict[str, list[float]] = {name: [] for name in names}
        self._running = set(names)

    def run(self, until_s: float, chunk_bytes: int = CHUNK_BYTES) -> None:
        while self.now_s < until_s:
            self.turns += 1
            self._running |= set(self.bucket.ready(self.now_s))
            while self._running:
                for name in sorted(self._running):
                    if self.bucket.may_take(name, self.now_s):
                        self.bucket.took(name, chunk_bytes)
                        self.came[name] += chunk_bytes
                        self.moments[name].append(self.now_s)
                    else:
                        self._running.discard(name)
            wait_s = self.bucket.wait_s(self.now_s)
            assert wait_s is not None
            self.now_s += wait_s


@pytest.mark.parametrize("limit", [1000, 50_000, 5_000_000, 500_000_000])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_all_together_bring_what_is_allowed_and_each_the_same(limit: int, count: int) -> None:
    names = [f"{number}" for number in range(count)]
    bench = Bench(*names, limit=limit)
    until_s = max(20.0, 200 * CHUNK_BYTES / limit)
    bench.run(until_s)
    allowed = limit * bench.now_s
    assert 0.95 * allowed - CHUNK_BYTES <= sum(bench.came.values()) <= 1.01 * allowed + 2**18
    assert max(bench.came.values()) - min(bench.came.values()) <= max(2 * CHUNK_BYTES, limit / 5)
    assert bench.turns <= bench.now_s / 0.045 + 10, "it would loop busily"


def test_a_change_counts_from_that_moment_on_and_none_lets_all_go() -> None:
    bench = Bench("a", "b", limit=10_000)
    bench.run(60)
    slow = sum(bench.came.values())
    bench.bucket.limit(1_000_000, bench.now_s)
    began_s = bench.now_s
    bench.run(began_s + 60)
    assert sum(bench.came.values()) - slow > 50 * slow
    assert bench.bucket.wait_s(bench.now_s) is not None
    bench.bucket.limit(0, bench.now_s)
    assert bench.bucket.wait_s(bench.now_s) in (0.0, None)
    bench.bucket.ready(bench.now_s)
    assert bench.bucket.may_take("a", bench.now_s)
    assert bench.bucket.wait_s(bench.now_s) is None


def test_who_has_ended_is_not_waited_for() -> None:
    bench = Bench("a", limit=1000)
    assert bench.bucket.may_take("a", 0.0) is False
    bench.bucket.forget("a")
    assert bench.bucket.wait_s(100.0) is None
    assert bench.bucket.ready(100.0) == []


def test_the_time_in_which_nobody_downloads_is_not_saved_up() -> None:
    bucket: Bucket[str] = Bucket()
    bucket.limit(1_000_000, 0.0)
    came = 0
    assert not bucket.may_take("a", 3600.0)
    assert bucket.ready(3600.0) == ["a"]
    while bucket.may_take("a", 3600.0):
        bucket.took("a", CHUNK_BYTES)
        came += CHUNK_BYTES
    assert 0 < came < 200_000


def test_p2_p3_too_little_for_so_long_is_a_stall_and_pauses_do_not_count() -> None:
    pace = Pace(100, 60)
    pace.restart(0.0)
    assert not pace.has_stalled(59.0)
    pace.came(6000)
    assert not pace.has_stalled(60.0)
    pace.came(5999)
    pace.pause(70.0)
    assert not pace.has_stalled(10_000.0)
    pace.resume(10_000.0)
    assert not pace.has_stalled(10_049.0)
    assert pace.has_stalled(10_050.0)


def test_a_transfer_that_was_fast_before_its_pause_stays_paused() -> None:
    pace = Pace(100, 60)
    pace.restart(0.0)
    pace.came(10_000)
    pace.pause(1.0)
    assert not pace.has_stalled(2.0)
    assert not pace.has_stalled(1000.0)
    pace.resume(1000.0)
    assert not pace.has_stalled(1059.0)
    assert pace.has_stalled(1060.0)


def test_counting_begins_anew_in_a_pause_without_ending_it() -> None:
    pace = Pace(100, 60)
    pace.restart(0.0)
    pace.pause(1.0)
    pace.restart(2.0)
    assert not pace.has_stalled(1000.0)

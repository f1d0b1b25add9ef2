"""Progress: bytes, rate and time left, never backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.install.meter import WEIGHTS, Meter
from imagestoreproxy.model.installs import Step


def test_p10_bytes_rate_and_time_left_are_told() -> None:
    meter = Meter()
    meter.plan({"kernel": 100, "image": 900})
    meter.begin(Step.DOWNLOADING)
    meter.reading(0.0)
    meter.set_done(Step.DOWNLOADING, "kernel", 100)
    meter.set_done(Step.DOWNLOADING, "image", 100)
    reading = meter.reading(2.0)
    assert (reading.bytes_done, reading.bytes_total) == (200, 1000)
    assert reading.bytes_per_second == 100
    assert reading.eta_s == 8


def test_without_a_rate_no_time_left_is_made_up() -> None:
    meter = Meter()
    meter.plan({"kernel": 100, "image": 900})
    meter.begin(Step.DOWNLOADING)
    assert meter.reading(0.0).eta_s is None
    assert meter.reading(5.0).eta_s is None


def test_a_download_that_starts_over_does_not_go_backwards() -> None:
    meter = Meter()
    meter.plan({"kernel": 100, "image": 900})
    meter.begin(Step.DOWNLOADING)
    meter.set_done(Step.DOWNLOADING, "image", 900)
    before = meter.reading(1.0).percent
    meter.set_done(Step.DOWNLOADING, "image", 0)
    after = meter.reading(2.0)
    assert (after.percent, after.bytes_done) == (before, 0)


def test_a_restart_begins_at_what_was_shown() -> None:
    assert Meter(floor_percent=42).reading(0.0).percent == 42


@given(
    st.lists(
        st.tuples(st.sampled_from(list(WEIGHTS)), st.integers(0, 2000), st.floats(0, 100)),
        max_size=50,
    )
)
def test_the_percentage_never_falls_and_never_says_done(
    moves: list[tuple[Step, int, float]],
) -> None:
    meter, now_s, last = Meter(), 0.0, 0
    meter.plan({"kernel": 100, "image": 900})
    for step, done_bytes, passed_s in moves:
        meter.begin(step)
        meter.set_done(step, "image", done_bytes)
        now_s += passed_s
        reading = meter.reading(now_s)
        assert last <= reading.percent <= 99
        assert reading.bytes_per_second >= 0
        last = reading.percent

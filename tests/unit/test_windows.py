"""When images may be brought up to date."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from imagestoreproxy.model.windows import Window, window_of

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo | None = None) -> float:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=zone or UTC).timestamp()


def window(text: str) -> Window:
    return window_of(text, UTC)


@pytest.mark.parametrize(
    ("text", "now", "is_open"),
    [
        ("02:00-05:00", "11-25T01:59:59", False),
        ("02:00-05:00", "11-25T02:00", True),
        ("02:00-05:00", "11-25T04:59:59", True),
        ("02:00-05:00", "11-25T05:00", False),
        ("22:30-01:00", "11-25T22:29", False),
        ("22:30-01:00", "11-25T22:30", True),
        ("22:30-01:00", "11-26T00:59", True),
        ("22:30-01:00", "11-26T01:00", False),
        ("00:00-05:00", "11-25T00:00", True),
        ("22:00-00:00", "11-25T23:59:59", True),
        ("22:00-00:00", "11-26T00:00", False),
        ("", "11-25T12:00", True),
    ],
)
def test_a_window_is_open_from_its_beginning_to_before_its_end(
    text: str, now: str, is_open: bool
) -> None:
    assert window(text).is_open(at(now)) is is_open


@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        ("02:00-05:00", "11-25T01:00", "11-25T02:00"),
        ("02:00-05:00", "11-25T03:00", "11-25T03:00"),
        ("02:00-05:00", "11-25T05:00", "11-26T02:00"),
        ("22:30-01:00", "11-25T01:00", "11-25T22:30"),
        ("22:30-01:00", "12-31T23:00", "12-31T23:00"),
        ("02:00-05:00", "02-28T23:00", "03-01T02:00"),
        ("", "11-25T12:00", "11-25T12:00"),
    ],
)
def test_p14_it_says_when_it_opens_next(text: str, now: str, opens: str) -> None:
    assert window(text).opens_at_s(at(now)) == at(opens)


def test_times_are_those_of_its_zone() -> None:
    assert window_of("02:00-05:00", BERLIN).is_open(at("11-25T01:30"))
    assert window_of("02:00-05:00", BERLIN).opens_at_s(at("11-25T05:00")) == at("11-26T01:00")


def test_a_window_in_the_hour_that_is_left_out_in_spring_opens_on_the_next_day() -> None:
    night = window_of("02:00-03:00", BERLIN)
    assert night.opens_at_s(at("03-29T00:30", BERLIN)) == at("03-30T02:00", BERLIN)
    longer = window_of("02:30-05:00", BERLIN)
    opens_at_s = longer.opens_at_s(at("03-29T00:30", BERLIN))
    assert longer.is_open(opens_at_s)
    assert longer.local(opens_at_s).day == 29

"""What reaches a terminal cannot control it, and lines up."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.client.paint import Paint, paint_for
from imagestoreproxy.client.text import (
    bar,
    columns_of,
    cut,
    duration,
    plain,
    progress,
    table,
    without_tags,
)
from imagestoreproxy.model.words import size


@given(st.text())
def test_no_text_of_a_store_can_control_a_terminal(text: str) -> None:
    shown = plain(text) + without_tags(text) + table(["a", "b"], [[text, text]]).replace("\n", "")
    assert not [c for c in shown if unicodedata.category(c)[0] == "C"]


def test_what_stands_on_a_letter_takes_no_column_and_wide_letters_take_two() -> None:
    assert columns_of("e\u0301") == 1
    assert columns_of("\u2764\ufe0f") == 1
    assert columns_of("\u65e5\u672c") == 4


def test_escapes_line_ends_and_marks_of_direction_are_taken_out() -> None:
    assert plain("a\x1b[31m\r\n\tb\u202ec\u2028d\x9b0m\0") == "a[31m bc d0m"


def test_words_of_html_are_parted_by_blocks_and_not_by_what_stands_within_a_line() -> None:
    assert without_tags("<p>One</p><p>t<b>w</b>o <em>three</em>.</p>4<br>5") == "One two three. 4 5"


@given(st.text(), st.integers(1, 40))
def test_a_cut_line_fits(text: str, columns: int) -> None:
    assert columns_of(cut(plain(text), columns)) <= columns


def test_columns_line_up_with_wide_characters_too() -> None:
    assert table(["N", "V"], [["日本", "1"], ["x" * 50, "2"]], widest=5) == (
        "N      V\n日本   1\nxxxx…  2"
    )


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_sizes_are_in_binary_units(size_bytes: int, shown: str) -> None:
    assert size(size_bytes) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "0:00"), (65.4, "1:05"), (7384, "2:03:04")])
def test_times_are_in_minutes_and_hours(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize("odd", ["x", None, [], {}, True, -5, 1e9])
def test_odd_values_of_a_proxy_do_no_harm(odd: object) -> None:
    names = ("progress-percentage", "bytes-done", "bytes-total", "bytes-per-second", "eta-seconds")
    assert progress(dict.fromkeys(names, odd))
    assert len(bar(dict.fromkeys(names, odd), 40)) < 40


@pytest.mark.parametrize(
    ("columns", "drawn", "said"),
    [
        (100, "[########............]", "42.0 MiB of 100.0 MiB  12.3 MiB/s  1:05 left"),
        (80, "[####........]", "42.0 MiB of 100.0 MiB  12.3 MiB/s  1:05 left"),
        (70, "[#####.........]", "42.0 MiB of 100.0 MiB  1:05 left"),
        (40, "[##.....]", "1:05 left"),
    ],
)
def test_p10_the_time_left_stays_when_the_terminal_is_narrow(
    columns: int, drawn: str, said: str
) -> None:
    state = {
        "progress-percentage": 40,
        "stage": "downloading",
        "bytes-done": 42 << 20,
        "bytes-total": 100 << 20,
        "bytes-per-second": 12.3 * (1 << 20),
        "eta-seconds": 65,
    }
    line = bar(state, columns)
    assert line == f"{drawn}  40 %  downloading  {said}"
    assert len(line) < columns
    longest = {**state, "bytes-done": 1023 << 20, "bytes-total": 1023 << 20, "eta-seconds": 90_000}
    assert bar(longest, 80).endswith("25:00:00 left")


def test_colours_are_put_round_the_text_and_change_no_column() -> None:
    paint = Paint(is_on=True)
    rows: list[list[str | tuple[str, str]]] = [[("good", "a"), "b"], ["long", ("bad", "c")]]
    assert table(["N", "V"], rows, paint=paint).splitlines() == [
        "\x1b[1mN\x1b[0m     \x1b[1mV\x1b[0m",
        "\x1b[32ma\x1b[0m     b",
        "long  \x1b[31mc\x1b[0m",
    ]


@pytest.mark.parametrize(
    ("when", "environ", "is_terminal", "painted"),
    [
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {"TERM": "xterm"}, False, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"TERM": "xterm"}, True, False),
    ],
)
def test_colours_are_for_terminals_that_can_and_for_those_who_want_them(
    when: str, environ: dict[str, str], is_terminal: bool, painted: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    assert paint_for(Stream(), when, environ).is_on is painted

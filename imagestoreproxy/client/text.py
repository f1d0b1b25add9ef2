"""What a terminal shows: no control characters, columns that line up, bytes and times."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from imagestoreproxy.client.paint import PLAIN, Paint
from imagestoreproxy.model.words import size

BAR_COLUMNS = 20
# Marks on the letter before them, such as accents and the selectors of emoji.
_NO_COLUMN = {"Mn", "Me"}
_INLINE = re.compile(r"</?(?:a|abbr|b|code|em|i|s|small|span|strong|sub|sup|u)\b[^>]*>", re.I)
LEAST_BAR_COLUMNS = 4


def plain(text: object) -> str:
    """Make one line of a store's text that cannot control a terminal."""
    line = "".join(
        " " if c in "\t\r\n" or unicodedata.category(c)[0] == "Z" else c
        for c in str(text)
        if c in "\t\r\n" or unicodedata.category(c)[0] != "C"
    )
    return re.sub(" +", " ", line).strip()


def without_tags(markup: str) -> str:
    """Give the words of HTML; what stands within a line parts none of them."""
    return plain(html.unescape(re.sub(r"<[^>]*>", " ", _INLINE.sub("", markup))))


def columns_of(text: str) -> int:
    """Tell how many columns a line takes."""
    return sum(
        0
        if unicodedata.category(c) in _NO_COLUMN
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def cut(text: str, columns: int) -> str:
    """Shorten a line to so many columns."""
    if columns_of(text) <= columns:
        return text
    while text and columns_of(text) > columns - 1:
        text = text[:-1]
    return text + "…" if columns > 0 else ""


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | tuple[str, str]]],
    *,
    widest: int = 40,
    paint: Paint = PLAIN,
) -> str:
    """Line up columns; all but the last are cut at ``widest``, so that the last can be copied.

    Args:
        rows: of cells; a cell is text, or a style and text.
    """
    cells = [[("head", title) for title in head]]
    cells += [[cell if isinstance(cell, tuple) else ("", cell) for cell in row] for row in rows]
    lines = [
        [*((style, cut(plain(cell), widest)) for style, cell in row[:-1]), _plain_cell(row[-1])]
        for row in cells
    ]
    widths = [max(columns_of(line[n][1]) for line in lines) for n in range(len(head))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(
            paint(style, cell) + " " * (width - columns_of(cell))
            for (style, cell), width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _plain_cell(cell: tuple[str, str]) -> tuple[str, str]:
    return cell[0], plain(cell[1])


def duration(seconds: float) -> str:
    """Write a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: object) -> float:
    """Give a number that a proxy sent, or 0 for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def progress(state: Mapping[str, Any]) -> str:
    """Describe work in progress: percent, stage, bytes, rate and time left."""
    return "  ".join(_parts(state).values())


def _parts(state: Mapping[str, Any]) -> dict[str, str]:
    parts = {
        "percent": f"{number(state.get('progress-percentage')):3.0f} %",
        "stage": plain(state.get("stage") or state.get("status") or ""),
    }
    if total := number(state.get("bytes-total")):
        parts["bytes"] = f"{size(number(state.get('bytes-done')))} of {size(total)}"
    if rate := number(state.get("bytes-per-second")):
        parts["rate"] = f"{size(rate)}/s"
    if place := number(state.get("queue-position")):
        parts["place"] = f"place {place:.0f} in the queue"
    if "eta-seconds" in state:
        parts["left"] = f"{duration(number(state['eta-seconds']))} left"
    return parts


def bar(state: Mapping[str, Any], columns: int) -> str:
    """Draw work in progress in one line of a terminal.

    Where that is narrow the bar shrinks first, then rate and bytes give way: the time left stays.
    """
    parts = _parts(state)
    for given_up in ((), ("rate",), ("bytes", "rate")):
        line = "  ".join(value for name, value in parts.items() if name not in given_up)
        room = columns - 1 - columns_of(line) - len("[] ")
        if room >= LEAST_BAR_COLUMNS:
            break
    width = max(LEAST_BAR_COLUMNS, min(BAR_COLUMNS, room))
    percent = min(100.0, max(0.0, number(state.get("progress-percentage"))))
    full = int(width * percent / 100)
    return cut(f"[{'#' * full}{'.' * (width - full)}] {line}", columns - 1)

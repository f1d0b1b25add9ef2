"""How far work is, for a terminal, for a file, or for nobody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

from imagestoreproxy.client import text
from imagestoreproxy.client.paint import PLAIN, Paint, is_drawable

PLAIN_STEP_PERCENT = 10
NAME_COLUMNS = 24

Json = Mapping[str, Any]


class Display(Protocol):
    """Shows how far one piece of work is."""

    def show(self, state: Json) -> None:
        """Show a state in progress."""

    def tell(self, message: str) -> None:
        """Show what hinders it."""

    def end(self) -> None:
        """Leave the terminal as other output needs it."""


class Bar:
    """One line of a terminal, drawn again and again."""

    def __init__(self, stream: TextIO, paint: Paint = PLAIN) -> None:
        self._stream = stream
        self._paint = paint
        self._drawn = False

    def show(self, state: Json) -> None:
        """Draw the line."""
        columns = shutil.get_terminal_size().columns
        self._stream.write(f"\r{_painted(text.bar(state, columns), self._paint)}\x1b[K")
        self._stream.flush()
        self._drawn = True

    def tell(self, message: str) -> None:
        """Write a line above it."""
        self._stream.write(f"\r{text.plain(message)}\x1b[K\n")

    def end(self) -> None:
        """Go on below it."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()


class Lines:
    """A line for each stage and every few percent, for files and pipes."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self._stream = stream
        self._before = f"{text.plain(name)}: " if name else ""
        self._last: tuple[object, int] | None = None

    def show(self, state: Json) -> None:
        """Write a line, when there is something new."""
        percent = int(text.number(state.get("progress-percentage")))
        here = (state.get("stage"), percent // PLAIN_STEP_PERCENT)
        if here != self._last:
            self._stream.write(f"{self._before}{text.progress(state)}\n")
            self._stream.flush()
        self._last = here

    def tell(self, message: str) -> None:
        """Write it."""
        self._stream.write(f"{self._before}{text.plain(message)}\n")
        self._stream.flush()

    def end(self) -> None:
        """Do nothing: every line is complete."""


class Silent:
    """Shows nothing, for ``--json``."""

    def show(self, state: Json) -> None:
        """Show nothing."""

    def tell(self, message: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class Board(Protocol):
    """Shows how far several pieces of work are, each with a name."""

    def show(self, states: Sequence[tuple[str, Json]]) -> None:
        """Show all that is in progress, by name."""

    def tell(self, name: str, message: str, style: str = "") -> None:
        """Say something of one of them that stays to be read."""

    def end(self) -> None:
        """Leave the terminal as other output needs it."""


class Bars:
    """As many lines of a terminal as there are pieces of work, drawn again and again.

    Those for which the terminal is not high enough are counted in the last line.
    """

    def __init__(self, stream: TextIO, paint: Paint = PLAIN) -> None:
        self._stream = stream
        self._paint = paint
        self._drawn: list[tuple[str, str]] = []
        self._above = 0

    def show(self, states: Sequence[tuple[str, Json]]) -> None:
        """Draw all of them in place of those drawn before."""
        columns, rows = shutil.get_terminal_size()
        most = max(1, rows - 2)
        shown = states if len(states) <= most else states[: most - 1]
        longest = max((text.columns_of(name) for name, _ in shown), default=0)
        width = min(NAME_COLUMNS, columns // 3, longest)
        self._drawn = [
            (
                name,
                _named(name, width) + _painted(text.bar(state, columns - width - 2), self._paint),
            )
            for name, state in shown
        ]
        if len(shown) < len(states):
            self._drawn.append(("", f"and {len(states) - len(shown)} more"))
        self._draw()

    def tell(self, name: str, message: str, style: str = "") -> None:
        """Write a line above them, in place of the bar of that name."""
        line = text.plain(message)
        if name:
            line = f"{text.plain(name)}: {line}"
            self._drawn = [one for one in self._drawn if one[0] != name]
        self._draw(self._paint(style, line) + "\x1b[K\n")

    def end(self) -> None:
        """Take them away: what came of each was told."""
        self._drawn = []
        self._draw()

    def _draw(self, above: str = "") -> None:
        back = f"\x1b[{self._above}A" if self._above else ""
        lines = "".join(f"{line}\x1b[K\n" for _, line in self._drawn)
        self._stream.write(f"\r{back}{above}{lines}\x1b[J")
        self._stream.flush()
        self._above = len(self._drawn)


class ManyLines:
    """``Lines`` for several pieces of work, each line with a name before it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: dict[str, Lines] = {}

    def show(self, states: Sequence[tuple[str, Json]]) -> None:
        """Write a line for each of which there is something new."""
        for name, state in states:
            self._lines.setdefault(name, Lines(self._stream, name)).show(state)

    def tell(self, name: str, message: str, style: str = "") -> None:
        """Write it."""
        Lines(self._stream, name).tell(message)

    def end(self) -> None:
        """Do nothing: every line is complete."""


class SilentBoard:
    """Shows nothing, for ``--json``."""

    def show(self, states: Sequence[tuple[str, Json]]) -> None:
        """Show nothing."""

    def tell(self, name: str, message: str, style: str = "") -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def display_for(stream: TextIO, paint: Paint = PLAIN) -> Display:
    """Choose bars where they can be drawn, else lines."""
    return Bar(stream, paint) if is_drawable(stream, os.environ) else Lines(stream)


def board_for(stream: TextIO, paint: Paint = PLAIN) -> Board:
    """Choose bars where they can be drawn, else lines."""
    return Bars(stream, paint) if is_drawable(stream, os.environ) else ManyLines(stream)


def _named(name: str, columns: int) -> str:
    shown = text.cut(text.plain(name), columns)
    return shown + " " * (columns - text.columns_of(shown) + 2)


def _painted(bar: str, paint: Paint) -> str:
    """Paint what is done of a bar."""
    if not (bar.startswith("[") and "]" in bar):
        return bar
    done = bar.index("]") if "." not in bar[: bar.index("]")] else bar.index(".")
    return "[" + paint("good", bar[1:done]) + bar[done:]

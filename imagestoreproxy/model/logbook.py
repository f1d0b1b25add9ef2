"""What the log says, in the form in which it is kept and told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HEAD_CHARS = 1500
TAIL_CHARS = 500


class Level(StrEnum):
    """How much an entry matters; in the order of the members, the least first."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Larger for what matters more."""
        return tuple(Level).index(self)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event.

    Args:
        number: from 1 at the start of the process, without gaps.
        at_s: Unix seconds.
        text: bounded, printable but for line ends.
        namespace: the part of the program that it comes from.
    """

    number: int
    at_s: float
    level: Level
    text: str
    namespace: str


def printable(text: str) -> str:
    """Escape what would move a terminal's cursor, or turn its text round; line ends stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in text)


def shortened(text: str, head_chars: int = HEAD_CHARS, tail_chars: int = TAIL_CHARS) -> str:
    """Leave out the middle of a long text: what went wrong stands at the end of a traceback."""
    left_out = len(text) - head_chars - tail_chars
    if left_out <= 0:
        return text
    return f"{text[:head_chars]} [{left_out} characters] {text[len(text) - tail_chars :]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

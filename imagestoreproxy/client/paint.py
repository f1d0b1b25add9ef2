"""Colours, where somebody sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

AUTO, ALWAYS, NEVER = WHEN = ("auto", "always", "never")

_CODES = {"head": "1", "good": "32", "bad": "31", "busy": "36", "warn": "33", "dim": "2"}


class Paint:
    """Puts text into a style: ``head``, ``good``, ``bad``, ``busy``, ``warn`` or ``dim``."""

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    def __call__(self, style: str, text: str) -> str:
        """Give the text as a terminal shows it in this style; without colours, as it is."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.is_on and style and text else text


PLAIN = Paint(is_on=False)


def paint_for(stream: TextIO, when: str, environ: Mapping[str, str]) -> Paint:
    """Choose whether to paint what goes to a stream.

    Args:
        when: ``always``, ``never``, or ``auto``: on a terminal that can, unless ``NO_COLOR`` is
            set to anything (https://no-color.org).
    """
    if when == AUTO:
        return Paint(is_on=is_drawable(stream, environ) and not environ.get("NO_COLOR"))
    return Paint(is_on=when == ALWAYS)


def is_drawable(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream is a terminal on which the cursor can be moved."""
    return stream.isatty() and environ.get("TERM", "") not in {"", "dumb"}

"""Shows how far an install is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any, Self

from demo.images import MIB

BAR_WIDTH = 24
STEP_PERCENT = 20


class Bar:
    """One line that changes; an ordinary list of lines where the output is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._said = ("", -STEP_PERCENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            print("\r\x1b[K", end="", flush=True)

    def show(self, state: Mapping[str, Any]) -> None:
        """Show a state of the UI API."""
        percent = int(state.get("progress-percentage", 0))
        line = describe(state)
        if self._live:
            done = BAR_WIDTH * percent // 100
            bar = f"[{'#' * done}{'.' * (BAR_WIDTH - done)}] {line}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{bar[:width]}", end="", flush=True)
            return
        stage, said = self._said
        if state.get("stage", "") != stage or percent >= said + STEP_PERCENT:
            self._said = (str(state.get("stage", "")), percent)
            print(f"  {line}", flush=True)


def describe(state: Mapping[str, Any]) -> str:
    """Give percentage, step, bytes, rate and time left as one line."""
    words = [
        f"{state.get('progress-percentage', 0):3d} %  {state.get('stage', state['status']):<12}"
    ]
    if total := state.get("bytes-total"):
        words.append(f"{state.get('bytes-done', 0) / MIB:.1f} of {total / MIB:.1f} MiB")
        if rate := state.get("bytes-per-second"):
            words.append(f"{rate / MIB:.1f} MiB/s")
        if (left := state.get("eta-seconds")) is not None:
            words.append(f"{left:.0f} s left")
    return ", ".join(words).replace(" , ", "  ", 1)

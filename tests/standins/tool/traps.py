"""What a stand-in is told to do wrong, in a file beside it, and the record of its calls."""

from __future__ import annotations

import marshal
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FOR_EVER_S = 3600


class Traps:
    """The settings of the file ``traps``; each may change between two calls.

    A setting whose value is a list of command names holds for these commands only.
    """

    def __init__(self, place: str, tool: str) -> None:
        self.place = place
        self._tool = tool
        self._settings: dict[str, Any] = {}
        if os.path.exists(f"{place}/traps"):
            with open(f"{place}/traps", "rb") as file:
                self._settings = marshal.load(file)

    def on(self, name: str) -> bool:
        """Whether a trap is set for this command."""
        value = self._settings.get(name, False)
        return self._tool in value if isinstance(value, list) else bool(value)

    def number(self, name: str, otherwise: float) -> float:
        return float(self._settings.get(name, otherwise))

    def of_tool(self, name: str) -> Any:
        """This command's entry where the setting is a table by command name."""
        return self._settings.get(name, {}).get(self._tool)

    def pause(self) -> None:
        """Between two steps: slowly, or for ever."""
        sys.stdout.flush()
        if self.on("leave_child"):
            self._leave_child()
        if self.on("hang"):
            time.sleep(FOR_EVER_S)
        if self.on("slow"):
            time.sleep(self.number("slow_s", 1))

    def _leave_child(self) -> None:
        """A child that holds the output open and does not end with its parent."""
        pid = os.posix_spawnp(
            "sleep",
            ["sleep", str(FOR_EVER_S)],
            os.environ,
            setsid=self.on("leave_group"),
        )
        with open(f"{self.place}/children", "a") as file:
            file.write(f"{pid}\n")

    def record(self, argv: Sequence[str]) -> None:
        """Add a line to ``calls``: names of the environment, never a value."""
        home = os.environ.get("HOME", "/nowhere")
        entry = {
            "tool": self._tool,
            "arguments": list(argv),
            "environment": sorted(os.environ),
            "home": sorted(os.listdir(home)) if os.path.isdir(home) else None,
            "directory": os.getcwd(),
            "group": os.getpgrp(),
            "process": os.getpid(),
        }
        with open(f"{self.place}/calls", "a") as file:
            file.write(f"{entry!r}\n")

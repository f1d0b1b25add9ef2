"""What a stand-in is told to do wrong, in a file beside it, and the record of its calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOR_EVER_S = 3600


class Traps:
    """The settings of ``traps.json``; each may change between two calls.

    A setting whose value is a list of command names holds for these commands only.
    """

    def __init__(self, place: Path, tool: str) -> None:
        self.place = place
        self._tool = tool
        path = place / "traps.json"
        self._settings: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

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
        child = subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep({FOR_EVER_S})"],
            start_new_session=self.on("leave_group"),
        )
        with (self.place / "children").open("a") as file:
            file.write(f"{child.pid}\n")
        child.returncode = 0  # no warning at exit

    def record(self, argv: Sequence[str]) -> None:
        """Add a line to ``calls.jsonl``: names of the environment, never a value."""
        home = Path(os.environ.get("HOME", "/nowhere"))
        entry = {
            "tool": self._tool,
            "arguments": list(argv),
            "environment": sorted(os.environ),
            "home": sorted(path.name for path in home.iterdir()) if home.is_dir() else None,
            "directory": str(Path.cwd()),
            "group": os.getpgrp(),
            "process": os.getpid(),
        }
        with (self.place / "calls.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

"""What /proc and the disk tell of a process while it works."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TICKS = os.sysconf("SC_CLK_TCK")
EVERY_S = 0.02


def cpu_s(pid: int) -> float:
    """Give the CPU time of a process and of those children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def memory_kib(pid: int, what: str = "VmRSS") -> int:
    """Give a line of a process's status, such as ``VmRSS`` or ``VmHWM``; 0 when it is gone."""
    with suppress(OSError):
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    return 0


def family(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def on_disk_bytes(directory: Path) -> int:
    """Give the blocks that the files below a directory take, as du counts them."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_blocks * 512
    return total


class Peaks:
    """Watches a process and a directory until the end of a ``with`` block.

    Attributes:
        family_kib: the largest sum of resident sizes of the process and its children.
        disk_bytes: the most that the directory took.
    """

    def __init__(self, pid: int, directory: Path) -> None:
        self._pid = pid
        self._directory = directory
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.family_kib = 0
        self.disk_bytes = 0

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            kib = sum(memory_kib(pid) for pid in family(self._pid))
            self.family_kib = max(self.family_kib, kib)
            self.disk_bytes = max(self.disk_bytes, on_disk_bytes(self._directory))
            if self._over.wait(EVERY_S):
                return


def pause_until_quiet(pid: int, limit_s: float = 10) -> None:
    """Wait until a process takes next to no CPU, and what was written is on the disk."""
    os.sync()
    ends_s = time.monotonic() + limit_s
    while time.monotonic() < ends_s:
        before_s = cpu_s(pid)
        time.sleep(0.1)
        if cpu_s(pid) - before_s <= 0.02:
            return

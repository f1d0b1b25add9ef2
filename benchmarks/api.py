"""Part ``api``: does the page stay quick, whatever goes on behind it?"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gauges import cpu_s
from benchmarks.ground import Ground, ground
from benchmarks.images import Image
from benchmarks.load import URIS
from benchmarks.report import Report, Row, percentile, ratio_row
from tests.functional.rig import ROOT

PART = "api"
AT_MOST_MS = {"p50": 10, "p99": 50}
COPIES = 300
LONGEST_S = 600


@dataclass(frozen=True)
class Load:
    """How a client asks; ``per_second`` 0: as fast as it is answered."""

    name: str
    connections: int
    per_second: int


LOADS = (Load("50 requests a second", 1, 50), Load("4 clients without a pause", 4, 0))


@dataclass(frozen=True)
class Met:
    """What a client met."""

    latencies_s: list[float]
    per_s: float
    cpu_s: float
    refused: int


def measure(work: Path, image: Image, busy: Iterable[int], seconds: float, report: Report) -> None:
    """Ask an idle daemon and one with so many installs running, in each way of ``LOADS``."""
    with ground(work, [image], "--max-installs=8", copies=COPIES) as place:
        place.once(place.uris[0])
        idle: dict[Load, Met] = {}
        uris = iter(place.uris[1:])
        for installs in (0, *busy):
            with _installing(place, uris, installs) as finished:
                for load in LOADS:
                    met = run_load(place, load, seconds)
                    idle.setdefault(load, met)
                    _report(installs, load, met, idle[load], report)
            if installs:
                report.remark(f"api: {installs} at a time: {len(finished)} installs were done.")


def run_load(place: Ground, load: Load, seconds: float) -> Met:
    """Put a load on the daemon."""
    arguments = (place.daemon.port, seconds, load.connections, load.per_second)
    command = [sys.executable, "-m", "benchmarks.load", *map(str, arguments)]
    before_s = cpu_s(place.pid)
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=LONGEST_S)
    met = json.loads(done.stdout)
    latencies_s = met["latencies_s"]
    used_s = cpu_s(place.pid) - before_s
    return Met(latencies_s, len(latencies_s) / met["took_s"], used_s, met["refused"])


def _report(installs: int, load: Load, met: Met, idle: Met, report: Report) -> None:
    subject = f"{URIS} URIs, {installs or 'no'} install{'s' * (installs != 1)} running, {load.name}"
    note = f"{len(met.latencies_s)} requests"
    if met.refused:
        note += f", {met.refused} REFUSED"
    report.add(Row(PART, subject, "answered", met.per_s, "/s", note=note))
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        value_s, idle_s = percentile(met.latencies_s, at), percentile(idle.latencies_s, at)
        report.add(Row(PART, subject, name, value_s * 1000, "ms", AT_MOST_MS[name]))
        if installs:
            report.add(ratio_row(PART, subject, f"{name} / idle", [value_s], [idle_s]))
    if not installs and not load.per_second:
        per_cpu_s = len(met.latencies_s) / max(met.cpu_s, 0.01)
        what = "answered in a second of the daemon's CPU"
        report.add(Row(PART, subject, what, per_cpu_s, "/s", at_least=1500))


@contextmanager
def _installing(place: Ground, uris: Iterator[str], count: int) -> Iterator[list[str]]:
    """Keep so many installs running; gives the list of those that are done."""
    running: list[str] = []
    finished: list[str] = []
    over = threading.Event()

    def states(of: Sequence[str]) -> dict[str, dict[str, Any]]:
        answer = place.daemon.proxy.post("/api/states", [("image-uri", uri) for uri in of])
        return {state["image-uri"]: state for state in answer["states"]}

    def keep_up() -> None:
        while not over.is_set():
            while len(running) < count:
                running.append(next(uris))
                place.daemon.act(running[-1], "install")
            for uri, state in states(running).items():
                assert not state.get("error-message"), state
                if state["status"] == "installed":
                    running.remove(uri)
                    finished.append(uri)
            over.wait(0.1)

    keeper = threading.Thread(target=keep_up, daemon=True)
    if count:
        keeper.start()
        time.sleep(1)
    yield finished
    if count:
        assert keeper.is_alive(), "no more images to install, or one failed"
        over.set()
        keeper.join()
        for uri in running:
            place.daemon.wait(uri, "installed", within_s=300)
        # The records of all that were installed would count against the next.
        for uri in running + finished:
            place.daemon.act(uri, "uninstall")
            place.daemon.wait(uri, "uninstalled", within_s=300)

"""Part ``memory``: what the largest images ask for, in memory and on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.gauges import Peaks, cpu_s, memory_kib, pause_until_quiet
from benchmarks.ground import ground
from benchmarks.images import Image
from benchmarks.report import Report, Row

PART = "memory"
IDLE_S = 3.0


def measure(work: Path, images: Iterable[Callable[[], Image]], report: Report) -> None:
    """Install each once, with a daemon of its own."""
    for made in images:
        image = made()
        with ground(work, [image]) as place:
            pause_until_quiet(place.pid)
            idle_kib, idle_cpu_s = memory_kib(place.pid), cpu_s(place.pid)
            time.sleep(IDLE_S)
            idle_cpu_s = cpu_s(place.pid) - idle_cpu_s
            with Peaks(place.pid, place.daemon.data_dir) as peaks:
                spent = place.install(place.uris[0])
            peak_kib, after_kib = memory_kib(place.pid, "VmHWM"), memory_kib(place.pid)
        subject, mib = image.title, image.path_bytes / 2**20
        report.add(Row(PART, subject, "idle RSS, no install yet", idle_kib / 1024, "MiB"))
        what = f"idle CPU in {IDLE_S:.0f} s"
        report.add(Row(PART, subject, what, idle_cpu_s * 1000, "ms"))
        note = f"{after_kib >> 10} MiB after the install"
        report.add(Row(PART, subject, "peak RSS, daemon", peak_kib / 1024, "MiB", 140, note))
        note = "sum of RSS, sampled: shared pages count for each"
        family_mib = peaks.family_kib / 1024
        report.add(Row(PART, subject, "peak RSS, with children", family_mib, "MiB", note=note))
        disk_mib = peaks.disk_bytes / 2**20
        note = f"data directory, sampled; the download has {mib:,.0f} MiB"
        report.add(Row(PART, subject, "peak disk", disk_mib, "MiB", note=note))
        report.add(Row(PART, subject, "peak disk / download", disk_mib / mib, "x", 1.15))
        report.add(Row(PART, subject, "first install", spent.seconds, "s", note="1 round"))

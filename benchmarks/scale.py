"""Part ``scale``: ten thousand installed images, a large catalogue, a thousand listeners."""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks import events
from benchmarks.api import LOADS, run_load
from benchmarks.gauges import memory_kib, pause_until_quiet
from benchmarks.ground import Ground, ground
from benchmarks.images import Image
from benchmarks.report import Report, Row, percentile

PART = "scale"
DATABASE = "state.db"
ROUNDS = 5


def measure(
    work: Path, image: Image, installed: int, catalogue: int, listeners: int, report: Report
) -> None:
    """Install one image for real, write down as many more, offer many, listen to all."""
    _allow_files(listeners * 2 + 500)
    with ground(work, [image], copies=2) as place:
        place.install(place.uris[0])
        place.daemon.end()
        _multiply(place, installed)
        offered = _offer(place, catalogue)
        _start(place, f"{installed:,} installed images", report)
        _ask(place, f"{catalogue:,} images in the catalogue", offered, report)
        pause_until_quiet(place.pid, limit_s=300)
        subject = f"{installed:,} installed images"
        rss_mib = memory_kib(place.pid) / 1024
        report.add(Row(PART, subject, "RSS, compared with the cloud", rss_mib, "MiB"))
        events.measure(place, place.uris[1], listeners, report)


def _allow_files(count: int) -> None:
    # What is started later inherits it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _multiply(place: Ground, count: int) -> None:
    """Write the records of one installation down again and again, each for another URI."""
    with closing(sqlite3.connect(place.daemon.data_dir / DATABASE)) as db, db:
        db.row_factory = sqlite3.Row
        (one,) = db.execute("SELECT * FROM installations")
        parts = list(db.execute("SELECT * FROM installed_bundles"))
        for number in range(1, count):
            uri = f"{place.source.url}/api/images/installed-{number}"
            info = json.dumps({**json.loads(one["info"]), "uri": uri})
            new = {**dict(one), "id": None, "image_uri": uri, "info": info}
            key = _insert(db, "installations", new)
            for part in parts:
                _insert(db, "installed_bundles", {**dict(part), "installation": key})


def _insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> int | None:
    marks = ", ".join("?" * len(row))
    names = ", ".join(row)
    done = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return done.lastrowid


def _offer(place: Ground, count: int) -> int:
    """Put a large catalogue into the store; give its size in bytes."""
    uris = [f"{place.source.url}/api/images/offered-{number}" for number in range(count)]
    shown = [{"uri": uri, "title": f"Image {n}"} for n, uri in enumerate(uris)]
    dashboard = place.work / "store" / "api" / "dashboard"
    dashboard.write_text(json.dumps({"images": shown, "sections": []}, separators=(",", ":")))
    return dashboard.stat().st_size


def _start(place: Ground, subject: str, report: Report) -> None:
    starts_s = []
    for number in range(ROUNDS):
        began_s = time.perf_counter()
        place.daemon.start()
        starts_s.append(time.perf_counter() - began_s)
        if number < ROUNDS - 1:
            place.daemon.end(within_s=60)
    starts_s.sort()
    note = f"{ROUNDS} rounds, up to its first answer"
    report.add(Row(PART, subject, "start", starts_s[ROUNDS // 2], "s", note=note))
    first_mib = memory_kib(place.pid) / 1024
    report.add(Row(PART, subject, "RSS after the start", first_mib, "MiB"))
    database_mib = (place.daemon.data_dir / DATABASE).stat().st_size / 2**20
    report.add(Row(PART, subject, "database", database_mib, "MiB"))
    met = run_load(place, LOADS[0], 5)
    note = "while all are compared with the cloud"
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        value_ms = percentile(met.latencies_s, at) * 1000
        report.add(Row(PART, subject, f"POST /api/states, {name}", value_ms, "ms", note=note))


def _ask(place: Ground, subject: str, offered_bytes: int, report: Report) -> None:
    took_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        answer = place.daemon.proxy.get("/api/dashboard")
        took_s.append(time.perf_counter() - began_s)
    note = f"first {took_s[0]:.2f} s; the store's listing has {offered_bytes / 2**20:.1f} MiB"
    value_s = percentile(took_s, 0.5)
    report.add(Row(PART, subject, "GET /api/dashboard", value_s, "s", note=note))
    shown = len(answer["images"])
    report.add(Row(PART, subject, "images shown", shown, ""))
    for message in (answer.get("error-message"),):
        if message:
            report.remark(f"scale: the dashboard says: {message}")

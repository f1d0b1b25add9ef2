"""Part ``scale``: ten thousand installed images, a large catalogue, a thousand listeners."""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from benchmarks import events
from benchmarks.api import LOADS, run_load
from benchmarks.gauges import memory_kib
from benchmarks.ground import Ground, ground
from benchmarks.images import Image
from benchmarks.report import Report, Row, median_row, percentile

PART = "scale"
DATABASE = "state.db"
ROUNDS = 5
LOAD_S = 5.0
QUIET_S = 3.0
LONGEST_S = 120.0
# What a daemon takes of one store, at the time of writing.
LISTED = 100_000
BUCKET = "image-store-{:016x}-image"
MANIFEST = "image.manifest.xml"
# An entry of a real listing has about 1 kB.
SUMMARY = "A server with all that a small team needs, hardened, updated each week. " * 3
DESCRIPTION = f"<p>{SUMMARY * 2}</p>"


def measure(
    work: Path, image: Image, installed: int, catalogue: int, listeners: int, report: Report
) -> None:
    """Install one image for real, write down as many more, offer many, listen to all."""
    _allow_files(listeners * 2 + 500)
    with ground(work, [image], copies=2) as place:
        place.install(place.uris[0])
        place.daemon.end()
        _multiply(place, installed)
        _offer(place, catalogue)
        _start(place, installed, report)
        _look(place, catalogue, report)
        events.measure(place, place.uris[1], listeners, report)


def _allow_files(count: int) -> None:
    # What is started later inherits it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _multiply(place: Ground, count: int) -> None:
    """Write the records of one installation down again and again, each for another URI.

    Kernel and ramdisk are the same for all, as they are for images that share them; each image
    has a bundle and an id of its own, which the cloud knows.
    """
    ids = _register(place, count)
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
                own = _own(number, ids) if part["kind"] == "image" else {}
                _insert(db, "installed_bundles", {**dict(part), **own, "installation": key})


def _own(number: int, ids: list[str]) -> dict[str, object]:
    bucket = BUCKET.format(number)
    location = f"{bucket}/{MANIFEST}"
    return {"bucket": bucket, "location": location, "image_id": ids[number], "content": ""}


def _register(place: Ground, count: int) -> list[str]:
    """Bring as many small bundles into the cloud; give their ids, the first of them empty."""
    ids = [""]
    with closing(HTTPConnection("127.0.0.1", place.sink.port, timeout=60)) as connection:

        def ask(method: str, path: str, body: str) -> bytes:
            connection.request(method, path, body)
            return connection.getresponse().read()

        for number in range(1, count):
            bucket = BUCKET.format(number)
            ask("PUT", f"/{bucket}", "")
            ask("PUT", f"/{bucket}/{MANIFEST}", "a manifest")
            form = {"Action": "RegisterImage", "ImageLocation": f"{bucket}/{MANIFEST}"}
            answer = ask("POST", "/", urlencode({**form, "Name": bucket})).decode()
            ids.append(answer.partition("<imageId>")[2].partition("</imageId>")[0])
    return ids


def _insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> int | None:
    marks = ", ".join("?" * len(row))
    names = ", ".join(row)
    done = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return done.lastrowid


def _offer(place: Ground, count: int) -> float:
    """Put a large catalogue into the store; give its size in MiB."""
    uris = [f"{place.source.url}/api/images/offered-{number}" for number in range(count)]
    shown = [
        {
            "uri": uri,
            "title": f"Image {n}",
            "summary": SUMMARY,
            "description-html": f"{DESCRIPTION}<p>Build {n}</p>",
            "version": f"1.{n}",
            "size-in-mb": 700,
            "tags": ["linux", "server"],
            "provider": {"title": "A provider", "uri": "http://provider.example/"},
        }
        for n, uri in enumerate(uris)
    ]
    dashboard = place.work / "store" / "api" / "dashboard"
    dashboard.write_text(json.dumps({"images": shown, "sections": []}, separators=(",", ":")))
    return dashboard.stat().st_size / 2**20


def _start(place: Ground, installed: int, report: Report) -> None:
    subject, asked_before, starts_s = f"{installed:,} installed images", 0, []
    for number in range(ROUNDS):
        asked_before, began_s = place.asked(), time.perf_counter()
        place.daemon.start()
        starts_s.append(time.perf_counter() - began_s)
        if number < ROUNDS - 1:
            place.daemon.end(within_s=60)
    note = "up to the first answer"
    report.add(median_row(PART, subject, "start", starts_s, note=note))
    rss_mib = memory_kib(place.pid) / 1024
    report.add(Row(PART, subject, "RSS after the start", rss_mib, "MiB"))
    database_mib = (place.daemon.data_dir / DATABASE).stat().st_size / 2**20
    report.add(Row(PART, subject, "database", database_mib, "MiB"))
    met = run_load(place, LOADS[0], LOAD_S)
    note = "while all are compared with the cloud"
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        value_ms = percentile(met.latencies_s, at) * 1000
        report.add(Row(PART, subject, f"POST /api/states, {name}", value_ms, "ms", note=note))
    asked, quiet_at_s, ends_s = place.asked(), time.perf_counter(), time.monotonic() + LONGEST_S
    while time.perf_counter() - quiet_at_s < QUIET_S and time.monotonic() < ends_s:
        time.sleep(0.2)
        if (now := place.asked()) != asked:
            asked, quiet_at_s = now, time.perf_counter()
    note = f"{asked - asked_before:,} requests to the cloud, of the hourly comparison"
    if time.monotonic() >= ends_s:
        note += "; NOT FINISHED"
    took_s = quiet_at_s - began_s
    report.add(Row(PART, subject, "start until all were compared", took_s, "s", note=note))
    rss_mib = memory_kib(place.pid) / 1024
    report.add(Row(PART, subject, "RSS when all were compared", rss_mib, "MiB"))
    asked_before, began_s = place.asked(), time.perf_counter()
    found = place.daemon.proxy.post("/api/reconcile")["reconciliation"]
    note = f"{place.asked() - asked_before:,} requests; {found['problem'] or 'complete'}"
    took_s = time.perf_counter() - began_s
    report.add(Row(PART, subject, "image-store reconcile", took_s, "s", note=note))


def _look(place: Ground, wanted: int, report: Report) -> None:
    """Look at the largest catalogue that the daemon takes, of that size or of ``LISTED``."""
    for count in sorted({wanted, min(wanted, LISTED)}, reverse=True):
        offered_mib = _offer(place, count)
        # A daemon that runs keeps what it knows for a while.
        place.daemon.end(within_s=60)
        place.daemon.start()
        took_s = []
        for _ in range(ROUNDS + 1):
            began_s = time.perf_counter()
            answer = place.daemon.proxy.get("/api/dashboard")
            took_s.append(time.perf_counter() - began_s)
        if len(answer["images"]) >= count:
            break
        report.remark(f"scale: {count:,} images in the catalogue: {answer.get('error-message')}")
    subject = f"{count:,} images in the catalogue"
    note = f"the store's listing has {offered_mib:.1f} MiB"
    report.add(median_row(PART, subject, "first GET /api/dashboard", took_s[:1], note=note))
    report.add(median_row(PART, subject, "GET /api/dashboard", took_s[1:]))
    report.add(Row(PART, subject, "images shown", len(answer["images"]), ""))
    rss_mib = memory_kib(place.pid) / 1024
    report.add(Row(PART, subject, "RSS", rss_mib, "MiB"))

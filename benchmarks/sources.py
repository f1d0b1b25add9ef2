"""Part ``sources``: search over many images, and a large catalogue, against the plain way."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gauges import memory_kib
from benchmarks.report import Report, Row
from imagestoreproxy.model.images import ImageInfo, Provider
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.searching import Index, parse
from imagestoreproxy.sources.simplestreams.reading import read_products

PART = "sources"
QUERIES = ("noble server", "release:r7 arch:amd64", "nothing has this", "ubuntu -server", "")
ROUNDS = 15
SHOWN = 2_000
# A slow search is one that a person notices beside the page that shows it.
TARGET_MS = 20
TARGET_MIB = 100
ROOT = "https://mirror.example/"


def measure(images: int, mib: int, report: Report) -> None:
    """Search through ``images``, and read a catalogue of ``mib``."""
    _search(images, report)
    _read(mib, report)


def _search(count: int, report: Report) -> None:
    infos = [_info(number) for number in range(count)]
    index = Index()
    begun_s = time.perf_counter()
    index.learn("one", infos)
    subject = f"{count:,} images"
    report.add(Row(PART, subject, "index made", (time.perf_counter() - begun_s) * 1000, "ms"))
    for text in QUERIES:
        query = parse(text)

        def search() -> object:
            return index.search(query, SHOWN)  # noqa: B023 - called at once

        samples = [_ms(search) for _ in range(ROUNDS)]
        what = f"search for '{text}'"
        median = statistics.median(samples)
        report.add(Row(PART, subject, what, median, "ms", TARGET_MS, samples=tuple(samples)))


def _info(number: int) -> ImageInfo:
    release = f"r{number % 30}"
    return ImageInfo(
        f"{ROOT}streams/v1/com.example:released:download#com.example:server:{number}:amd64",
        title=f"Ubuntu {number % 30}.04 LTS (Noble {number}), amd64",
        summary="Bootable disk of a server, supported until 2029-05-31; build 20240821.",
        version="20240821",
        tags=("ubuntu", release, "amd64", "lts"),
        provider=Provider("Canonical"),
        architecture="x86_64",
        releases=(release, f"{number % 30}.04"),
    )


def _ms(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return (time.perf_counter() - begun_s) * 1000


def _read(mib: int, report: Report) -> None:
    """Read a catalogue in a process of its own, and the same with ``json.loads`` alone."""
    subject = f"catalogue of {mib} MiB"
    with tempfile.NamedTemporaryFile() as file:
        file.write(_catalogue(mib))
        file.flush()
        for way, what in {"ours": "read and chosen from", "plain": "json.loads alone"}.items():
            command = [sys.executable, "-m", "benchmarks.sources", way, file.name]
            done = subprocess.run(command, check=True, capture_output=True, timeout=300)
            told = json.loads(done.stdout)
            report.add(Row(PART, subject, f"{what}: time", told["s"], "s"))
            target = TARGET_MIB if way == "ours" else None
            note = "beside the text itself"
            report.add(Row(PART, subject, f"{what}: memory", told["mib"], "MiB", target, note))


def _catalogue(mib: int) -> bytes:
    """Make a catalogue like Ubuntu's: products of many versions of a dozen files each."""
    item = {"ftype": "", "path": "", "size": 586022912, "sha256": "ab" * 32, "md5": "cd" * 16}
    kinds = ("disk1.img", "tar.gz", "root.tar.xz", "squashfs", "ova", "vmdk", "manifest", "lxd")
    versions = {
        f"2024{day:04}": {
            "label": "release",
            "pubname": f"ubuntu-noble-24.04-amd64-server-2024{day:04}",
            "items": {
                kind: {**item, "ftype": kind, "path": f"server/releases/{day}/noble.{kind}"}
                for kind in kinds
            },
        }
        for day in range(100)
    }
    product = {"arch": "amd64", "os": "ubuntu", "release": "noble", "version": "24.04",
               "aliases": "24.04,noble,lts", "supported": True, "versions": versions}  # fmt: skip
    count = max(1, mib * 2**20 // len(json.dumps(product, indent=1)))
    whole = {
        "format": "products:1.0",
        "content_id": "com.example:released:download",
        "datatype": "image-downloads",
        "products": {f"com.example:server:{number}": product for number in range(count)},
    }
    return json.dumps(whole, indent=1).encode()


def _alone(way: str, path: str) -> None:
    """Read in this process, and tell time and growth."""
    payload = Path(path).read_bytes()
    # From here on the peak is counted anew (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before_kib = memory_kib(os.getpid(), "VmHWM")
    begun_s = time.perf_counter()
    if way == "ours":
        kept: object = read_products(payload, root=ROOT, taking=Taking(), now_s=time.time())
    else:
        kept = json.loads(payload)
    spent_s = time.perf_counter() - begun_s
    grown_kib = memory_kib(os.getpid(), "VmHWM") - before_kib
    assert kept
    print(json.dumps({"s": spent_s, "mib": grown_kib / 1024}))


if __name__ == "__main__":
    _alone(*sys.argv[1:])

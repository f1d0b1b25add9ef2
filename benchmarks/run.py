"""``make bench``: what the daemon costs, measured on the daemon itself, as ratios within one run.

Everything runs on 127.0.0.1 and ends by itself. Times are medians; the machine is never alone, so
believe the ratios.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.api import cpu_s, memory_listening_kib, states_per_cpu_s
from demo.images import Samples, make_samples
from tests.functional.moto_server import moto_server
from tests.functional.rig import Rig, ec2_rig

ROUNDS = 5
URIS = 100
POLLS = 200
REQUESTS = 3000
PAGES = 1000
IMAGE_MIB = 256
TITLE = "Example Server, bootable disk"

Row = tuple[str, str, str]


def main() -> int:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory(prefix="image-store-bench-") as name:
        work = Path(name)
        samples = make_samples(work / "images", IMAGE_MIB)
        with moto_server() as cloud_url:
            rows = [*_api_rows(work, samples, cloud_url), *_install_rows(work, samples, cloud_url)]
    width = max(len(row[0]) for row in rows)
    for what, value, note in rows:
        print(f"{what:<{width}}  {value:>12}  {note}")
    return 0


@contextmanager
def _rig(work: Path, samples: Samples, cloud_url: str) -> Iterator[Rig]:
    with (
        tempfile.TemporaryDirectory(dir=work) as directory,
        ec2_rig(Path(directory), samples.directory, cloud_url) as rig,
    ):
        yield rig


def _api_rows(work: Path, samples: Samples, cloud_url: str) -> Iterator[Row]:
    with _rig(work, samples, cloud_url) as rig:
        uri = rig.image(TITLE)
        yield "idle: resident memory", _mib(rig.daemon.memory_kib("VmRSS")), "no install yet"
        yield "idle: CPU in 5 s", f"{_cpu_s(rig, 5) * 1000:.0f} ms", ""
        rate = states_per_cpu_s(rig, _uris(rig), requests=REQUESTS)
        yield f"POST /api/states, {URIS} URIs, per CPU second", f"{rate:.0f}", "of the daemon"
        listening = _mib(memory_listening_kib(rig, pages=PAGES))
        yield f"{PAGES} pages that listen: resident memory", listening, ""
        idle = sorted(_poll_s(rig) for _ in range(POLLS))
        rig.daemon.act(uri, "install")
        busy = []
        while rig.daemon.state(uri)["status"] != "installed":
            busy.append(_poll_s(rig))
        busy.sort()
        yield f"POST /api/states, {URIS} URIs, idle", _ms(idle), f"p99 {_ms(idle, 0.99)}"
        note = f"p99 {_ms(busy, 0.99)}, {len(busy)} polls; {_ratio(busy, idle)} times idle"
        yield f"POST /api/states, {URIS} URIs, installing", _ms(busy), note
        yield "installing: peak memory", _mib(rig.daemon.memory_kib()), f"{IMAGE_MIB} MiB image"


def _install_rows(work: Path, samples: Samples, cloud_url: str) -> Iterator[Row]:
    installs, chains, downloads = [], [], []
    for _ in range(ROUNDS):
        with _rig(work, samples, cloud_url) as rig:
            uri = rig.image(TITLE)
            url = rig.store.url + "/files/image.gz"
            downloads.append(_timed(lambda url=url: _bare_curl(work, url)))  # type: ignore[misc]
            chains.append(_timed(lambda url=url: _chain(work, url)))  # type: ignore[misc]
            installs.append(_timed(lambda rig=rig, uri=uri: _install(rig, uri)))  # type: ignore[misc]
    size = samples.image.stat().st_size / 2**20
    yield (
        f"install, {IMAGE_MIB} MiB ext4, {size:.0f} MiB gzip",
        _s(installs),
        "into moto, registered",
    )
    yield (
        "  the steps by hand",
        _s(chains),
        f"{_ratio(chains, installs)} times the install; nothing uploaded",
    )
    yield (
        "  curl of the file to disk",
        _s(downloads),
        f"the install takes {_ratio(installs, downloads)} times as long",
    )


def _install(rig: Rig, uri: str) -> None:
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "installed", within_s=300)


def _bare_curl(work: Path, url: str) -> None:
    subprocess.run(["curl", "-sf", "-o", work / "curl.gz", url], check=True)


# What a user types today, up to the upload: each step reads and writes everything again.
_STEPS = """
set -e
curl -sf -o image.gz "$URL"
sha256sum image.gz >sum
gunzip -c image.gz >image
tar -cf - image | tee tarball | sha1sum >digest
gzip -c tarball >tarball.gz
openssl enc -aes-128-cbc -K "$KEY" -iv "$KEY" -in tarball.gz -out encrypted
split -b 10485760 encrypted part.
sha1sum part.* >digests
"""


def _chain(work: Path, url: str) -> None:
    directory = work / "chain"
    directory.mkdir()
    environment = {**os.environ, "URL": url, "KEY": "0" * 32}
    subprocess.run(["sh", "-c", _STEPS], cwd=directory, env=environment, check=True)
    shutil.rmtree(directory)


def _uris(rig: Rig) -> list[str]:
    return [f"{rig.store.url}/images/{number:04x}" for number in range(URIS)]


def _poll_s(rig: Rig) -> float:
    pairs = [("image-uri", uri) for uri in _uris(rig)]
    return _timed(lambda: rig.daemon.proxy.post("/api/states", pairs))


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _cpu_s(rig: Rig, seconds: float) -> float:
    before_s = cpu_s(rig)
    time.sleep(seconds)
    return cpu_s(rig) - before_s


def _ratio(one: list[float], other: list[float]) -> str:
    return f"{statistics.median(one) / statistics.median(other):.2f}"


def _s(times_s: list[float]) -> str:
    return f"{statistics.median(times_s):.2f} s"


def _ms(times_s: list[float], at: float = 0.5) -> str:
    if not times_s:
        return "-"
    return f"{sorted(times_s)[min(int(len(times_s) * at), len(times_s) - 1)] * 1000:.1f} ms"


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())

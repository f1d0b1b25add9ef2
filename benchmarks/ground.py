"""The ground of a measurement: a store, a cloud and the real daemon, each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gauges import cpu_s, pause_until_quiet
from benchmarks.images import Image
from benchmarks.store import make_store
from demo.certificates import Credentials, make_credentials_directory
from tests.functional.ports import free_port
from tests.functional.rig import CLIENT_ID, SECRET, Daemon, Process, wait_for

POLL_S = 0.02
LONGEST_S = 1800.0


class Served(Process):
    """One of our own servers, on a port that was free."""

    def __init__(self, directory: Path, module: str, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, str(self.port)]
        super().__init__(command, directory / f"{module}.log")

    def start(self) -> None:
        super().start()
        wait_for(self.url, self._answers)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/account", timeout=60):
                return True
        except urllib.request.HTTPError:
            return True
        except OSError:
            return False


@dataclass(frozen=True)
class Spent:
    """What an install took.

    Args:
        seconds: from the signed request to the state ``installed``.
        cpu_s: of the daemon and the programs it ran, answering our polls included.
    """

    seconds: float
    cpu_s: float


@dataclass
class Ground:
    """All three, running.

    Args:
        cloud_url: where S3 and EC2 are: the sink, unless another was named.
        uris: of the images, in their order; with copies, all of one image before the next.
    """

    work: Path
    source: Served
    sink: Served
    daemon: Daemon
    cloud_url: str
    credentials: Credentials
    uris: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        assert self.daemon.running
        return self.daemon.running.pid

    def limit(self, mb_per_s: float) -> None:
        """Make the line of the source slow; 0 ends that."""
        url = f"{self.source.url}/-/rate"
        with urllib.request.urlopen(url, str(mb_per_s).encode(), timeout=60):
            pass

    def asked(self) -> int:
        """Give the number of requests that came to the sink so far."""
        with urllib.request.urlopen(f"{self.sink.url}/-/account", timeout=30) as answer:
            return int(json.load(answer).get("requests", 0))

    def install(self, uri: str) -> Spent:
        """Install, and take the time; polls every 20 ms, as an impatient page would."""
        url: str = self.daemon.state(uri)["actions"]["install"]
        path = url.removeprefix(self.daemon.proxy.url)
        cpu_before_s, began_s = cpu_s(self.pid), time.perf_counter()
        self.daemon.proxy.post(path)
        while True:
            state = self.daemon.state(uri)
            if state["status"] == "installed":
                return Spent(time.perf_counter() - began_s, cpu_s(self.pid) - cpu_before_s)
            if state.get("error-message") or time.perf_counter() - began_s > LONGEST_S:
                raise RuntimeError(f"The install of {uri} failed: {state}\n{self.daemon.said()}")
            time.sleep(POLL_S)

    def uninstall(self, uri: str) -> None:
        """Make an installed image one that can be installed again; waits until all is quiet."""
        self.daemon.act(uri, "uninstall")
        self.daemon.wait(uri, "uninstalled", within_s=300)
        pause_until_quiet(self.pid)

    def once(self, uri: str) -> Spent:
        """Install and uninstall; only the install counts."""
        pause_until_quiet(self.pid)
        spent = self.install(uri)
        self.uninstall(uri)
        return spent


@contextmanager
def ground(
    work: Path,
    images: Sequence[Image],
    *options: str,
    copies: int = 1,
    keep: bool = False,
    cloud_url: str = "",
) -> Iterator[Ground]:
    """Start everything, and end it.

    Args:
        options: more of the daemon's.
        copies: how many URIs each image gets.
        keep: the sink keeps every byte, in the directory ``kept``.
        cloud_url: of a cloud that runs already.
    """
    directory = Path(tempfile.mkdtemp(dir=work))
    (directory / "store").mkdir()
    kept = directory / "kept"
    kept.mkdir()
    sink = Served(directory, "sink", *(["--keep", str(kept)] if keep else []))
    source = Served(directory, "source", str(directory / "store"))
    uris = make_store(directory / "store", f"{source.url}/api", images, copies)
    cloud_url = cloud_url or sink.url
    made = make_credentials_directory(
        directory / "credentials", cloud_url, cloud_url, CLIENT_ID, SECRET
    )
    daemon = Daemon(
        directory,
        f"--api-url={source.url}/api",
        "--cloud=ec2",
        f"--credentials-dir={made.directory}",
        *options,
    )
    try:
        for process in (sink, source, daemon):
            process.start()
        yield Ground(directory, source, sink, daemon, cloud_url, made, uris)
    finally:
        for process in (daemon, source, sink):
            if process.running and process.running.poll() is None:
                process.running.kill()
                process.running.wait(10)
        shutil.rmtree(directory, ignore_errors=True)


def cores() -> int:
    """Give the number of processors that we may use."""
    return len(os.sched_getaffinity(0))

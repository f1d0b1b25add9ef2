"""The real daemon as a process, between the fake store and a cloud, driven by signed requests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.certificates import make_credentials_directory
from imagestoreproxy.client.requests import ClientError, Connection
from tests.functional import warm
from tests.functional.ports import free_port
from tests.functional.warm import Warm, is_warm

ROOT = Path(__file__).parents[2]
CLIENT_ID = "WKy3rMzOWPouVOxK1p3Ar1C2uRBwa2FBXnCw"
SECRET = "UZGgLPYNTnfOWjkQHDBSOTWRcEpqPdGtvNQfA"
START_S = 30
# What is broken off would by itself take longer, and the machine may have other things to do.
SOON_S = 30

State = dict[str, Any]


def wait_for(what: str, condition: Callable[[], Any], within_s: float = START_S) -> Any:
    """Poll until ``condition`` gives something true."""
    ends_s = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < ends_s, f"waited {within_s} s in vain for {what}"
        time.sleep(0.02)
    return value


@dataclass
class Process:
    """A program of ours; what it says goes to a file.

    Attributes:
        is_cold: start it as a user does, also where a fork of one that is loaded would do.
    """

    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | Warm | None = None
    is_cold: bool = False

    def start(self) -> None:
        outside = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        whole = {**outside, "PYTHONUNBUFFERED": "1", **self.environment}
        with self.log.open("ab") as output:
            if is_warm(self.command, whole) and not self.is_cold:
                self.running = warm.start(self.command, whole, (output.fileno(),) * 2)
                return
            self.running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=whole,
            )

    def end(self, number: int = signal.SIGTERM, within_s: float = START_S) -> int:
        """Send a signal and wait; give the exit status."""
        assert self.running
        with suppress(ProcessLookupError):
            self.running.send_signal(number)
        try:
            return self.running.wait(within_s)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait(10)
            raise

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class FakeStore(Process):
    """``fakestoreapi.py`` on a port of its own, which it keeps over a restart."""

    def __init__(self, directory: Path, images: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        script = str(ROOT / "fakestoreapi.py")
        super().__init__(
            [sys.executable, script, str(images), f"--port={self.port}"], directory / "store.log"
        )

    def start(self) -> None:
        super().start()
        wait_for("the fake store", lambda: _answers(f"{self.url}/dashboard"))

    def control(self, **order: object) -> None:
        """Make it misbehave, or publish a newer version."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/control",
            json.dumps(order).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


class Daemon(Process):
    """``bin/image-store-proxy`` with a data directory of its own."""

    def __init__(self, directory: Path, *options: str, **environment: str) -> None:
        self.port = free_port()
        self.data_dir = directory / "data"
        self.proxy = Connection(f"http://127.0.0.1:{self.port}", CLIENT_ID, SECRET)
        command = [
            sys.executable,
            str(ROOT / "bin" / "image-store-proxy"),
            f"--data-dir={self.data_dir}",
            f"--keyring={ROOT / 'fake-pubring.gpg'}",
            f"--listen=tcp:{self.port}:interface=127.0.0.1",
            *options,
        ]
        super().__init__(command, directory / "proxy.log", environment)

    def start(self) -> None:
        super().start()
        wait_for("the proxy", self._is_up)

    def _is_up(self) -> bool:
        assert self.running
        assert self.running.poll() is None, self.said()
        return _answers(f"http://127.0.0.1:{self.port}/healthz")

    def has_asked(self) -> bool:
        """Tell whether every store has given its catalogue, or it is known why not.

        The doors open without that after a while: on a busy machine that is too soon for a test.
        """
        try:
            sources = self.proxy.get("/api/sources")["sources"]
        except ClientError:
            return False  # who may ask is not known yet
        return all("fetched-at" in one or "problem" in one for one in sources)

    def has_a_catalogue(self) -> bool:
        """Tell whether every store was asked, and there is something to show."""
        return self.has_asked() and bool(self.proxy.get("/api/dashboard")["images"])

    def state(self, uri: str) -> State:
        answer = self.proxy.post("/api/states", [("image-uri", uri)])
        return next(state for state in answer["states"] if state["image-uri"] == uri)

    def act(self, uri: str, action: str) -> State:
        """Do as the Store tab does: post to the action URI of the image's state."""
        url: str = self.state(uri)["actions"][action]
        path = url.removeprefix(f"http://127.0.0.1:{self.port}")
        assert path.startswith("/"), url
        return dict(self.proxy.post(path)["state"])

    def wait(self, uri: str, *statuses: str, within_s: float = 60) -> State:
        """Wait until an image is in one of these states."""

        def reached() -> State | None:
            state = self.state(uri)
            return state if state["status"] in statuses else None

        return dict(wait_for(f"{statuses}", reached, within_s))

    def files(self) -> list[Path]:
        """Give what lies under ``downloads``, while the daemon may add and remove."""
        found = os.walk(self.data_dir / "downloads")
        return [Path(directory, name) for directory, _, names in found for name in names]

    def held_bytes(self) -> int:
        """Give the size of all that lies under ``downloads``."""
        total_bytes = 0
        for path in self.files():
            with suppress(FileNotFoundError):
                total_bytes += path.stat().st_size
        return total_bytes

    def memory_kib(self, what: str = "VmHWM") -> int:
        """Give the peak (or with ``VmRSS`` the present) resident size of the process."""
        assert self.running
        text = Path(f"/proc/{self.running.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", text)
        assert found
        return int(found[1])


@dataclass
class Rig:
    """A store and a daemon.

    Attributes:
        cloud_key: the private key of the cloud's certificate, with ``ec2``.
    """

    store: FakeStore
    daemon: Daemon
    cloud_key: Path | None = None

    def image(self, title: str) -> str:
        """Give the URI of an image by its title."""
        images = self.daemon.proxy.get("/api/dashboard")["images"]
        return str(next(image["uri"] for image in images if image["title"] == title))


@contextmanager
def fake_rig(directory: Path, images: Path, *options: str, is_cold: bool = False) -> Iterator[Rig]:
    """Run a store and a daemon with ``--fake-eucalyptus``."""
    store = FakeStore(directory, images)
    daemon = Daemon(
        directory, f"--api-url={store.url}", f"--fake-eucalyptus={SECRET}", "--debug", *options
    )
    daemon.is_cold = is_cold
    with _both(Rig(store, daemon)) as rig:
        yield rig


@contextmanager
def ec2_rig(
    directory: Path, images: Path, cloud_url: str, *options: str, is_cold: bool = False
) -> Iterator[Rig]:
    """Run a store and a daemon with ``--cloud=ec2``."""
    store = FakeStore(directory, images)
    made = make_credentials_directory(
        directory / "credentials", cloud_url, cloud_url, CLIENT_ID, SECRET
    )
    daemon = Daemon(
        directory,
        f"--api-url={store.url}",
        "--cloud=ec2",
        f"--credentials-dir={made.directory}",
        *options,
    )
    daemon.is_cold = is_cold
    with _both(Rig(store, daemon, made.cloud_key)) as rig:
        yield rig


@contextmanager
def _both(rig: Rig) -> Iterator[Rig]:
    try:
        rig.store.start()
        rig.daemon.start()
        wait_for("the first catalogue", rig.daemon.has_a_catalogue)
        yield rig
    finally:
        for process in (rig.daemon, rig.store):
            if process.running and process.running.poll() is None:
                process.running.kill()
                process.running.wait(10)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False

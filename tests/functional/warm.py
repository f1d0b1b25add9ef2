"""Programs of ours that do not have to load their modules first; see ``nursery``."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    str(ROOT / "bin" / "image-store-proxy"),
    str(ROOT / "bin" / "image-store"),
    str(ROOT / "fakestoreapi.py"),
}
# What Python, the C library or Twisted look at while they are loaded.
LOADED_WITH = ("PYTHON", "LANG", "LC_", "TZ", "LISTEN_", "LD_", "MALLOC_", "OPENSSL_")
NO_MATTER = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
BORN_S = 200


class Warm:
    """A forked program; has of ``subprocess.Popen`` what tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, which is not told yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def has_ended(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class Nursery:
    """The process that forks, and what is known of its children."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.functional.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._children: dict[int, Warm] = {}
        self._born: queue.SimpleQueue[Warm | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.is_alive = True
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], outputs: tuple[int, int]
    ) -> Warm:
        order = {"command": command, "environment": environment, "directory": str(ROOT)}
        with self._lock:
            socket.send_fds(self._orders, [json.dumps(order).encode()], list(outputs))
            born = self._born.get(timeout=BORN_S)
        assert born, "the process that forks programs for tests has ended"
        return born

    def _listen(self) -> None:
        while told := self._orders.recv(1 << 10):
            message = json.loads(told)
            if pid := message.get("born"):
                self._children[pid] = Warm(pid)
                self._born.put(self._children[pid])
            else:
                self._children.pop(message["ended"]).has_ended(message["status"])
        self.is_alive = False
        # Nobody would tell any more how they end.
        for child in self._children.values():
            child.kill()
            child.has_ended(-signal.SIGKILL)
        self._born.put(None)
        self._process.wait()


_starting = threading.Lock()
_nursery: Nursery | None = None


def is_warm(command: Sequence[str | Path], environment: Mapping[str, str]) -> bool:
    """Tell whether forking is as good as starting: nothing is said to Python itself."""
    return (
        len(command) > 1
        and command[0] == sys.executable
        and str(command[1]) in SCRIPTS
        and _loaded_with(environment) == _loaded_with(os.environ)
    )


def _loaded_with(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if value and name.startswith(LOADED_WITH) and name not in NO_MATTER
    }


def start(
    command: Sequence[str | Path], environment: Mapping[str, str], outputs: tuple[int, int]
) -> Warm:
    """Start a program for which ``is_warm`` is true.

    Args:
        environment: all of it.
        outputs: the files that become its standard output and its standard error.
    """
    global _nursery  # noqa: PLW0603
    with _starting:
        if _nursery is None or not _nursery.is_alive:
            _nursery = Nursery()
    return _nursery.start([str(part) for part in command[1:]], dict(environment), outputs)


def run(
    command: Sequence[str | Path], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program, warm where that is as good; give its status and what it said."""
    if not is_warm(command, environment):
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=ROOT,
            env=dict(environment),
        )
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        running = start(command, environment, (output.fileno(), complaints.fileno()))
        try:
            status = running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(timeout_s)
            raise
        said = []
        for file in (output, complaints):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(command, status, *said)

"""Programs that run beside the demo, and that end with it however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Somebody else may be using this machine.
START_S = 300
STOP_S = 10


class StartError(Exception):
    """A program did not come up; what it said last."""


def free_port(wished: int) -> int:
    """Give this TCP port of 127.0.0.1, or another one if it is taken."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError("The system has no free port on 127.0.0.1.")


@contextmanager
def running(name: str, command: Sequence[str], url: str, log: Path) -> Iterator[None]:
    """Run a program, from its first answer at ``url`` on.

    Raises:
        StartError: it ended, or did not answer within five minutes.
    """
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops all in order.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        _wait_for(name, process, url, log)
        yield
    finally:
        _stop(process)


def _wait_for(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ends_s = time.monotonic() + START_S
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > ends_s:
            said = log.read_text(errors="replace").strip().splitlines()[-20:]
            raise StartError("\n    ".join([f"{name} did not start. It said:", *said]))
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    # What the program itself started, if it did not see to that.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_S)

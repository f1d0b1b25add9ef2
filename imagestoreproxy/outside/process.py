"""Helper programs: bounded in output and in silence, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from imagestoreproxy import ports

ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
_POLL_S = 0.1
_GRACE_S = 0.5


class ProgramMissingError(Exception):
    """The program is not installed."""


class ProgramStuckError(Exception):
    """The program was ended: it was silent, or said more, for longer than allowed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program may use at the most; 0 sets no bound.

    Args:
        memory_bytes: what it may write to in memory.
        file_bytes: the size of each file that it writes.
        cpu_s: of the processor's time.
    """

    memory_bytes: int = 0
    file_bytes: int = 0
    cpu_s: int = 0

    def put_on(self, pid: int) -> None:
        """Bind a process that has just been started.

        From outside, so that no code of ours runs between fork and exec in a process with threads;
        what it may do in the moment before is no danger.
        """
        bounds = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: self.memory_bytes or None,
            resource.RLIMIT_FSIZE: self.file_bytes or None,
            resource.RLIMIT_CPU: self.cpu_s or None,
        }
        for kind, most in bounds.items():
            if most is not None:
                # Gone already, or the bound of this process itself is lower: both are fine.
                with contextlib.suppress(ProcessLookupError, ValueError, PermissionError):
                    resource.prlimit(pid, kind, (most, most))


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left: exit status (negative: ended by that signal) and what it said."""

    status: int
    output: bytes
    errors: str


def run_program(
    arguments: Sequence[str],
    stop: ports.Stop,
    *,
    silence_s: float,
    limit_bytes: int = 1 << 20,
    bounds: Bounds = Bounds(),
) -> Finished:
    """Run a program to its end; call it in a worker thread.

    Args:
        arguments: the program's name, looked up in a fixed ``PATH``, and its arguments.
        silence_s: how long it may say nothing on either stream.
        limit_bytes: how much of each stream is kept; what comes after it is dropped.
        bounds: beyond which the system refuses, or ends it.

    Raises:
        ProgramMissingError: it is not installed.
        ProgramStuckError: it said nothing for ``silence_s`` and was ended.
        Cancelled: ``stop`` was set; the program was ended, with its children.
    """
    try:
        program = subprocess.Popen(  # noqa: S603 - no shell, and the caller's own words
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ProgramMissingError(arguments[0]) from error
    with program:
        try:
            bounds.put_on(program.pid)
            output, errors = _listen(program, arguments[0], stop, silence_s, limit_bytes)
        finally:
            _end(program)
    return Finished(program.returncode, output, errors.decode("utf-8", "replace"))


def _listen(
    program: subprocess.Popen[bytes],
    name: str,
    stop: ports.Stop,
    silence_s: float,
    limit_bytes: int,
) -> tuple[bytes, bytes]:
    said = {"output": bytearray(), "errors": bytearray()}
    last_s = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(_file(program.stdout), selectors.EVENT_READ, "output")
        selector.register(_file(program.stderr), selectors.EVENT_READ, "errors")
        while selector.get_map() or program.poll() is None:
            stop.check()
            if time.monotonic() - last_s > silence_s:
                raise ProgramStuckError(f"{name} did nothing for {silence_s:g} s")
            if not selector.get_map():
                stop.wait(_POLL_S)
            for key, _ in selector.select(_POLL_S if selector.get_map() else 0):
                block = os.read(key.fd, 65536)
                last_s = time.monotonic()
                if not block:
                    selector.unregister(key.fileobj)
                kept = said[key.data]
                kept += block[: limit_bytes - len(kept)]
    return bytes(said["output"]), bytes(said["errors"])


def _file(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - both were asked for as pipes
    return stream


def _end(program: subprocess.Popen[bytes]) -> None:
    if program.returncode is not None:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_GRACE_S)

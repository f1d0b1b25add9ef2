"""Helper programs: bounded in output and in silence, and ended with all that they started."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from imagestoreproxy import ports
from imagestoreproxy.ports.programs import (
    OUTPUT_BYTES,
    Finished,
    ProgramMissingError,
    ProgramStuckError,
    unheard,
)

ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
_NO_PROGRAM = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP)
_POLL_S = 0.1
_GRACE_S = 0.5
_END_POLL_S = 0.01


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


NO_BOUNDS = Bounds()


class Processes:
    """``ports.programs.Programs``."""

    def find(self, name: str, path: str = "") -> Path | None:
        """Give where a program is, or None."""
        found = shutil.which(name, path=path or ENVIRONMENT["PATH"])
        return Path(found) if found else None

    def run(
        self,
        arguments: Sequence[str],
        stop: ports.Stop,
        *,
        silence_s: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        said: Callable[[str], None] = unheard,
        limit_bytes: int = OUTPUT_BYTES,
        bounds: Bounds = NO_BOUNDS,
    ) -> Finished:
        """Run a program to its end; see ``ports.programs.Programs``.

        Args:
            bounds: beyond which the system refuses, or ends it.
        """
        try:
            program = subprocess.Popen(  # noqa: S603 - no shell, and the caller's own words
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT | dict(environment or {}),
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            if error.errno not in _NO_PROGRAM:
                raise
            raise ProgramMissingError(arguments[0]) from error
        with program:
            try:
                bounds.put_on(program.pid)
                streams = (_Heard(said, limit_bytes), _Heard(said, limit_bytes))
                _listen(program, streams, stop, silence_s)
            except _SilentError:
                name = Path(arguments[0]).name
                raise ProgramStuckError(f"{name} did nothing for {silence_s:g} s") from None
            finally:
                _end(program)
        output, errors = streams
        return Finished(
            program.returncode, output.whole(), errors.whole().decode("utf-8", "replace")
        )


class _SilentError(Exception):
    pass


class _Heard:
    """The beginning of what came on one stream, and each line of that as it ended."""

    def __init__(self, said: Callable[[str], None], limit_bytes: int) -> None:
        self._said = said
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._line = bytearray()

    def add(self, block: bytes) -> bool:
        """Take what came, an empty block is the end; tell whether it was anything to keep."""
        kept = block[: self._limit_bytes - len(self._kept)]
        self._kept += kept
        # A bar that is drawn over itself ends its lines with a carriage return.
        *lines, rest = kept.replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._tell(line)
        self._line += rest
        if not block and self._line:
            self._tell(b"")
        return bool(kept)

    def _tell(self, ending: bytes) -> None:
        line = bytes(self._line) + ending
        self._line.clear()
        self._said(line.decode("utf-8", "replace"))

    def whole(self) -> bytes:
        """Give what is kept."""
        return bytes(self._kept)


def _listen(
    program: subprocess.Popen[bytes],
    streams: tuple[_Heard, _Heard],
    stop: ports.Stop,
    silence_s: float,
) -> None:
    last_s = time.monotonic()
    ended_s: float | None = None
    pause_s = _END_POLL_S
    with selectors.DefaultSelector() as selector:
        for pipe, heard in zip((program.stdout, program.stderr), streams, strict=True):
            selector.register(_file(pipe), selectors.EVENT_READ, heard)
        while not (has_ended := _has_ended(program)) or selector.get_map():
            stop.check()
            now_s = time.monotonic()
            if has_ended and ended_s is None:
                ended_s = now_s  # its last words may not have been read yet
            if ended_s is not None and now_s - max(last_s, ended_s) > _GRACE_S:
                return  # what it started and left behind keeps its end of the pipe open
            if not selector.get_map():
                # Most end with their last word; one that does not may take its time.
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, _POLL_S)
            for key, _ in selector.select(_POLL_S if selector.get_map() else 0):
                block = os.read(key.fd, 65536)
                if not block:
                    selector.unregister(key.fileobj)
                # Beyond the limit nobody listens: one that talks for ever is silent then.
                if key.data.add(block):
                    last_s = time.monotonic()
            # Judged by what lay there to be read: it may be we who stood still.
            if now_s - last_s > silence_s and not _has_ended(program):
                raise _SilentError


def _file(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - both were asked for as pipes
    return stream


def _has_ended(program: subprocess.Popen[bytes]) -> bool:
    """Tell whether it has ended, but leave its status: until that is taken, its number is its own.

    So the number of its group is no other group's, and the group can be ended.
    """
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return program.returncode is not None or os.waitid(os.P_PID, program.pid, how) is not None


def _end(program: subprocess.Popen[bytes]) -> None:
    """End all of its group: itself, if it runs, and whatever it started and left behind."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, sign)
        until_s = time.monotonic() + _GRACE_S
        while not _has_ended(program) and time.monotonic() < until_s:
            time.sleep(_END_POLL_S)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(_GRACE_S)

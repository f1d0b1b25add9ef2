"""The transfer thread: one libcurl multi handle for every transfer of the daemon.

Driven by libcurl's socket and timer callbacks, with a sweep for events that libcurl forgets (as
in tornado's ``curl_httpclient``). Callbacks are short; what takes long is done in other threads.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pycurl
from twisted.logger import Logger

from imagestoreproxy.outside.bucket import Bucket

_log = Logger()

_SWEEP_S = 1.0
_AFTER_FAILURE_S = 0.1
_KEPT_CONNECTIONS = 8


class Job(Protocol):
    """One transfer. Its methods are called in the transfer thread."""

    @property
    def curl(self) -> pycurl.Curl:
        """The easy handle, ready to go."""

    def ended(self, code: int, text: str) -> None:
        """The transfer is over: libcurl's code (0: well) and its words. Must close ``curl``."""

    def cancelled(self) -> None:
        """The transfer was taken away. Must close ``curl``."""

    def goes_on(self) -> None:
        """Its pause ends now."""

    def has_stalled(self) -> bool:
        """Tell whether it is to be ended as too slow; asked every second."""


class TransferThread:
    """Runs jobs until ``close``. ``call`` may be used from any thread, the rest only within it.

    Attributes:
        taken_bytes: of all transfers that ask ``may_take``, since it began.
    """

    def __init__(self) -> None:
        self._jobs: dict[pycurl.Curl, Job] = {}
        self._bucket: Bucket[Job] = Bucket()
        self._limit_bytes_per_s = 0
        self.taken_bytes = 0
        self._calls: deque[Callable[[], None]] = deque()
        self._gate = threading.Lock()  # over _closing and what is put into _calls
        self._closing = False
        self._timer_s: float | None = None
        self._sweep_s = time.monotonic() + _SWEEP_S
        self._watched: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT_CONNECTIONS)
        self._thread = threading.Thread(target=self._run, name="transfers", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> bool:
        """Call in the transfer thread; False if that has ended and nothing will be called."""
        with self._gate:
            if self._closing:
                return False
            self._calls.append(function)
            if len(self._calls) == 1:
                os.write(self._wake_in, b"!")
        return True

    @property
    def limit_bytes_per_s(self) -> int:
        """What all transfers that ask ``may_take`` may bring in a second, together; 0: anything."""
        return self._limit_bytes_per_s

    @limit_bytes_per_s.setter
    def limit_bytes_per_s(self, limit: int) -> None:
        self._limit_bytes_per_s = max(0, limit)
        self.call(lambda: self._bucket.limit(self._limit_bytes_per_s, time.monotonic()))

    def close(self, timeout_s: float = 2.0) -> None:
        """Cancel all jobs and end the thread; does not wait longer than ``timeout_s``."""
        with self._gate:
            if not self._closing:
                self._closing = True
                os.write(self._wake_in, b"!")
        self._thread.join(timeout_s)

    def add(self, job: Job) -> None:
        """Begin a transfer."""
        try:
            self._multi.add_handle(job.curl)
        except pycurl.error as error:
            job.ended(pycurl.E_FAILED_INIT, str(error))
        else:
            self._jobs[job.curl] = job

    def cancel(self, job: Job) -> None:
        """Take a transfer away; one that is over is left as it is."""
        if self._forget(job.curl):
            job.cancelled()

    def unpause(self, job: Job) -> None:
        """Let a transfer go on that ``pycurl.WRITEFUNC_PAUSE`` has stopped."""
        if self._jobs.get(job.curl) is job:
            job.goes_on()
            job.curl.pause(pycurl.PAUSE_CONT)
            self._timer_s = 0.0  # some versions of libcurl do not ask to be called again

    def may_take(self, job: Job) -> bool:
        """Tell whether the bandwidth cap allows more; if not, the job is unpaused when it does."""
        return self._bucket.may_take(job, time.monotonic())

    def took(self, job: Job, size_bytes: int) -> None:
        """Count bytes, also against the bandwidth cap."""
        self.taken_bytes += size_bytes
        self._bucket.took(job, size_bytes)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except Exception:  # what libcurl refuses once must not end all later transfers
                _log.failure("A turn of the transfer thread failed")
                time.sleep(_AFTER_FAILURE_S)
        self._take_calls()
        for job in tuple(self._jobs.values()):
            self.cancel(job)
        self._multi.close()
        self._selector.close()
        os.close(self._wake_out)
        os.close(self._wake_in)

    def _turn(self) -> None:
        ready = self._selector.select(self._patience_s())
        for key, events in ready:
            if key.fd == self._wake_out:
                os.read(self._wake_out, 4096)
            else:
                self._multi.socket_action(key.fd, _curl_events(events))
        self._take_calls()
        now_s = time.monotonic()
        for job in self._bucket.ready(now_s):
            _guarded(partial(self.unpause, job))
        if self._timer_s is not None and now_s >= self._timer_s:
            self._timer_s = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        if now_s >= self._sweep_s:
            self._sweep_s = now_s + _SWEEP_S
            self._sweep()
        self._harvest()

    def _sweep(self) -> None:
        """Let libcurl look by itself at every socket, and at its clock."""
        if self._jobs:
            for fd in tuple(self._watched):
                self._multi.socket_action(fd, 0)
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for job in tuple(self._jobs.values()):
            if job.has_stalled():
                self._end(job.curl, pycurl.E_OPERATION_TIMEDOUT, "Operation too slow")

    def _patience_s(self) -> float | None:
        moments = [self._sweep_s] if self._jobs else []
        if self._timer_s is not None:
            moments.append(self._timer_s)
        now_s = time.monotonic()
        wait_s = self._bucket.wait_s(now_s)
        if wait_s is not None:
            moments.append(now_s + wait_s)
        return max(0.0, min(moments) - now_s) if moments else None

    def _take_calls(self) -> None:
        while True:
            with self._gate:
                calls, self._calls = self._calls, deque()
            if not calls:
                return
            for function in calls:
                _guarded(function)

    def _harvest(self) -> None:
        while True:
            waiting, done, failed = self._multi.info_read()
            for curl in done:
                self._end(curl, 0, "")
            for curl, code, text in failed:
                self._end(curl, code, text)
            if not waiting:
                return

    def _end(self, curl: pycurl.Curl, code: int, text: str) -> None:
        job = self._forget(curl)
        if job is not None:
            try:
                job.ended(code, text)
            except Exception:
                _log.failure("The end of a transfer could not be told")

    def _forget(self, curl: pycurl.Curl) -> Job | None:
        job = self._jobs.pop(curl, None)
        if job is not None:
            self._bucket.forget(job)
            self._multi.remove_handle(curl)
        return job

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer_s = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000

    def _on_socket(self, event: int, fd: int, _multi: object, _data: object) -> None:
        # Always anew: libcurl may close a socket and get the same number for the next one
        # without a word, and epoll has then forgotten what it was to watch.
        if fd in self._watched:
            self._watched.discard(fd)
            self._selector.unregister(fd)
        wanted = {
            pycurl.POLL_IN: selectors.EVENT_READ,
            pycurl.POLL_OUT: selectors.EVENT_WRITE,
            pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
        }.get(event)
        if wanted is not None:
            self._selector.register(fd, wanted)
            self._watched.add(fd)


def _curl_events(events: int) -> int:
    return (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
        pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
    )


def _guarded(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:  # one broken transfer must not end all others
        _log.failure("A call in the transfer thread failed")

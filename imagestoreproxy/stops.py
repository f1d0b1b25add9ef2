"""A ``Stop`` for work within work: it ends with the whole, or by itself before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.ports import Stop

POLL_S = 0.1


class Within:
    """``ports.Stop``: ends when ``stop`` does, after ``end``, or with a context that fails."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._ended = False

    def end(self) -> None:
        """Ask the inner work to end. From any thread."""
        self._ended = True

    def __enter__(self) -> Within:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.end()

    def check(self) -> None:
        """Raise ``Cancelled`` once the inner work is to end."""
        if self._ended:
            raise Cancelled
        self._stop.check()

    def wait(self, seconds: float) -> None:
        """Sleep, but raise ``Cancelled`` soon after the inner work is to end."""
        while seconds > 0:
            self.check()
            self._stop.wait(min(seconds, POLL_S))
            seconds -= POLL_S


class Until:
    """``ports.Stop``: ends when ``stop`` does, or when its time is over.

    Attributes:
        is_over: it was the time.
    """

    def __init__(self, stop: Stop, limit_s: float) -> None:
        self._stop = stop
        self._end_s = time.monotonic() + limit_s
        self.is_over = False

    def check(self) -> None:
        """Raise ``Cancelled`` once the work is to end."""
        self._stop.check()
        if time.monotonic() > self._end_s:
            self.is_over = True
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep, but raise ``Cancelled`` as soon as the whole work is to end."""
        self.check()
        self._stop.wait(seconds)


@contextmanager
def one_at_a_time(lock: threading.Lock, stop: Stop) -> Iterator[None]:
    """Hold a lock; waiting for it ends with ``stop``."""
    while not lock.acquire(timeout=POLL_S):
        stop.check()
    try:
        yield
    finally:
        lock.release()

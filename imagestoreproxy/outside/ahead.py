"""A stage of a pass: items drawn in a thread of its own, a few ahead of who takes them."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

from imagestoreproxy.ports import Stop
from imagestoreproxy.stops import Within

T = TypeVar("T")

POLL_S = 0.1
# What computes gives way to what answers: a page waits a third as long while an install runs.
NICENESS = 5


class Ahead(Generic[T]):
    """See ``ports.Background.ahead``.

    Args:
        depth: how many items may wait to be taken; then the thread waits.
    """

    def __init__(self, items: Callable[[Stop], Iterable[T]], stop: Stop, *, depth: int) -> None:
        self._draws_from = items
        self._stop = stop
        self._depth = depth
        self._changed = threading.Condition()  # over all that follows
        self._waiting: deque[T] = deque()
        self._over = False
        self._error: BaseException | None = None
        self._within = Within(stop)
        self._thread = threading.Thread(target=self._draw, name="stage", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._within.end()
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._waiting:
                if self._over:
                    raise self._error or StopIteration
                self._changed.wait(POLL_S)
                self._stop.check()
            item = self._waiting.popleft()
            self._changed.notify_all()
        return item

    def _draw(self) -> None:
        if sys.platform == "linux":  # which alone counts a thread as a process here
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        error: BaseException | None = None
        try:
            items: Any = iter(self._draws_from(self._within))
            with closing(items) if hasattr(items, "close") else nullcontext():
                for item in items:
                    self._put(item)
        except BaseException as problem:  # whatever it was, who takes gets it
            error = problem
        with self._changed:
            self._error = error
            self._over = True
            self._changed.notify_all()

    def _put(self, item: T) -> None:
        with self._changed:
            while len(self._waiting) >= self._depth:
                self._within.check()
                self._changed.wait(POLL_S)
            self._within.check()
            self._waiting.append(item)
            self._changed.notify_all()

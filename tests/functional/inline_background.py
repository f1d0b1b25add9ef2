"""``ports.Background`` that runs work at once, for tests that ask one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.outside.ahead import Ahead
from imagestoreproxy.ports import Stop, Task

T = TypeVar("T")


class Flag:
    """``ports.Stop``, set by the test."""

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        self._set.set()

    def check(self) -> None:
        if self._set.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        if self._set.wait(seconds):
            raise Cancelled


class InlineBackground:
    """Runs work at once, in the caller's thread. ``stop`` is handed to the work that follows."""

    def __init__(self) -> None:
        self.stop = Flag()

    def run(self, work: Callable[[Stop], T]) -> Awaitable[T]:
        try:
            return succeed(work(self.stop))
        except Exception:
            return fail()

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> Task:
        raise NotImplementedError

    def ahead(self, items: Callable[[Stop], Iterable[T]], stop: Stop) -> Ahead[T]:
        """Draw in a thread, as in earnest."""
        return Ahead(items, stop, depth=4)


def now(awaitable: Awaitable[T]) -> T:
    """Give the result of what has happened already, or raise its error."""
    outcome: list[Any] = []

    async def wait() -> T:
        return await awaitable

    Deferred.fromCoroutine(wait()).addBoth(outcome.append)
    (value,) = outcome
    if isinstance(value, Failure):
        value.raiseException()
    return value  # type: ignore[no-any-return]

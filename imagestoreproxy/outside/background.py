"""Work in threads, coroutines of their own, and time: where Twisted and ``async def`` meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from imagestoreproxy import ports
from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.outside.ahead import Ahead

T = TypeVar("T")

_log = Logger()

# Items between two stages of a pass; each is up to 1 MiB of memory.
AHEAD = 8


class Reactor(Protocol):
    """What ``outside/`` uses of Twisted's reactor."""

    def callFromThread(  # noqa: N802
        self, callable: Callable[..., object], *args: Any, **kwargs: Any
    ) -> None:
        """Call in the reactor's thread."""

    def callLater(  # noqa: N802
        self, delay: float, callable: Callable[..., object], *args: Any, **kwargs: Any
    ) -> Any:
        """Call after ``delay`` seconds."""

    def seconds(self) -> float:
        """Give seconds that only grow."""


class Patient(Deferred[T]):
    """A Deferred which a cancel does not fire: ``on_cancel`` only asks, whoever works fires it.

    Twisted fires a plain Deferred as soon as it is cancelled; what awaits it would then undo
    things under the hands of a thread that is still at work.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        super().__init__()
        self._on_cancel = on_cancel

    def cancel(self) -> None:
        """Ask for an end; fired already, it passes the cancel on as any Deferred does."""
        if self.called:
            super().cancel()
        else:
            self._on_cancel()


class StopFlag:
    """``ports.Stop`` by a ``threading.Event``."""

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        """Ask the work to end."""
        self._set.set()

    def is_set(self) -> bool:
        """Tell whether the work is to end."""
        return self._set.is_set()

    def check(self) -> None:
        """Raise ``Cancelled`` once the work is to end."""
        if self._set.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep, but raise ``Cancelled`` as soon as the work is to end."""
        if self._set.wait(seconds):
            raise Cancelled


class RunningTask:
    """``ports.Task``."""

    def __init__(
        self, reactor: Reactor, name: str, coroutine: Coroutine[Deferred[Any], Any, None]
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._waiters: list[Deferred[None]] = []
        self._has_ended = False
        self._running = Deferred.fromCoroutine(coroutine)
        self._running.addErrback(self._report)
        self._running.addCallback(self._end)

    def cancel(self) -> None:
        """Stop it: what it awaits raises ``Cancelled``. Does nothing when it has ended."""
        # In a turn of its own: a coroutine cannot be cancelled while it is the one that runs.
        self._reactor.callLater(0, self._running.cancel)

    def ended(self) -> Deferred[None]:
        """Wait until it has ended, however it did."""
        waiter: Deferred[None] = Deferred(self._forget)
        if self._has_ended:
            waiter.callback(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def _forget(self, waiter: Deferred[None]) -> None:
        self._waiters.remove(waiter)
        waiter.errback(Cancelled())

    def _report(self, failure: Failure) -> None:
        if not isinstance(failure.value, Cancelled | CancelledError):
            _log.failure("{name} ended with an unexpected error", failure=failure, name=self._name)

    def _end(self, _: None) -> None:
        self._has_ended = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)


class Threads:
    """``ports.Background`` with a thread pool of its own.

    Args:
        reactor: where results are delivered.
        size: how many pieces of work may run at once; more wait for their turn.
    """

    def __init__(self, reactor: Reactor, size: int = 12) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=size, name="work")
        # Work that ignores its stop must not keep the process from ending.
        self._pool.threadFactory = _daemon_thread  # type: ignore[assignment]
        self._pool.start()
        self._stops: set[StopFlag] = set()
        self._closed = False

    def run(self, work: Callable[[ports.Stop], T]) -> Deferred[T]:
        """Run ``work`` in a worker thread; see ``ports.Background``."""
        stop = StopFlag()
        turn = threading.Lock()
        begun = abandoned = False

        def cancel() -> None:
            nonlocal abandoned
            stop.set()
            with turn:
                abandoned = not begun
            if abandoned:
                finish(None, Cancelled())

        def in_thread() -> None:
            nonlocal begun
            with turn:
                if abandoned:
                    return
                begun = True
            try:
                result = work(stop)
                stop.check()
            except BaseException as error:  # whatever it was, the waiter gets it
                self._reactor.callFromThread(finish, None, error)
            else:
                self._reactor.callFromThread(finish, result, None)

        def finish(result: Any, error: BaseException | None) -> None:
            self._stops.discard(stop)
            if error is None and stop.is_set():
                # Cancelled after the work was done, before anybody heard of it.
                done.errback(Cancelled())
            elif error is None:
                done.callback(result)
            else:
                done.errback(error)

        done: Patient[T] = Patient(cancel)
        if self._closed:
            cancel()
        else:
            self._stops.add(stop)
            self._pool.callInThread(in_thread)
        return done

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> RunningTask:
        """Start a coroutine of its own. An exception that leaves it is logged under ``name``."""
        return RunningTask(self._reactor, name, coroutine)

    def ahead(self, items: Callable[[ports.Stop], Iterable[T]], stop: ports.Stop) -> Ahead[T]:
        """Draw ``items`` in a thread of its own; see ``ports.Background``."""
        return Ahead(items, stop, depth=AHEAD)

    def close(self, timeout_s: float = 2.0) -> None:
        """Ask all work to stop and end the threads; those that do not listen are left behind."""
        self._closed = True
        for stop in tuple(self._stops):
            stop.set()
        waiter = _daemon_thread(target=self._pool.stop, name="work-end")
        waiter.start()
        waiter.join(timeout_s)


class ReactorClock:
    """``ports.Clock`` of a reactor."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def now_s(self) -> float:
        """Give Unix seconds."""
        return time.time()

    def monotonic_s(self) -> float:
        """Give seconds that never jump."""
        return self._reactor.seconds()

    def sleep(self, seconds: float) -> Deferred[None]:
        """Wait; cancelling ends the wait with ``Cancelled``."""

        def cancel(waiting: Deferred[None]) -> None:
            call.cancel()
            waiting.errback(Cancelled())

        waiting: Deferred[None] = Deferred(cancel)
        call = self._reactor.callLater(seconds, waiting.callback, None)
        return waiting


def _daemon_thread(*args: Any, **kwargs: Any) -> threading.Thread:
    return threading.Thread(*args, daemon=True, **kwargs)

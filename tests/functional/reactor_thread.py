"""Twisted's reactor in a thread of the test session, so that tests can be plain functions."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

T = TypeVar("T")

reactor: Any = _reactor
_started = threading.Lock()
_thread: threading.Thread | None = None


def running_reactor() -> Any:
    """Give the reactor, running; it ends with the main thread."""
    global _thread  # noqa: PLW0603
    with _started:
        if _thread is None:
            _thread = threading.Thread(target=_run, name="reactor", daemon=True)
            _thread.start()
    return reactor


def in_reactor(
    function: Callable[..., Coroutine[Any, Any, T] | Deferred[T]],
    *args: Any,
    timeout_s: float = 30,
) -> T:
    """Call ``function`` in the reactor's thread and wait for what its coroutine gives.

    Raises:
        TimeoutError: nothing came within ``timeout_s``; the coroutine is cancelled.
    """
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    running: list[Deferred[T]] = []

    def begin() -> None:
        try:
            started = function(*args)
        except Exception as error:
            results.put(error)
            return
        waiting = started if isinstance(started, Deferred) else Deferred.fromCoroutine(started)
        running.append(waiting)
        waiting.addBoth(results.put)

    running_reactor().callFromThread(begin)
    try:
        result = results.get(timeout=timeout_s)
    except queue.Empty:
        for waiting in running:
            reactor.callFromThread(waiting.cancel)
        raise TimeoutError(f"nothing came back within {timeout_s} s") from None
    if isinstance(result, Failure):
        result = result.value
    if isinstance(result, BaseException):
        raise result
    outcome: T = result
    return outcome


def _run() -> None:
    LoopingCall(_stop_with_main_thread).start(0.5, now=False)
    reactor.run(installSignalHandlers=False)


def _stop_with_main_thread() -> None:
    # Otherwise the reactor's own pool, whose threads are no daemons, keeps the process alive.
    if not threading.main_thread().is_alive():
        reactor.stop()

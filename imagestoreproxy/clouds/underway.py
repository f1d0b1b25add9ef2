"""Registrations under way: a cancel leaves them, and who looks for their image later waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.ports import Stop

T = TypeVar("T")

POLL_S = 0.1
# What most clouds need for a registration; a stop of the daemon waits four seconds at most.
LEAVE_S = 2.0
ASK_AGAIN_S = 1.0


class UnderWay:
    """What was asked of a cloud that may do it still, though nobody waits for the answer any more.

    A cloud cannot be told that it is not to register an image after all: one has to wait until it
    has, or has not. Install and place need not wait for that, but what is taken back must.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def run(self, name: str, work: Callable[[], T], stop: Stop) -> T:
        """Do what registers something of that name; a cancel leaves it, bounded by itself, behind.

        Raises:
            Cancelled: it was, and the work may go on.
        """
        outcome: list[T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # for who waits
                errors.append(error)
            finally:
                with self._lock:
                    self._names.discard(name)
                done.set()

        with self._lock:
            self._names.add(name)
        # A daemon: the next start of the program finds what this one has left.
        threading.Thread(target=run, name="registration", daemon=True).start()
        try:
            while not done.wait(POLL_S):
                stop.check()
        except Cancelled:
            if not done.wait(LEAVE_S):
                raise
        if errors:
            raise errors[0]
        return outcome[0]

    def find(self, name: str, ask: Callable[[], str], stop: Stop) -> str:
        """Give the id that ``ask`` gives; empty only when nothing of that name is under way."""
        while True:
            with self._lock:
                is_under_way = name in self._names
            if (found := ask()) or not is_under_way:
                return found
            stop.wait(ASK_AGAIN_S)

"""How late the reactor is: what keeps it busy keeps every page waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagestoreproxy.outside.background import Reactor

LOOK_S = 0.25


class Lateness:
    """Asks to be called at a certain time, again and again, and tells how late that was.

    Args:
        tell: gets seconds.
    """

    def __init__(self, reactor: Reactor, tell: Callable[[float], None]) -> None:
        self._reactor = reactor
        self._tell = tell
        self._next: Any = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._due_s = self._reactor.seconds() + LOOK_S
        self._next = self._reactor.callLater(LOOK_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self._tell(max(0.0, self._reactor.seconds() - self._due_s))
        self.start()

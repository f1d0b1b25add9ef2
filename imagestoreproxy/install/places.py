"""A number of places, for what may go on at the same time; who comes first gets the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagestoreproxy.ports import Clock

TURN_S = 0.02


class Places:
    """Who wants a place waits for it, in order."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._free = count
        self._clock = clock
        self._waiting: deque[object] = deque()

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody waits. From any thread."""
        return bool(self._waiting)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it as long as the context lasts."""
        ticket = object()
        self._waiting.append(ticket)
        try:
            while not self._free or self._waiting[0] is not ticket:
                await self._clock.sleep(TURN_S)
            self._free -= 1
        finally:
            self._waiting.remove(ticket)
        try:
            yield
        finally:
            self._free += 1

"""Memory for the parts of bundles: bounded for all uploads together, and given back after them."""

from __future__ import annotations

import threading
import time

from imagestoreproxy.clouds.bundle import CIPHER_BLOCK_BYTES, PART_BYTES
from imagestoreproxy.heap import give_back
from imagestoreproxy.ports import Stop

POLL_S = 0.1
TIDY_S = 1.0


class PartMemory:
    """Lends room for one part at a time.

    Args:
        parts: how many may be lent at the same time; who asks for more waits.
    """

    def __init__(self, parts: int) -> None:
        self._most = parts
        self._changed = threading.Condition()  # over all that follows
        self._lent = 0
        self._free: list[bytearray] = []
        self._users = 0
        self._tidied_at_s = 0.0

    def enter(self) -> None:
        """Begin to use it: what is given back is kept for the next part, until all have left."""
        with self._changed:
            self._users += 1

    def leave(self) -> None:
        """End what ``enter`` began."""
        with self._changed:
            self._users -= 1
            if not self._users:
                self._free.clear()

    def take(self, stop: Stop) -> bytearray:
        """Give room for one part, and for one block of the cipher more."""
        self._tidy()
        with self._changed:
            while self._lent >= self._most:
                self._changed.wait(POLL_S)
                stop.check()
            self._lent += 1
            return self._free.pop() if self._free else bytearray(PART_BYTES + CIPHER_BLOCK_BYTES)

    def _tidy(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._tidied_at_s + TIDY_S:
            self._tidied_at_s = now_s
            give_back()

    def give_back(self, room: bytearray) -> None:
        """End what ``take`` began."""
        with self._changed:
            self._lent -= 1
            if self._users:
                self._free.append(room)
            self._changed.notify()

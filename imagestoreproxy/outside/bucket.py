"""A budget of bytes a second for many transfers: pure arithmetic, time is an argument.

A token bucket that may go into debt: a transfer that may take anything takes its whole chunk, and
the debt is waited off. So a chunk larger than the budget of a second goes through as well.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Taker = TypeVar("Taker")

# What is saved up before anybody is woken, in seconds of the budget, and what may be at most.
TURN_S = 0.05
BURST_S = 0.1
# libcurl hands over no more at once; a smaller share would be overdrawn anyhow.
CHUNK_BYTES = 16 * 1024


class Bucket(Generic[Taker]):
    """Who may take bytes now, and who has to wait; in turn, and in equal shares."""

    def __init__(self) -> None:
        self._rate = 0
        self._level_bytes = 0.0
        self._at_s = 0.0
        self._waiting: dict[Taker, None] = {}
        self._shares: dict[Taker, float] = {}

    def limit(self, bytes_per_s: int, now_s: float) -> None:
        """Set the budget; 0 for none. Who waits is let go on at the next ``ready``."""
        self._fill(now_s)
        if not self._rate:
            self._level_bytes, self._at_s = 0.0, now_s
        self._rate = bytes_per_s
        self._shares.clear()

    def may_take(self, taker: Taker, now_s: float) -> bool:
        """Tell whether ``taker`` may take a chunk; if not, it waits to be named by ``ready``."""
        if not self._rate or taker in self._shares:
            return True
        # Also when nobody else waits: what is left of a turn would always be the first one's.
        self._fill(now_s)
        self._waiting.setdefault(taker)
        return False

    def took(self, taker: Taker, size_bytes: int) -> None:
        """Count what was taken."""
        if not self._rate:
            return
        self._level_bytes -= size_bytes
        if taker in self._shares:
            self._shares[taker] -= size_bytes
            if self._shares[taker] < CHUNK_BYTES / 2:  # not worth another chunk
                del self._shares[taker]

    def ready(self, now_s: float) -> list[Taker]:
        """Name those that waited and may go on now, the longest waiting first."""
        if not self._rate:
            woken = list(self._waiting)
            self._waiting.clear()
            return woken
        if not self._waiting or self.wait_s(now_s):
            return []
        woken, left_bytes = [], self._level_bytes
        share_bytes = max(float(CHUNK_BYTES), left_bytes / len(self._waiting))
        while self._waiting and left_bytes > 0:
            taker = next(iter(self._waiting))
            del self._waiting[taker]
            self._shares[taker] = share_bytes
            left_bytes -= share_bytes
            woken.append(taker)
        return woken

    def wait_s(self, now_s: float) -> float | None:
        """Give the seconds until ``ready`` names somebody; None if nobody waits."""
        if not self._waiting:
            return None
        if not self._rate:
            return 0.0
        self._fill(now_s)
        missing_bytes = self._rate * TURN_S - self._level_bytes
        # A byte more or less is no reason to be woken again.
        return missing_bytes / self._rate if missing_bytes > 1e-6 * self._rate else 0.0

    def forget(self, taker: Taker) -> None:
        """``taker`` has ended."""
        self._waiting.pop(taker, None)
        self._shares.pop(taker, None)

    def _fill(self, now_s: float) -> None:
        earned_bytes = self._rate * (now_s - self._at_s)
        self._level_bytes = min(self._level_bytes + earned_bytes, self._rate * BURST_S)
        self._at_s = now_s

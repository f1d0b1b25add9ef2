"""How soon a program may be asked for credentials again: later and later."""

from __future__ import annotations

import time
from collections.abc import Callable

DAY_S = 24 * 3600.0
# Between two times though somebody says that things have changed.
HURRIED_S = 30.0


class Pace:
    """When it was asked, and how often.

    Args:
        longest_s: what lies between two times at the most.
        now_s: Unix seconds.
    """

    def __init__(self, longest_s: float, now_s: Callable[[], float] = time.time) -> None:
        self._longest_s = longest_s
        self._now_s = now_s
        self._times = 0
        self._last_s = 0.0
        self._is_hurried = False

    def wait_s(self, first_s: float) -> float:
        """Tell how long it is not to be asked; 0 when it may be.

        Args:
            first_s: what lies between the first two times; it doubles each time.
        """
        since_s = self._since_s()
        if not self._times or since_s < 0:
            return 0.0  # a clock that was set back does not keep anything from being fetched
        between_s = min(first_s * 2.0 ** min(self._times - 1, 20), self._longest_s)
        if self._is_hurried:
            between_s = min(between_s, HURRIED_S)
        return max(0.0, between_s - since_s)

    def asked(self) -> None:
        """It is asked now."""
        self._times = self._times + 1 if self._since_s() < 2 * DAY_S else 1
        self._last_s = self._now_s()
        self._is_hurried = False

    def hurry(self) -> None:
        """Somebody says that things have changed: the next wait is short, once."""
        self._is_hurried = True

    def forget(self) -> None:
        """Begin anew."""
        self._times = 0

    def as_text(self) -> str:
        """Give it for ``from_text``."""
        return f"{self._times} {self._last_s:.0f}"

    def from_text(self, text: str) -> None:
        """Take what ``as_text`` gave; anything else is as if it was never asked."""
        times, _, last_s = text.partition(" ")
        if all(one.isascii() and one.isdigit() and len(one) < 16 for one in (times, last_s)):
            self._times, self._last_s = int(times), float(last_s)
        else:
            self.forget()

    def _since_s(self) -> float:
        return self._now_s() - self._last_s

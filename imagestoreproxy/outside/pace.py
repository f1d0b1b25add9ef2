"""Whether a transfer has stalled; time is an argument.

libcurl's own speed limit counts the time in which we ourselves have paused the transfer, once it
goes on again: under a bandwidth cap it would end healthy transfers.
"""

from __future__ import annotations


class Pace:
    """How fast a transfer brings bytes while it may.

    Args:
        bytes_per_s, for_s: less than that, on average over so many seconds, is a stall.
    """

    def __init__(self, bytes_per_s: int, for_s: float) -> None:
        self._wanted_bytes = bytes_per_s * for_s
        self._for_s = for_s
        self._came_bytes = 0
        self._open_s = 0.0
        self._since_s = 0.0
        self._is_paused = False

    def restart(self, now_s: float) -> None:
        """Count from now on; a pause goes on."""
        self._came_bytes, self._open_s, self._since_s = 0, 0.0, now_s

    def came(self, size_bytes: int) -> None:
        """Count bytes."""
        self._came_bytes += size_bytes

    def pause(self, now_s: float) -> None:
        """From now on it is not the server that is waited for."""
        if not self._is_paused:
            self._open_s += now_s - self._since_s
            self._is_paused = True

    def resume(self, now_s: float) -> None:
        """The server is waited for again."""
        if self._is_paused:
            self._is_paused, self._since_s = False, now_s

    def has_stalled(self, now_s: float) -> bool:
        """Tell whether it was too slow for too long; to be asked every second or so."""
        if self._came_bytes >= self._wanted_bytes:
            self.restart(now_s)
            return False
        open_s = self._open_s + (0.0 if self._is_paused else now_s - self._since_s)
        return open_s >= self._for_s

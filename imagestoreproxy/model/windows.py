"""When images may be brought up to date: a part of each day, in local time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Window:
    """A part of each day; it may cross midnight.

    Args:
        begins, ends: local times, the end no longer within; both the same: always.
        zone: whose time; None for that of this machine.
    """

    begins: time = time()
    ends: time = time()
    zone: tzinfo | None = None

    def is_open(self, now_s: float) -> bool:
        """Tell whether it is open at a time in Unix seconds."""
        now = self.local(now_s).time()
        if self.begins < self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends

    def opens_at_s(self, now_s: float) -> float:
        """Give when it is open next, Unix seconds: ``now_s`` itself while it is.

        On a day when clocks change, its beginning may fall into the hour that is left out; then it
        opens as much later as is left out, or on the next day.
        """
        if self.is_open(now_s):
            return now_s
        today = self.local(now_s).date()
        candidates = (
            datetime.combine(today + timedelta(days), self.begins, self.zone).timestamp()
            for days in range(3)
        )
        return next(at_s for at_s in candidates if at_s > now_s and self.is_open(at_s))

    def local(self, at_s: float) -> datetime:
        """Give a time in Unix seconds as this window's clock shows it."""
        return datetime.fromtimestamp(at_s, self.zone)


def window_of(text: str, zone: tzinfo | None = None) -> Window:
    """Read ``02:00-05:00``, as the configuration has checked it; empty: always."""
    begins, _, ends = text.partition("-")
    if not ends:
        return Window(zone=zone)
    return Window(time.fromisoformat(begins), time.fromisoformat(ends), zone)

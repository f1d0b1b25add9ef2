"""The newest events of the log, kept in memory for the pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from threading import Lock
from typing import cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from imagestoreproxy.model.logbook import Entry, Level
from imagestoreproxy.outside.journal import Observer, level_of, namespace_of, text_of, wanted

ENTRIES = 1000


@implementer(ILogObserver)
class Ring:
    """``shop.Logbook``: the newest events, each with a number.

    Args:
        entries: how many are kept; each takes 2 kB at most.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=entries)
        # Threads log as well, and no number may come twice.
        self._lock = Lock()
        self._last = 0

    def __call__(self, event: LogEvent) -> None:
        level, namespace, text = level_of(event), namespace_of(event), text_of(event)
        with self._lock:
            self._last += 1
            at_s = float(event.get("log_time", 0))
            self._entries.append(Entry(self._last, at_s, level, text, namespace))

    def entries(
        self, since: int | None, count: int, level: Level = Level.DEBUG
    ) -> tuple[Sequence[Entry], int]:
        with self._lock:
            kept, last = list(self._entries), self._last
        if since is None:
            newest = islice((one for one in reversed(kept) if one.level.rank >= level.rank), count)
            return list(newest)[::-1], last
        if since > last:
            since = 0  # a number of an earlier process
        later = [one for one in kept if one.number > since and one.level.rank >= level.rank]
        return later[:count], later[count - 1].number if len(later) > count else last


def open_ring(*, debug: bool) -> tuple[Ring, Observer]:
    """Begin to keep what is logged from now on, as much as the log itself shows.

    Gives also the observer that ``close_ring`` ends.
    """
    ring = Ring()
    observer = wanted(ring, debug=debug)
    globalLogPublisher.addObserver(cast(ILogObserver, observer))
    return ring, observer


def close_ring(observer: Observer) -> None:
    """Keep nothing more."""
    globalLogPublisher.removeObserver(cast(ILogObserver, observer))

"""One source, kept fresh in the background; it fails alone, and its last good catalogue stays."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from imagestoreproxy.model.errors import (
    Cancelled,
    DocumentError,
    FetchError,
    InstallError,
    StoreProxyError,
)
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.ports import Background, Clock, Journal, Task
from imagestoreproxy.sources.ages import age
from imagestoreproxy.sources.source import Source

# Somebody who looks at a page has it asked again, once what is shown is so old.
LOOKED_AT_S = 60.0
AWAY_S = 15.0
JITTER = 0.1


class Watch:
    """Asks one source from time to time.

    Args:
        changed: called and awaited when it shows something else, or is away, or back.

    Attributes:
        problem: why it cannot be asked or believed just now; empty when all is well.
        searches: how many are under way.
        is_asking: it is being asked for its catalogue.
    """

    def __init__(
        self,
        source: Source,
        background: Background,
        clock: Clock,
        journal: Journal,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self.source = source
        self.problem = ""
        self.searches = 0
        self._background = background
        self._clock = clock
        self._journal = journal
        self._changed = changed
        self._asked_at_s = float("-inf")
        self._failures = 0
        self._next_at_s = 0.0
        self._asking: Task | None = None
        self.is_asking = False
        self._keeping: Task | None = None

    async def load(self) -> None:
        """Take up what was last good; what is unreadable is as if it had never come."""
        try:
            await self.source.load()
        except Cancelled:
            raise
        except Exception as error:  # one source must not keep the daemon from starting
            self._journal.failure(
                "what was kept of {source} is unreadable", error, source=self.source.name
            )

    def start(self) -> None:
        """Begin to ask it from time to time."""
        if self._keeping is None:
            self._keeping = self._background.start(f"refresh of {self.source.name}", self._keep())

    async def close(self) -> None:
        """Ask no more."""
        tasks = [task for task in (self._keeping, self._asking) if task]
        self._keeping = self._asking = None
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.ended()

    def look(self) -> None:
        """Have it asked again if what is shown is not quite fresh; does not wait."""
        since_s = self._clock.monotonic_s() - self._asked_at_s
        if since_s >= (AWAY_S if self.problem else LOOKED_AT_S):
            self.ask()

    def ask(self) -> None:
        """Have it asked again, unless that is going on; does not wait."""
        if not self.is_asking:
            self._asking = self._background.start(f"look at {self.source.name}", self._refresh())

    def is_away(self) -> bool:
        """Tell whether it could not be asked a moment ago."""
        return bool(self.problem) and self._clock.monotonic_s() - self._asked_at_s < AWAY_S

    def fails(self, error: InstallError) -> None:
        """Note that it could not be asked, or not be believed."""
        if not self.problem:
            self._journal.failure("source {source} cannot be asked", error, source=self.source.name)
        self.problem = error.message
        self._asked_at_s = self._clock.monotonic_s()

    def said(self) -> str:
        """Give what a page says of it; empty when all is well."""
        if self.source.fetched_at_s is None and not self.problem:
            return f"{self.source.title} is being asked for the first time; look again in a moment."
        return self.problem

    def note(self, now_s: float) -> str:
        """Give what one should know of what it shows; empty if nothing."""
        notes = [self.source.remark]
        if self.problem and self.source.fetched_at_s is not None:
            seen = age(now_s - self.source.fetched_at_s)
            notes.append(f"As last seen {seen} ago; the store cannot be asked right now.")
        return " ".join(filter(None, notes))

    def status(self) -> SourceStatus:
        """Tell how it is."""
        images = self.source.listing.images
        refused = sum(bool(info.refused) for info in images)
        return SourceStatus(
            name=self.source.name,
            title=self.source.title,
            kind=self.source.kind,
            place=self.source.place,
            images=len(images) - refused,
            refused=refused,
            fetched_at_s=self.source.fetched_at_s,
            published_s=self.source.published_s,
            next_at_s=self._next_at_s,
            problem=self.problem,
            remark=self.source.remark,
            is_unsigned=any(info.is_unsigned for info in images),
        )

    async def _keep(self) -> None:
        while True:
            await self._refresh()
            pause_s = self._pause_s() * random.uniform(1 - JITTER, 1 + JITTER)
            self._next_at_s = self._clock.now_s() + pause_s
            await self._clock.sleep(pause_s)

    def _pause_s(self) -> float:
        if not self._failures:
            return self.source.interval_s
        return min(AWAY_S * 2.0 ** min(self._failures - 1, 10), self.source.interval_s)

    async def _refresh(self) -> None:
        if self.is_asking:
            return
        self.is_asking = True
        before = self.source.listing, bool(self.problem)
        try:
            await self.source.refresh()
            self.problem, self._failures = "", 0
        except (FetchError, DocumentError) as error:
            self._failures += 1
            self.fails(error)
        except StoreProxyError as error:
            # It is shown all the same, but after a restart it would not be.
            self._journal.failure(
                "the catalogue of {source} cannot be kept", error, source=self.source.name
            )
        except Cancelled:
            raise
        except Exception as error:  # a fault of ours must not end the asking for good
            self._failures += 1
            self.problem = (
                f"{self.source.title} could not be read; look into the log for the cause."
            )
            self._journal.failure(
                "asking {source} failed unexpectedly", error, source=self.source.name
            )
        finally:
            self._asked_at_s = self._clock.monotonic_s()
            self.is_asking = False
        if before[0] is not self.source.listing or before[1] != bool(self.problem):
            await self._changed()

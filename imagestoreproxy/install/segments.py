"""One file over several connections: its segments, fetched side by side and handed on in order."""

from __future__ import annotations

import random
from collections import deque
from functools import partial

from imagestoreproxy.install.addresses import Addresses
from imagestoreproxy.install.feed import BLOCK_BYTES, Feed
from imagestoreproxy.install.together import Beside
from imagestoreproxy.model.errors import FetchError, RangesFailedError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.retry import DOWNLOAD
from imagestoreproxy.ports import Background, Clock, Span, Stop

SEGMENT_BYTES = 4 * 2**20
# A file that lacks fewer segments than this is not worth several connections.
FEWEST = 3
# Rounds over all addresses that bring a segment nothing; one connection alone has more patience.
ROUNDS = 3
# A try that brings less than this has brought nothing.
PROGRESS_BYTES = 4096
TURN_S = 0.02


class Segments:
    """Fills one feed, as long as servers give ranges of one and the same version.

    Segments are whole in memory before they are handed on: at most one for each connection.

    Args:
        origins: gets the addresses that bytes in the feed came from.
        connections: how many segments are fetched at a time.
    """

    def __init__(
        self,
        file: ImageFile,
        feed: Feed,
        addresses: Addresses,
        origins: set[str],
        *,
        background: Background,
        clock: Clock,
        connections: int,
        segment_bytes: int,
    ) -> None:
        self._file = file
        self._feed = feed
        self._addresses = addresses
        self._origins = origins
        self._background = background
        self._clock = clock
        self._connections = connections
        self._segment_bytes = segment_bytes
        self._versions: dict[str, str] = {}
        self._rangeless: set[str] = set()

    @property
    def are_worth_it(self) -> bool:
        """Tell whether enough of the file is missing."""
        missing_bytes = self._file.size_bytes - self._feed.position
        return self._connections > 1 and missing_bytes >= FEWEST * self._segment_bytes

    async def run(self) -> None:
        """Fetch what is missing; what came before an error is in the feed.

        Raises:
            FetchError: it is to be tried over one connection.
        """
        running: deque[tuple[_Segment, Beside[None]]] = deque()
        next_bytes, size_bytes = self._feed.position, self._file.size_bytes
        try:
            while self._feed.position < size_bytes:
                # The first one shows whether there are ranges at all.
                most = self._connections if self._versions else 1
                while len(running) < most and next_bytes < size_bytes:
                    end_bytes = min(next_bytes + self._segment_bytes, size_bytes)
                    segment = _Segment(next_bytes, end_bytes, self._versions)
                    fetching = self._fetch(segment)
                    running.append((segment, Beside(self._background, "segment", fetching)))
                    next_bytes = end_bytes
                first, fetched = running[0]
                if not fetched.is_over:
                    await self._clock.sleep(TURN_S)
                    continue
                await fetched.outcome()
                await self._background.run(partial(self._hand_over, first))
                running.popleft()
        finally:
            for _, beside in running:
                beside.cancel()
            for _, beside in running:
                await beside.ended()

    async def _fetch(self, segment: _Segment) -> None:
        """Fetch a segment from its own position on, from whichever address gives it."""
        failures = 0
        while True:
            problem: FetchError | None = None
            began_bytes, asked_s = segment.position, 0.0
            left = deque(url for url in self._addresses.left() if url not in self._rangeless)
            while left:
                segment.url = left.popleft()
                span = Span(end=segment.end_bytes, size_bytes=self._file.size_bytes)
                try:
                    await self._addresses.fetch(segment.url, segment, is_last=not left, span=span)
                except RangesFailedError as error:
                    self._rangeless.add(segment.url)
                    problem = error
                except FetchError as error:
                    problem, asked_s = error, error.retry_after_s
                if segment.position == segment.end_bytes:
                    return
            if problem is None:
                # Nobody is left, or one that ends its answers too early.
                raise RangesFailedError(
                    f"No address gives parts of the {self._file.kind} {masked(self._file.url)}."
                )
            has_brought = segment.position >= began_bytes + PROGRESS_BYTES
            failures = 1 if has_brought else failures + 1
            if failures >= ROUNDS:
                raise problem
            await self._clock.sleep(DOWNLOAD.pause_s(failures, random.random(), asked_s))

    def _hand_over(self, segment: _Segment, stop: Stop) -> None:
        feed = self._feed
        if not feed.position or feed.came_from != segment.url:
            feed.begin(resumed=feed.position > 0, validator=self._versions.get(segment.url, ""))
            feed.came_from = segment.url
        self._origins |= segment.origins
        whole = memoryview(segment.content)
        for start in range(0, len(whole), BLOCK_BYTES):
            stop.check()
            feed.write(bytes(whole[start : start + BLOCK_BYTES]))


class _Segment:
    """A sink in memory, for the bytes from ``start_bytes`` to before ``end_bytes``.

    Args:
        versions: what each address calls its version of the file; shared by all segments.
    """

    def __init__(self, start_bytes: int, end_bytes: int, versions: dict[str, str]) -> None:
        self.end_bytes = end_bytes
        self.content = bytearray()
        self.url = ""
        self.origins: set[str] = set()
        self._start_bytes = start_bytes
        self._versions = versions

    @property
    def position(self) -> int:
        return self._start_bytes + len(self.content)

    @property
    def validator(self) -> str:
        return self._versions.get(self.url, "")

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed or self._versions.setdefault(self.url, validator) != validator:
            raise RangesFailedError("the server gives another version than before")
        self.origins.add(self.url)

    def write(self, block: bytes) -> None:
        if self.position + len(block) > self.end_bytes:
            raise RangesFailedError("the server gives more than it was asked for")
        self.content += block

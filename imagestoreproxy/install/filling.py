"""One file from its addresses in turn: from where one broke off, the next one goes on."""

from __future__ import annotations

import random
from collections import deque

from imagestoreproxy.install.addresses import Addresses
from imagestoreproxy.install.feed import Feed
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.segments import PROGRESS_BYTES, Segments
from imagestoreproxy.model.digests import algorithm_name
from imagestoreproxy.model.errors import DigestError, FetchError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.retry import DOWNLOAD, WRONG_DIGESTS
from imagestoreproxy.ports import Background, Clock, Journal, Span


class Filling:
    """Fills one feed.

    What comes is checked against the signed digest at the end, so bytes of several servers may
    stand behind one another. If they are wrong, nobody can be blamed: then the file is fetched
    once more, from its first byte and from one server alone, before it counts as wrong.
    """

    def __init__(
        self,
        file: ImageFile,
        feed: Feed,
        addresses: Addresses,
        *,
        places: Places,
        background: Background,
        clock: Clock,
        journal: Journal,
        connections: int,
        segment_bytes: int,
    ) -> None:
        self._file = file
        self._feed = feed
        self._addresses = addresses
        self._places = places
        self._background = background
        self._clock = clock
        self._journal = journal
        # Whom the bytes that are here came from; "" is an earlier process.
        self._origins = {""} if feed.position else set[str]()
        self._may_mix = True
        self._wrong = 0
        self._farthest_bytes = feed.position
        self._segments = Segments(
            file,
            feed,
            addresses,
            self._origins,
            background=background,
            clock=clock,
            connections=connections,
            segment_bytes=segment_bytes,
        )

    @property
    def is_right(self) -> bool:
        """Tell whether the feed holds what was signed."""
        feed, file = self._feed, self._file
        return feed.position == file.size_bytes and feed.digest_hex() == file.digest

    async def run(self) -> None:
        """Go round the addresses until one has given the rest; rounds without progress count.

        Raises:
            FetchError, DigestError: none of them has; each is named.
        """
        if self._segments.are_worth_it:
            await self._side_by_side()
        failures = 0
        self._farthest_bytes = self._feed.position
        while True:
            if self._feed.position >= self._file.size_bytes > 0:
                if self.is_right:
                    return
                origin = self._feed.came_from or self._file.url
                await self._start_over(origin, _wrong(origin, self._feed, self._file))
            asked_s: list[float] = []
            before_bytes = self._farthest_bytes
            if await self._round(asked_s):
                return
            if not self._addresses.left():
                raise self._addresses.told()
            if not asked_s:
                continue  # all that failed was a digest, and that is bounded
            failures = 1 if self._farthest_bytes > before_bytes else failures + 1
            if DOWNLOAD.is_over(failures):
                raise self._addresses.told()
            await self._clock.sleep(DOWNLOAD.pause_s(failures, random.random(), min(asked_s)))

    async def _side_by_side(self) -> None:
        try:
            async with self._places.one():
                await self._segments.run()
        except FetchError as error:
            self._journal.info(
                "{kind}: one connection instead of several: {error}",
                kind=self._file.kind.value,
                error=error.message,
            )

    async def _round(self, asked_s: list[float]) -> bool:
        """Ask each address once; True if the file is here.

        Args:
            asked_s: gets the pause that each failed server asked for.
        """
        left = deque(self._addresses.left())
        while left:
            url = left.popleft()
            try:
                await self._once(url, is_last=not left)
            except FetchError as error:
                asked_s.append(error.retry_after_s)
                # Against the farthest ever: a file that changes from try to try starts over and
                # over, and one that comes byte by byte would be tried for years.
                if self._feed.position >= self._farthest_bytes + PROGRESS_BYTES:
                    self._farthest_bytes = self._feed.position
                    if not self._may_mix and error.retry_helps:
                        # Another one would have to begin anew.
                        await self._clock.sleep(DOWNLOAD.pause_s(1, random.random()))
                        left.appendleft(url)
            except DigestError as error:
                if await self._start_over(url, error):
                    return False
            else:
                return True
        return False

    async def _once(self, url: str, *, is_last: bool) -> None:
        feed, file = self._feed, self._file
        is_same = feed.came_from == url or (not feed.came_from and not self._addresses.are_many)
        if feed.position and not is_same and not self._may_mix:
            await self._discard()
        sink = _From(url, feed, self._origins, is_same=is_same)
        span = Span(any_version=not is_same and self._may_mix)
        try:
            async with self._places.one():
                await self._addresses.fetch(url, sink, is_last=is_last, span=span)
        except DigestError:
            raise DigestError(
                f"{masked(url)} gave more than the {file.size_bytes} bytes that are signed"
                f" for the {file.kind}."
            ) from None
        except FetchError:
            if feed.position < file.size_bytes:
                raise
            # All that is signed is here, whatever else the server had to say.
        if not self.is_right:
            raise _wrong(url, feed, file)
        self._addresses.worked(url)

    async def _start_over(self, url: str, error: DigestError) -> bool:
        """Drop what is wrong; True if nobody is to blame for it yet.

        Raises:
            DigestError: enough addresses have given wrong bytes.
        """
        is_mixed = self._origins != {url}
        await self._discard()
        if is_mixed and self._may_mix:
            self._may_mix = False
            self._farthest_bytes = 0
            return True
        self._addresses.gave_wrongly(url, error)
        self._wrong += 1
        if self._wrong >= WRONG_DIGESTS:
            raise self._addresses.told()
        return False

    async def _discard(self) -> None:
        await self._background.run(lambda _stop: self._feed.discard())
        self._origins.clear()


class _From:
    """The feed, as a sink for what one address gives."""

    def __init__(self, url: str, feed: Feed, origins: set[str], *, is_same: bool) -> None:
        self._url = url
        self._feed = feed
        self._origins = origins
        self._is_same = is_same

    @property
    def position(self) -> int:
        return self._feed.position

    @property
    def validator(self) -> str:
        # What one server calls a version says nothing to another.
        return self._feed.validator if self._is_same else ""

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed:
            self._origins.clear()
        self._origins.add(self._url)
        self._feed.begin(resumed=resumed, validator=validator)
        self._feed.came_from = self._url

    def write(self, block: bytes) -> None:
        self._feed.write(block)


def _wrong(url: str, feed: Feed, file: ImageFile) -> DigestError:
    if feed.position != file.size_bytes:
        return DigestError(
            f"{masked(url)} gave {feed.position} bytes for the {file.kind}, but"
            f" {file.size_bytes} bytes are signed."
        )
    return DigestError(
        f"The {file.kind} from {masked(url)} has another content than was signed"
        f" ({algorithm_name(file.digest)} {feed.digest_hex()[:16]}…, signed {file.digest[:16]}…);"
        " try again, and if that does not help, tell who runs the source."
    )

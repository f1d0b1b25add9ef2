"""The last bytes of a file whose download has only begun."""

from __future__ import annotations

from imagestoreproxy.install.feed import Feed
from imagestoreproxy.install.together import Beside
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.ports import Background, Clock, Sources

TAIL_BYTES = 2**14
WAIT_S = 2.0
TURN_S = 0.01


class Tails:
    """Asks for them by range, beside the download. They are not verified."""

    def __init__(self, *, sources: Sources, background: Background, clock: Clock) -> None:
        self._sources = sources
        self._background = background
        self._clock = clock

    async def fetch(self, work: Work, file: ImageFile, feed: Feed) -> bytes:
        """Give up to ``TAIL_BYTES``; nothing where the server gives no ranges, or is slow."""
        if feed.position == file.size_bytes:
            return await self._background.run(lambda _stop: feed.end(TAIL_BYTES))
        if file.size_bytes <= TAIL_BYTES or not feed.validator:
            return b""
        asking = Beside(self._background, "end of a file", self._ask(work, file, feed))
        ends_s = self._clock.monotonic_s() + WAIT_S
        try:
            while not asking.is_over and self._clock.monotonic_s() < ends_s:
                await self._clock.sleep(TURN_S)
        finally:
            await asking.stop()
        # Whatever went wrong: it was only worth a try.
        return b"" if asking.error else await asking.outcome()

    async def _ask(self, work: Work, file: ImageFile, feed: Feed) -> bytes:
        sink = _Tail(file.size_bytes - TAIL_BYTES, feed.validator)
        url = feed.came_from or file.url
        allow_local = await self._sources.may_be_local(work.install.source, url)
        fetcher = self._sources.fetcher(work.install.source)
        await fetcher.download(url, sink, allow_local=allow_local)
        return bytes(sink.content)


class _Tail:
    """A sink for what follows ``position``, and nothing else."""

    def __init__(self, position: int, validator: str) -> None:
        self.position = position
        self.validator = validator
        self.content = bytearray()

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed:
            raise FetchError("the server gives no ranges", retry_helps=False)

    def write(self, block: bytes) -> None:
        self.content += block
        if len(self.content) > TAIL_BYTES:
            raise FetchError("the file is longer than signed", retry_helps=False)

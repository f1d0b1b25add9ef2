"""What is carried here and away, put together: the source of carried images, and what is lent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from imagestoreproxy.install.lending import Lending
from imagestoreproxy.model.carrying import SIMPLESTREAMS, STORE
from imagestoreproxy.model.errors import StoreProxyError
from imagestoreproxy.model.images import ImageDocument
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.localfiles import DirectoryFetcher
from imagestoreproxy.ports import Background, Clock, Fetcher, Journal, Records, Task, Verifier
from imagestoreproxy.sources.carried import Carried, Here, Reader, Sibling
from imagestoreproxy.sources.catalogue import CARRIED
from imagestoreproxy.sources.simplestreams.reference import Reference
from imagestoreproxy.sources.simplestreams.source import SimpleStreams
from imagestoreproxy.sources.source import Source
from imagestoreproxy.sources.storereader import StoreReader

Verifiers = Mapping[str, Verifier]

CACHE = "cache"
TITLE = "Carried here"
# How soon what was carried here is seen.
LOOK_S = 5.0


class Carriage:
    """The directories ``cache`` and ``carried`` of the data directory.

    Args:
        verifiers: by kind of source, for images of sources that are not configured.
        taking: tells what the cloud can run.

    Attributes:
        depot: the cache.
        here: what was carried here.
        lending: what others may have.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        verifiers: Verifiers,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
        taking: Callable[[], Taking],
    ) -> None:
        self.depot = DepotDirectory(data_dir / CACHE)
        self.here = DepotDirectory((data_dir / CARRIED).absolute())
        self.lending = Lending([self.depot, self.here], background)
        self._sources: Sequence[Source] = ()
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._taking = taking
        self._carried = self.directory(CARRIED, self.here.path, verifiers, title=TITLE)
        self._looking: Task | None = None

    def directory(self, name: str, path: Path, verifiers: Verifiers, *, title: str = "") -> Carried:
        """Give the source of what lies in a directory.

        Args:
            path: absolute.
            verifiers: for images of sources that are not configured.
        """
        fetcher = DirectoryFetcher(self._background, path)
        here = Here(
            DepotDirectory(path),
            str(path),
            fetcher=fetcher,
            base_url=fetcher.base_url,
            background=self._background,
        )
        return Carried(
            name,
            here,
            owner=self._owner,
            readers=self._readers(verifiers, fetcher),
            records=self._records,
            clock=self._clock,
            title=title,
            interval_s=LOOK_S,
        )

    def sibling(
        self,
        name: str,
        url: str,
        verifiers: Verifiers,
        *,
        fetcher: Fetcher,
        title: str = "",
        interval_s: float = 600.0,
    ) -> Carried:
        """Give the source of what another proxy shares.

        Args:
            url: ``http(s)://host:port/cache/``.
            verifiers: for images of sources that are not configured.
        """
        shared = Sibling(
            name,
            url,
            fetcher=fetcher,
            records=self._records,
            background=self._background,
            clock=self._clock,
        )
        return Carried(
            name,
            shared,
            owner=self._owner,
            readers=self._readers(verifiers, fetcher),
            records=self._records,
            clock=self._clock,
            title=title,
            interval_s=interval_s,
        )

    def follow(self, sources: Sequence[Source]) -> list[Source]:
        """Go on with other configured sources; give them, and what was carried here if any was."""
        self._sources = sources
        return self._all()

    def _all(self) -> list[Source]:
        return [*self._sources, *([self._carried] if self.here.exists() else [])]

    def start(self, replace: Callable[[Sequence[Source]], Awaitable[None]]) -> None:
        """Begin to look whether something is carried here.

        Args:
            replace: called and awaited with all sources when the first thing has come.
        """
        self._looking = self._background.start("carried", self._look(replace))

    async def close(self) -> None:
        """Look no more."""
        if self._looking:
            self._looking.cancel()
            await self._looking.ended()

    async def _look(self, replace: Callable[[Sequence[Source]], Awaitable[None]]) -> None:
        is_there = self.here.exists()
        while not is_there:
            await self._clock.sleep(LOOK_S)
            if await self._background.run(lambda _stop: self.here.exists()):
                try:
                    await replace(self._all())
                    is_there = True
                except StoreProxyError as error:
                    self._journal.failure("what was carried here cannot be read yet", error)

    def _owner(self, image_uri: str) -> Source | None:
        """Give the source whose image this is by itself, whoever carries it."""
        others = (source for source in self._sources if source.kind != CARRIED)
        return next((source for source in others if source.owns(image_uri)), None)

    def _readers(self, verifiers: Verifiers, fetcher: Fetcher) -> dict[str, Reader]:
        async def mirror(image_uri: str, signed_text: bytes) -> ImageDocument:
            source = SimpleStreams(
                CARRIED,
                Reference.read(signed_text).root,
                fetcher=fetcher,
                verifier=verifiers[SIMPLESTREAMS],
                records=self._records,
                background=self._background,
                clock=self._clock,
                taking=self._taking(),
            )
            return await source.reread(image_uri, signed_text)

        store = StoreReader(verifiers[STORE], self._background, self._clock)
        return {STORE: store, SIMPLESTREAMS: mirror}

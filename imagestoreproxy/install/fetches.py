"""Images that are brought into the cache, verified, and into no cloud: to be carried away.

Nothing of it is in the records. After a restart it is asked for again, and goes on from the bytes
that are there.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

from imagestoreproxy.install.cache import KEPT_S, Cache
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.meter import LAST_PERCENT
from imagestoreproxy.install.ondisk import on_disk
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.together import together
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.carrying import CarriedImage, Fetch
from imagestoreproxy.model.errors import (
    CallerError,
    Cancelled,
    DiskError,
    DocumentError,
    FetchError,
    InstallError,
    StoreProxyError,
)
from imagestoreproxy.model.images import ImageDocument, ImageFile, ImageInfo
from imagestoreproxy.model.installs import Install, Progress, State, Step
from imagestoreproxy.model.plan import Plan, download_name
from imagestoreproxy.ports import Background, Clock, Disk, Journal, Records, Sources, Stop, Task

# What the downloads of a fetch begin with, so that they are told from those of installs.
FETCHED = "fetch-"
AT_ONCE = 2
MOST = 100
# How long a result waits to be heard.
TOLD_S = 600.0
SWEEP_S = 3600.0


class Fetches:
    """At most one of each image, a few at a time; more wait."""

    def __init__(
        self,
        *,
        sources: Sources,
        downloader: Downloader,
        cache: Cache,
        room: Room,
        disk: Disk,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._sources = sources
        self._downloader = downloader
        self._cache = cache
        self._room = room
        self._disk = disk
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._places = Places(AT_ONCE, clock)
        self._under_way: dict[str, _Fetch] = {}
        self._sweeping: Task | None = None

    def start(self) -> None:
        """Begin to remove what nobody has asked for again."""
        self._sweeping = self._background.start("old fetches", self._sweep_on())

    async def close(self) -> None:
        """Stop all where they are."""
        tasks = [one.task for one in self._under_way.values() if one.task]
        tasks += [self._sweeping] if self._sweeping else []
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.ended()

    def ask(self, image_uri: str) -> Fetch:
        """Begin to fetch an image, or tell how far that is; an end is told once.

        Raises:
            CallerError: 404, nobody offers it; 503, too much goes on.
        """
        self._forget_old()
        known = self._under_way.get(image_uri)
        if known is None:
            known = self._begin(image_uri)
        if known.told is None:
            return Fetch(progress=known.reading(self._clock.monotonic_s()))
        del self._under_way[image_uri]
        return known.told

    async def release(self, image_uri: str) -> None:
        """It has been carried away: it need not be kept any longer."""
        await self._cache.release(image_uri)

    def _begin(self, image_uri: str) -> _Fetch:
        source = self._sources.source_of(image_uri)
        if not source:
            raise CallerError("No image store offers this image.", 404)
        if len(self._under_way) >= MOST:
            raise CallerError(
                f"{MOST} images are being fetched already; try again when some are here.", 503
            )
        info = self._sources.info(image_uri) or ImageInfo(uri=image_uri)
        token = FETCHED + hashlib.sha256(image_uri.encode()).hexdigest()[:16]
        row = Install(image_uri, source, State.DOWNLOADING, token, info, self._clock.now_s())
        begun = _Fetch(Work(row, self._records, self._clock))
        self._under_way[image_uri] = begun
        begun.task = self._background.start("fetch", self._run(begun))
        return begun

    def _forget_old(self) -> None:
        now_s = self._clock.monotonic_s()
        old = [uri for uri, one in self._under_way.items() if one.is_old(now_s)]
        for uri in old:
            del self._under_way[uri]

    async def _run(self, fetch: _Fetch) -> None:
        uri = fetch.work.install.image_uri
        try:
            async with self._places.one():
                fetch.end(Fetch(image=await self._fetch(fetch.work)), self._clock.monotonic_s())
        except Cancelled:
            raise
        except Exception as error:
            self._journal.failure("{image} could not be fetched", error, image=uri)
            if isinstance(error, DiskError):
                await self._free(fetch.work)
            said = error.message if isinstance(error, StoreProxyError) else ""
            message = said or "An unexpected error; the proxy's log has the details."
            fetch.end(Fetch(error=message), self._clock.monotonic_s())

    async def _free(self, work: Work) -> None:
        """Remove what was fetched so far: it may be what has filled the disk."""
        try:
            await self._background.run(lambda _stop: self._disk.remove(work.install.token))
        except DiskError as error:
            self._journal.failure("what was fetched stays behind", error)

    async def _fetch(self, work: Work) -> CarriedImage:
        work.meter.begin(Step.CHECKING)
        install = work.install
        try:
            document = await self._sources.document(install.source, install.image_uri)
        except FetchError:
            # What is here already is as it was signed; who takes it looks whether it has expired.
            if image := await self._cache.find(install.image_uri):
                return image
            raise
        if not document.fingerprint or document.info.is_unsigned:
            raise DocumentError(
                f"Nobody has signed {install.image_uri}, so nobody could verify it where it is"
                " carried: only images of signed sources can be."
            )
        if image := await self._cache.asked_for(document):
            return image
        await self._bring(work, document)
        image = await self._cache.keep(install.token, document, is_asked_for=True)
        if image is None:
            raise InstallError(
                f"Not all of {install.image_uri} is here: what is signed about it was not kept, or"
                " its files were given up for lack of room. Make room, and try again."
            )
        await self._background.run(lambda _stop: self._disk.remove(install.token))
        return image

    async def _bring(self, work: Work, document: ImageDocument) -> None:
        files = {file.digest: file for file in document.files}.values()
        size_bytes = sum(file.size_bytes for file in files)
        work.meter.plan({download_name(file): file.size_bytes for file in files})
        work.meter.begin(Step.DOWNLOADING)
        plan = Plan(document.uri, document.version, tuple(files), (), size_bytes, size_bytes)
        try:
            await self._room.take(work, plan)
            await together(
                self._background,
                {f"{file.kind} of {document.uri}": self._file(work, file) for file in files},
            )
        finally:
            self._room.give_back(work)

    async def _file(self, work: Work, file: ImageFile) -> None:
        feed = await self._background.run(
            partial(on_disk, self._disk, work, file, cache=self._cache)
        )
        try:
            await self._downloader.fetch(work, file, feed)
        finally:
            feed.close()

    async def _sweep_on(self) -> None:
        while True:
            under_way = {one.work.install.token for one in self._under_way.values()}
            try:
                await self._background.run(partial(self._sweep, under_way))
            except DiskError as error:
                self._journal.failure("what was fetched long ago cannot be removed", error)
            await self._clock.sleep(SWEEP_S)

    def _sweep(self, under_way: set[str], _stop: Stop) -> None:
        """Remove downloads that were broken off, and not asked for again within a day."""
        for token in self._disk.tokens():
            if token.startswith(FETCHED) and token not in under_way:
                directory = self._disk.path(token, "any").parent
                try:
                    times = [path.stat().st_mtime for path in (directory, *directory.iterdir())]
                except OSError:  # it is in use after all
                    continue
                if not -KEPT_S < max(times) - self._clock.now_s() < KEPT_S:
                    self._disk.remove(token)


class _Fetch:
    """One image on its way, until its end is told."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.task: Task | None = None
        self.told: Fetch | None = None
        self._ended_at_s = 0.0

    def end(self, told: Fetch, now_s: float) -> None:
        """Note how it ended."""
        self.told, self._ended_at_s = told, now_s

    def reading(self, now_s: float) -> Progress:
        """Tell how far it is: nothing but the download counts."""
        reading = self.work.meter.reading(now_s)
        percent = 100 * reading.bytes_done // max(1, reading.bytes_total)
        return replace(reading, percent=min(percent, LAST_PERCENT))

    def is_old(self, now_s: float) -> bool:
        """Tell whether nobody has come to hear how it ended."""
        return self.told is not None and now_s - self._ended_at_s > TOLD_S

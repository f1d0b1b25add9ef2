"""One file of an install, from its URL into the cloud in one pass.

While the transfer writes, a reader follows it: what comes is decompressed, bundled and stored at
once. Nobody can use what is stored before its manifest is, and that waits for the digests of all
files (``installer.py``). Whatever comes out otherwise than it was thought of (a guessed size, a
file that changed on its server, a mirror that took over) begins the pass again; parts that are
stored already are not sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.contents import Bundles, Contents
from imagestoreproxy.install.conversion import Conversion
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.feed import (
    AgainError,
    ClosedError,
    Feed,
    PipeFeed,
    RestartedError,
    StarvedError,
    WrongGuessError,
)
from imagestoreproxy.install.ondisk import counter, on_disk
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.together import Beside
from imagestoreproxy.install.unpack import Content
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.bundles import Stored
from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.errors import NotHeldError, UnpackError
from imagestoreproxy.model.images import FileFormat, ImageFile
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import needs_disk
from imagestoreproxy.ports import Background, Clock, Cloud, Disk

TURN_S = 0.01

Verified = Callable[[], Awaitable[None]]


class OnePass:
    """Brings files into the cloud; many at a time.

    Args:
        keep_downloads: downloads lie on the disk until the install is done, so that a restart goes
            on from there; else only what has to (``needs_disk``, or what a first try gave wrongly).
        max_passes: how many files are read and stored at a time; each takes memory.
    """

    def __init__(
        self,
        *,
        cloud: Cloud,
        downloader: Downloader,
        contents: Contents,
        conversion: Conversion,
        disk: Disk,
        cache: Cache,
        room: Room,
        background: Background,
        clock: Clock,
        keep_downloads: bool,
        max_passes: int,
    ) -> None:
        self._cloud = cloud
        self._downloader = downloader
        self._contents = contents
        self._conversion = conversion
        self._disk = disk
        self._cache = cache
        self._room = room
        self._background = background
        self._clock = clock
        self._keep_downloads = keep_downloads
        self._places = Places(max_passes, clock)

    async def bring(
        self, work: Work, file: ImageFile, bundles: Bundles, verified: Verified
    ) -> Sequence[Stored]:
        """Fetch, verify and store a file.

        Args:
            bundles: what each part that is in it becomes; in the ledger already.
            verified: called once all its bytes have come and match what was signed.

        Raises:
            InstallError: it could not be had, is not what was signed, or cannot be stored.
        """
        if not (self._keep_downloads or needs_disk(file) or await self._is_cached(file)):
            pipe = PipeFeed(file.size_bytes, counter(work, file), algorithm_of(file.digest))
            try:
                async with self._places.one():
                    return await self._beside(work, file, pipe, verified, self._first_try, bundles)
            except (AgainError, NotHeldError):
                # What has gone by cannot be looked at again: so by way of the disk.
                await self._room.take_more(work, file.size_bytes)
        feed = await self._background.run(
            partial(
                on_disk,
                self._disk,
                work,
                file,
                cache=self._cache,
                is_wanted=lambda: self._places.is_wanted,
            )
        )
        follow = self._converted if file.format is FileFormat.QCOW2 else self._followed
        try:
            return await self._beside(work, file, feed, verified, follow, bundles)
        except UnpackError as error:
            what = f"The {file.kind} from {masked(file.url)} cannot be unpacked"
            raise UnpackError(f"{what}: {error.message}") from error
        finally:
            await self._conversion.clean(work, file)

    async def _is_cached(self, file: ImageFile) -> bool:
        return await self._background.run(lambda _stop: self._cache.has(file))

    async def _beside(
        self,
        work: Work,
        file: ImageFile,
        feed: Feed,
        verified: Verified,
        follow: Callable[..., Awaitable[Sequence[Stored]]],
        bundles: Bundles,
    ) -> Sequence[Stored]:
        """Run the download, and beside it who follows; give what that has stored."""

        async def fetch() -> None:
            await self._downloader.fetch(work, file, feed)
            await verified()

        download = Beside(self._background, "download", fetch(), feed.close)
        try:
            stored = await follow(work, file, feed, download, bundles)
            await download.outcome()
            return stored
        except ClosedError:
            await download.outcome()
            raise
        finally:
            feed.close()
            await download.stop()

    async def _converted(
        self, work: Work, file: ImageFile, _feed: Feed, download: Beside[None], bundles: Bundles
    ) -> Sequence[Stored]:
        """Store a disk that has to be converted, and so has to be there first."""
        await download.outcome()
        await work.begin(Step.UNPACKING)
        path = await self._conversion.raw_disk(work, file)
        if not self._cloud.bundles_on_disk:
            await work.begin(Step.UPLOADING)
        streams = partial(self._contents.disk_streams, work, file, path, bundles)
        for is_last in (False, True):
            try:
                async with self._places.one():
                    return await self._cloud.store(streams)
            except NotHeldError:
                if is_last:
                    raise
        raise AssertionError  # the loop returns or raises

    async def _first_try(
        self, work: Work, file: ImageFile, feed: Feed, download: Beside[None], bundles: Bundles
    ) -> Sequence[Stored]:
        """Store what comes through a pipe, if it is all as it was thought to be."""
        await self._begun(feed, download)
        content = await self._contents.foreseen(work, file, feed)
        if content is None:
            raise WrongGuessError
        streams = partial(self._contents.streams, work, file, feed, content, bundles)
        try:
            return await self._cloud.store(streams)
        except UnpackError as error:
            # What is not verified may be anything. Nothing more can be waited for: nobody would
            # empty the pipe.
            raise AgainError from error

    async def _followed(
        self, work: Work, file: ImageFile, feed: Feed, download: Beside[None], bundles: Bundles
    ) -> Sequence[Stored]:
        """Store what comes to the disk, as often as it takes."""
        content: Content | None = None
        may_guess = may_resend = True
        while True:
            beginning = feed.beginning
            try:
                await self._begun(feed, download)
                if content is None and may_guess:
                    content = await self._contents.foreseen(work, file, feed)
                content = content or await self._contents.counted(file, feed)
                async with self._places.one():
                    streams = partial(self._contents.streams, work, file, feed, content, bundles)
                    stored = await self._cloud.store(streams)
                await download.outcome()
                if feed.beginning == beginning:
                    return stored  # else what was stored is not what was verified
            except WrongGuessError:
                content, may_guess = None, False
            except RestartedError:
                pass
            except StarvedError:
                await download.outcome()
            except NotHeldError:
                if not may_resend:
                    raise
                may_resend = False
            except UnpackError:
                # What is not verified may be anything, and may come anew from somewhere else.
                await download.outcome()
                if feed.beginning == beginning:
                    raise

    async def _begun(self, feed: Feed, download: Beside[None]) -> None:
        """Wait for the first byte."""
        while not feed.position and not download.is_over:
            await self._clock.sleep(TURN_S)
        if download.is_over:
            await download.outcome()

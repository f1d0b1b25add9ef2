"""One file of an install, from its URL into the cloud in one pass.

While the transfer writes, a reader follows it: what comes is decompressed, bundled and stored at
once. Nobody can use what is stored before its manifest is, and that waits for the digests of all
files (``installer.py``). Whatever comes out otherwise than it was thought of (a guessed size, a
file that changed on its server, a mirror that took over) begins the pass again; parts that are
stored already are not sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from imagestoreproxy.codecs import ERRORS, decompressor
from imagestoreproxy.install.archive import wanted_members
from imagestoreproxy.install.conversion import Conversion
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.feed import (
    AgainError,
    ClosedError,
    Feed,
    FileFeed,
    PipeFeed,
    RestartedError,
    StarvedError,
    WrongGuessError,
)
from imagestoreproxy.install.foresight import HEAD_BYTES, foreseen_bytes
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.tail import Tails
from imagestoreproxy.install.together import Beside
from imagestoreproxy.install.unpack import Content, Unpacking, read_sparse, with_gzip
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.bundles import Chunk, Stored, Stream
from imagestoreproxy.model.errors import NotHeldError, UnpackError
from imagestoreproxy.model.images import Compression, FileFormat, ImageFile
from imagestoreproxy.model.installs import Bundle, Step
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import Part, download_name
from imagestoreproxy.ports import Background, Clock, Cloud, Disk, Stop

TURN_S = 0.01

Bundles = Mapping[Part, Bundle]
Verified = Callable[[], Awaitable[None]]


class OnePass:
    """Brings files into the cloud; many at a time.

    Args:
        keep_downloads: downloads lie on the disk until the install is done, so that a restart goes
            on from there; else only what has to (a qcow2, or what a first try gave wrongly).
        max_passes: how many files are read and stored at a time; each takes memory.
        max_unpacked_bytes: what one file may unpack to.
    """

    def __init__(
        self,
        *,
        cloud: Cloud,
        downloader: Downloader,
        tails: Tails,
        conversion: Conversion,
        disk: Disk,
        room: Room,
        background: Background,
        clock: Clock,
        keep_downloads: bool,
        max_passes: int,
        max_unpacked_bytes: int,
    ) -> None:
        self._cloud = cloud
        self._downloader = downloader
        self._tails = tails
        self._conversion = conversion
        self._disk = disk
        self._room = room
        self._background = background
        self._clock = clock
        self._keep_downloads = keep_downloads
        self._places = Places(max_passes, clock)
        self._max_unpacked_bytes = max_unpacked_bytes

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
        if not self._keep_downloads and file.format is not FileFormat.QCOW2:
            pipe = PipeFeed(file.size_bytes, self._counter(work, file))
            try:
                async with self._places.one():
                    return await self._beside(work, file, pipe, verified, self._first_try, bundles)
            except (AgainError, NotHeldError):
                # What has gone by cannot be looked at again: so by way of the disk.
                await self._room.take_more(work, file.size_bytes)
        feed = await self._background.run(partial(self._on_disk, work, file))
        follow = self._converted if file.format is FileFormat.QCOW2 else self._followed
        try:
            return await self._beside(work, file, feed, verified, follow, bundles)
        except UnpackError as error:
            what = f"The {file.kind} from {masked(file.url)} cannot be unpacked"
            raise UnpackError(f"{what}: {error.message}") from error
        finally:
            await self._conversion.clean(work, file)

    def _on_disk(self, work: Work, file: ImageFile, stop: Stop) -> FileFeed:
        token, name = work.install.token, download_name(file)
        held = self._disk.partial(token, name, file.size_bytes, stop)
        path = partial(self._disk.path, token, name)
        counter = self._counter(work, file)
        return FileFeed(held, path, file.size_bytes, counter, lambda: self._places.is_wanted)

    def _counter(self, work: Work, file: ImageFile) -> Callable[[int], None]:
        return partial(work.meter.set_done, Step.DOWNLOADING, download_name(file))

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
        await work.begin(Step.UPLOADING)
        streams = partial(self._disk_streams, work, file, path, bundles)
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
        content = await self._foreseen(work, file, feed)
        if content is None:
            raise WrongGuessError
        streams = partial(self._streams, work, file, feed, content, bundles)
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
                    content = await self._foreseen(work, file, feed)
                content = content or await self._counted(file, feed)
                async with self._places.one():
                    streams = partial(self._streams, work, file, feed, content, bundles)
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

    async def _foreseen(self, work: Work, file: ImageFile, feed: Feed) -> Content | None:
        """Guess what the file holds from its ends; None where nothing tells."""
        if file.compression is Compression.NONE or file.format is FileFormat.TAR:
            return Content(file.size_bytes, is_plain=True)  # known, or told by the archive itself
        tail = await self._tails.fetch(work, file, feed)

        def look(stop: Stop) -> int | None:
            start = feed.start(stop)
            head = _head(file.compression, start)
            return foreseen_bytes(file.compression, file.size_bytes, start, tail, head)

        size_bytes = await self._background.run(look)
        if size_bytes is None or size_bytes > self._max_unpacked_bytes:
            return None
        return Content(size_bytes, is_plain=True)

    async def _counted(self, file: ImageFile, feed: Feed) -> Content:
        """Go through the whole file for what it holds."""

        def count(stop: Stop) -> Content:
            return self._unpacking(file, stop).content(feed.follow(stop))

        return await self._background.run(count)

    def _unpacking(self, file: ImageFile, stop: Stop) -> Unpacking:
        return Unpacking(file.compression, self._max_unpacked_bytes, stop)

    def _streams(
        self,
        work: Work,
        file: ImageFile,
        feed: Feed,
        content: Content,
        bundles: Bundles,
        stop: Stop,
    ) -> Generator[Stream, None, None]:
        """Open what the file holds: itself, or members of an archive."""
        done = partial(work.meter.set_done, Step.UPLOADING, download_name(file))
        if file.format is FileFormat.TAR:
            by_member = {part.member: bundle for part, bundle in bundles.items()}

            def unpacked(stop: Stop) -> Iterator[bytes]:
                packed = _watched(feed.follow(stop), done)
                if file.compression is Compression.NONE:
                    return packed
                return self._unpacking(file, stop).chunks(packed)

            with self._background.ahead(unpacked, stop) as chunks:
                for member in wanted_members(chunks, list(by_member)):
                    pieces = map(Chunk, member.pieces)
                    yield Stream(by_member[member.glob], member.size_bytes, pieces)
            return
        (bundle,) = bundles.values()
        keeps_gzip = file.compression is Compression.GZIP and content.is_plain

        def bytes_of_file(stop: Stop) -> Iterator[Chunk]:
            packed = _watched(feed.follow(stop), done)
            if file.compression is Compression.NONE:
                return map(Chunk, packed)
            return _as_guessed(self._unpacking(file, stop), packed, content, keeps_gzip=keeps_gzip)

        with self._background.ahead(bytes_of_file, stop) as drawn:
            yield Stream(bundle, content.size_bytes, drawn, has_gzip=keeps_gzip)

    def _disk_streams(
        self, work: Work, file: ImageFile, path: Path, bundles: Bundles, stop: Stop
    ) -> Generator[Stream, None, None]:
        (bundle,) = bundles.values()
        size_bytes = path.stat().st_size
        done = partial(work.meter.set_done, Step.UPLOADING, download_name(file))

        def scaled(read_bytes: int) -> None:
            done(file.size_bytes * read_bytes // max(1, size_bytes))

        def read(stop: Stop) -> Iterator[Chunk]:
            return map(Chunk, _watched(read_sparse(path, stop), scaled))

        with self._background.ahead(read, stop) as chunks:
            yield Stream(bundle, size_bytes, chunks)


def _as_guessed(
    unpacking: Unpacking, packed: Iterable[bytes], content: Content, *, keeps_gzip: bool
) -> Iterator[Chunk]:
    """Decompress, as long as it comes out as it was thought to.

    Raises:
        WrongGuessError: it does not.
    """
    raw = with_gzip(unpacking, packed) if keeps_gzip else map(Chunk, unpacking.chunks(packed))
    for chunk in raw:
        if unpacking.size_bytes > content.size_bytes or (keeps_gzip and not unpacking.is_plain):
            raise WrongGuessError
        yield chunk
    if unpacking.size_bytes != content.size_bytes or (keeps_gzip and not unpacking.is_plain):
        raise WrongGuessError


def _watched(blocks: Iterable[bytes], done: Callable[[int], None]) -> Iterator[bytes]:
    """Hand blocks on, and tell how many bytes that are in all."""
    size_bytes = 0
    for block in blocks:
        yield block
        size_bytes += len(block)
        done(size_bytes)


def _head(compression: Compression, start: bytes) -> bytes:
    """Decompress the first bytes, as far as they are there."""
    codec = decompressor(compression)
    head = b""
    try:
        while len(head) < HEAD_BYTES and not codec.eof:
            chunk = codec.decompress(start, HEAD_BYTES)
            if not chunk:
                break
            head, start = head + chunk, b""
    except ERRORS:
        pass
    return head

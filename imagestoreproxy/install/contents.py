"""What a file of an image holds: foreseen, counted, and opened as streams for a cloud."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from imagestoreproxy.codecs import ERRORS, decompressor
from imagestoreproxy.install.archive import member_names, wanted_members
from imagestoreproxy.install.feed import Feed, WrongGuessError
from imagestoreproxy.install.foresight import HEAD_BYTES, foreseen_bytes
from imagestoreproxy.install.tail import Tails
from imagestoreproxy.install.unpack import Content, Unpacking, read_sparse, with_gzip
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.bundles import Chunk, Stream
from imagestoreproxy.model.errors import UnpackError
from imagestoreproxy.model.images import Compression, FileFormat, ImageFile
from imagestoreproxy.model.installs import Bundle, Step
from imagestoreproxy.model.plan import Part, download_name
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop

Bundles = Mapping[Part, Bundle]


class Contents:
    """Looks into files while they come, and opens them.

    Args:
        max_unpacked_bytes: what one file may unpack to.
        taking: gives what the cloud takes.
    """

    def __init__(
        self,
        *,
        tails: Tails,
        background: Background,
        max_unpacked_bytes: int,
        taking: Callable[[], Taking] = Taking,
    ) -> None:
        self._tails = tails
        self._background = background
        self._max_unpacked_bytes = max_unpacked_bytes
        self._taking = taking

    async def foreseen(self, work: Work, file: ImageFile, feed: Feed) -> Content | None:
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
        if self._taking().too_large(size_bytes):
            return None  # not on a guess
        return Content(size_bytes, is_plain=True)

    async def counted(self, file: ImageFile, feed: Feed) -> Content:
        """Go through the whole file for what it holds."""

        def count(stop: Stop) -> Content:
            return self._unpacking(file, stop).content(feed.follow(stop))

        return await self._background.run(count)

    async def member_names(self, file: ImageFile, feed: Feed) -> list[str]:
        """Name the files of an archive that is here, in its order.

        Raises:
            UnpackError: broken, unsafe, or more than may come out of it.
        """

        def look(stop: Stop) -> list[str]:
            return member_names(self._unpacked(file, _heedful(feed.follow(stop), stop), stop))

        return await self._background.run(look)

    def _unpacked(self, file: ImageFile, packed: Iterator[bytes], stop: Stop) -> Iterator[bytes]:
        if file.compression is Compression.NONE:
            return packed
        return self._unpacking(file, stop).chunks(packed)

    def _unpacking(self, file: ImageFile, stop: Stop) -> Unpacking:
        return Unpacking(file.compression, self._max_unpacked_bytes, stop)

    def streams(
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
                return self._unpacked(file, _watched(feed.follow(stop), done), stop)

            with self._background.ahead(unpacked, stop) as chunks:
                limit_bytes = self._max_unpacked_bytes
                for member in wanted_members(chunks, list(by_member), limit_bytes):
                    self._check_size(member.size_bytes)
                    pieces = map(Chunk, member.pieces)
                    yield Stream(by_member[member.glob], member.size_bytes, pieces)
            return
        self._check_size(content.size_bytes)
        (bundle,) = bundles.values()
        keeps_gzip = file.compression is Compression.GZIP and content.is_plain

        def bytes_of_file(stop: Stop) -> Iterator[Chunk]:
            packed = _watched(feed.follow(stop), done)
            if file.compression is Compression.NONE:
                return map(Chunk, packed)
            return _as_guessed(self._unpacking(file, stop), packed, content, keeps_gzip=keeps_gzip)

        with self._background.ahead(bytes_of_file, stop) as drawn:
            yield Stream(bundle, content.size_bytes, drawn, has_gzip=keeps_gzip)

    def _check_size(self, size_bytes: int) -> None:
        """Raise ``UnpackError`` when the cloud does not take an image of this size."""
        if why := self._taking().too_large(size_bytes):
            raise UnpackError(f"It is too large for this cloud: {why}.")

    def disk_streams(
        self, work: Work, file: ImageFile, path: Path, bundles: Bundles, stop: Stop
    ) -> Generator[Stream, None, None]:
        (bundle,) = bundles.values()
        size_bytes = path.stat().st_size
        self._check_size(size_bytes)
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


def _heedful(blocks: Iterable[bytes], stop: Stop) -> Iterator[bytes]:
    """Hand blocks on until the work is to end."""
    for block in blocks:
        stop.check()
        yield block


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

"""Verified files that stay for later: so that nothing is downloaded twice, and to be carried away.

What is there is what the disk says: a file's time is when it was last used, so a restart has
nothing to take up. A file that somebody has asked for has a time ahead of the clock, and stays
until then.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from imagestoreproxy.model.carrying import CarriedImage, carried_image, referred
from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.errors import DiskError, DocumentError
from imagestoreproxy.model.images import ImageDocument, ImageFile
from imagestoreproxy.model.plan import download_name
from imagestoreproxy.ports import Background, Clock, Disk, Journal, Records, Stop, Task
from imagestoreproxy.ports.depots import Depot, StoredFile

KEPT_S = 86400.0
LOOK_S = 300.0
# The files of older ones stay, but are not carried away.
LISTED = 1000
BLOCK_BYTES = 2**20
# Where less is free, nothing is kept that nobody asks for.
SHORT_BYTES = 256 * 2**20


class Cache:
    """The depot in the data directory.

    Args:
        others: where files may lie as well; they are lent, and neither kept nor dropped here.
        limit_bytes: what may lie there unasked; 0 for nothing.
    """

    def __init__(
        self,
        depot: Depot,
        *,
        others: Sequence[Depot] = (),
        disk: Disk,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
        limit_bytes: int,
    ) -> None:
        self._depot = depot
        self._others = others
        self._disk = disk
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._limit_bytes = limit_bytes
        self._turn = threading.Lock()
        self._looking: Task | None = None

    def start(self) -> None:
        """Begin to look after it from time to time."""
        self._looking = self._background.start("cache", self._look())

    async def close(self) -> None:
        """Look after it no more."""
        if self._looking:
            self._looking.cancel()
            await self._looking.ended()

    async def keep(
        self, token: str, document: ImageDocument, *, is_asked_for: bool = False
    ) -> CarriedImage | None:
        """Keep the downloads of an install, and what is signed about them.

        Args:
            token: whose downloads.
            is_asked_for: keep them for a day, whatever the limit says.

        Returns:
            the image, if all of it is here now.

        Raises:
            DiskError: they cannot be moved.
            OwnStateError: the records cannot be read.
        """
        if not (self._limit_bytes or is_asked_for) or not document.fingerprint:
            return None
        messages = await self._messages(document)
        return await self._background.run(
            partial(self._keep, token, document, messages, is_asked_for)
        )

    async def asked_for(self, document: ImageDocument) -> CarriedImage | None:
        """Keep an image for a day if all of it is here already and right, and give it."""
        await self._background.run(partial(self._drop_damaged, document))
        messages = await self._messages(document)
        until_s = self._clock.now_s() + KEPT_S
        return await self._background.run(partial(self._list, document, messages, until_s))

    async def find(self, image_uri: str) -> CarriedImage | None:
        """Give an image if all of it is here."""
        return await self._background.run(lambda _stop: self._find(image_uri))

    async def release(self, image_uri: str) -> None:
        """Nobody waits for this image any more."""
        await self._background.run(lambda _stop: self._release(image_uri))

    def lend(self, token: str, file: ImageFile) -> bool:
        """Put a file where its download would be; who reads it checks it. Blocks."""
        with self._turn:
            path = self._anywhere(file.digest)
            if path is None or _size_bytes(path) != file.size_bytes:
                return False
            target = self._disk.path(token, download_name(file))
            if target.exists() and target.stat().st_size == file.size_bytes:
                return False
            self._use([file.digest], self._clock.now_s())
            return self._disk.adopt(token, download_name(file), path)

    def has(self, file: ImageFile) -> bool:
        """Tell whether a file is here. Blocks."""
        return self._anywhere(file.digest) is not None

    def _anywhere(self, digest: str) -> Path | None:
        found = (depot.file(digest) for depot in (self._depot, *self._others))
        return next((path for path in found if path), None)

    def is_damaged(self, file: ImageFile) -> None:
        """Drop a file that is not what it was. Blocks."""
        self._journal.failure(
            "a file of the cache is damaged and was dropped: {digest}",
            DiskError("its content is not what its name says"),
            digest=file.digest,
        )
        with self._turn:
            self._depot.drop(file.digest)

    def make_room(self, size_bytes: int, besides: Collection[str] = ()) -> None:
        """Give up so many bytes, or all there is: first what nobody has asked for. Blocks.

        Args:
            besides: digests of what is needed.
        """
        with self._turn:
            now_s = self._clock.now_s()
            files = self._depot.files()
            order = sorted(files, key=lambda one: (_is_asked_for(one, now_s), one.used_at_s))
            for file in order:
                if size_bytes <= 0:
                    break
                if file.digest not in besides:
                    self._depot.drop(file.digest)
                    size_bytes -= file.size_bytes
            self._tidy()

    def spare_bytes(self, besides: Collection[str]) -> int:
        """Give what ``make_room`` could give up. Blocks."""
        files = self._depot.files()
        return sum(file.size_bytes for file in files if file.digest not in besides)

    def trim(self, _stop: Stop | None = None) -> None:
        """Give up what is too much, the longest unused first. Blocks."""
        with self._turn:
            now_s = self._clock.now_s()
            files = [one for one in self._depot.files() if not _is_asked_for(one, now_s)]
            held_bytes = sum(file.size_bytes for file in files)
            short_bytes = SHORT_BYTES - self._disk.free_bytes()
            for file in sorted(files, key=lambda one: one.used_at_s):
                if held_bytes <= self._limit_bytes and short_bytes <= 0:
                    break
                self._depot.drop(file.digest)
                held_bytes -= file.size_bytes
                short_bytes -= file.size_bytes
            self._tidy()

    async def _look(self) -> None:
        while True:
            try:
                await self._background.run(self.trim)
            except DiskError as error:
                self._journal.failure("the cache cannot be looked after", error)
            await self._clock.sleep(LOOK_S)

    async def _messages(self, document: ImageDocument) -> dict[str, bytes]:
        """Give the signed messages of a document by their digest, as far as they are kept."""
        text = document.signed_text
        if not referred(text):
            return {hashlib.sha256(text).hexdigest(): text}
        image = carried_image(document, "")
        found = {sha256: await self._records.evidence(sha256) for sha256 in image.documents}
        return {sha256: message for sha256, message in found.items() if message is not None}

    def _keep(
        self,
        token: str,
        document: ImageDocument,
        messages: Mapping[str, bytes],
        is_asked_for: bool,
        stop: Stop,
    ) -> CarriedImage | None:
        until_s = self._clock.now_s() + (KEPT_S if is_asked_for else 0.0)
        with self._turn:
            for file in document.files:
                path = self._disk.path(token, download_name(file))
                is_elsewhere = any(depot.file(file.digest) for depot in self._others)
                if is_elsewhere and not is_asked_for:
                    continue
                if path.exists() and path.stat().st_size == file.size_bytes:
                    self._depot.take(path, file.digest, until_s)
        found = self._list(document, messages, until_s, stop)
        self.trim()
        return found

    def _list(
        self,
        document: ImageDocument,
        messages: Mapping[str, bytes],
        until_s: float,
        _stop: Stop,
    ) -> CarriedImage | None:
        image = carried_image(document, next(iter(messages), ""))
        with self._turn:
            if set(image.documents) - messages.keys() or not image.documents:
                return None
            if not self._is_whole(image):
                return None
            for sha256 in image.documents:
                self._depot.put_document(sha256, messages[sha256])
            others = [one for one in self._images() if one.uri != image.uri]
            self._depot.save([*others[1 - LISTED :], image])
            self._use([file.digest for file in image.files], until_s)
        return image

    def _drop_damaged(self, document: ImageDocument, stop: Stop) -> None:
        """Whoever gets it looks at the digests, but can only ask again: and get the same."""
        if not all(self._depot.file(file.digest) for file in document.files):
            return
        for file in document.files:
            path = self._depot.file(file.digest)
            if path and not _is_right(path, file, stop):
                self.is_damaged(file)

    def _find(self, image_uri: str) -> CarriedImage | None:
        with self._turn:
            found = (one for one in self._images() if one.uri == image_uri)
            return next((one for one in found if self._is_whole(one)), None)

    def _release(self, image_uri: str) -> None:
        with self._turn:
            now_s = self._clock.now_s()
            waiting = {one.digest for one in self._depot.files() if one.used_at_s > now_s}
            for image in self._images():
                if image.uri == image_uri:
                    for file in image.files:
                        if file.digest in waiting:
                            self._depot.use(file.digest, now_s)
        self.trim()

    def _use(self, digests: Sequence[str], used_at_s: float) -> None:
        """Note that files are used, unless somebody waits for them for longer."""
        known = {one.digest: one.used_at_s for one in self._depot.files()}
        now_s = self._clock.now_s()
        for digest in digests:
            before_s = known.get(digest, 0.0)
            if not now_s < before_s <= now_s + KEPT_S or before_s < used_at_s:
                self._depot.use(digest, used_at_s)

    def _images(self) -> Sequence[CarriedImage]:
        try:
            return self._depot.images()
        except DocumentError as error:
            # The files are still good for installs; the list is made anew.
            self._journal.failure("the list of the cache is damaged", error)
            return ()

    def _is_whole(self, image: CarriedImage) -> bool:
        return all(self._depot.file(file.digest) for file in image.files)

    def _tidy(self) -> None:
        """List no image that is no longer whole."""
        if not self._depot.exists():
            return
        images = self._images()
        whole = [image for image in images if self._is_whole(image)]
        if len(whole) != len(images):
            self._depot.save(whole)
        self._depot.tidy(whole)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # an import removed it just now
        return -1


def _is_right(path: Path, file: ImageFile, stop: Stop) -> bool:
    digest = hashlib.new(algorithm_of(file.digest))
    try:
        with path.open("rb", buffering=0) as opened:
            while block := opened.read(BLOCK_BYTES):
                stop.check()
                digest.update(block)
    except FileNotFoundError:  # dropped just now
        return True
    except OSError:  # it is the disk that is damaged
        return False
    return digest.hexdigest() == file.digest


def _is_asked_for(file: StoredFile, now_s: float) -> bool:
    # What is further ahead is from before the clock was set back.
    return now_s < file.used_at_s <= now_s + KEPT_S

"""What is held of one mirror: its indexes and its files of images, each believed or not taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from imagestoreproxy.model.errors import DocumentError, FetchError, StoreProxyError
from imagestoreproxy.ports import Background, Clock, Kept, Records
from imagestoreproxy.sources.ages import day
from imagestoreproxy.sources.document import AHEAD_S
from imagestoreproxy.sources.simplestreams.messages import Form, Message, Messages, stem_of
from imagestoreproxy.sources.simplestreams.reading import INDEX_FORMAT, read_index
from imagestoreproxy.sources.simplestreams.stream import Index, Stream

# Ubuntu's mirror has six, of which one holds files.
FILES = 64
DOWNLOADS = "image-downloads"

Content = TypeVar("Content", Index, Stream)


@dataclass(frozen=True, slots=True)
class Held(Generic[Content]):
    """A file that was believed.

    Args:
        digests: SHA-256 of its parts.
        validators: of its parts, by URL.
        fingerprint: of the key that signed it; empty if nobody did.
    """

    content: Content
    digests: tuple[str, ...]
    validators: Mapping[str, str]
    fingerprint: str


class Mirror:
    """The files of one mirror, fetched when they change, and remembered.

    Args:
        name: of the source, in the records.
        root: of the mirror, with a slash at its end.
        index_stem: path of the index to begin with, without its suffix.
        read: reads a file of images; called in the background.

    Attributes:
        streams: what is held of images, by the path of its file without suffix.
    """

    def __init__(
        self,
        name: str,
        root: str,
        index_stem: str,
        read: Callable[[bytes], Stream],
        *,
        messages: Messages,
        records: Records,
        background: Background,
        clock: Clock,
    ) -> None:
        self._name = name
        self._root = root
        self._index_stem = index_stem
        self._read = read
        self._messages = messages
        self._records = records
        self._background = background
        self._clock = clock
        self._indexes: dict[str, Held[Index]] = {}
        self.streams: dict[str, Held[Stream]] = {}

    async def load(self) -> float | None:
        """Take up what was last good; give when that came, or None if there is nothing.

        Raises:
            DocumentError: it is no longer to be believed.
        """
        kept = await self._kept()
        messages = {one.stem: one for one in await self._messages.from_kept(kept)}
        if self._index_stem not in messages:
            return None

        def message(stem: str) -> Message:
            if stem not in messages:
                raise DocumentError(f"{self._root}{stem} was not kept.")
            return messages[stem]

        async def index(stem: str) -> Index:
            self._indexes[stem] = await self.believe(message(stem), read_index)
            return self._indexes[stem].content

        async def stream(stem: str) -> None:
            self.streams[stem] = await self.believe(message(stem), self._read)

        problems = await self._walk(index, stream)
        if problems:
            raise problems[0]
        return min(one.fetched_at_s for one in kept)

    async def _kept(self) -> list[Kept]:
        """Give what was kept of this mirror; of another one that had the name, nothing stays."""
        kept = []
        for one in await self._records.kept(self._name):
            if one.url.startswith(self._root):
                kept.append(one)
            else:
                await self._records.drop(self._name, one.url)
        return kept

    async def refresh(self) -> None:
        """Fetch what has changed.

        Raises:
            FetchError, DocumentError: of the first that could not be had or not be believed; the
                others are held all the same.
        """

        async def index(stem: str) -> Index:
            return await self._bring(self._indexes, stem, read_index)

        async def stream(stem: str) -> None:
            await self._bring(self.streams, stem, self._read)

        problems = await self._walk(index, stream)
        if problems:
            # What is not to be believed says more than what could not be had.
            raise next((one for one in problems if isinstance(one, DocumentError)), problems[0])

    async def _walk(
        self,
        bring_index: Callable[[str], Awaitable[Index]],
        bring_stream: Callable[[str], Awaitable[None]],
    ) -> list[StoreProxyError]:
        """Go through the index, and indexes that it names, to the files of images."""
        problems: list[StoreProxyError] = []
        stems = {self._index_stem}
        indexes = [self._index_stem]
        while indexes:
            index = await bring_index(indexes.pop())
            for entry in index.entries:
                stem = stem_of(entry.path)
                is_index = entry.format == INDEX_FORMAT
                if stem in stems or not (is_index or entry.datatype in (DOWNLOADS, "")):
                    continue
                if len(stems) >= FILES:
                    raise DocumentError(f"The index of {self._root} names more than {FILES} files.")
                stems.add(stem)
                if is_index:
                    indexes.append(stem)
                    continue
                try:
                    await bring_stream(stem)
                except StoreProxyError as error:
                    problems.append(error)
        await self._drop_all_but(stems)
        return problems

    async def _drop_all_but(self, stems: set[str]) -> None:
        for held in (self._indexes, self.streams):
            for stem in [stem for stem in held if stem not in stems]:
                for url in held.pop(stem).validators:
                    await self._records.drop(self._name, url)

    async def _bring(
        self, held: dict[str, Held[Content]], stem: str, read: Callable[[bytes], Content]
    ) -> Content:
        """Fetch a file if it has changed, and believe it or not."""
        old = held.get(stem)
        message = await self._messages.fetch(stem, old.validators if old else {})
        if old and (message is None or message.digests == old.digests):
            now_s = self._clock.now_s()
            if message:
                # The same under another ETag: only that is news.
                validators = {part.url: part.validator for part in message.parts}
                held[stem] = replace(old, validators=validators)
            for url in old.validators:
                await self._records.seen_again(self._name, url, now_s)
            return old.content
        if message is None:
            raise FetchError(f"{self._root}{stem} is said to be unchanged, but was never here.")
        try:
            new = await self.believe(message, read)
        except DocumentError:
            if message.form is not Form.DETACHED:
                raise
            # Text and signature may have been fetched in the middle of an update.
            message = await self._messages.fetch(stem, {}) or message
            new = await self.believe(message, read)
        await self._check_age(stem, new.content.updated_s)
        # Shown at once, but until it is kept as well it does not count as known: an install gets
        # what was kept, so the next refresh has to bring it again.
        held[stem] = replace(new, digests=(), validators={})
        await self._records.keep(self._name, *message.parts)
        # A mirror may change its form: what is kept of the other one would be taken for the newest.
        for url in self._messages.urls(stem) - new.validators.keys():
            await self._records.drop(self._name, url)
        held[stem] = new
        return new.content

    async def believe(self, message: Message, read: Callable[[bytes], Content]) -> Held[Content]:
        """Verify a message and read it.

        Raises:
            DocumentError: it is not to be believed, or not of the format.
        """
        opened = await self._messages.open(message)
        try:
            content = await self._background.run(lambda _stop: read(opened.payload))
        except DocumentError as error:
            raise DocumentError(
                f"The catalogue {message.parts[0].url} is refused: {error.message}"
            ) from error
        validators = {part.url: part.validator for part in message.parts}
        return Held(content, message.digests, validators, opened.fingerprint)

    async def _check_age(self, stem: str, updated_s: int) -> None:
        """Refuse what is older than what was seen before (rollback), or from the future."""
        url = f"{self._root}{stem}"
        if updated_s > self._clock.now_s() + AHEAD_S:
            raise DocumentError(
                f"The catalogue {url} says that it was published on {day(updated_s)}, which is yet"
                " to come: check this machine's clock."
            )
        highest_s = await self._records.highest_serial(self._name, url)
        if updated_s < highest_s:
            raise DocumentError(
                f"The catalogue {url} is refused: it was published on {day(updated_s)}, but one of"
                f" {day(highest_s)} was seen before. The mirror, or somebody before it, offers an"
                " older publication."
            )
        await self._records.remember_serial(self._name, url, updated_s)

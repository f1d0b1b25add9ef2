"""All sources as one shop window: merged, searched, and remembered for when a store is away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section
from imagestoreproxy.ports import Clock, Journal, Offer, Records
from imagestoreproxy.sources.storeapi import StoreApi

FRESH_S = 60.0
AWAY_S = 15.0
KNOWN_IMAGES = 100_000


class _Shown:
    """What is known of one source at the moment."""

    def __init__(self) -> None:
        self.listing = Listing()
        self.fetched_at_s: float | None = None
        self.asked_at_s = float("-inf")
        self.asking = False
        self.problem = ""

    def is_settled(self, now_s: float) -> bool:
        """Tell whether there is no reason to ask again yet (``now_s`` is monotonic)."""
        return now_s - self.asked_at_s < (AWAY_S if self.problem else FRESH_S)


class Catalogue:
    """``ports.Sources`` over any number of stores.

    A dashboard younger than a minute is served as it is; a store that did not answer is left in
    peace for 15 seconds, and what it last said is served meanwhile.
    """

    def __init__(
        self, sources: Sequence[StoreApi], records: Records, clock: Clock, journal: Journal
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._shown = {source.name: _Shown() for source in sources}
        self._infos: dict[str, tuple[str, ImageInfo]] = {}
        self._records = records
        self._clock = clock
        self._journal = journal

    async def load(self) -> None:
        """Take up the last good dashboards from the records."""
        for name, source in self._sources.items():
            kept = await self._records.listing(name)
            if kept is None:
                continue
            body, fetched_at_s = kept
            try:
                self._show(name, await source.read(body), fetched_at_s)
            except DocumentError as error:
                self._journal.failure("the kept dashboard of {source} is unreadable", error)

    async def dashboard(self) -> Offer:
        for name in self._sources:
            await self._refresh(name)
        listings = [self._dated(shown) for shown in self._shown.values()]
        return Offer(_merged(listings), self._problems())

    async def search(self, text: str) -> Offer:
        listings, problems = [], []
        for name, source in self._sources.items():
            shown = self._shown[name]
            try:
                if shown.problem and shown.is_settled(self._clock.monotonic_s()):
                    raise FetchError(shown.problem)
                listing = await source.search(text)
            except FetchError as error:
                problems.append(error.message)
                listing = _matching(shown.listing, text)
            self._learn(name, listing)
            listings.append(listing)
        return Offer(_merged(listings), " ".join(problems))

    def info(self, image_uri: str) -> ImageInfo | None:
        known = self._infos.get(image_uri)
        return known[1] if known else None

    def source_of(self, image_uri: str) -> str:
        known = self._infos.get(image_uri)
        if known:
            return known[0]
        owners = (source.name for source in self._sources.values() if source.owns(image_uri))
        return next(owners, "")

    async def document(self, source: str, image_uri: str) -> ImageDocument:
        return await self._source(source).document(image_uri)

    async def reread(self, source: str, image_uri: str, signed_text: bytes) -> ImageDocument:
        return await self._source(source).reread(image_uri, signed_text)

    async def may_be_local(self, source: str, url: str) -> bool:
        return await self._source(source).may_be_local(url)

    def _source(self, name: str) -> StoreApi:
        try:
            return self._sources[name]
        except KeyError:
            raise FetchError(
                f"The source '{name}' is no longer configured, so its images cannot be fetched.",
                retry_helps=False,
            ) from None

    async def _refresh(self, name: str) -> None:
        shown = self._shown[name]
        while shown.asking:  # by another request; every fetch is bounded in time
            await self._clock.sleep(0.05)
        if shown.is_settled(self._clock.monotonic_s()):
            return
        shown.asking = True
        try:
            await self._ask(name, shown)
        finally:
            shown.asking = False

    async def _ask(self, name: str, shown: _Shown) -> None:
        try:
            listing, body = await self._sources[name].dashboard()
        except FetchError as error:
            if not shown.problem:
                self._journal.failure("source {source} cannot be asked", error, source=name)
            shown.problem = error.message
            shown.asked_at_s = self._clock.monotonic_s()
            return
        shown.problem = ""
        shown.asked_at_s = self._clock.monotonic_s()
        fetched_at_s = self._clock.now_s()
        self._show(name, listing, fetched_at_s)
        await self._records.save_listing(name, body, fetched_at_s)

    def _show(self, name: str, listing: Listing, fetched_at_s: float) -> None:
        shown = self._shown[name]
        shown.listing = listing
        shown.fetched_at_s = fetched_at_s
        self._learn(name, listing)

    def _learn(self, name: str, listing: Listing) -> None:
        for info in listing.images:
            known = self._infos.get(info.uri)
            # The first source that showed an image keeps it: no store can take over another's.
            if known is None and len(self._infos) >= KNOWN_IMAGES:
                continue
            if known is None or known[0] == name:
                self._infos[info.uri] = (name, info)

    def _dated(self, shown: _Shown) -> Listing:
        if not shown.problem or shown.fetched_at_s is None:
            return shown.listing
        age = _age(self._clock.now_s() - shown.fetched_at_s)
        note = f"As last seen {age} ago; the store cannot be asked right now."
        sections = tuple(
            replace(section, summary=f"{section.summary} ({note})" if section.summary else note)
            for section in shown.listing.sections
        )
        return Listing(shown.listing.images, sections)

    def _problems(self) -> str:
        return " ".join(shown.problem for shown in self._shown.values() if shown.problem)


def _merged(listings: Iterable[Listing]) -> Listing:
    images: dict[str, ImageInfo] = {}
    sections: list[Section] = []
    for listing in listings:
        for info in listing.images:
            images.setdefault(info.uri, info)
        sections.extend(listing.sections)
    return Listing(tuple(images.values()), tuple(sections))


def _matching(listing: Listing, text: str) -> Listing:
    words = text.casefold().split()

    def matches(info: ImageInfo) -> bool:
        haystack = f"{info.title} {info.summary} {' '.join(info.tags)}".casefold()
        return all(word in haystack for word in words)

    images = tuple(info for info in listing.images if matches(info))
    uris = tuple(info.uri for info in images)
    return Listing(images, (Section("Last seen here", image_uris=uris),) if uris else ())


def _age(seconds: float) -> str:
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length_s)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"

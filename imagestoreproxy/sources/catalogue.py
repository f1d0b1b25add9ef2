"""All sources as one shop window: merged, searched, and remembered for when a store is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.model.errors import DocumentError, FetchError, StoreProxyError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section
from imagestoreproxy.ports import Clock, Fetcher, Journal, Offer, Records, Task
from imagestoreproxy.sources.known import Known
from imagestoreproxy.sources.storeapi import StoreApi

FRESH_S = 60.0
AWAY_S = 15.0
SAVED_EVERY_S = 600.0
# What is taken up between two turns of the reactor.
AT_A_STRETCH = 500
# What one store may have to answer at a time; a silent one would pile up more and more.
SEARCHES = 4


class _Shown:
    """What is known of one source at the moment.

    Attributes:
        infos: of the listing, by URI.
        saved_at_s: when the records got the dashboard; Unix seconds.
        asked_at_s: monotonic; when its last answer, or the lack of one, was seen.
        refresh: the dashboard being fetched, if ``asking``.
        searches: how many are under way.
    """

    def __init__(self) -> None:
        self.listing = Listing()
        self.infos: dict[str, ImageInfo] = {}
        self.fetched_at_s: float | None = None
        self.saved_at_s = 0.0
        self.asked_at_s = float("-inf")
        self.asking = False
        self.refresh: Task | None = None
        self.searches = 0
        self.problem = ""

    def is_settled(self, now_s: float) -> bool:
        """Tell whether there is no reason to ask again yet (``now_s`` is monotonic)."""
        return now_s - self.asked_at_s < (AWAY_S if self.problem else FRESH_S)


class Catalogue:
    """``ports.Sources`` over any number of stores, all asked at once.

    A dashboard younger than a minute is served as it is; a store that did not answer is left in
    peace for 15 seconds, and what it last said is served meanwhile. Nobody waits for a store that
    is known to be away and has left something to show.

    Attributes:
        revision: grows whenever what is known of an image has changed.
    """

    def __init__(
        self, sources: Sequence[StoreApi], records: Records, clock: Clock, journal: Journal
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._shown = {source.name: _Shown() for source in sources}
        self._searched = Known()
        self.revision = 0
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
                self._shown[name].saved_at_s = fetched_at_s
            except DocumentError as error:
                self._journal.failure(
                    "the kept dashboard of {source} is unreadable", error, source=name
                )

    async def dashboard(self) -> Offer:
        for waiting in [self._refresh(name) for name in self._sources]:
            if waiting is not None:
                await waiting.ended()
        listings = [self._dated(shown) for shown in self._shown.values()]
        return Offer(_merged(listings), self._problems())

    async def search(self, text: str) -> Offer:
        found: dict[str, Offer] = {}

        async def ask(name: str) -> None:
            found[name] = await self._search(name, text)

        tasks = [
            source.background.start(f"search of {name}", ask(name))
            for name, source in self._sources.items()
        ]
        for task in tasks:
            await task.ended()
        offers = [found[name] for name in self._sources if name in found]
        problems = [offer.problem for offer in offers if offer.problem]
        return Offer(_merged([offer.listing for offer in offers]), " ".join(problems))

    def info(self, image_uri: str) -> ImageInfo | None:
        known = self._find(image_uri)
        return known[1] if known else None

    def source_of(self, image_uri: str) -> str:
        owners = (source.name for source in self._sources.values() if source.owns(image_uri))
        known = self._find(image_uri)
        return next(owners, known[0] if known else "")

    def _find(self, image_uri: str) -> tuple[str, ImageInfo] | None:
        for name, shown in self._shown.items():
            info = shown.infos.get(image_uri)
            if info is not None:
                return name, info
        return self._searched.find(image_uri)

    async def document(self, source: str, image_uri: str) -> ImageDocument:
        return await self._source(source).document(image_uri)

    async def reread(self, source: str, image_uri: str, signed_text: bytes) -> ImageDocument:
        return await self._source(source).reread(image_uri, signed_text)

    def fetcher(self, source: str) -> Fetcher:
        """Give what the files of this source are fetched with; see ``ports.Sources``."""
        return self._source(source).fetcher

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

    def _refresh(self, name: str) -> Task | None:
        """See to a fresh dashboard; gives what is to be waited for, if anything is."""
        shown = self._shown[name]
        if shown.is_settled(self._clock.monotonic_s()):
            return None
        if not shown.asking:
            shown.asking = True
            shown.refresh = self._sources[name].background.start(
                f"dashboard of {name}", self._ask(name, shown)
            )
        is_away = shown.problem and shown.fetched_at_s is not None
        return None if is_away else shown.refresh

    async def _ask(self, name: str, shown: _Shown) -> None:
        try:
            listing, body = await self._sources[name].dashboard()
            fetched_at_s = self._clock.now_s()
            shown.problem = ""
            shown.asked_at_s = self._clock.monotonic_s()
            is_new = listing is not shown.listing
            self._show(name, listing, fetched_at_s)
            # Tens of MiB: what is the same is written anew only so that its age is right.
            if is_new or fetched_at_s - shown.saved_at_s > SAVED_EVERY_S:
                await self._records.save_listing(name, body, fetched_at_s)
                shown.saved_at_s = fetched_at_s
        except FetchError as error:
            self._is_away(name, shown, error)
        except StoreProxyError as error:
            self._journal.failure("the dashboard of {source} cannot be kept", error, source=name)
        finally:
            shown.asking = False

    def _is_away(self, name: str, shown: _Shown, error: FetchError) -> None:
        if not shown.problem:
            self._journal.failure("source {source} cannot be asked", error, source=name)
        shown.problem = error.message
        shown.asked_at_s = self._clock.monotonic_s()

    async def _search(self, name: str, text: str) -> Offer:
        shown = self._shown[name]
        problem = ""
        if shown.problem and shown.is_settled(self._clock.monotonic_s()):
            problem = shown.problem
        elif shown.searches >= SEARCHES:
            problem = (
                f"The store at {self._sources[name].host} is still busy with {SEARCHES} other"
                " searches; this is what it last showed. Try again in a moment."
            )
        if problem:
            return Offer(await self._last_seen(name, text), problem)
        shown.searches += 1
        try:
            listing = await self._sources[name].search(text)
        except FetchError as error:
            if not error.status:  # it was not the search that it refused
                self._is_away(name, shown, error)
            return Offer(await self._last_seen(name, text), error.message)
        finally:
            shown.searches -= 1
        for begin in range(0, len(listing.images), AT_A_STRETCH):
            if begin:
                await self._clock.sleep(0)
            self._searched.learn(name, listing.images[begin : begin + AT_A_STRETCH])
        self.revision += 1
        return Offer(listing)

    async def _last_seen(self, name: str, text: str) -> Listing:
        listing = self._shown[name].listing
        return await self._sources[name].background.run(lambda _stop: _matching(listing, text))

    def _show(self, name: str, listing: Listing, fetched_at_s: float) -> None:
        shown = self._shown[name]
        shown.fetched_at_s = fetched_at_s
        # A store that says the same as before gives the same object: a comparison takes too long.
        if listing is not shown.listing:
            self.revision += 1
            shown.listing = listing
            shown.infos = {info.uri: info for info in listing.images}

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


def _merged(listings: Sequence[Listing]) -> Listing:
    if len(listings) == 1:
        return listings[0]
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

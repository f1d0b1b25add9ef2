"""All sources as one shop window: kept fresh, merged, searched, and there when a store is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section, is_newer
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.ports import Background, Clock, Fetcher, Journal, Offer, Stop
from imagestoreproxy.sources.known import Known
from imagestoreproxy.sources.searching import Index, Query, parse
from imagestoreproxy.sources.source import Source
from imagestoreproxy.sources.watch import Watch

# What is taken up between two turns of the reactor.
AT_A_STRETCH = 500
# What one store may have to answer at a time; a silent one would pile up more and more.
SEARCHES = 4
SEARCH_WAIT_S = 5.0
# What one source is shown of; more helps nobody.
FOUND = 2_000
TURN_S = 0.02
REFRESH_WAIT_S = 15.0
CARRIED = "carried"


@dataclass(frozen=True)
class _Whole:
    """What all sources together offer.

    Args:
        section_sources: whose each section of the listing is.
        best: by URI: the source that answers for an image, and what it says of it.
    """

    listing: Listing = field(default_factory=Listing)
    section_sources: tuple[str, ...] = ()
    best: dict[str, tuple[str, ImageInfo]] = field(default_factory=dict)


class Catalogue:
    """``ports.Sources`` over any number of sources; each is asked, and fails, by itself.

    Pages are served from what is known; they never wait for a source. Each source is asked in the
    background when its catalogue has become old, and when somebody looks at it.

    Attributes:
        revision: grows whenever what is known of an image has changed.
    """

    def __init__(
        self, sources: Sequence[Source], background: Background, clock: Clock, journal: Journal
    ) -> None:
        self._background = background
        self._clock = clock
        self._journal = journal
        self._watches: dict[str, Watch] = {}
        self._retired: dict[str, Watch] = {}
        self._searched = Known()
        self._whole = _Whole()
        self._index = Index()
        self._merging = self._is_stale = False
        self._is_running = False
        self.revision = 0
        self._take(sources)

    def _take(self, sources: Sequence[Source]) -> None:
        before = {**self._retired, **self._watches}
        kept = {name: watch for name, watch in before.items() if watch.source in sources}
        self._watches = {
            source.name: kept.get(source.name)
            or Watch(source, self._background, self._clock, self._journal, self._merge)
            for source in sources
        }
        self._retired = {n: w for n, w in before.items() if n not in self._watches}

    async def load(self) -> None:
        """Take up what was last good from the records."""
        for watch in self._watches.values():
            await watch.load()
        await self._merge()

    def start(self) -> None:
        """Begin to keep every source fresh."""
        self._is_running = True
        for watch in self._watches.values():
            watch.start()

    async def close(self) -> None:
        """Ask no more."""
        self._is_running = False
        for watch in self._watches.values():
            await watch.close()

    async def replace(self, sources: Sequence[Source]) -> None:
        """Go on with other sources; those among them that are the same objects are not disturbed.

        Installs that run go on with the source they began with.
        """
        before = self._watches
        self._take(sources)
        for name, watch in before.items():
            if self._watches.get(name) is not watch:
                await watch.close()
        new = [watch for name, watch in self._watches.items() if before.get(name) is not watch]
        for watch in new:
            await watch.load()
        await self._merge()
        for watch in new:
            if self._is_running:
                watch.start()

    async def first(self, patience_s: float) -> None:
        """Wait until every source that has nothing to show was asked once, but not for long."""
        ends_s = self._clock.monotonic_s() + patience_s
        new = [w for w in self._watches.values() if w.source.fetched_at_s is None]
        while self._clock.monotonic_s() < ends_s:
            if not self._merging and not any(watch.is_asking for watch in new):
                return
            await self._clock.sleep(TURN_S)

    async def refresh(self) -> None:
        """Ask every source now; returns when all have answered, or after a while."""
        for watch in self._watches.values():
            watch.ask()
        ends_s = self._clock.monotonic_s() + REFRESH_WAIT_S
        while self._clock.monotonic_s() < ends_s and (
            self._merging or any(watch.is_asking for watch in self._watches.values())
        ):
            await self._clock.sleep(TURN_S)

    async def dashboard(self) -> Offer:
        for watch in self._watches.values():
            watch.look()
        problems = (watch.said() for watch in self._watches.values())
        return Offer(self._noted(self._whole), " ".join(filter(None, problems)))

    def _noted(self, whole: _Whole) -> Listing:
        """Add to the summaries of sections what one should know of their sources."""
        # Of one and the same whole: a thread may put the next one in its place at any time.
        listing = whole.listing
        now_s = self._clock.now_s()
        notes = {name: watch.note(now_s) for name, watch in self._watches.items()}
        if not any(notes.values()):
            return listing
        sections = (
            replace(section, summary=_with_note(section.summary, notes.get(source, "")))
            for section, source in zip(listing.sections, whole.section_sources, strict=True)
        )
        return Listing(listing.images, tuple(sections))

    async def _merge(self) -> None:
        """Put together what the sources show; again, if one of them changes meanwhile."""
        self._is_stale = True
        if self._merging:
            return
        self._merging = True
        try:
            while self._is_stale:
                self._is_stale = False
                shown = {watch.source: watch.source.listing for watch in self._watches.values()}
                away = {name for name, watch in self._watches.items() if watch.problem}
                await self._background.run(partial(self._put_together, shown, away))
                self.revision += 1
        finally:
            self._merging = False

    def _put_together(self, shown: dict[Source, Listing], away: set[str], stop: Stop) -> None:
        best = _best(shown, away)
        stop.check()
        index = Index()
        sections: list[Section] = []
        section_sources: list[str] = []
        for source, listing in shown.items():
            index.learn(
                source.name, [i for i in listing.images if best.get(i.uri) == (source.name, i)]
            )
            for section in listing.sections:
                title = f"{source.title}: {section.title}" if len(shown) > 1 else section.title
                sections.append(replace(section, title=title))
                section_sources.append(source.name)
        stop.check()
        images = tuple(info for _, info in best.values())
        whole = Listing(images, tuple(sections))
        self._whole, self._index = _Whole(whole, tuple(section_sources), best), index

    async def search(self, text: str) -> Offer:
        query = parse(text)
        wanted = [watch for name, watch in self._watches.items() if query.wants_source(name)]
        offers: dict[str, Offer] = {}

        async def ask(watch: Watch) -> None:
            offers[watch.source.name] = await self._search(watch, query, text)

        tasks = [
            self._background.start(f"search of {watch.source.name}", ask(watch)) for watch in wanted
        ]
        for task in tasks:
            await task.ended()
        found = [offers[watch.source.name] for watch in wanted if watch.source.name in offers]
        images: dict[str, ImageInfo] = {}
        for offer in found:
            for info in offer.listing.images:
                images.setdefault(info.uri, info)
        sections = tuple(section for offer in found for section in offer.listing.sections)
        problems = " ".join(offer.problem for offer in found if offer.problem)
        return Offer(Listing(tuple(images.values()), sections), problems)

    async def _search(self, watch: Watch, query: Query, text: str) -> Offer:
        """Search one source: by itself if it can and answers, else in what it has shown."""
        problem = ""
        if watch.is_away():
            problem = watch.problem
        elif watch.searches >= SEARCHES:
            problem = (
                f"{watch.source.title} is still busy with {SEARCHES} other searches; this is what"
                " it last showed. Try again in a moment."
            )
        else:
            asking = _Asking()
            task = self._background.start(
                f"question to {watch.source.name}", self._ask(watch, text, asking)
            )
            await self._while(asking, SEARCH_WAIT_S)
            if asking.listing is not None:
                return Offer(asking.listing)
            problem = asking.problem
            if not asking.is_over:
                task.cancel()
                problem = (
                    f"{watch.source.title} did not answer within {SEARCH_WAIT_S:g} seconds; this is"
                    " what it last showed."
                )
        return Offer(await self._among_shown(watch, query), problem)

    async def _while(self, asking: _Asking, patience_s: float) -> None:
        ends_s = self._clock.monotonic_s() + patience_s
        while not asking.is_over and self._clock.monotonic_s() < ends_s:
            await self._clock.sleep(TURN_S)

    async def _ask(self, watch: Watch, text: str, asking: _Asking) -> None:
        watch.searches += 1
        try:
            listing = await watch.source.search(text)
            if listing is not None:
                await self._learn(watch.source.name, listing)
            asking.listing = listing
        except FetchError as error:
            asking.problem = error.message
            if not error.status:  # it was not the search that it refused
                watch.fails(error)
        finally:
            watch.searches -= 1
            asking.is_over = True

    async def _learn(self, name: str, listing: Listing) -> None:
        for begin in range(0, len(listing.images), AT_A_STRETCH):
            if begin:
                await self._clock.sleep(0)
            self._searched.learn(name, listing.images[begin : begin + AT_A_STRETCH])
        self.revision += 1

    async def _among_shown(self, watch: Watch, query: Query) -> Listing:
        index, name = self._index, watch.source.name
        images = await self._background.run(lambda _stop: index.search(query, FOUND, source=name))
        title = f"Found: {watch.source.title}" if len(self._watches) > 1 else "Found"
        note = watch.note(self._clock.now_s())
        if len(images) == FOUND:
            note = f"The first {FOUND}; more words find less. {note}".strip()
        section = Section(title, note, tuple(info.uri for info in images))
        return Listing(tuple(images), (section,) if images else ())

    def info(self, image_uri: str) -> ImageInfo | None:
        known = self._find(image_uri)
        return known[1] if known else None

    def source_of(self, image_uri: str) -> str:
        best = self._whole.best.get(image_uri)
        if best:
            return best[0]
        owners = (name for name, watch in self._watches.items() if watch.source.owns(image_uri))
        known = self._searched.find(image_uri)
        return next(owners, known[0] if known and known[0] in self._watches else "")

    def _find(self, image_uri: str) -> tuple[str, ImageInfo] | None:
        known = self._whole.best.get(image_uri)
        if known:
            return known
        # The one that answers for it before whoever has found it.
        for name, watch in self._watches.items():
            if watch.source.owns(image_uri) and (info := watch.source.info(image_uri)):
                return name, info
        return self._searched.find(image_uri)

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        watch = self._watches.get(self.source_of(image_uri))
        return watch.source.versions(image_uri) if watch else ()

    def statuses(self) -> Sequence[SourceStatus]:
        return [watch.status() for watch in self._watches.values()]

    async def document(self, source: str, image_uri: str) -> ImageDocument:
        return await self._source(source).document(image_uri)

    async def reread(self, source: str, image_uri: str, signed_text: bytes) -> ImageDocument:
        return await self._source(source).reread(image_uri, signed_text)

    def fetcher(self, source: str) -> Fetcher:
        """Give what the files of this source are fetched with; see ``ports.Sources``."""
        return self._source(source).fetcher

    async def may_be_local(self, source: str, url: str) -> bool:
        return await self._source(source).may_be_local(url)

    def _source(self, name: str) -> Source:
        watch = self._watches.get(name) or self._retired.get(name)
        if watch is None:
            raise FetchError(
                f"The source '{name}' is no longer configured, so its images cannot be fetched.",
                retry_helps=False,
            )
        return watch.source


class _Asking:
    """A question to a source while it is out."""

    def __init__(self) -> None:
        self.listing: Listing | None = None
        self.problem = ""
        self.is_over = False


def _best(shown: dict[Source, Listing], away: set[str]) -> dict[str, tuple[str, ImageInfo]]:
    """Decide which source answers for each image, and what is shown of it.

    An image below the address of a source is that source's, whoever shows it; but those that only
    carry what others have signed answer for it as well. What these say of it is signed by nobody,
    so as long as its own source can be asked, they stand in only for what that one shows, too.
    """
    carriers = {source.name for source in shown if source.kind == CARRIED}
    best: dict[str, tuple[str, ImageInfo]] = {}
    shown_by_others: dict[str, tuple[str, ImageInfo]] = {}
    for source, listing in shown.items():
        rivals = [other for other in shown if other is not source]
        for info in listing.images:
            is_own = source.kind == CARRIED or source.owns(info.uri)
            owner = None if is_own else next((r for r in rivals if r.owns(info.uri)), None)
            if owner:
                theirs = replace(info, source=owner.name)
                shown_by_others.setdefault(info.uri, (owner.name, theirs))
                continue
            known = best.get(info.uri)
            if known is None or _is_better((source.name, info), known, away, carriers):
                best[info.uri] = source.name, info
    return {**shown_by_others, **best}


def _is_better(
    one: tuple[str, ImageInfo],
    other: tuple[str, ImageInfo],
    away: set[str],
    carriers: set[str],
) -> bool:
    (name, info), (other_name, other_info) = one, other
    if (name in carriers) != (other_name in carriers):
        own_name, own = other if name in carriers else one
        is_same = info.version == other_info.version and not (own.refused or own.is_unsigned)
        if own_name not in away and not is_same:
            return own_name == name
    if info.is_unsigned != other_info.is_unsigned:
        return not info.is_unsigned
    if bool(info.refused) != bool(other_info.refused):
        return not info.refused
    if (name in away) != (other_name in away):
        return name not in away
    return is_newer(info.version, other_info.version)


def _with_note(summary: str, note: str) -> str:
    if not note:
        return summary
    return f"{summary} ({note})" if summary else note

"""A ``store`` source: the Canonical Image Store API, and every store that speaks it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlsplit

from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section
from imagestoreproxy.model.masking import masked
from imagestoreproxy.ports import Background, Clock, Fetcher, Kept, Records, Verifier
from imagestoreproxy.sources import fields
from imagestoreproxy.sources.document import Same, check_serial, read_info
from imagestoreproxy.sources.fields import Json
from imagestoreproxy.sources.storereader import StoreReader

DOCUMENT_LIMIT_BYTES = 2**20
SECTIONS = 200
SAVED_EVERY_S = 600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a listing may be; an image is about 1 kB, with 20 values in 3 containers.

    Args:
        containers, values: JSON objects and lists, and values in all.
    """

    size_bytes: int
    images: int
    containers: int
    values: int


DASHBOARD = Bounds(64 * 2**20, images=100_000, containers=350_000, values=2_500_000)
# Several run at a time, and what they find is kept beside the dashboard.
SEARCH = Bounds(8 * 2**20, images=20_000, containers=100_000, values=500_000)


class StoreApi:
    """One store; a ``Source``.

    Args:
        name: of the source, for people and for the records.
        api_url: ``http(s)://host:port/path``, without a slash at the end.
        verifier: holds the keyring of this source alone.
        title: over its sections, where there are several sources.
        interval_s: how long its dashboard is good.
    """

    kind = "store"
    published_s = 0
    remark = ""

    def __init__(
        self,
        name: str,
        api_url: str,
        *,
        fetcher: Fetcher,
        verifier: Verifier,
        records: Records,
        background: Background,
        clock: Clock,
        title: str = "",
        interval_s: float = 600.0,
    ) -> None:
        self.name = name
        self.api_url = api_url.rstrip("/")
        self.place = masked(self.api_url)
        self.host = urlsplit(api_url).hostname or ""
        self.title = title or self.host
        self.interval_s = interval_s
        self.fetcher = fetcher
        self.fetched_at_s: float | None = None
        self._dashboard_url = f"{self.api_url}/dashboard"
        self._origin = _origin(api_url)
        self._read = StoreReader(verifier, background, clock)
        self._records = records
        self._background = background
        self._clock = clock
        self._local: bool | None = None
        self._validator = ""
        self._saved_at_s = 0.0
        self._digest = b""
        self.listing = Listing()
        self._is_static = False

    def owns(self, image_uri: str) -> bool:
        """Tell whether a URI lies below this store's API."""
        return image_uri.startswith(self.api_url + "/")

    def info(self, image_uri: str) -> ImageInfo | None:
        return None

    def versions(self, image_uri: str) -> tuple[ImageInfo, ...]:
        return ()

    async def load(self) -> None:
        for kept in await self._records.kept(self.name):
            if kept.url == self._dashboard_url:
                await self._show(kept.body)
                self._validator = kept.validator
                self.fetched_at_s = self._saved_at_s = kept.fetched_at_s

    async def refresh(self) -> None:
        """Fetch the dashboard; as long as the store says the same, the same listing stays."""
        url, now_s = self._dashboard_url, self._clock.now_s
        fetched = await self.fetcher.get(
            url, limit_bytes=DASHBOARD.size_bytes, allow_local=True, known=self._validator
        )
        self._local = fetched.from_local
        is_new = not fetched.is_unchanged and await as_store(self._show(fetched.body), url)
        self.fetched_at_s = now_s()
        if is_new or not (self._saved_at_s or fetched.is_unchanged):
            self._validator, self._saved_at_s = "", 0.0
            kept = Kept(url, fetched.body, fetched.validator, self.fetched_at_s)
            await self._records.keep(self.name, kept)
            self._validator, self._saved_at_s = fetched.validator, self.fetched_at_s
        elif self.fetched_at_s - self._saved_at_s > SAVED_EVERY_S:
            await self._records.seen_again(self.name, url, self.fetched_at_s)
            self._saved_at_s = self.fetched_at_s

    async def _show(self, body: bytes) -> bool:
        """Take a dashboard up; tell whether it says anything else than before."""
        digest, listing = self._digest, self.listing
        self._digest, self.listing = await self._background.run(
            lambda _stop: _read_again(body, digest, listing, self.name)
        )
        return listing is not self.listing

    async def search(self, text: str) -> Listing | None:
        """Ask the store what matches; a store of static files has shown all there is."""
        if self._is_static:
            return None
        url = f"{self.api_url}/search?q={quote(text, safe='')}"
        fetched = await self.fetcher.get(url, limit_bytes=SEARCH.size_bytes, allow_local=True)
        self._local = fetched.from_local
        found, self._is_static = await as_store(
            self._background.run(lambda _stop: read_search(fetched.body, self.name)), url
        )
        return None if self._is_static else found

    async def document(self, image_uri: str) -> ImageDocument:
        """Fetch, verify and remember the signed document of an image.

        Raises:
            FetchError: it could not be had.
            DocumentError: it is not to be believed.
        """
        fetched = await self.fetcher.get(
            image_uri,
            limit_bytes=DOCUMENT_LIMIT_BYTES,
            allow_local=await self.may_be_local(image_uri),
        )
        document = await self.reread(image_uri, fetched.body)
        check_serial(document, await self._records.highest_serial(self.name, image_uri))
        await self._records.remember_serial(self.name, image_uri, document.serial)
        return document

    async def reread(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        """Verify a message that was fetched, now or earlier."""
        return await self._read(image_uri, signed_text)

    async def may_be_local(self, url: str) -> bool:
        """Tell whether this store may send the proxy to a local address for ``url``.

        It may where the store itself was found at one; never when it lives on the public net.
        """
        if _origin(url) == self._origin:
            return True
        if self._local is None:
            await self.refresh()
        return bool(self._local)


async def as_store(reading: Awaitable[T], url: str) -> T:
    """Say which address answered what no store says."""
    try:
        return await reading
    except DocumentError as error:
        raise FetchError(
            f"{masked(url)} answered, but not as an image store does: {error} Check the API URL.",
            status=200,
        ) from error


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _read_again(body: bytes, digest: bytes, listing: Listing, name: str) -> tuple[bytes, Listing]:
    """Read what has another digest than ``listing``; most dashboards are what they were before."""
    new = hashlib.sha256(body).digest()
    return new, listing if new == digest else read_listing(body, name=name)


def read_listing(body: bytes, bounds: Bounds = DASHBOARD, *, name: str = "") -> Listing:
    """Read a dashboard or a search result; entries that make no sense are left out.

    Args:
        name: of the source.

    Raises:
        DocumentError: the whole is not a listing.
    """
    return _listing(_parsed(body, bounds), bounds, name)


def read_search(body: bytes, name: str = "") -> tuple[Listing, bool]:
    """Read a search result, and tell whether it is a file that lists everything.

    A store of static files cannot search: it says ``search-index`` in what it gives instead.
    """
    source = _parsed(body, SEARCH)
    is_index = source.get("search-index") is True
    return (Listing() if is_index else _listing(source, SEARCH, name)), is_index


def _parsed(body: bytes, bounds: Bounds) -> Json:
    return fields.parse_object(
        body, "The answer", containers=bounds.containers, values=bounds.values
    )


def _listing(source: Json, bounds: Bounds, name: str) -> Listing:
    images, same = {}, Same()
    for entry in fields.objects(source, "images", limit=bounds.images):
        info = _info(entry, same, name)
        if info is not None:
            images[info.uri] = info
    sections = [
        _section(entry, bounds) for entry in fields.objects(source, "sections", limit=SECTIONS)
    ]
    return Listing(tuple(images.values()), tuple(one for one in sections if one is not None))


def _info(entry: Json, same: Same, name: str) -> ImageInfo | None:
    try:
        image_uri = fields.uri(entry.get("uri"), "uri")
        size_mb = round(fields.number(entry, "size-in-mb", highest=2**40))
        return read_info(entry, image_uri, size_mb, same, name=name)
    except DocumentError:
        # One bad entry must not hide a whole store; nothing of it is ever acted on.
        return None


def _section(entry: Json, bounds: Bounds) -> Section | None:
    try:
        return Section(
            title=fields.text(entry, "title", limit=300),
            summary=fields.text(entry, "summary", limit=2000),
            image_uris=fields.texts(entry, "image-uris", limit=bounds.images, length=2000),
        )
    except DocumentError:
        return None

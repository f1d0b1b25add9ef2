"""A ``store`` source: the Canonical Image Store API, and every store that speaks it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section
from imagestoreproxy.model.masking import masked
from imagestoreproxy.ports import Background, Clock, Fetcher, Records, Verifier
from imagestoreproxy.sources import fields
from imagestoreproxy.sources.document import Same, check_serial, read_document, read_info
from imagestoreproxy.sources.fields import Json

DOCUMENT_LIMIT_BYTES = 2**20
SECTIONS = 200


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
    """One store.

    Args:
        name: of the source, for people and for the records.
        api_url: ``http(s)://host:port/path``, without a slash at the end.
        verifier: holds the keyring of this source alone.
        background: also for who asks several stores at once.
    """

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
    ) -> None:
        self.name = name
        self.api_url = api_url.rstrip("/")
        self.host = urlsplit(api_url).hostname or ""
        self._origin = _origin(api_url)
        self.fetcher = fetcher
        self._verifier = verifier
        self._records = records
        self.background = background
        self._clock = clock
        self._local: bool | None = None
        self._last = (b"", Listing())

    def owns(self, image_uri: str) -> bool:
        """Tell whether a URI lies below this store's API."""
        return image_uri.startswith(self.api_url + "/")

    async def dashboard(self) -> tuple[Listing, bytes]:
        """Fetch the dashboard; gives it read, and as it came.

        As long as the store says the same, the same object is given.
        """
        return await self._listing(f"{self.api_url}/dashboard", DASHBOARD)

    async def search(self, text: str) -> Listing:
        """Ask the store what matches."""
        url = f"{self.api_url}/search?q={quote(text, safe='')}"
        listing, _ = await self._listing(url, SEARCH)
        return listing

    async def read(self, body: bytes) -> Listing:
        """Read a dashboard, off the reactor thread."""
        return await self._read(body, DASHBOARD)

    async def _read(self, body: bytes, bounds: Bounds) -> Listing:
        if bounds is not DASHBOARD:
            return await self.background.run(lambda _stop: read_listing(body, bounds))
        digest, listing = self._last
        self._last = await self.background.run(lambda _stop: _read_again(body, digest, listing))
        return self._last[1]

    async def _listing(self, url: str, bounds: Bounds) -> tuple[Listing, bytes]:
        fetched = await self.fetcher.get(url, limit_bytes=bounds.size_bytes, allow_local=True)
        self._local = fetched.from_local
        try:
            return await self._read(fetched.body, bounds), fetched.body
        except DocumentError as error:
            raise FetchError(
                f"{masked(url)} answered, but not as an image store does: {error} Check the API"
                " URL.",
                status=200,
            ) from error

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

    async def reread(self, image_uri: str, message: bytes) -> ImageDocument:
        """Verify a message that was fetched, now or earlier."""
        try:
            signed = await self._verifier.verify(message)
            now_s = self._clock.now_s()
            return await self.background.run(
                lambda _stop: read_document(signed, message, image_uri, now_s)
            )
        except DocumentError as error:
            raise DocumentError(
                f"The image document of {image_uri} is refused: {error.message}"
            ) from error

    async def may_be_local(self, url: str) -> bool:
        """Tell whether this store may send the proxy to a local address for ``url``.

        It may where the store itself was found at one; never when it lives on the public net.
        """
        if _origin(url) == self._origin:
            return True
        if self._local is None:
            await self.dashboard()
        return bool(self._local)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _read_again(body: bytes, digest: bytes, listing: Listing) -> tuple[bytes, Listing]:
    """Read what has another digest than ``listing``; most dashboards are what they were before."""
    new = hashlib.sha256(body).digest()
    return new, listing if new == digest else read_listing(body)


def read_listing(body: bytes, bounds: Bounds = DASHBOARD) -> Listing:
    """Read a dashboard or a search result; entries that make no sense are left out.

    Raises:
        DocumentError: the whole is not a listing.
    """
    source = fields.parse_object(
        body, "The answer", containers=bounds.containers, values=bounds.values
    )
    images, same = {}, Same()
    for entry in fields.objects(source, "images", limit=bounds.images):
        info = _info(entry, same)
        if info is not None:
            images[info.uri] = info
    sections = [
        _section(entry, bounds) for entry in fields.objects(source, "sections", limit=SECTIONS)
    ]
    return Listing(tuple(images.values()), tuple(one for one in sections if one is not None))


def _info(entry: Json, same: Same) -> ImageInfo | None:
    try:
        image_uri = fields.uri(entry.get("uri"), "uri")
        size_mb = round(fields.number(entry, "size-in-mb", highest=2**40))
        return read_info(entry, image_uri, size_mb, same)
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

"""A ``simplestreams`` source: Ubuntu's cloud images, and every mirror of that format.

What is offered is what is signed: the catalogue is verified when it comes, when it is taken up
after a restart, and once more for each install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import is_
from urllib.parse import urlsplit

from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Clock, Fetcher, Kept, Records, Verifier
from imagestoreproxy.sources.ages import day
from imagestoreproxy.sources.document import check_serial
from imagestoreproxy.sources.simplestreams import uris
from imagestoreproxy.sources.simplestreams.documents import document_of
from imagestoreproxy.sources.simplestreams.messages import SUFFIXES, Message, Messages, stem_of
from imagestoreproxy.sources.simplestreams.mirror import Mirror
from imagestoreproxy.sources.simplestreams.reading import read_products
from imagestoreproxy.sources.simplestreams.reference import Reference
from imagestoreproxy.sources.simplestreams.sections import sections
from imagestoreproxy.sources.simplestreams.stream import Product, Stream, Version
from imagestoreproxy.sources.simplestreams.titles import image_info
from imagestoreproxy.sources.simplestreams.wanted import Wanted

STALE_S = 60 * 86400.0

Products = dict[tuple[str, str], tuple[Stream, Product]]


class SimpleStreams:
    """One mirror; a ``Source``.

    Args:
        name: of the source, for people and for the records.
        url: of the mirror's root, or of an index below it.
        mirrors: roots that hold the same files.
        verifier: holds the keyring of this source alone; None: nothing is signed, and all that it
            offers is marked so.
        taking: what can run on the cloud; the rest is shown with the reason.
        wanted: what the operator wants to see of it.
        stale_after_s: after how long without news one is told that there are none; 0: never.
    """

    kind = "simplestreams"

    def __init__(
        self,
        name: str,
        url: str,
        *,
        fetcher: Fetcher,
        verifier: Verifier | None,
        records: Records,
        background: Background,
        clock: Clock,
        mirrors: Sequence[str] = (),
        title: str = "",
        interval_s: float = 3600.0,
        taking: Taking | None = None,
        wanted: Wanted | None = None,
        stale_after_s: float = STALE_S,
    ) -> None:
        self.name = name
        self._root, index_path = uris.mirror_root(url)
        self.place = masked(self._root)
        self.title = title or name
        self.interval_s = interval_s
        self.fetcher = fetcher
        self.listing = Listing()
        self.fetched_at_s: float | None = None
        self.published_s = 0
        self._mirrors = tuple(root.rstrip("/") + "/" for root in mirrors)
        self._taking = taking or Taking()
        self._wanted = wanted or Wanted()
        self._is_unsigned = verifier is None
        self._records = records
        self._background = background
        self._clock = clock
        self._stale_after_s = stale_after_s
        self._messages = Messages(
            [self._root, *self._mirrors],
            fetcher=fetcher,
            verifier=verifier,
            background=background,
            clock=clock,
        )
        self._mirror = Mirror(
            name,
            self._root,
            stem_of(index_path),
            self._read,
            messages=self._messages,
            records=records,
            background=background,
            clock=clock,
        )
        self._index_stem = stem_of(index_path)
        self._products: Products = {}
        self._shown: tuple[Sequence[Stream], str] = ((), "")

    @property
    def remark(self) -> str:
        remarks = []
        if self._is_unsigned:
            remarks.append("Not signed: nobody vouches for these images.")
        silent_s = self._clock.now_s() - self.published_s
        if self.published_s and 0 < self._stale_after_s < silent_s:
            remarks.append(f"Nothing new was published here since {day(self.published_s)}.")
        return " ".join(remarks)

    async def load(self) -> None:
        try:
            self.fetched_at_s = await self._mirror.load()
        finally:
            await self._show()

    async def refresh(self) -> None:
        try:
            await self._mirror.refresh()
        finally:
            await self._show()
        self.fetched_at_s = self._clock.now_s()

    def _read(self, payload: bytes, only: str = "") -> Stream:
        """Read what is wanted of a file, or one product of it; to be called in the background."""
        return read_products(
            payload,
            root=self._root,
            taking=self._taking,
            now_s=self._clock.now_s(),
            mirrors=self._mirrors,
            wanted=None if only else self._wanted,
            is_unsigned=self._is_unsigned,
            source_name=self.name,
            only=only,
        )

    async def _show(self) -> None:
        """Make images of what is held; again when the day is another, as support ends."""
        streams = [held.content for held in self._mirror.streams.values()]
        now_s = self._clock.now_s()
        shown, shown_on = self._shown
        is_same = len(streams) == len(shown) and all(map(is_, streams, shown))
        if is_same and shown_on == day(now_s):
            return
        self._products, self.listing = await self._background.run(
            lambda _stop: _listed(streams, now_s)
        )
        self._shown = streams, day(now_s)
        self.published_s = max((stream.updated_s for stream in streams), default=0)

    async def search(self, text: str) -> Listing | None:
        return None

    def owns(self, image_uri: str) -> bool:
        return uris.split_uri(self._root, image_uri) is not None

    def info(self, image_uri: str) -> ImageInfo | None:
        # Pages ask this of every installed image: the other versions are left alone.
        found = uris.split_uri(self._root, image_uri)
        known = self._products.get(found[:2]) if found else None
        version = known[1].version(found[2]) if known and found else None
        return self._described(*known, version) if known and version else None

    def versions(self, image_uri: str) -> tuple[ImageInfo, ...]:
        found = uris.split_uri(self._root, image_uri)
        known = self._products.get(found[:2]) if found else None
        if known is None:
            return ()
        return tuple(self._described(*known, one) for one in reversed(known[1].versions))

    def _described(self, stream: Stream, product: Product, version: Version) -> ImageInfo:
        return image_info(
            uris.image_uri(self._root, stream.content_id, product.name, version.name),
            product.name,
            product.facts,
            version,
            stream.origin,
            now_s=self._clock.now_s(),
        )

    async def document(self, image_uri: str) -> ImageDocument:
        """Verify once more what was kept of the catalogue, and find the image in it.

        Raises:
            FetchError: nothing was kept yet.
            DocumentError: it is not to be believed, or has no such image.
        """
        content_id, _, _ = self._split(image_uri)
        streams = self._mirror.streams.items()
        stem = next((stem for stem, one in streams if one.content.content_id == content_id), "")
        messages = await self._messages.from_kept(await self._records.kept(self.name))
        message = next((one for one in messages if one.stem == stem), None)
        if message is None:
            raise FetchError(f"No catalogue with {image_uri} has come from {self.place} yet.")
        document = await self._from(message, image_uri)
        check_serial(document, await self._records.highest_serial(self.name, image_uri))
        for part, digest in zip(message.parts, message.digests, strict=True):
            await self._records.keep_evidence(digest, part.body)
        await self._records.remember_serial(self.name, image_uri, document.serial)
        return document

    async def reread(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        """Verify again the catalogue that an install was made from, or is being made from.

        What names it is signed by nobody, so it may not choose: an old version is no newest one.
        """
        reference = Reference.read(signed_text)
        parts = []
        suffixes = SUFFIXES[reference.form]
        for suffix, digest in zip(suffixes, reference.documents, strict=True):
            body = await self._records.evidence(digest)
            if body is None:
                raise DocumentError(f"The signed catalogue that names {image_uri} is not here.")
            parts.append(Kept(self._messages.url(reference.stem, suffix), body, "", 0.0))
        message = await self._messages.message(reference.stem, reference.form, parts)
        document = await self._from(message, image_uri)
        if document.version != reference.version:
            raise DocumentError(
                f"{image_uri} is said to be version {reference.version}, but in its signed"
                f" catalogue it is {document.version}."
            )
        return document

    def _split(self, image_uri: str) -> tuple[str, str, str]:
        found = uris.split_uri(self._root, image_uri)
        if found is None:
            raise DocumentError(f"{image_uri} is not an image of {self.place}.")
        return found

    async def _from(self, message: Message, image_uri: str) -> ImageDocument:
        content_id, product, version = self._split(image_uri)
        held = await self._mirror.believe(message, lambda text: self._read(text, only=product))
        if held.content.content_id != content_id:
            raise DocumentError(
                f"{image_uri} is of the catalogue '{content_id}', and not of"
                f" '{held.content.content_id}'."
            )
        document = document_of(
            held.content, product, version, now_s=self._clock.now_s(), fingerprint=held.fingerprint
        )
        reference = Reference(
            self._root, message.stem, message.form, product, document.version, held.digests
        )
        info = replace(document.info, uri=image_uri)
        return replace(document, info=info, signed_text=reference.text())

    async def may_be_local(self, url: str) -> bool:
        """Tell whether this mirror may send the proxy to a local address for ``url``.

        It may where the mirror itself was found at one; never when it lives on the public net.
        """
        if _origin(url) in {_origin(root) for root in (self._root, *self._mirrors)}:
            return True
        if self._messages.from_local is None:
            await self._messages.fetch(self._index_stem, {})
        return bool(self._messages.from_local)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _listed(streams: Sequence[Stream], now_s: float) -> tuple[Products, Listing]:
    """Give all products by content_id and name, and what is shown of them."""
    products: Products = {
        (stream.content_id, product.name): (stream, product)
        for stream in streams
        for product in stream.products
    }
    shown = [product for _, product in products.values()]
    return products, Listing(tuple(one.info for one in shown), sections(shown, now_s))

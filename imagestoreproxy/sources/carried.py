"""A ``carried`` source: verified files and signed documents that came on a disk, or from a sibling.

Who carried them is not believed: each document is verified as if its own source had just given it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from imagestoreproxy.model.carrying import (
    DOCUMENT_LIMIT_BYTES,
    DOCUMENTS,
    FILES,
    INDEX,
    INDEX_LIMIT_BYTES,
    SIMPLESTREAMS,
    STORE,
    CarriedImage,
    is_sha256,
    read_index,
    referred,
)
from imagestoreproxy.model.errors import DiskError, DocumentError, FetchError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing, Section, is_newer
from imagestoreproxy.model.masking import masked
from imagestoreproxy.ports import Background, Clock, Fetcher, Kept, Records
from imagestoreproxy.ports.depots import Depot
from imagestoreproxy.sources.document import check_serial
from imagestoreproxy.sources.source import Source

Reader = Callable[[str, bytes], Awaitable[ImageDocument]]
"""Verifies what is signed about an image, by URI and signed text; as ``Source.reread``."""


class Holding(Protocol):
    """Where carried things lie. All raise ``FetchError`` when they cannot be had."""

    @property
    def place(self) -> str:
        """URL or path, fit to be shown."""

    @property
    def fetcher(self) -> Fetcher:
        """What its files are fetched with."""

    def url(self, digest: str) -> str:
        """Give the address of a file, for ``fetcher``."""

    async def images(self) -> tuple[CarriedImage, ...] | None:
        """Read what it lists; None when that is what it was before.

        Raises:
            DocumentError: the list is damaged.
        """

    async def document(self, sha256: str) -> bytes:
        """Give a signed message; the caller looks whether it is the one."""

    async def load(self) -> tuple[CarriedImage, ...]:
        """Give what it listed when it was last asked, also if that was by an earlier process."""


class Carried:
    """Speaks for images of other sources; a ``Source``.

    Args:
        holding: where it has them.
        owner: gives the configured source that an image is of, or None: then its rules, its keys
            and its memory of serials hold.
        readers: by kind of source, for images of sources that are not configured here.
        title: over its section.
        interval_s: how long what it lists is good.
    """

    kind = "carried"
    published_s = 0
    remark = ""

    def __init__(
        self,
        name: str,
        holding: Holding,
        *,
        owner: Callable[[str], Source | None],
        readers: Mapping[str, Reader],
        records: Records,
        clock: Clock,
        title: str = "",
        interval_s: float = 600.0,
    ) -> None:
        self.name = name
        self.title = title or name
        self.place = holding.place
        self.interval_s = interval_s
        self.fetcher = holding.fetcher
        self.fetched_at_s: float | None = None
        self.listing = Listing()
        self._holding = holding
        self._owner = owner
        self._readers = readers
        self._records = records
        self._clock = clock
        self._images: dict[str, CarriedImage] = {}

    def owns(self, image_uri: str) -> bool:
        return image_uri in self._images

    def info(self, image_uri: str) -> ImageInfo | None:
        found = self._images.get(image_uri)
        return found.info if found else None

    def versions(self, image_uri: str) -> tuple[ImageInfo, ...]:
        return ()

    async def load(self) -> None:
        self._show(await self._holding.load())

    async def refresh(self) -> None:
        """Look what is there now."""
        images = await self._holding.images()
        self.fetched_at_s = self._clock.now_s()
        if images is not None:
            self._show(images)

    def _show(self, images: tuple[CarriedImage, ...]) -> None:
        images = tuple(replace(one, info=replace(one.info, source=self.name)) for one in images)
        if list(self._images.values()) == list(images):
            return
        self._images = {image.uri: image for image in images}
        infos = tuple(image.info for image in images)
        section = Section("Images", "", tuple(self._images))
        self.listing = Listing(infos, (section,) if infos else ())

    async def search(self, text: str) -> Listing | None:
        return None

    async def document(self, image_uri: str) -> ImageDocument:
        """Take the original document, and verify it by the rules of its own source.

        Raises:
            FetchError: it is not here.
            DocumentError: it is not to be believed.
        """
        image = self._images.get(image_uri)
        if image is None:
            raise FetchError(
                f"{self.title} no longer has the image {image_uri}.", retry_helps=False
            )
        messages = {sha256: await self._message(sha256) for sha256 in image.documents}
        if image.kind != STORE:
            for sha256, message in messages.items():
                await self._records.keep_evidence(sha256, message)
        document = await self.reread(image_uri, image.signed_text(messages))
        if {file.digest for file in document.files} - {file.digest for file in image.files}:
            raise DocumentError(
                f"What was carried of {image_uri} is for a cloud of another kind: this one needs"
                " other files of it. Export it from a proxy that was told the same of its cloud."
            )
        owner = self._owner(image_uri)
        if owner:
            _check_version(document, owner)
        # One memory for all that carry: another of them must not bring back an older document.
        memory = owner.name if owner else self.kind
        check_serial(document, await self._records.highest_serial(memory, image_uri))
        await self._records.remember_serial(memory, image_uri, document.serial)
        return document

    async def reread(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        """Verify what was kept of it; the files are then to be had here."""
        owner = self._owner(image_uri)
        kind = SIMPLESTREAMS if referred(signed_text) else STORE
        reader = owner.reread if owner else self._readers.get(kind)
        if reader is None:
            raise DocumentError(
                f"{image_uri} is an image of a {kind} source, and none is configured here whose"
                " keys could tell whether it is genuine."
            )
        document = await reader(image_uri, signed_text)
        if not document.fingerprint:
            raise DocumentError(
                f"Nobody has signed {image_uri}, and whoever carried it may have changed it."
            )
        files = tuple(
            replace(file, url=self._holding.url(file.digest), mirrors=()) for file in document.files
        )
        return replace(document, files=files)

    async def may_be_local(self, url: str) -> bool:
        """Tell whether it may send the proxy to a local address: to its own alone."""
        return url.startswith(self._holding.url(""))

    async def _message(self, sha256: str) -> bytes:
        message = await self._holding.document(sha256)
        if hashlib.sha256(message).hexdigest() != sha256:
            raise DocumentError(
                f"{self.title} gave something else for the signed document {sha256[:16]}…:"
                " it is damaged."
            )
        return message


def _check_version(document: ImageDocument, owner: Source) -> None:
    """Refuse what is older than the newest that its own source has signed, as far as is known.

    A catalogue is remembered as a whole, and an image of it only once it is installed: without
    this, any catalogue that ever was signed would do for all others.
    """
    known = owner.versions(document.uri)
    if any(one.uri == document.uri for one in known):
        return  # that very version was asked for
    newest = next((one for one in known if not one.refused and not one.is_unsigned), None)
    if newest and is_newer(newest.version, document.version):
        raise DocumentError(
            f"What was carried of {document.uri} is refused: it is version {document.version}, but"
            f" {owner.title} has signed {newest.version} since."
        )


class Here:
    """A directory in the layout of ``model/carrying.py``; a ``Holding``.

    Args:
        path: of the directory, for people.
        fetcher: reads ``file:`` URLs of this directory.
        base_url: of its files.
    """

    def __init__(
        self, depot: Depot, path: str, *, fetcher: Fetcher, base_url: str, background: Background
    ) -> None:
        self.place = path
        self.fetcher = fetcher
        self._depot = depot
        self._base_url = base_url
        self._background = background
        self._stamp: object = None

    def url(self, digest: str) -> str:
        return f"{self._base_url}{digest}"

    async def load(self) -> tuple[CarriedImage, ...]:
        self._stamp = None
        return await self.images() or ()

    async def images(self) -> tuple[CarriedImage, ...] | None:
        stamp = await self._background.run(lambda _stop: self._depot.stamp())
        if stamp is not None and stamp == self._stamp:
            return None
        try:
            images = await self._background.run(lambda _stop: self._depot.images())
        except DiskError as error:
            raise FetchError(error.message) from error
        self._stamp = stamp
        return images

    async def document(self, sha256: str) -> bytes:
        found = await self._background.run(lambda _stop: self._depot.document(sha256))
        try:
            if found is None:
                raise FileNotFoundError(2, "no such file")
            return await self._background.run(lambda _stop: _read(found))
        except OSError as error:
            raise FetchError(
                f"The signed document {sha256[:16]}… cannot be read in {self.place}:"
                f" {error.strerror}.",
                retry_helps=False,
            ) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(DOCUMENT_LIMIT_BYTES + 1)


class Sibling:
    """Another proxy that shares its cache; a ``Holding``.

    Args:
        name: of the source, in the records.
        url: ``http(s)://host:port/cache/``.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        fetcher: Fetcher,
        records: Records,
        background: Background,
        clock: Clock,
    ) -> None:
        self.fetcher = fetcher
        self._name = name
        self._url = url if url.endswith("/") else f"{url}/"
        self.place = masked(self._url)
        self._records = records
        self._background = background
        self._clock = clock
        self._body = b""

    def url(self, digest: str) -> str:
        return f"{self._url}{FILES}/{digest}"

    async def load(self) -> tuple[CarriedImage, ...]:
        for kept in await self._records.kept(self._name):
            if kept.url == self._url:
                return await self._read(kept.body)
        return ()

    async def images(self) -> tuple[CarriedImage, ...] | None:
        url = f"{self._url}{INDEX}"
        fetched = await self.fetcher.get(url, limit_bytes=INDEX_LIMIT_BYTES, allow_local=True)
        if fetched.body == self._body:
            return None
        try:
            images = await self._read(fetched.body)
        except DocumentError as error:
            raise FetchError(
                f"{masked(url)} answered, but not as a proxy that shares its cache: {error} Check"
                " the address, and --share-cache there.",
                status=200,
            ) from error
        kept = Kept(self._url, fetched.body, fetched.validator, self._clock.now_s())
        await self._records.keep(self._name, kept)
        return images

    async def _read(self, body: bytes) -> tuple[CarriedImage, ...]:
        images = await self._background.run(lambda _stop: read_index(body))
        self._body = body
        return images

    async def document(self, sha256: str) -> bytes:
        if not is_sha256(sha256):
            raise ValueError(f"not a digest: {sha256!r}")
        fetched = await self.fetcher.get(
            f"{self._url}{DOCUMENTS}/{sha256}", limit_bytes=DOCUMENT_LIMIT_BYTES, allow_local=True
        )
        return fetched.body

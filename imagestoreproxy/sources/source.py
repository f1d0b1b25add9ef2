"""What every kind of source can do; ``catalogue.py`` makes one shop window of them."""

from __future__ import annotations

from typing import Protocol

from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing
from imagestoreproxy.ports import Fetcher


class Source(Protocol):
    """One place where images come from."""

    @property
    def name(self) -> str:
        """In the records and for people; no two sources share one."""

    @property
    def title(self) -> str:
        """Over its sections, where there are several sources."""

    @property
    def kind(self) -> str:
        """``store``, ``simplestreams`` or ``carried``."""

    @property
    def place(self) -> str:
        """URL or path, fit to be shown."""

    @property
    def interval_s(self) -> float:
        """How long its catalogue is good without asking again."""

    @property
    def fetcher(self) -> Fetcher:
        """What its files are fetched with."""

    @property
    def listing(self) -> Listing:
        """What it offers, as last seen; another object when it says something else."""

    @property
    def fetched_at_s(self) -> float | None:
        """When that came, Unix seconds; None when nothing ever has."""

    @property
    def published_s(self) -> int:
        """When it was published, as its signed text says; 0 where it does not."""

    @property
    def remark(self) -> str:
        """What one should know of it beside its problems; empty if nothing."""

    async def load(self) -> None:
        """Take up from the records what was last good.

        Raises:
            DocumentError: it is no longer to be believed.
            OwnStateError: it cannot be read.
        """

    async def refresh(self) -> None:
        """Ask for what it offers now, and remember it.

        Raises:
            FetchError: it could not be had.
            DocumentError: it is not to be believed; what was good before stays.
        """

    async def search(self, text: str) -> Listing | None:
        """Ask it what matches; None where its listing is all that it has.

        Raises:
            FetchError: it could not be asked.
        """

    def owns(self, image_uri: str) -> bool:
        """Tell whether it answers for this URI, listed or not."""

    def info(self, image_uri: str) -> ImageInfo | None:
        """Give what is known of an image that is not listed, as an older version; or None."""

    def versions(self, image_uri: str) -> tuple[ImageInfo, ...]:
        """Give the versions that can be installed by name, newest first; may be none."""

    async def document(self, image_uri: str) -> ImageDocument:
        """Get and verify what is signed about an image; see ``ports.Sources``."""

    async def reread(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        """Verify again what was kept of it; see ``ports.Sources``."""

    async def may_be_local(self, url: str) -> bool:
        """Tell whether it may send the proxy to a local address for ``url``."""

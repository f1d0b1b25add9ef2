"""Getting one file: from its address and its mirrors, from where it broke off."""

from __future__ import annotations

from imagestoreproxy.install.addresses import Addresses
from imagestoreproxy.install.feed import Feed
from imagestoreproxy.install.filling import Filling
from imagestoreproxy.install.mirrors import Mirrors
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.segments import SEGMENT_BYTES
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.ports import Background, Clock, Journal, Sources


class Downloader:
    """Fetches files of installs, verified.

    Args:
        max_downloads: files at a time, of all installs together; more wait.
        connections: for each large file; 1 never asks for parts of a file side by side.
        segment_bytes: how large such parts are; so many for each connection are in memory.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        background: Background,
        clock: Clock,
        journal: Journal,
        max_downloads: int,
        connections: int = 1,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._sources = sources
        self._background = background
        self._clock = clock
        self._journal = journal
        self._places = Places(max_downloads, clock)
        self._connections = connections
        self._segment_bytes = segment_bytes
        self._mirrors = Mirrors()

    async def fetch(self, work: Work, file: ImageFile, feed: Feed) -> None:
        """Fetch one file; what is there already is kept.

        Raises:
            FetchError: no address gave the whole file; each that failed is named.
            DigestError: what came is not what was signed.
            DiskError: it cannot be written.
        """
        addresses = Addresses(
            work,
            file,
            sources=self._sources,
            mirrors=self._mirrors,
            clock=self._clock,
            journal=self._journal,
        )
        filling = Filling(
            file,
            feed,
            addresses,
            places=self._places,
            background=self._background,
            clock=self._clock,
            journal=self._journal,
            connections=self._connections,
            segment_bytes=self._segment_bytes,
        )
        if not filling.is_right:
            await filling.run()

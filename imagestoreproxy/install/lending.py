"""What is given away: the verified files that are here, and what is signed about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestoreproxy.model.carrying import IMAGES, CarriedImage, index_text
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.ports import Background, Stop
from imagestoreproxy.ports.depots import Depot


class Lending:
    """``shop.Lending`` over several depots; of what lies in two, the first one's is given."""

    def __init__(self, depots: Sequence[Depot], background: Background) -> None:
        self._depots = depots
        self._background = background
        self._stamps: Sequence[object] = ()
        self._index = b""

    async def index(self) -> bytes:
        """Give ``images.json`` of all of it; raises ``DiskError``."""
        return await self._background.run(self._listed)

    def document(self, sha256: str) -> Path | None:
        """Give where a signed message is, or None."""
        return next(filter(None, (depot.document(sha256) for depot in self._depots)), None)

    def file(self, digest: str) -> Path | None:
        """Give where a file is, or None."""
        return next(filter(None, (depot.file(digest) for depot in self._depots)), None)

    def _listed(self, _stop: Stop) -> bytes:
        # Whoever asks may ask often: it is put together anew only when it is another one.
        stamps = [depot.stamp() for depot in self._depots]
        if stamps != self._stamps or not self._index:
            images: dict[str, CarriedImage] = {}
            for depot in self._depots:
                try:
                    for image in depot.images():
                        images.setdefault(image.uri, image)
                except DocumentError:
                    continue  # a damaged list is told by whoever owns it
            self._index, self._stamps = index_text([*images.values()][:IMAGES]), stamps
        return self._index

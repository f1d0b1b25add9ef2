"""What searches have shown, within a bound of memory: the oldest is forgotten first."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from imagestoreproxy.model.images import ImageInfo

LIMIT_BYTES = 64 * 2**20


class Known:
    """Images and the sources that have shown them.

    Args:
        limit_bytes: what all entries together may take up in memory.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._infos: dict[str, tuple[str, ImageInfo]] = {}  # the oldest first

    def learn(self, source: str, infos: Iterable[ImageInfo]) -> None:
        """Take up what a source shows.

        The first source that has shown an image keeps it: none can take over another's.
        """
        for info in infos:
            known = self._infos.get(info.uri)
            if known is None or known[0] == source:
                self._forget(info.uri)
                self._infos[info.uri] = (source, info)
                self._size_bytes += size_bytes(info)
        while self._size_bytes > self._limit_bytes:
            self._forget(next(iter(self._infos)))

    def find(self, image_uri: str) -> tuple[str, ImageInfo] | None:
        """Give the source of an image and what it last said of it."""
        return self._infos.get(image_uri)

    def _forget(self, image_uri: str) -> None:
        known = self._infos.pop(image_uri, None)
        if known is not None:
            self._size_bytes -= size_bytes(known[1])


def size_bytes(info: ImageInfo) -> int:
    """Give about what one entry takes up in memory: its texts, and the objects they hang on."""
    provider = info.provider
    texts = (info.uri, info.title, info.summary, info.description_html, info.version)
    return (
        600
        + sum(map(sys.getsizeof, (*texts, info.icon_uri, provider.title, provider.uri)))
        + (sum(map(sys.getsizeof, info.tags)))
    )

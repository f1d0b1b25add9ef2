"""Search over what sources have shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imagestoreproxy.model.images import ImageInfo


@dataclass(frozen=True)
class Query:
    words: tuple[str, ...]

    def wants_source(self, name: str) -> bool:
        return True


def parse(text: str) -> Query:
    return Query(tuple(text.casefold().split()))


class Index:
    def __init__(self) -> None:
        self._infos: list[tuple[str, ImageInfo]] = []

    def learn(self, source: str, infos: Iterable[ImageInfo]) -> None:
        self._infos.extend((source, info) for info in infos)

    def search(self, query: Query, limit: int, source: str = "") -> list[ImageInfo]:
        def matches(info: ImageInfo) -> bool:
            haystack = f"{info.title} {info.summary} {' '.join(info.tags)}".casefold()
            return all(word in haystack for word in query.words)

        return [info for name, info in self._infos if source in ("", name) and matches(info)][
            :limit
        ]

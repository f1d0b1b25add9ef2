"""Search over what all sources have shown: ``noble server arch:amd64 -minimal``.

A scan over one text for each image is fast enough for 50,000 of them, and finds parts of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagestoreproxy.model.images import ImageInfo

_PIECE = re.compile(r'(?P<minus>-?)(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
# Looked through before it is seen whether there is enough to show.
BLOCK = 2_000
_KEYS = ("release", "arch", "source")
# By any name that people know it by.
ARCHITECTURES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "i686": "i386",
    "x86": "i386",
    "arm64": "aarch64",
    "armel": "armhf",
}


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for, in lower case.

    Args:
        words: each of them stands somewhere in what is known of an image.
        without: none of them does.
        releases, architectures, sources: one of each, where there are any.
    """

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    releases: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()

    def wants_source(self, name: str) -> bool:
        """Tell whether a source of this name is to be looked through."""
        return not self.sources or any(part in name.casefold() for part in self.sources)


def parse(text: str) -> Query:
    """Read words, "phrases", ``-word``, ``release:``, ``arch:`` and ``source:``; never raises.

    An unknown ``key:`` is a part of a word.
    """
    words: list[str] = []
    without: list[str] = []
    found: dict[str, list[str]] = {key: [] for key in _KEYS}
    for piece in _PIECE.finditer(text.casefold()):
        key, value = piece["key"] or "", piece["phrase"] or piece["word"] or ""
        if not value:
            continue
        if key in found and not piece["minus"]:
            found[key].append(value)
        else:
            word = f"{key}:{value}" if key else value
            (without if piece["minus"] else words).append(word)
    return Query(
        words=_needed(words),
        without=tuple(dict.fromkeys(without)),
        releases=frozenset(found["release"]),
        architectures=frozenset(map(_architecture, found["arch"])),
        sources=tuple(found["source"]),
    )


def _needed(words: Iterable[str]) -> tuple[str, ...]:
    """Give the words that say anything beyond the others, the longest first: it is the rarest."""
    needed: list[str] = []
    for word in sorted(dict.fromkeys(words), key=len, reverse=True):
        if not any(word in other for other in needed):
            needed.append(word)
    return tuple(needed)


def _architecture(name: str) -> str:
    name = name.casefold()
    return ARCHITECTURES.get(name, name)


class Index:
    """What is known of the images of every source. Built in one thread, then only read."""

    def __init__(self) -> None:
        self._rows: dict[str, list[_Row]] = {}

    def learn(self, source: str, infos: Iterable[ImageInfo]) -> None:
        """Take up what a source shows, beside what it has shown before."""
        releases: dict[tuple[str, ...], frozenset[str]] = {}
        rows = self._rows.setdefault(source, [])
        for info in infos:
            if info.releases not in releases:
                releases[info.releases] = frozenset(map(str.casefold, info.releases))
            title = info.title.casefold()
            architecture = _architecture(info.architecture)
            rows.append(
                (
                    _text(info, title, architecture),
                    architecture,
                    releases[info.releases],
                    len(title),
                    info,
                )
            )

    def search(self, query: Query, limit: int, source: str = "") -> Sequence[ImageInfo]:
        """Find images: those with the words in their title first, those refused last.

        Args:
            limit: how many at most.
            source: only this one's; else every source's that the query wants.
        """
        found = _Found(limit)
        for name, rows in self._rows.items():
            if name == source or (not source and query.wants_source(name)):
                for begin in range(0, len(rows), BLOCK):
                    found.take(_matching(rows[begin : begin + BLOCK], query), query)
                    if found.is_full():
                        break
        return found.infos()


# Text, architecture, releases, length of the title, image.
_Row = tuple[str, str, frozenset[str], int, ImageInfo]


def _text(info: ImageInfo, title: str, architecture: str) -> str:
    """Give all that is searched, the title first, with a line for each field."""
    rest = (
        info.version,
        info.summary,
        *info.tags,
        *info.releases,
        info.architecture,
        architecture,
        info.provider.title,
        info.uri,
    )
    return f"{title}\n" + "\n".join(rest).casefold()


def _matching(rows: list[_Row], query: Query) -> list[_Row]:
    if query.architectures:
        rows = [row for row in rows if row[1] in query.architectures]
    if query.releases:
        rows = [row for row in rows if not query.releases.isdisjoint(row[2])]
    for word in query.words:
        rows = [row for row in rows if word in row[0]]
    for word in query.without:
        rows = [row for row in rows if word not in row[0]]
    return rows


class _Found:
    """Matches in the order in which they are shown; no more are looked for than are shown."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_title: list[ImageInfo] = []
        self._elsewhere: list[ImageInfo] = []
        self._refused: list[ImageInfo] = []

    def take(self, rows: Iterable[_Row], query: Query) -> None:
        word = query.words[0] if query.words else ""
        for text, _, _, title_chars, info in rows:
            if info.refused:
                self._refused.append(info)
            elif text.find(word, 0, title_chars) >= 0:
                self._in_title.append(info)
            else:
                self._elsewhere.append(info)

    def is_full(self) -> bool:
        return len(self._in_title) >= self._limit

    def infos(self) -> Sequence[ImageInfo]:
        return [*self._in_title, *self._elsewhere, *self._refused][: self._limit]

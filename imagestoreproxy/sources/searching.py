"""Search over what all sources have shown: ``noble server arch:amd64 -minimal``.

A scan over one text for each image is fast enough for 50,000 of them, and finds parts of words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagestoreproxy.model.images import ImageInfo

_PIECE = re.compile(r'(?P<minus>-?)(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
# Looked through before it is seen whether there is enough to show.
BLOCK = 2_000
_KEYS = ("release", "arch", "source")
# More than this nobody means, and each costs milliseconds.
WORDS = 16
SUMMARY_CHARS = 300
# By any name that people know it by.
ARCHITECTURES = {
    "amd64": "x86_64",
    "x86-64": "x86_64",
    "x64": "x86_64",
    "i686": "i386",
    "x86": "i386",
    "arm64": "aarch64",
    "armel": "armhf",
}
_OTHER_NAMES = {
    name: " ".join(other for other, same in ARCHITECTURES.items() if same == name)
    for name in set(ARCHITECTURES.values())
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What is looked for, or what is not wanted; in lower case.

    Args:
        words: stand somewhere in what is known of an image.
        releases, architectures, sources: of an image, by ``key:``.
    """

    words: tuple[str, ...] = ()
    releases: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for.

    Args:
        wanted: all of its words; one of its releases, architectures and sources, where there are
            any.
        unwanted: none of all that.
    """

    wanted: Terms = Terms()
    unwanted: Terms = Terms()

    def wants_source(self, name: str) -> bool:
        """Tell whether a source of this name is to be looked through."""
        name = name.casefold()
        if any(part in name for part in self.unwanted.sources):
            return False
        wanted = self.wanted.sources
        return not wanted or any(part in name for part in wanted)


def parse(text: str) -> Query:
    """Read words, "phrases", ``release:``, ``arch:`` and ``source:``; a ``-`` before excludes.

    An unknown ``key:`` is a part of a word. Never raises.
    """
    found: dict[str, dict[str, list[str]]] = {"": {}, "-": {}}
    for piece in _PIECE.finditer(text.casefold()):
        key, value = piece["key"] or "", piece["phrase"] or piece["word"] or ""
        if value.strip("-"):
            if key not in _KEYS:
                key, value = "", f"{key}:{value}" if key else value
            found[piece["minus"]].setdefault(key, []).append(value)
    return Query(_terms(found[""], _needed), _terms(found["-"], dict.fromkeys))


def _terms(
    found: Mapping[str, list[str]], needed: Callable[[Iterable[str]], Iterable[str]]
) -> Terms:
    return Terms(
        words=tuple(needed(found.get("", ())))[:WORDS],
        releases=frozenset(found.get("release", ())),
        architectures=frozenset(map(_architecture, found.get("arch", ()))),
        sources=tuple(found.get("source", ()))[:WORDS],
    )


def _needed(words: Iterable[str]) -> Sequence[str]:
    """Give the words that say anything beyond the others, the longest first: it is the rarest."""
    needed: list[str] = []
    for word in sorted(dict.fromkeys(words), key=len, reverse=True):
        if not any(word in other for other in needed):
            needed.append(word)
    return needed


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
        info.summary[:SUMMARY_CHARS],
        *info.tags,
        *info.releases,
        info.architecture,
        architecture,
        _OTHER_NAMES.get(architecture, ""),
        info.provider.title,
        info.uri,
    )
    return f"{title}\n" + "\n".join(rest).casefold()


def _matching(rows: list[_Row], query: Query) -> list[_Row]:
    wanted, unwanted = query.wanted, query.unwanted
    if wanted.architectures:
        rows = [row for row in rows if row[1] in wanted.architectures]
    if unwanted.architectures:
        rows = [row for row in rows if row[1] not in unwanted.architectures]
    if wanted.releases:
        rows = [row for row in rows if not wanted.releases.isdisjoint(row[2])]
    if unwanted.releases:
        rows = [row for row in rows if unwanted.releases.isdisjoint(row[2])]
    for word in wanted.words:
        rows = [row for row in rows if word in row[0]]
    for word in unwanted.words:
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
        words = query.wanted.words
        for text, _, _, title_chars, info in rows:
            if info.refused:
                self._refused.append(info)
                continue
            for word in words:
                if text.find(word, 0, title_chars) < 0:
                    self._elsewhere.append(info)
                    break
            else:
                self._in_title.append(info)

    def is_full(self) -> bool:
        """Tell whether it is worth no more looking: the best may then be among those seen."""
        in_title = len(self._in_title)
        return in_title >= self._limit or in_title + len(self._elsewhere) >= 4 * self._limit

    def infos(self) -> Sequence[ImageInfo]:
        return [*self._in_title, *self._elsewhere, *self._refused][: self._limit]

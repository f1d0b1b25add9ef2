"""One product after the other: from its entry in a catalogue to an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.document import Same
from imagestoreproxy.sources.simplestreams import reasons, walk
from imagestoreproxy.sources.simplestreams.choice import Choice, choose
from imagestoreproxy.sources.simplestreams.facts import facts_of
from imagestoreproxy.sources.simplestreams.outline import Outline
from imagestoreproxy.sources.simplestreams.stream import Facts, Origin, Product, Version
from imagestoreproxy.sources.simplestreams.tags import (
    MissingAliasError,
    Tags,
    expanded,
    inherited,
    word,
)
from imagestoreproxy.sources.simplestreams.titles import image_info
from imagestoreproxy.sources.simplestreams.uris import URI_CHARS, image_uri
from imagestoreproxy.sources.simplestreams.wanted import Wanted

PRODUCT_BYTES = 8 * 2**20
VERSIONS = 5_000
VERSIONS_IN_ALL = 50_000
ITEMS = 500
VERSION_CHARS = 100

Named = list[tuple[str, Any]]


class Products:
    """The products of one catalogue.

    Attributes:
        shown: those that are offered, and those that are refused with a reason.
        filtered: how many are not wanted.
        dropped: why, and how often, one cannot even be shown.
        passed_over: why, and how often, a file was not considered.
    """

    def __init__(
        self,
        outline: Outline,
        content_id: str,
        origin: Origin,
        *,
        taking: Taking,
        wanted: Wanted,
        now_s: float,
    ) -> None:
        self._outline = outline
        self._content_id = content_id
        self._origin = origin
        self._taking = taking
        self._wanted = wanted
        self._now_s = now_s
        self._same = Same()
        self._versions = 0
        self.shown: list[Product] = []
        self.filtered = 0
        self.dropped: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()

    def read(self, payload: bytes, name: str) -> None:
        """Take up a product; one that makes no sense is dropped, and counted.

        Raises:
            MissingAliasError: the catalogue's table of aliases is damaged.
        """
        start, end = self._outline.spans[name]
        uri = ""
        if name.isprintable():
            uri = image_uri(self._origin.root, self._content_id, name)
        if not uri or len(uri) > URI_CHARS - 4 * VERSION_CHARS:
            self.dropped[reasons.DAMAGED] += 1
            return
        if end - start > PRODUCT_BYTES:
            self.dropped[reasons.TOO_LARGE] += 1
            return
        try:
            self._take(name, uri, walk.parse(payload, start, end, limit_bytes=PRODUCT_BYTES))
        except MissingAliasError:
            raise
        except DocumentError:
            self.dropped[reasons.DAMAGED] += 1

    def _take(self, name: str, uri: str, entry: object) -> None:
        outline = self._outline
        entry = expanded(_object(entry), outline.table)
        tags = inherited(outline.tags, entry)
        versions = _members(entry, "versions")
        if len(versions) > VERSIONS or self._versions + len(versions) > VERSIONS_IN_ALL:
            self.dropped[reasons.TOO_LARGE] += 1
            return
        passed_over: Counter[str] = Counter()
        known, best, offered = [], Choice(None, reasons.EMPTY, tags), ""
        for version_name, version_entry in versions:
            if not version_name.isprintable() or not 0 < len(version_name) <= VERSION_CHARS:
                passed_over[reasons.DAMAGED] += 1
                continue
            version, choice = self._version(version_name, version_entry, tags, passed_over)
            known.append(version)
            if choice.build is not None:
                offered = version_name
            if choice.build is not None or best.build is None:
                best = choice
        facts = facts_of(best.tags, name, self._content_id, self._same)
        if not self._wanted.takes(facts, self._content_id, name):
            self.filtered += 1
            return
        self.passed_over += passed_over
        self._versions += len(known)
        self.shown.append(self._product(name, uri, facts, known, offered))

    def _product(
        self, name: str, uri: str, facts: Facts, versions: Sequence[Version], offered: str
    ) -> Product:
        newest = versions[-1] if versions else Version("", "", None, reasons.EMPTY)
        subject, note = newest, ""
        if offered and newest.build is None:
            subject = next(one for one in versions if one.name == offered)
            note = f"Build {newest.name} is newer, but cannot be installed. {newest.refused}"
        info = image_info(uri, name, facts, subject, self._origin, now_s=self._now_s, note=note)
        info = replace(info, tags=self._same(info.tags), provider=self._same(info.provider))
        return Product(name, uri, info, facts, tuple(versions), "" if offered else newest.refused)

    def _version(
        self, name: str, entry: object, outer: Tags, passed_over: Counter[str]
    ) -> tuple[Version, Choice]:
        choice = self._choice(entry, outer, passed_over)
        pubname = word(choice.tags, "pubname", 200)
        return Version(name, pubname, choice.build, self._same(choice.refused)), choice

    def _choice(self, entry: object, outer: Tags, passed_over: Counter[str]) -> Choice:
        table = self._outline.table
        try:
            entry = expanded(_object(entry), table)
            tags = inherited(outer, entry)
            found = []
            for at, (_, item) in enumerate(_members(entry, "items")):
                if at >= ITEMS:
                    passed_over[reasons.TOO_LARGE] += 1
                elif isinstance(item, dict):
                    found.append(inherited(tags, expanded(item, table)))
                else:
                    passed_over[reasons.DAMAGED] += 1
        except MissingAliasError:
            raise
        except DocumentError:
            return Choice(None, reasons.DAMAGED, outer)
        choice = choose(found, self._taking, self._origin, tags)
        passed_over.update(choice.passed_over)
        return choice


def _object(value: object) -> Tags:
    if not isinstance(value, dict):
        raise DocumentError(reasons.DAMAGED)
    return value


def _members(entry: Tags, name: str) -> Named:
    """Give the members of an object, sorted by name: the newest version is the last.

    Code points sort as the bytes of UTF-8 do, which is the order of ``LANG=C``.
    """
    return sorted(_object(entry.get(name, {})).items())

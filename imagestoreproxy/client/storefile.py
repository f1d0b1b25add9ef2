"""``store.toml``: what people say of a store and its images, read strictly.

``docs/publishing.md`` tells what each key means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from imagestoreproxy.config.lines import Path as KeyPath
from imagestoreproxy.config.lines import key_lines
from imagestoreproxy.config.tables import Problems, Table, is_http_url
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Architecture, Provider, Virtualization
from imagestoreproxy.model.running import LOGIN_USER, PORTS, ports_of
from imagestoreproxy.regular import read_regular
from imagestoreproxy.sources.publishing.names import architecture_named
from imagestoreproxy.sources.publishing.words import (
    CONTENT_ID,
    EXPIRES_DAYS,
    LONGEST_EXPIRES_DAYS,
    ImageWords,
    SectionWords,
    StoreWords,
)

LIMIT_BYTES = 4 * 2**20
IMAGES = 10_000
SECTIONS = 200
# A text is one line of a document, and GnuPG signs no line of more than 20 kB.
DESCRIPTION_BYTES = 9_000

_STORE = ("title", "summary", "url", "content-id", "expires-days", "provider", "section", "image")
_PROVIDER = ("title", "uri")
_SECTION = ("title", "summary", "images")
_IMAGE = (
    *("path", "title", "summary", "description", "description-html", "version", "architecture"),
    *("virtualization", "tags", "login-user", "ports", "icon", "provider", "os", "release"),
    *("release-title", "aliases", "supported", "support-ends"),
)
_DAY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_CONTENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)*")
_WORD = re.compile(r"[!-~]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Word = TypeVar("Word", bound=StrEnum)


def read_store(path: Path) -> StoreWords:
    """Read a ``store.toml``.

    Raises:
        SettingsError: it cannot be read, is no TOML, or something in it cannot be meant; with the
            line of each problem.
    """
    try:
        text = read_regular(path, LIMIT_BYTES).decode("utf-8")
        values = tomllib.loads(text)
        lines = key_lines(text)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no TOML: {error}.") from error
    problems = Problems(path, lines)
    top = _Words(values, (), problems)
    top.only(_STORE, "key")
    store = StoreWords(
        where=str(path),
        title=top.text("title", 1, 300),
        summary=top.lines("summary", 2000),
        url=top.url("url").rstrip("/"),
        content_id=top.matching("content-id", _CONTENT_ID, "words of letters, digits and . _ -")
        or CONTENT_ID,
        expires_days=int(
            top.number("expires-days", 1, LONGEST_EXPIRES_DAYS, whole=True) or EXPIRES_DAYS
        ),
        provider=_provider(top) or Provider(),
        sections=tuple(map(_section, top.tables_of("section", SECTIONS))),
        images={name: _image(table) for name, table in top.named("image", IMAGES)},
    )
    problems.raise_any()
    return store


class _Words(Table):
    """A table with what only a ``store.toml`` has."""

    def __init__(self, content: Mapping[str, Any], path: KeyPath, problems: Problems) -> None:
        super().__init__(content, path, problems)
        self.values = content
        self.problems = problems

    def lines(self, key: str, longest: int) -> str:
        """Give a text of several lines, or empty."""
        value = self.values.get(key, "")
        if not isinstance(value, str) or len(value) > longest or _CONTROLS.search(value):
            self.wrong(key, f"must be a text of at most {longest} characters")
            return ""
        return value.strip()

    def matching(self, key: str, pattern: re.Pattern[str], what: str, longest: int = 200) -> str:
        value = self.text(key, 1, longest)
        if value and not pattern.fullmatch(value):
            self.wrong(key, f"must be {what}, not '{value}'")
            return ""
        return value

    def word(self, key: str, words: type[Word]) -> Word | None:
        value = self.text(key, 1, 100)
        if value and value not in list(words):
            self.wrong(key, f"must be {' or '.join(words)}, not '{value}'")
            return None
        return words(value) if value else None

    def ports(self, key: str) -> tuple[int, ...]:
        values = self.values.get(key, [])
        found = ports_of(values)
        if not isinstance(values, list) or len(found) != len(values):
            what = "different whole numbers from 1 to 65535"
            self.wrong(key, f"must be a list of at most {PORTS} {what}")
            return ()
        return found

    def tables_of(self, key: str, limit: int) -> list[_Words]:
        values = self.values.get(key, [])
        return [
            _Words(values[number], one.path, self.problems)
            for number, one in enumerate(self.tables(key, limit))
        ]

    def named(self, key: str, limit: int) -> list[tuple[str, _Words]]:
        """Give the tables below ``[key.NAME]``."""
        values = self.values.get(key, {})
        if not isinstance(values, dict) or len(values) > limit:
            self.wrong(key, f"must be at most {limit} tables, each below its [{key}.NAME]")
            return []
        found = []
        for name, value in values.items():
            path = (*self.path, key, name)
            if not isinstance(value, dict) or not name or not name.isprintable():
                self.problems.add(path, f"'{name:.60}' must be a table: write [{key}.NAME] over it")
                continue
            found.append((name, _Words(value, path, self.problems)))
        return found


def _provider(table: _Words) -> Provider | None:
    if "provider" not in table.given:
        return None
    below = table.table("provider", _PROVIDER)
    return Provider(below.text("title", 1, 300), below.url("uri"))


def _section(table: _Words) -> SectionWords:
    table.only(_SECTION, "key")
    return SectionWords(
        title=table.required("title", 300),
        summary=table.lines("summary", 2000),
        images=tuple(table.texts("images", IMAGES, 255)),
    )


def _image(table: _Words) -> ImageWords:
    table.only(_IMAGE, "key")
    return ImageWords(
        path=table.text("path", 1, 500),
        title=table.text("title", 1, 300),
        summary=table.lines("summary", 2000),
        description_html=_description(table),
        version=table.matching("version", _WORD, "one word of plain characters", 100),
        architecture=_architecture(table),
        virtualization=table.word("virtualization", Virtualization),
        tags=tuple(table.texts("tags", 50)),
        login_user=table.matching("login-user", LOGIN_USER, "a user's name like 'ubuntu'", 64),
        ports=table.ports("ports"),
        icon=_icon(table),
        provider=_provider(table),
        os=table.text("os", 1, 100),
        release=table.text("release", 1, 100),
        release_title=table.text("release-title", 1, 300),
        aliases=_aliases(table),
        is_supported="supported" not in table.given or table.flag("supported"),
        support_ends=table.matching("support-ends", _DAY, 'a day in quotes, like "2029-05-31"'),
    )


def _description(table: _Words) -> str:
    """Give HTML: as it is, or made of plain paragraphs."""
    plain = table.lines("description", DESCRIPTION_BYTES)
    marked_up = table.lines("description-html", DESCRIPTION_BYTES)
    if plain and marked_up:
        table.wrong("description", "and 'description-html' exclude each other")
    paragraphs = [one.strip() for one in re.split(r"\n\s*\n", plain) if one.strip()]
    text = marked_up or "".join(f"<p>{escape(one)}</p>" for one in paragraphs)
    if len(text.encode()) > DESCRIPTION_BYTES:
        key = "description-html" if marked_up else "description"
        table.wrong(key, f"must have at most {DESCRIPTION_BYTES} bytes as HTML")
    return text


def _architecture(table: _Words) -> Architecture | None:
    word = table.text("architecture", 1, 40)
    found = architecture_named(word)
    if word and found is None:
        table.wrong("architecture", f"must be {' or '.join(Architecture)}, not '{word}'")
    return found


def _icon(table: _Words) -> str:
    icon = table.text("icon", 1, 1000)
    if "://" in icon and not is_http_url(icon):
        table.wrong("icon", "must be a file, or an http(s) URI")
    return icon


def _aliases(table: _Words) -> tuple[str, ...]:
    aliases = table.texts("aliases", 20)
    if any("," in one for one in aliases):
        table.wrong("aliases", "must have no comma in an alias")
    return tuple(aliases)

"""Kinds of values of the configuration file: how each is read, and how it is told to people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from imagestoreproxy.config.tables import Table

T_co = TypeVar("T_co", covariant=True)

_WINDOW = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")
_NAME = re.compile(r"[A-Za-z0-9._-]*")


class Kind(Protocol[T_co]):
    """What a key may hold; what is wrong is noted in the table, and read as if it were absent."""

    @property
    def words(self) -> str:
        """Say what may be written; no sentence."""

    def read(self, table: Table, key: str) -> T_co:
        """Give the value of ``key``, or what stands for none."""


@dataclass(frozen=True, slots=True)
class Name:
    """A short name; empty for none."""

    longest: int

    @property
    def words(self) -> str:
        return f"at most {self.longest} letters, digits, `.`, `_` and `-`"

    def read(self, table: Table, key: str) -> str:
        name = table.text(key, 1, self.longest)
        if not _NAME.fullmatch(name):
            table.wrong(key, "may have only letters, digits, '.', '_' and '-'")
        return name


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words; empty for none."""

    choices: tuple[str, ...]

    @property
    def words(self) -> str:
        return _or([f'`"{one}"`' for one in self.choices])

    def read(self, table: Table, key: str) -> str:
        word = table.text(key, 1, 40)
        if word and word not in self.choices:
            table.wrong(key, f"must be one of {', '.join(self.choices)}, not '{word}'")
        return word


@dataclass(frozen=True, slots=True)
class Text:
    """A text of one line; empty for none."""

    longest: int

    @property
    def words(self) -> str:
        return f"a text of at most {self.longest} characters"

    def read(self, table: Table, key: str) -> str:
        return table.text(key, 1, self.longest)


@dataclass(frozen=True, slots=True)
class Texts:
    """An array of texts."""

    most: int

    @property
    def words(self) -> str:
        return f"an array of at most {self.most} texts"

    def read(self, table: Table, key: str) -> tuple[str, ...]:
        return tuple(table.texts(key, self.most))


@dataclass(frozen=True, slots=True)
class Number:
    """A number; None for none."""

    lowest: float
    highest: float
    whole: bool = False

    @property
    def words(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.lowest} to {self.highest}"

    def read(self, table: Table, key: str) -> float | None:
        return table.number(key, self.lowest, self.highest, whole=self.whole)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; false for none."""

    @property
    def words(self) -> str:
        return "`true` or `false`"

    def read(self, table: Table, key: str) -> bool:
        return table.flag(key)


@dataclass(frozen=True, slots=True)
class Url:
    """An http(s) URL; empty for none."""

    @property
    def words(self) -> str:
        return "a URL that begins with `http://` or `https://`"

    def read(self, table: Table, key: str) -> str:
        return table.url(key)


@dataclass(frozen=True, slots=True)
class Urls:
    """An array of http(s) URLs."""

    most: int

    @property
    def words(self) -> str:
        return f"an array of at most {self.most} URLs"

    def read(self, table: Table, key: str) -> tuple[str, ...]:
        return tuple(table.urls(key, self.most))


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """An array of fingerprints, normalised."""

    most: int

    @property
    def words(self) -> str:
        return f"an array of at most {self.most} fingerprints, as GnuPG writes them"

    def read(self, table: Table, key: str) -> tuple[str, ...]:
        return tuple(table.fingerprints(key, self.most))


@dataclass(frozen=True, slots=True)
class Readable:
    """A file that is there; None for none."""

    @property
    def words(self) -> str:
        return "a file that can be read"

    def read(self, table: Table, key: str) -> Path | None:
        return table.readable(key)


@dataclass(frozen=True, slots=True)
class Certificates:
    """A file of certificates; empty for none."""

    @property
    def words(self) -> str:
        return "a file of certificates in PEM"

    def read(self, table: Table, key: str) -> str:
        return table.ca_bundle(key)


@dataclass(frozen=True, slots=True)
class Place:
    """A path, whether anything is there or not; empty for none."""

    @property
    def words(self) -> str:
        return "a path"

    def read(self, table: Table, key: str) -> str:
        path = table.text(key, 1, 4000)
        return str(table.beside(path)) if path else ""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """The URL of an HTTP proxy; empty for none."""

    @property
    def words(self) -> str:
        return "`http://HOST:PORT`; also `https://`, `socks4://` or `socks5://`"

    def read(self, table: Table, key: str) -> str:
        return table.http_proxy(key)


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day, from and to; empty for none."""

    @property
    def words(self) -> str:
        return 'two times like `"02:00-05:00"`, also across midnight'

    def read(self, table: Table, key: str) -> str:
        window = table.text(key, 1, 11)
        found = _WINDOW.fullmatch(window)
        if window and (found is None or found[1] == found[2]):
            table.wrong(key, f"must be two times like '02:00-05:00', not '{window}'")
        return window


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"

"""Values of one table of the configuration file, checked one by one; what is wrong is collected."""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Collection, Iterator, KeysView, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagestoreproxy.config.lines import Path as KeyPath
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.fingerprints import normal_fingerprint
from imagestoreproxy.model.masking import masked
from imagestoreproxy.outside.proxies import proxy_rules
from imagestoreproxy.regular import only_regular

PROBLEMS = 20
URL_CHARS = 1000
CERTIFICATES_BYTES = 16 * 2**20


class Problems:
    """What is wrong in a file, with the line of each."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int]) -> None:
        self.file = path
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def line(self, path: KeyPath) -> int:
        """Give the line of a key, or of the nearest thing around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def add(self, path: KeyPath, reason: str) -> None:
        """Note a problem; ``reason`` is a sentence without its full stop."""
        self._found.append((self.line(path), reason))

    def raise_any(self) -> None:
        """Raise ``SettingsError`` with the first 20, if there are any."""
        found = sorted(dict.fromkeys(self._found))
        told = [f"{self.file}:{line}: {reason}." for line, reason in found[:PROBLEMS]]
        if len(found) > PROBLEMS:
            told.append(f"{self.file}: {len(found) - PROBLEMS} more problems are not shown.")
        if told:
            raise SettingsError("\n".join(told))


class Table:
    """One table; a value that is wrong is noted, and read as if it were not there."""

    def __init__(self, content: Mapping[str, Any], path: KeyPath, problems: Problems) -> None:
        self.path = path
        self._content = content
        self._problems = problems

    @property
    def given(self) -> KeysView[str]:
        """Name what it holds."""
        return self._content.keys()

    def wrong(self, key: str, reason: str) -> None:
        """Note that the value of ``key`` cannot be meant."""
        self._problems.add((*self.path, key), f"'{key}' {reason}")

    def missing(self, key: str, also: str = "") -> None:
        """Note that ``key`` must be given."""
        what = f"'{key}' {also}".strip()
        self._problems.add(self.path, f"{what} is missing in this table")

    def only(self, known: Collection[str], what: str) -> None:
        """Note each key that means nothing here."""
        for key in self._content.keys() - known:
            near = difflib.get_close_matches(key, sorted(known), 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(known))}"
            self._problems.add(
                (*self.path, key), f"There is no {what} '{masked(key)[:60]}' here ({hint})"
            )

    def table(self, key: str, known: Collection[str]) -> Table:
        """Give the table below ``key``; an empty one where there is none."""
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"must be a table: write [{key}]")
            value = {}
        below = Table(value, (*self.path, key), self._problems)
        below.only(known, "key")
        return below

    def tables(self, key: str, limit: int) -> list[Table]:
        """Give an array of tables."""
        values = self._content.get(key, [])
        if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
            self.wrong(key, f"must be an array of tables: write [[{key}]] over each")
            return []
        if len(values) > limit:
            self.wrong(key, f"stands there {len(values)} times, and may at most {limit} times")
        return [
            Table(one, (*self.path, key, number), self._problems)
            for number, one in enumerate(values[:limit])
        ]

    def required(self, key: str, longest: int) -> str:
        """Give a text that must be there."""
        if key not in self._content:
            self.missing(key)
        return self.text(key, 1, longest)

    def text(self, key: str, shortest: int, longest: int) -> str:
        """Give a text, or empty."""
        value = self._content.get(key, "")
        if key in self._content and self._is_text(key, value, shortest, longest):
            return str(value)
        return ""

    def _is_text(self, key: str, value: object, shortest: int, longest: int) -> bool:
        if not isinstance(value, str):
            self.wrong(key, f"must be a text in quotes, not {_kind(value)}")
        elif not shortest <= len(value) <= longest or not value.isprintable():
            self.wrong(key, f"must have {shortest} to {longest} printable characters")
        else:
            return True
        return False

    def texts(self, key: str, limit: int, longest: int = 100) -> list[str]:
        """Give an array of texts, or none."""
        return [text for _, text in self._elements(key, limit, longest)]

    def _elements(self, key: str, limit: int, longest: int) -> Iterator[tuple[KeyPath, str]]:
        value = self._content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.wrong(key, f"must be an array of texts like ['a', 'b'], not {_kind(value)}")
            return
        if len(value) > limit:
            self.wrong(key, f"has {len(value)} texts, and may have at most {limit}")
            return
        for number, one in enumerate(value):
            path = (*self.path, key, number)
            if not one or len(one) > longest or not one.isprintable():
                self._problems.add(
                    path, f"A text of '{key}' must have 1 to {longest} printable characters"
                )
            else:
                yield path, one

    def number(
        self, key: str, lowest: float, highest: float, *, whole: bool = False
    ) -> float | None:
        """Give a number, or None."""
        value = self._content.get(key)
        if value is None:
            return None
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            self.wrong(key, f"must be a {'whole ' if whole else ''}number, not {_kind(value)}")
            return None
        if not lowest <= value <= highest:
            self.wrong(key, f"must be from {lowest} to {highest}, not {value}")
            return None
        return value

    def flag(self, key: str) -> bool:
        """Give true or false; false where there is none."""
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, f"must be true or false, not {_kind(value)}")
        return value is True

    def url(self, key: str) -> str:
        """Give an http(s) URL, or empty."""
        url = self.text(key, 1, URL_CHARS)
        if url and not is_http_url(url):
            self.wrong(key, f"must be a URL like http://host:port/path, not '{masked(url)}'")
            return ""
        return url

    def urls(self, key: str, limit: int) -> Iterator[str]:
        """Give an array of URLs."""
        for path, url in self._elements(key, limit, URL_CHARS):
            if is_http_url(url):
                yield url
            else:
                self._problems.add(
                    path, f"'{masked(url)}' of '{key}' is no URL like http://host:port/path"
                )

    def fingerprints(self, key: str, limit: int) -> Iterator[str]:
        """Give an array of fingerprints, as GnuPG writes them."""
        if self._content.get(key) == []:
            self.wrong(key, "is empty: name a key, or leave it out")
        for path, text in self._elements(key, limit, 100):
            try:
                yield normal_fingerprint(text)
            except SettingsError as error:
                self._problems.add(path, f"'{key}': {error.message.rstrip('.')}")

    def beside(self, name: str) -> Path:
        """Give a path; a relative one begins where the configuration file lies."""
        return (self._problems.file.parent / Path(name).expanduser()).absolute()

    def readable(self, key: str) -> Path | None:
        """Give the path of a file that is there and can be read, or None."""
        name = self.text(key, 1, 4000)
        if not name:
            return None
        path = self.beside(name)
        # Where an address was put by mistake, it may hold a password.
        shown = masked(name) if "://" in name else str(path)
        try:
            with open(path, "rb", opener=only_regular) as file:
                if file.read(1):
                    return path
            self.wrong(key, f"names {shown}, which is empty")
        except OSError as error:
            self.wrong(key, f"names {shown}, which cannot be read: {error.strerror}")
        return None

    def ca_bundle(self, key: str) -> str:
        """Give the path of a file of certificates in PEM, or empty."""
        path = self.readable(key)
        if path is None:
            return ""
        try:
            if path.stat().st_size > CERTIFICATES_BYTES:
                raise ssl.SSLError
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (ssl.SSLError, OSError):
            self.wrong(key, f"names {path}, which holds no certificates in PEM")
            return ""
        return str(path)

    def http_proxy(self, key: str) -> str:
        """Give the URL of an HTTP proxy, or empty."""
        url = self.text(key, 1, URL_CHARS)
        try:
            proxy_rules({}, url)
        except SettingsError as error:
            self.wrong(key, f"cannot be used: {error.message.rstrip('.')}")
            return ""
        return url


def is_http_url(url: str) -> bool:
    """Tell whether this is an absolute http(s) URL of ASCII characters without spaces."""
    try:
        parts = urlsplit(url)
        is_right = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is none
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    return is_right and parts.scheme in ("http", "https") and is_plain


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "an array" if isinstance(value, list) else "something else")

"""The configuration file: TOML, taken or refused as a whole, each problem with its line."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagestoreproxy.config import keys
from imagestoreproxy.config.keys import Section, Values
from imagestoreproxy.config.lines import key_lines
from imagestoreproxy.config.tables import Problems, Table
from imagestoreproxy.keys import UBUNTU
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.regular import read_regular
from imagestoreproxy.sources.simplestreams.uris import mirror_root

DEFAULT_CONFIG = Path("/etc/image-store-proxy/config.toml")
LIMIT_BYTES = 2**20
MB = 10**6
MINUTE_S = 60.0
DAY_S = 86400.0
RELEASES_URL = "https://cloud-images.ubuntu.com/releases/"
UBUNTU_FINGERPRINTS = (
    "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81",
    "4A3CE3CD565D7EB5C810E2B97FF3F408476CF100",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source; equal settings make the same source.

    Args:
        kind: ``store``, ``simplestreams`` or ``carried``.
        url: empty where ``path`` is given.
        keyring: whose keys may sign; None: nothing is signed.
        fingerprints: those of its keys that are believed; empty: all.
        releases, architectures, streams: what is wanted; empty: everything.
        http_proxy, ca_bundle: empty: the environment's, the system's.
        stale_after_s: after how long without news one is told; 0: never.
    """

    name: str
    kind: str
    url: str = field(default="", repr=False)
    path: str = ""
    title: str = ""
    mirrors: tuple[str, ...] = field(default=(), repr=False)
    keyring: Path | None = None
    fingerprints: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    refresh_s: float = 10 * MINUTE_S
    http_proxy: str = field(default="", repr=False)
    ca_bundle: str = ""
    stale_after_s: float = keys.STALE_AFTER_DAYS * DAY_S

    @property
    def place(self) -> str:
        """Give URL or path, fit to be shown."""
        return masked(self.url) if self.url else self.path


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for sources that say nothing of it.

    Args:
        keyring: of stores.
    """

    keyring: Path
    http_proxy: str = field(default="", repr=False)
    ca_bundle: str = ""


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a file says.

    Args:
        limit_bytes_per_s, connections: None where it says nothing of it.
        window: when images may be brought up to date, ``02:00-05:00`` of local time; or empty.
    """

    sources: tuple[SourceSettings, ...] = ()
    limit_bytes_per_s: int | None = None
    connections: int | None = None
    window: str = ""


def ubuntu(defaults: Defaults) -> SourceSettings:
    """Give the source of a proxy that was told of none: Ubuntu's released images."""
    return SourceSettings(
        name="ubuntu",
        kind="simplestreams",
        url=RELEASES_URL,
        title="Ubuntu",
        keyring=UBUNTU,
        fingerprints=UBUNTU_FINGERPRINTS,
        refresh_s=_refresh_s("simplestreams"),
        http_proxy=defaults.http_proxy,
        ca_bundle=defaults.ca_bundle,
    )


def read_config(path: Path, defaults: Defaults, *, must_exist: bool) -> FileSettings:
    """Read a configuration file.

    Raises:
        SettingsError: it cannot be read, or something in it cannot be meant: at most 20 lines
            ``FILE:LINE: reason.``
    """
    try:
        content = read_regular(path, LIMIT_BYTES)
    except FileNotFoundError:
        if not must_exist:
            return FileSettings()
        raise SettingsError(f"The configuration file {path} does not exist.") from None
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} cannot be read: {error.strerror}."
        ) from error
    return _Reading(path, defaults).read(content)


class _Reading:
    def __init__(self, path: Path, defaults: Defaults) -> None:
        self._path = path
        self._defaults = defaults

    def read(self, content: bytes) -> FileSettings:
        text, parsed = self._parsed(content)
        problems = Problems(self._path, key_lines(text.replace("\r\n", "\n")))
        whole = Table(parsed, (), problems)
        whole.only([section.name for section in keys.SECTIONS], "table")
        sources = self._sources(whole, problems)
        limit = _only(whole, keys.BANDWIDTH).get(keys.LIMIT)
        connections = _only(whole, keys.DOWNLOADS).get(keys.CONNECTIONS_EACH)
        window = _only(whole, keys.UPDATES).get(keys.WINDOW)
        problems.raise_any()
        return FileSettings(
            sources,
            None if limit is None else round(limit * MB),
            None if connections is None else int(connections),
            window,
        )

    def _parsed(self, content: bytes) -> tuple[str, dict[str, Any]]:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SettingsError(f"{self._path}:{line}: The text is not UTF-8.") from None
        try:
            return text, tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            said = str(error)
            found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
            line = int(found[1]) if found and found[1] else text.rstrip().count("\n") + 1
            reason = said[: found.start()] if found else said
            raise SettingsError(f"{self._path}:{line}: This is no TOML: {reason}.") from None
        except RecursionError:
            raise SettingsError(f"{self._path}:1: Values are nested too deeply.") from None

    def _sources(self, whole: Table, problems: Problems) -> tuple[SourceSettings, ...]:
        found = []
        names: dict[str, int] = {}
        places: dict[str, int] = {}
        for table in whole.tables(keys.SOURCE.name, keys.SOURCE.most):
            settings = self._source(Values(table))
            found.append(settings)
            for key, value, known in (
                ("name", settings.name, names),
                ("url" if settings.url else "path", _place(settings), places),
            ):
                if value and value in known:
                    table.wrong(key, f"is the same as that of the source in line {known[value]}")
                elif value:
                    known[value] = problems.line((*table.path, key))
        return tuple(found)

    def _source(self, values: Values) -> SourceSettings:
        table = values.table
        name = values.get(keys.NAME)
        if name == keys.CARRIED:
            table.wrong("name", "must be another one: so is called what was carried here")
        kind = values.get(keys.TYPE)
        table.only(keys.SOURCE.names, "key")
        if kind in keys.KINDS:
            for key in sorted(table.given & keys.SOURCE.names - keys.SOURCE.names_for(kind)):
                table.wrong(key, f"is not for a source of type {kind}")
        days = values.get(keys.STALE_AFTER)
        minutes = values.get(keys.REFRESH)
        return SourceSettings(
            name=name,
            kind=kind,
            **_where(values, kind),
            title=values.get(keys.TITLE),
            mirrors=_mirrors(values),
            keyring=self._keyring(values, kind),
            fingerprints=_fingerprints(values, kind),
            releases=values.get(keys.RELEASES),
            architectures=values.get(keys.ARCHITECTURES),
            streams=values.get(keys.STREAMS),
            refresh_s=_refresh_s(kind) if minutes is None else minutes * MINUTE_S,
            http_proxy=values.get(keys.HTTP_PROXY) or self._defaults.http_proxy,
            ca_bundle=values.get(keys.CA_BUNDLE) or self._defaults.ca_bundle,
            stale_after_s=(keys.STALE_AFTER_DAYS if days is None else days) * DAY_S,
        )

    def _keyring(self, values: Values, kind: str) -> Path | None:
        given = values.get(keys.KEYRING)
        if values.get(keys.UNSIGNED):
            for key in ("keyring", "fingerprints"):
                if key in values.table.given:
                    values.table.wrong(key, "and 'unsigned' exclude each other: give one")
            return None
        return given or (self._defaults.keyring if kind == "store" else UBUNTU)


def _only(whole: Table, section: Section) -> Values:
    return Values(whole.table(section.name, section.names))


def _refresh_s(kind: str) -> float:
    return keys.REFRESH_MINUTES.get(kind, 1) * MINUTE_S


def _where(values: Values, kind: str) -> dict[str, str]:
    table = values.table
    if kind == "carried":
        if {"url", "path"} <= table.given:
            table.wrong("path", "and 'url' exclude each other: give one")
        elif not {"url", "path"} & table.given:
            table.missing("path", "or 'url'")
        return {"url": values.get(keys.URL), "path": values.get(keys.PATH)}
    if "url" not in table.given:
        table.missing("url")
    url = values.get(keys.URL)
    if url and kind == "simplestreams":
        try:
            mirror_root(url)
        except SettingsError as error:
            table.wrong("url", f"cannot be used: {error.message.rstrip('.')}")
    return {"url": url.rstrip("/") if kind == "store" else url}


def _mirrors(values: Values) -> tuple[str, ...]:
    found = values.get(keys.MIRRORS)
    for url in found:
        if set(url) & set("?#"):  # paths are put behind it
            values.table.wrong(
                "mirrors", f"has '{masked(url)}', but no query or fragment may follow"
            )
    return found


def _fingerprints(values: Values, kind: str) -> tuple[str, ...]:
    given = values.get(keys.FINGERPRINTS)
    is_ubuntus = kind != "store" and "keyring" not in values.table.given
    if given or not is_ubuntus or values.get(keys.UNSIGNED):
        return given
    return UBUNTU_FINGERPRINTS


def _place(settings: SourceSettings) -> str:
    """Give what two sources of one place have in common: images are named after it."""
    place = settings.url or settings.path
    if settings.kind == "simplestreams":
        with suppress(SettingsError):  # which is noted already
            place = mirror_root(place)[0]
    scheme, mark, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{mark}{host.lower()}{slash}{path}".rstrip("/") if mark else place

"""What ``--check`` and ``/readyz`` look at: each part is asked whether it can do its work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.current import CurrentCloud
from imagestoreproxy.config.file import SourceSettings
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.install.preflight import Look, Preflight
from imagestoreproxy.model.carrying import INDEX as SHARED_INDEX
from imagestoreproxy.model.carrying import INDEX_LIMIT_BYTES
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.masking import masked
from imagestoreproxy.outside.castore import ca_store
from imagestoreproxy.outside.disk import DataDirectory
from imagestoreproxy.outside.process import ENVIRONMENT
from imagestoreproxy.ports import Background, Clock, Cloud, Fetched
from imagestoreproxy.sources.catalogue import CARRIED
from imagestoreproxy.sources.simplestreams.uris import mirror_root
from imagestoreproxy.sources.storeapi import DASHBOARD, as_store, read_listing
from imagestoreproxy.storage.schema import STEPS
from imagestoreproxy.upstreams import Access

GIB = 2**30
LEAST_FREE_BYTES = GIB
INDEX_BYTES = 64 * 2**20
CLOCK_NOTE_S = 5.0
# A store's documents and a cloud's signatures are refused beyond some minutes.
CLOCK_PROBLEM_S = 120.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at. The callables make a part, or give the daemon's own; both may raise.

    Args:
        settings: as they are now.
        accesses: gives what sources are asked with.
        credentials: tells of those of the cloud.
        known: gives them; None when there are none, or no cloud.
    """

    settings: Callable[[], Settings]
    background: Background
    clock: Clock
    accesses: Callable[[Sequence[SourceSettings]], Sequence[Access]]
    credentials: Callable[[], Awaitable[list[Finding]]]
    known: Callable[[], Credentials | None]
    cloud: Callable[[], Cloud]


def make_preflight(parts: Parts) -> Preflight:
    """Name the checks, in the order in which they are shown."""
    return Preflight(lambda: _looks(parts), background=parts.background, clock=parts.clock)


def _looks(parts: Parts) -> list[Look]:
    checks = _Checks(parts)
    sources = parts.settings().sources

    def each(what: str, check: Callable[[SourceSettings], Awaitable[list[Finding]]]) -> list[Look]:
        return [
            Look(what, partial(check, source), source.name if len(sources) > 1 else "")
            for source in sources
        ]

    return [
        Look("data directory", checks.data_directory),
        Look("database", checks.database),
        *each("gpg and keyring", checks.keyring),
        *each("HTTP proxy", checks.http_proxy),
        Look("CA store", checks.ca_store),
        *each("image store", checks.source),
        Look("credentials", checks.credentials),
        Look("cloud", checks.cloud),
        Look("qemu-img", checks.qemu_img),
    ]


class _Checks:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings()

    def _access(self, source: SourceSettings) -> Access:
        accesses = {access.settings: access for access in self._parts.accesses([source])}
        return accesses[source]

    async def data_directory(self) -> list[Finding]:
        path = self._settings.data_dir
        return await self._parts.background.run(lambda stop: [_data_directory(path)])

    async def database(self) -> list[Finding]:
        path = self._settings.data_dir.absolute() / "state.db"
        return await self._parts.background.run(lambda stop: [_database(path)])

    async def keyring(self, source: SourceSettings) -> list[Finding]:
        verifier = self._access(source).verifier
        if verifier is None:
            note = "nothing is signed here, and nobody vouches for its images"
            return [Finding("gpg and keyring", note=note)]
        found = await verifier.fingerprints()
        keys = f"{len(found)} key{'s' if len(found) > 1 else ''}"
        note = f"{keys} in {source.keyring}: {', '.join(found[:20])}"
        return [Finding("gpg and keyring", note=note)]

    async def http_proxy(self, source: SourceSettings) -> list[Finding]:
        proxy = self._access(source).fetcher.proxy_for(source.url)
        note = proxy or "none, the image store is asked directly"
        return [Finding("HTTP proxy", note=note)]

    async def ca_store(self) -> list[Finding]:
        configured = self._settings.ca_bundle
        return await self._parts.background.run(lambda stop: [_ca_store(configured)])

    async def source(self, source: SourceSettings) -> list[Finding]:
        """Ask a source; a directory has only to be there."""
        if not source.url:
            is_there = await self._parts.background.run(lambda stop: Path(source.path).is_dir())
            problem = "" if is_there else f"{source.path} is not a directory that can be read."
            return [Finding("image store", problem, note=f"{source.path} is there")]
        if source.kind == "store":
            fetched = await self._get(source, f"{source.url}/dashboard", DASHBOARD.size_bytes)
            listing = await as_store(
                self._parts.background.run(lambda stop: read_listing(fetched.body)), fetched.url
            )
            what = f"with {len(listing.images)} images"
        else:
            fetched = await self._index(source)
            what = f"with {len(fetched.body)} bytes"
        now_s = self._parts.clock.now_s()
        note = f"{masked(fetched.url)} answers, {what}"
        clock = compare_clocks(fetched.headers, now_s, "the image store")
        return [Finding("image store", note=note), *clock]

    async def _index(self, source: SourceSettings) -> Fetched:
        """Get the first file of a mirror; where it is signed beside it, it has another name."""
        if source.kind == CARRIED:
            shared = f"{source.url.rstrip('/')}/{SHARED_INDEX}"
            return await self._get(source, shared, INDEX_LIMIT_BYTES)
        root, path = mirror_root(source.url)
        beside = root + path.removesuffix(".sjson") + ".json"
        if not path.endswith(".sjson"):
            return await self._get(source, root + path, INDEX_BYTES)
        if source.keyring is None:
            return await self._get(source, beside, INDEX_BYTES)
        try:
            return await self._get(source, root + path, INDEX_BYTES)
        except FetchError as error:
            if error.status != 404:
                raise
        return await self._get(source, beside, INDEX_BYTES)

    async def _get(self, source: SourceSettings, url: str, limit_bytes: int) -> Fetched:
        fetcher = self._access(source).fetcher
        return await fetcher.get(url, limit_bytes=limit_bytes, allow_local=True)

    async def credentials(self) -> list[Finding]:
        return await self._parts.credentials()

    async def cloud(self) -> list[Finding]:
        cloud = self._parts.cloud()
        if self._settings.cloud == "fake":
            return [Finding("cloud", note="none: --fake-eucalyptus registers nothing for real")]
        if isinstance(cloud, CurrentCloud):
            await cloud.choose()
        await self._parts.credentials()
        if (found := self._parts.known()) is None:
            return [Finding("cloud", "It was not asked: there are no credentials for it.")]
        await cloud.check()
        taken = f"EC2 at {masked(found.ec2_url)} and S3 at {masked(found.s3_url)} take our keys"
        tried = f"{taken}; an object was stored, read and deleted"
        warnings: Sequence[str] = ()
        if isinstance(cloud, CurrentCloud):
            warnings = cloud.warnings
            if cloud.tools:
                tried += f"; {cloud.tools} bundle, upload and register"
            if cloud.signed:
                tried += f"; {cloud.signed}"
        return [Finding("cloud", note=" ".join([tried, *(f"({one})" for one in warnings)]))]

    async def qemu_img(self) -> list[Finding]:
        found = shutil.which("qemu-img", path=ENVIRONMENT["PATH"])
        missing = "not installed; only images in qcow2 need it (package qemu-utils)"
        return [Finding("qemu-img", note=found or missing)]


def compare_clocks(headers: Mapping[str, str], now_s: float, whose: str) -> list[Finding]:
    """Compare our clock with that of a server, by ``Date`` (and ``Age``, where it was cached).

    Gives nothing where the server does not tell the time.
    """
    try:
        date = parsedate_to_datetime(headers["date"])
        theirs_s = date.replace(tzinfo=date.tzinfo or UTC).timestamp()
        theirs_s += float(headers.get("age") or 0)
    except (KeyError, ValueError, TypeError, OverflowError):
        return []
    ahead_s = now_s - theirs_s
    if abs(ahead_s) <= CLOCK_NOTE_S:
        return [Finding("clock", note=f"the same as that of {whose}")]
    how = "ahead of" if ahead_s > 0 else "behind"
    text = f"this machine's clock is {abs(ahead_s):.0f} seconds {how} that of {whose}"
    if abs(ahead_s) <= CLOCK_PROBLEM_S:
        return [Finding("clock", note=text)]
    return [Finding("clock", f"T{text[1:]}; set both by NTP.")]


def _data_directory(path: Path) -> Finding:
    what = "data directory"
    if not path.exists():
        return Finding(what, note=f"{path} is not there yet; the daemon makes it when it starts")
    free_bytes = DataDirectory(path).free_bytes()
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return Finding(
            what, f"{path} cannot be written ({error.strerror}): check its disk and its owner."
        )
    free = f"{free_bytes / GIB:.1f} GiB are free in {path}"
    if free_bytes < LEAST_FREE_BYTES:
        return Finding(
            what,
            f"Only {free}: an install needs as much as its download has; make room, or give "
            "--data-dir a larger disk.",
        )
    return Finding(what, note=free)


def _database(path: Path) -> Finding:
    """Look at the database without changing it, whoever else has it open."""
    what = "database"
    if not path.exists():
        return Finding(what, note=f"{path} is not there yet; the daemon makes it when it starts")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as opened:
            version = opened.execute("PRAGMA user_version").fetchone()[0]
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return Finding(
            what,
            f"{path} cannot be read ({error}): check its owner and its disk; the daemon, when it "
            "starts, sets a damaged one aside.",
        )
    if version > len(STEPS):
        return Finding(
            what,
            f"{path} is from a newer version of this program (schema {version}, this one knows "
            f"{len(STEPS)}): start that one, or give another --data-dir.",
        )
    if said != "ok":
        return Finding(
            what,
            f"{path} is damaged ({str(said)[:200]}): restart the daemon, which sets it aside and "
            "goes on with its last good copy.",
        )
    return Finding(what, note=f"{path} is sound")


def _ca_store(configured: str) -> Finding:
    path = ca_store(configured)
    if path is None:
        return Finding(
            "CA store",
            "No certificate authorities were found: install the package ca-certificates, or give "
            "--ca-bundle a file of them.",
        )
    if path.is_dir():
        count = sum(1 for name in os.listdir(path))  # noqa: PTH208 - only how many
        return Finding("CA store", note=f"{path}, {count} files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return Finding(
            "CA store", f"{path} holds no certificates in PEM: give --ca-bundle a file that does."
        )
    return Finding("CA store", note=f"{path}, {len(context.get_ca_certs())} authorities")

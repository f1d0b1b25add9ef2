"""Sources as they are configured, each with the keys, HTTP proxy and certificates of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagestoreproxy.carriage import Carriage
from imagestoreproxy.config.file import Defaults, SourceSettings, ubuntu
from imagestoreproxy.model.carrying import SIMPLESTREAMS, STORE
from imagestoreproxy.model.errors import OwnStateError, SettingsError
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.gpg import GpgVerifier
from imagestoreproxy.ports import Background, Clock, Records, Verifier
from imagestoreproxy.sources.catalogue import CARRIED, Catalogue
from imagestoreproxy.sources.simplestreams.messages import LIMIT_BYTES as CATALOGUE_BYTES
from imagestoreproxy.sources.simplestreams.source import SimpleStreams
from imagestoreproxy.sources.simplestreams.wanted import Wanted
from imagestoreproxy.sources.source import Source
from imagestoreproxy.sources.storeapi import StoreApi


@dataclass(frozen=True, slots=True)
class Access:
    """What a source is asked with.

    Args:
        verifier: None where nothing is signed.
    """

    settings: SourceSettings
    fetcher: CurlFetcher
    verifier: GpgVerifier | None


class Accesses:
    """Makes what sources are asked with; equal settings give the same objects.

    Args:
        fetcher: whose transfer thread all others share.
        homes: a directory for GnuPG's files, one below it for each source and its keys.
    """

    def __init__(self, fetcher: CurlFetcher, background: Background, homes: Path) -> None:
        self._fetcher = fetcher
        self._background = background
        self._homes = homes
        self._fetchers: dict[tuple[str, str], CurlFetcher] = {}
        self._verifiers: dict[tuple[object, ...], GpgVerifier] = {}

    def access(self, settings: SourceSettings) -> Access:
        """Give what a source is asked with.

        Raises:
            SettingsError: the HTTP proxy or the CA bundle cannot be used.
        """
        return Access(settings, self._fetcher_for(settings), self._verifier_for(settings))

    def for_carried(self, keyring: Path) -> dict[str, Verifier]:
        """Give who verifies images of sources that are not configured, by kind of source.

        Args:
            keyring: of stores; catalogues are expected to be Ubuntu's.
        """
        settings = (
            SourceSettings(name=CARRIED, kind=STORE, keyring=keyring),
            replace(ubuntu(Defaults(keyring)), name=CARRIED),
        )
        verifiers = {one.kind: self._verifier_for(one) for one in settings}
        return {kind: verifier for kind, verifier in verifiers.items() if verifier}

    def name_of(self, fingerprint: str) -> str:
        """Give the name in a key of any of the keyrings; see ``shop.Signers``."""
        names = (verifier.name_of(fingerprint) for verifier in self._verifiers.values())
        return next(filter(None, names), "")

    def _fetcher_for(self, settings: SourceSettings) -> CurlFetcher:
        key = (settings.http_proxy, settings.ca_bundle)
        if key not in self._fetchers:
            self._fetchers[key] = self._fetcher.sibling(
                http_proxy=settings.http_proxy, ca_bundle=settings.ca_bundle
            )
        return self._fetchers[key]

    def _verifier_for(self, settings: SourceSettings) -> GpgVerifier | None:
        if settings.keyring is None:
            return None
        # Its keys are a part of the name: after a change an install that still runs goes on with
        # those that it began with.
        key = (settings.name, str(settings.keyring), *settings.fingerprints)
        if key not in self._verifiers:
            name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
            self._verifiers[key] = GpgVerifier(
                self._background,
                settings.keyring,
                self._homes / name,
                fingerprints=settings.fingerprints,
                limit_bytes=CATALOGUE_BYTES,
            )
        return self._verifiers[key]


class Upstreams:
    """Makes sources; equal settings give the same object as before.

    Args:
        taking: tells what the cloud can run.
    """

    def __init__(
        self,
        accesses: Accesses,
        carriage: Carriage,
        *,
        records: Records,
        background: Background,
        clock: Clock,
        taking: Callable[[], Taking],
    ) -> None:
        self._accesses = accesses
        self._carriage = carriage
        self._records = records
        self._background = background
        self._clock = clock
        self._taking = taking
        self._made: dict[SourceSettings, Source] = {}

    def accesses(self, wanted: Iterable[SourceSettings]) -> list[Access]:
        """Give what each source is asked with; raises ``SettingsError``."""
        return [self._accesses.access(settings) for settings in wanted]

    async def sources(self, wanted: Sequence[SourceSettings]) -> list[Source]:
        """Give a source for each of the settings; forget those that are not wanted any more.

        Raises:
            SettingsError: one of them cannot be made; then none is forgotten.
            OwnStateError: a keyring cannot be used.
        """
        made, problems = {}, []
        for access in self.accesses(wanted):
            settings = access.settings
            try:
                if access.verifier and settings not in self._made:
                    await access.verifier.fingerprints()
                made[settings] = self._made.get(settings) or self._make(access)
            except (OwnStateError, SettingsError) as error:
                problems.append(f"The source '{settings.name}' cannot be used: {error.message}")
        if problems:
            raise OwnStateError("\n".join(problems))
        self._made = made
        return list(made.values())

    def _make(self, access: Access) -> Source:
        settings = access.settings
        if settings.kind == "store" and access.verifier:
            return StoreApi(
                settings.name,
                settings.url,
                fetcher=access.fetcher,
                verifier=access.verifier,
                records=self._records,
                background=self._background,
                clock=self._clock,
                title=settings.title,
                interval_s=settings.refresh_s,
            )
        if settings.kind == "simplestreams":
            return SimpleStreams(
                settings.name,
                settings.url,
                fetcher=access.fetcher,
                verifier=access.verifier,
                records=self._records,
                background=self._background,
                clock=self._clock,
                mirrors=settings.mirrors,
                title=settings.title,
                interval_s=settings.refresh_s,
                taking=self._taking(),
                wanted=Wanted(
                    frozenset(settings.releases),
                    frozenset(settings.architectures),
                    frozenset(settings.streams),
                ),
                stale_after_s=settings.stale_after_s,
            )
        if settings.kind == CARRIED and access.verifier:
            verifiers = dict.fromkeys((STORE, SIMPLESTREAMS), access.verifier)
            if settings.path:
                return self._carriage.directory(
                    settings.name, Path(settings.path), verifiers, title=settings.title
                )
            return self._carriage.sibling(
                settings.name,
                settings.url,
                verifiers,
                fetcher=access.fetcher,
                title=settings.title,
                interval_s=settings.refresh_s,
            )
        raise SettingsError(f"Sources of type {settings.kind} are not known to this version.")


class Supply:
    """``shop.Supply``: what comes in, and how fast."""

    def __init__(self, sources: Catalogue, fetcher: CurlFetcher) -> None:
        self._sources = sources
        self._fetcher = fetcher

    def statuses(self) -> Sequence[SourceStatus]:
        return self._sources.statuses()

    def refresh(self) -> Awaitable[None]:
        return self._sources.refresh()

    @property
    def limit_bytes_per_s(self) -> int:
        return self._fetcher.limit_bytes_per_s

    @limit_bytes_per_s.setter
    def limit_bytes_per_s(self, limit: int) -> None:
        self._fetcher.limit_bytes_per_s = limit

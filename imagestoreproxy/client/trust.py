"""Whose signatures an import believes: those that the daemon on the same machine would."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path
from typing import Any, TypeVar, cast

from imagestoreproxy.config.file import Defaults, SourceSettings, ubuntu
from imagestoreproxy.model.carrying import DOCUMENT_LIMIT_BYTES, STORE, CarriedImage
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import Architecture, ImageDocument, Virtualization
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.outside.gpg import GpgVerifier
from imagestoreproxy.ports import Fetcher, Records, Stop, Task, Verifier
from imagestoreproxy.sources.catalogue import CARRIED
from imagestoreproxy.sources.simplestreams import uris
from imagestoreproxy.sources.simplestreams.reference import Reference
from imagestoreproxy.sources.simplestreams.source import SimpleStreams
from imagestoreproxy.sources.storereader import StoreReader

T = TypeVar("T")


class Trust:
    """Verifies carried documents without a reactor: whatever has to be waited for is done at once.

    Args:
        sources: that are configured; those of the images they own, their keys are asked.
        keyring: for images of stores that are not configured.
        homes: a directory for GnuPG's files.
    """

    def __init__(self, sources: Sequence[SourceSettings], keyring: Path, homes: Path) -> None:
        self._sources = sources
        self._keyring = keyring
        self._homes = homes
        self._verifiers: dict[str, Verifier] = {}

    async def verify(self, image: CarriedImage, messages: Mapping[str, bytes]) -> ImageDocument:
        """Verify what is signed about an image; see ``arrival.Verify``.

        Raises:
            DocumentError: it is not to be believed.
            OwnStateError: the keyring or GnuPG cannot be used.
        """
        settings = self._settings(image)
        if settings.keyring is None:
            raise DocumentError(
                f"the source '{settings.name}' of {image.uri} is configured as unsigned, so nobody"
                " can verify it."
            )
        verifier = self._verifier(settings, settings.keyring)
        signed_text = image.signed_text(messages)
        if image.kind == STORE:
            return await StoreReader(verifier, Inline(), _Clock())(image.uri, signed_text)
        return await _from_catalogue(image, signed_text, verifier, messages)

    def _settings(self, image: CarriedImage) -> SourceSettings:
        for one in self._sources:
            if one.kind == image.kind and _owns(one, image.uri):
                return one
        if image.kind == STORE:
            return SourceSettings(name=CARRIED, kind=STORE, keyring=self._keyring)
        return ubuntu(Defaults(self._keyring))

    def _verifier(self, settings: SourceSettings, keyring: Path) -> Verifier:
        key = "\0".join([str(keyring), *settings.fingerprints])
        if key not in self._verifiers:
            name = hashlib.sha256(key.encode()).hexdigest()[:16]
            self._verifiers[key] = GpgVerifier(
                Inline(),
                keyring,
                self._homes / name,
                fingerprints=settings.fingerprints,
                limit_bytes=DOCUMENT_LIMIT_BYTES,
            )
        return self._verifiers[key]


def _owns(settings: SourceSettings, image_uri: str) -> bool:
    if settings.kind == STORE:
        return image_uri.startswith(settings.url + "/")
    root, _ = uris.mirror_root(settings.url)
    return uris.split_uri(root, image_uri) is not None


async def _from_catalogue(
    image: CarriedImage, signed_text: bytes, verifier: Verifier, messages: Mapping[str, bytes]
) -> ImageDocument:
    """Find the image in its catalogue, for the kind of cloud that its files were chosen for."""
    digests = {file.digest for file in image.files}
    problem = DocumentError(f"its files are not those that are signed for {image.uri}.")
    for taking in _takings():
        source = SimpleStreams(
            CARRIED,
            Reference.read(signed_text).root,
            fetcher=cast(Fetcher, None),
            verifier=verifier,
            records=cast(Records, _Evidence(messages)),
            background=Inline(),
            clock=_Clock(),
            taking=taking,
        )
        try:
            document = await source.reread(image.uri, signed_text)
        except DocumentError as error:
            problem = error
            continue
        if digests == {file.digest for file in document.files}:
            return document
    raise problem


def _takings() -> Iterable[Taking]:
    kinds = [frozenset(Virtualization), *(frozenset({one}) for one in Virtualization)]
    for virtualizations, needs_ramdisk in product(kinds, (False, True)):
        yield Taking(virtualizations, frozenset(Architecture), needs_ramdisk)


class _Clock:
    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        raise AssertionError("nothing is waited for")


class _Evidence:
    """The part of ``Records`` that reading a catalogue needs."""

    def __init__(self, messages: Mapping[str, bytes]) -> None:
        self._messages = messages

    async def evidence(self, sha256: str) -> bytes | None:
        return self._messages.get(sha256)


class _GoOn:
    def check(self) -> None:
        """Never stop: Ctrl-C does that."""

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class Inline:
    """``ports.Background`` that does everything at once."""

    async def run(self, work: Callable[[Stop], T]) -> T:
        """Do it."""
        return work(_GoOn())

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Refuse: nothing goes on beside."""
        raise NotImplementedError(name)

    def ahead(
        self, items: Callable[[Stop], Iterable[T]], stop: Stop
    ) -> AbstractContextManager[Any]:
        """Refuse: nothing goes on beside."""
        raise NotImplementedError

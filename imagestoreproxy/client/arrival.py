"""An archive that was carried here: read within strict bounds, verified, and taken in as a whole.

Nothing in the data directory changes before the last byte of it is known to be right.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.install.archive import members
from imagestoreproxy.model.carrying import (
    DOCUMENT_LIMIT_BYTES,
    DOCUMENTS,
    FILES,
    IMAGES,
    INDEX,
    INDEX_LIMIT_BYTES,
    CarriedImage,
    index_text,
    read_index,
)
from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.errors import DiskError, DocumentError, StoreProxyError, UnpackError
from imagestoreproxy.model.images import ImageDocument
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.disk import DataDirectory, plain_words
from imagestoreproxy.sources.catalogue import CARRIED

CHUNK_BYTES = 2**20
INCOMING = "carried.incoming"
SPARE_BYTES = 64 * 2**20
# All that an archive may have of them; they are in memory until all of it is verified.
DOCUMENTS_BYTES = 256 * 2**20

Verify = Callable[[CarriedImage, Mapping[str, bytes]], Awaitable[ImageDocument]]
"""Verifies what is signed about an image, as the daemon would; takes its messages by SHA-256."""


@dataclass(slots=True)
class _Came:
    """What an archive holds.

    Args:
        files: those that are new here, by digest.
    """

    images: tuple[CarriedImage, ...] = ()
    messages: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


def take_in(archive: BinaryIO, data_dir: Path, verify: Verify) -> list[tuple[CarriedImage, str]]:
    """Take an archive into a data directory; the daemon there need not run, and may.

    Returns:
        each image as it is signed, and the fingerprint of the key that signed it.

    Raises:
        ClientError: it is refused, and nothing was changed.
    """
    try:
        data = DataDirectory(data_dir)
        with _turn(data_dir):
            depot = DepotDirectory(data_dir / CARRIED)
            incoming = data_dir / INCOMING
            with plain_words(incoming):
                # What an import left that was killed.
                shutil.rmtree(incoming, ignore_errors=True)
                incoming.mkdir(mode=0o700)
            try:
                came = _Reading(archive, incoming, depot, data.free_bytes()).read()
                verified = [
                    finished(_verified(image, came.messages, verify)) for image in came.images
                ]
                _put(depot, came, [image for image, _ in verified])
                return verified
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
    except StoreProxyError as error:
        raise ClientError(f"The archive is refused, and nothing was changed: {error}") from error
    except OSError as error:
        raise ClientError(
            f"The archive cannot be read, and nothing was changed: {error.strerror or error}."
        ) from error


@contextmanager
def _turn(data_dir: Path) -> Iterator[None]:
    """Let one import go on at a time."""
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(directory)
        raise ClientError(f"Another import into {data_dir} is going on; try again later.") from None
    try:
        yield
    finally:
        os.close(directory)


class _Reading:
    """One archive, in the order in which it was written: list, documents, files."""

    def __init__(
        self, archive: BinaryIO, incoming: Path, depot: DepotDirectory, free_bytes: int
    ) -> None:
        self._archive = archive
        self._incoming = incoming
        self._depot = depot
        self._free_bytes = free_bytes
        self._came = _Came()
        self._sizes: dict[str, int] = {}
        self._here: dict[str, bool] = {}
        self._documents_bytes = 0

    def read(self) -> _Came:
        """Read all of it.

        Raises:
            UnpackError, DocumentError, DiskError: it is refused.
        """
        for name, size_bytes, pieces in members(self._chunks()):
            if not self._came.images:
                self._list(name, size_bytes, pieces)
                continue
            folder, _, rest = name.partition("/")
            if name in self._came.seen:
                raise UnpackError(f"The archive has '{_shown(name)}' twice.")
            self._came.seen.add(name)
            if folder == DOCUMENTS and rest in self._came.messages:
                self._document(rest, size_bytes, pieces)
            elif folder == FILES and rest in self._sizes:
                self._file(rest, size_bytes, pieces)
            else:
                raise UnpackError(f"The archive has '{_shown(name)}', which its list does not.")
        missing = [
            name
            for name in (
                *(f"{DOCUMENTS}/{sha256}" for sha256 in self._came.messages),
                *(f"{FILES}/{digest}" for digest in self._sizes),
            )
            if name not in self._came.seen
        ]
        if missing or not self._came.images:
            what = f"{_shown(missing[0])}" if missing else INDEX
            raise UnpackError(f"The archive ends without '{what}'.")
        return self._came

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._archive.read(CHUNK_BYTES):
            yield chunk

    def _list(self, name: str, size_bytes: int, pieces: Iterator[bytes]) -> None:
        if name != INDEX or size_bytes > INDEX_LIMIT_BYTES:
            raise UnpackError(
                f"It does not begin with '{INDEX}', so it is no archive of image-store export."
            )
        images = read_index(b"".join(pieces))
        if not images:
            raise DocumentError("it holds no image.")
        for image in images:
            for file in image.files:
                if self._sizes.setdefault(file.digest, file.size_bytes) != file.size_bytes:
                    raise DocumentError(f"{INDEX} gives a file two sizes.")
        self._came.images = images
        self._came.messages = dict.fromkeys(
            (sha256 for image in images for sha256 in image.documents), b""
        )
        needed_bytes = SPARE_BYTES + sum(
            size for digest, size in self._sizes.items() if not self._is_here(digest)
        )
        if needed_bytes > self._free_bytes:
            raise DiskError(
                f"it needs {needed_bytes >> 20} MiB, but only {self._free_bytes >> 20} MiB are free"
                f" at {self._incoming.parent}: make room there."
            )

    def _document(self, sha256: str, size_bytes: int, pieces: Iterator[bytes]) -> None:
        if size_bytes > DOCUMENT_LIMIT_BYTES:
            raise UnpackError(f"A document has more than {DOCUMENT_LIMIT_BYTES} bytes.")
        self._documents_bytes += size_bytes
        if self._documents_bytes > DOCUMENTS_BYTES:
            raise UnpackError(f"Its documents have more than {DOCUMENTS_BYTES} bytes.")
        message = b"".join(pieces)
        if hashlib.sha256(message).hexdigest() != sha256:
            raise UnpackError(f"The document {sha256[:16]}… is damaged: its digest differs.")
        self._came.messages[sha256] = message

    def _file(self, name: str, size_bytes: int, pieces: Iterator[bytes]) -> None:
        if size_bytes != self._sizes[name]:
            raise UnpackError(
                f"The file {name[:16]}… has {size_bytes} bytes, not {self._sizes[name]}."
            )
        digest = hashlib.new(algorithm_of(name))
        if self._is_here(name):
            for piece in pieces:
                digest.update(piece)
        else:
            path = self._incoming / name
            with plain_words(path):
                path.touch(mode=0o600)
                with path.open("wb") as file:
                    for piece in pieces:
                        digest.update(piece)
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            self._came.files[name] = path
        if digest.hexdigest() != name:
            raise UnpackError(f"The file {name[:16]}… is damaged: its digest differs.")

    def _is_here(self, digest: str) -> bool:
        """Tell whether it is here as it should be: an import also mends what is damaged here."""
        if digest not in self._here:
            path = self._depot.file(digest)
            self._here[digest] = (
                path is not None
                and path.stat().st_size == self._sizes[digest]
                and _digest_of(path, digest) == digest
            )
        return self._here[digest]


async def _verified(
    image: CarriedImage, messages: Mapping[str, bytes], verify: Verify
) -> tuple[CarriedImage, str]:
    """Believe the original document, and take from it what is shown."""
    document = await verify(image, messages)
    if document.uri != image.uri or not document.fingerprint:
        raise DocumentError(f"nobody has signed {image.uri}.")
    signed = {(file.digest, file.size_bytes) for file in document.files}
    if signed != {(file.digest, file.size_bytes) for file in image.files}:
        raise DocumentError(f"its files are not those that are signed for {image.uri}.")
    return replace(image, info=document.info), document.fingerprint


def _put(depot: DepotDirectory, came: _Came, images: list[CarriedImage]) -> None:
    """Move everything in, the list last: until then nobody looks for it."""
    new = {image.uri for image in images}
    merged = [*(image for image in depot.images() if image.uri not in new), *images]
    if len(merged) > IMAGES or len(index_text(merged)) > INDEX_LIMIT_BYTES:
        raise DocumentError(f"with it, {len(merged)} images would be here: more than can be.")
    for sha256, message in came.messages.items():
        depot.put_document(sha256, message)
    for digest, path in came.files.items():
        if depot.file(digest):
            depot.drop(digest)  # not what its name says
        depot.take(path, digest, time.time())
    depot.save(merged)
    named = {file.digest for image in merged for file in image.files}
    for file in depot.files():
        if file.digest not in named:
            depot.drop(file.digest)
    depot.tidy(merged)


def finished(coroutine: Coroutine[Any, Any, tuple[CarriedImage, str]]) -> tuple[CarriedImage, str]:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: tuple[CarriedImage, str] = end.value
        return value
    raise AssertionError("it waits for something")


def _digest_of(path: Path, digest: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm_of(digest)).hexdigest()


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in name[:100])

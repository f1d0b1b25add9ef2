"""An archive of verified files and signed documents, written while they come from a proxy."""

from __future__ import annotations

import hashlib
import http.client
import tarfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, cast

from imagestoreproxy.client import text
from imagestoreproxy.client.display import Display
from imagestoreproxy.client.requests import UNREACHABLE, ClientError, Connection
from imagestoreproxy.client.watch import AWAY_S, POLL_S
from imagestoreproxy.model.carrying import (
    DOCUMENT_LIMIT_BYTES,
    DOCUMENTS,
    FILES,
    INDEX,
    CarriedImage,
    index_text,
    read_image,
)
from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.web.present import image_id

BLOCK_BYTES = 2**18
# How often in a row a transfer may break off without a byte more.
TRIES = 5


def fetched(
    connection: Connection,
    uri: str,
    display: Display,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> CarriedImage:
    """Have the proxy bring an image into its cache, and wait until all of it is there.

    A proxy that is away, as while it is restarted, is waited for up to ``AWAY_S``.

    Raises:
        ClientError: it cannot, and says why.
    """
    path = f"/api/images/{image_id(uri)}/fetch"
    heard_at_s = monotonic()
    try:
        while True:
            try:
                answer = connection.post(path)
                heard_at_s = monotonic()
            except ClientError as error:
                if error.exit_status != UNREACHABLE or monotonic() - heard_at_s > AWAY_S:
                    raise
                sleep(POLL_S)
                continue
            told = answer.get("fetch")
            fetch = told if isinstance(told, dict) else {}
            if message := fetch.get("error-message"):
                raise ClientError(f"{uri} cannot be exported: {text.plain(message)}")
            if fetch.get("status") == "fetched":
                return read_image(fetch.get("image"))
            display.show(fetch)
            sleep(POLL_S)
    except DocumentError as error:
        raise ClientError(f"The proxy described {uri} wrongly: {error.message}") from None
    finally:
        display.end()


def write_archive(connection: Connection, images: Sequence[CarriedImage], target: BinaryIO) -> int:
    """Write the archive; every digest is looked at here once more. Gives its files' bytes.

    Raises:
        ClientError: the proxy breaks off, or gives something else.
        OSError: it cannot be written.
    """
    sizes = {file.digest: file.size_bytes for image in images for file in image.files}
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, INDEX, index_text(images))
        for sha256 in dict.fromkeys(name for image in images for name in image.documents):
            path = f"{DOCUMENTS}/{sha256}"
            blocks = _blocks(connection, path, DOCUMENT_LIMIT_BYTES)
            message = b"".join(blocks)
            if hashlib.sha256(message).hexdigest() != sha256:
                raise _damaged(path)
            _add(tar, path, message)
        for digest, size_bytes in sizes.items():
            path = f"{FILES}/{digest}"
            with closing(_blocks(connection, path, size_bytes)) as blocks:
                reader = _Checked(path, digest, size_bytes, blocks)
                tar.addfile(_member(path, size_bytes), cast(BinaryIO, reader))
    return sum(sizes.values())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    blocks = (content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES))
    digest = hashlib.sha256(content).hexdigest()
    reader = _Checked(name, digest, len(content), blocks)
    tar.addfile(_member(name, len(content)), cast(BinaryIO, reader))


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    return member


def _damaged(path: str) -> ClientError:
    return ClientError(f"The proxy gave something else than {path[:30]}… in its cache: try again.")


class _Checked:
    """Blocks as a file, whose end is only given out when all of it was right."""

    def __init__(self, path: str, digest: str, size_bytes: int, blocks: Iterator[bytes]) -> None:
        self._path = path
        self._wanted = digest
        self._left_bytes = size_bytes
        self._blocks = blocks
        self._rest = b""
        self._digest = hashlib.new(algorithm_of(digest))

    def read(self, size_bytes: int) -> bytes:
        parts: list[bytes] = []
        missing_bytes = min(size_bytes, self._left_bytes)
        while missing_bytes:
            if not self._rest:
                self._rest = next(self._blocks, b"")
                if not self._rest:
                    raise _damaged(self._path)
            part, self._rest = self._rest[:missing_bytes], self._rest[missing_bytes:]
            parts.append(part)
            missing_bytes -= len(part)
        content = b"".join(parts)
        self._digest.update(content)
        self._left_bytes -= len(content)
        if not self._left_bytes and self._digest.hexdigest() != self._wanted:
            raise _damaged(self._path)
        return content


def _blocks(connection: Connection, path: str, limit_bytes: int) -> Generator[bytes, None, None]:
    """Give a file of the cache; a transfer that breaks off goes on from there."""
    position = failures = 0
    while True:
        try:
            for block in connection.blocks(f"/api/cache/{path}", position, BLOCK_BYTES):
                position += len(block)
                failures = 0
                if position > limit_bytes:
                    raise _damaged(path)
                yield block
            return
        except (OSError, http.client.HTTPException) as error:
            failures += 1
            if failures >= TRIES:
                raise ClientError(
                    f"The proxy at {connection.url} broke off in the middle of {path[:30]}…:"
                    f" {error or type(error).__name__}.",
                    UNREACHABLE,
                ) from error

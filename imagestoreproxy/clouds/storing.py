"""From the bytes of an image to the parts of a bundle in S3, several at a time, and read back."""

from __future__ import annotations

import re
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from imagestoreproxy.clouds.bucket import Bucket, S3Object, measured
from imagestoreproxy.clouds.bundle import Tally, encrypted_parts, packed_archive
from imagestoreproxy.clouds.memory import PartMemory
from imagestoreproxy.model.bundles import Stored, StoredPart, Stream
from imagestoreproxy.model.errors import NotHeldError
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Background, Stop
from imagestoreproxy.stops import Within

UPLOADS = 2
MANIFEST_TRIES = 2


class _Sent(NamedTuple):
    """A part, and what S3 has to say of it."""

    part: StoredPart
    stored: S3Object


def store_parts(
    stream: Stream,
    open_bucket: Callable[[Stop], Bucket],
    memory: PartMemory,
    background: Background,
    stop: Within,
) -> Stored:
    """Store the parts of a bundle, but not its manifest.

    The same file and secret make the same parts, so what the bucket holds of them already is not
    sent again: neither after a restart, nor when one part proves to be stored wrongly.

    Args:
        open_bucket: gives a way of its own to the bucket, which is there, and may hold parts of an
            earlier upload.
        stop: ended when this fails, so that nobody goes on to make chunks.

    Raises:
        CloudError: S3 failed.
        NotHeldError: it holds something else than was sent.
        UnpackError: the chunks do not add up.
    """
    bundle = stream.bundle
    if not re.fullmatch("[0-9a-f]{64}", bundle.secret):
        bundle = replace(bundle, secret=secrets.token_hex(32))
    bucket = open_bucket(stop)
    held = bucket.objects() or {}
    if manifest_key(bundle) in held:
        # Where there is a manifest, all its parts are.
        bucket.delete(manifest_key(bundle))
    tar = Tally()

    def packed(_stop: Stop) -> Iterator[bytes]:
        return packed_archive(
            bundle.name, stream.size_bytes, stream.chunks, tar, has_gzip=stream.has_gzip
        )

    with (
        _Uploads(bundle, open_bucket, held, memory, stop) as uploads,
        background.ahead(packed, stop) as chunks,
        stop,
    ):
        for content in encrypted_parts(chunks, *key_and_iv(bundle), uploads.room):
            uploads.send(content)
        sent = uploads.all()
    there = _tidied(bucket, {one.part.filename for one in sent})
    if wrong := _wrong(sent, there, bucket):
        raise not_held(bucket, wrong)
    return Stored(bundle, stream.size_bytes, tar.sha1_hex, tuple(one.part for one in sent))


class _Uploads:
    """The parts of one bundle on their way to S3; leaving the context ends what goes on."""

    def __init__(
        self,
        bundle: Bundle,
        open_bucket: Callable[[Stop], Bucket],
        held: Mapping[str, S3Object],
        memory: PartMemory,
        stop: Stop,
    ) -> None:
        self._bundle = bundle
        self._open_bucket = open_bucket
        self._held = held
        self._memory = memory
        self._stop = Within(stop)
        self._threads = ThreadPoolExecutor(UPLOADS, "upload")
        self._going_on: deque[Future[_Sent]] = deque()
        self._sent: list[_Sent] = []
        self._filling: bytearray | None = None
        self._number = 0

    def __enter__(self) -> _Uploads:
        self._memory.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.end()
        self._threads.shutdown()  # what has not begun yet sees the stop, and gives its memory back
        if self._filling is not None:
            self._memory.give_back(self._filling)
        self._memory.leave()

    def room(self) -> bytearray:
        """Give memory for the next part, as soon as there is some."""
        while len(self._going_on) >= UPLOADS:
            self._sent.append(self._going_on.popleft().result())
        self._filling = self._memory.take(self._stop)
        return self._filling

    def send(self, content: memoryview) -> None:
        """Begin to send the part that was filled last."""
        room, self._filling = self._filling, None
        assert room is not None  # noqa: S101 - it was taken before it was filled
        filename = f"{self._bundle.name}.part.{self._number}"
        self._number += 1
        self._going_on.append(self._threads.submit(self._send, filename, content, room))

    def all(self) -> list[_Sent]:
        """Wait for the last part; give all of them, in their order."""
        while self._going_on:
            self._sent.append(self._going_on.popleft().result())
        return self._sent

    def _send(self, filename: str, content: memoryview, room: bytearray) -> _Sent:
        try:
            self._stop.check()
            digest = Tally()
            digest.add(content)
            stored = measured(content)
            if self._held.get(filename) != stored:
                # Each with a way of its own: what one sends is no sign of life of another.
                self._open_bucket(self._stop).put(filename, content, stored)
            return _Sent(StoredPart(filename, digest.sha1_hex, digest.size_bytes), stored)
        finally:
            self._memory.give_back(room)


def _tidied(bucket: Bucket, wanted: set[str]) -> dict[str, S3Object]:
    """Delete what does not belong, such as parts beyond the end; describe the rest."""
    held = bucket.objects() or {}
    for key in held.keys() - wanted:
        bucket.delete(key)
    return {key: stored for key, stored in held.items() if key in wanted}


def _wrong(sent: Sequence[_Sent], held: Mapping[str, S3Object], bucket: Bucket) -> list[str]:
    """Name the parts that S3 does not hold as they were sent."""
    wrong: list[str] = []
    etags_are_md5 = True
    for part, stored in sent:
        there = held.get(part.filename)
        if there is None or there.size_bytes != stored.size_bytes:
            wrong.append(part.filename)
        elif etags_are_md5 and not there.may_be(stored):
            # Where S3 encrypts, an ETag may look like an MD5 and be none: the bytes decide, once.
            if bucket.sha1_hex(part.filename, part.size_bytes) == part.sha1_hex:
                etags_are_md5 = False
            else:
                wrong.append(part.filename)
    return wrong


def store_manifest(bundle: Bundle, xml: bytes, bucket: Bucket) -> str:
    """Store the manifest, and read it back; give its location, ``BUCKET/KEY``."""
    key = manifest_key(bundle)
    digest = Tally()
    digest.add(xml)
    sent = measured(xml)
    for _ in range(MANIFEST_TRIES):
        bucket.put(key, xml, sent)
        there = bucket.stored(key)
        if there is not None and (
            there.may_be(sent) or bucket.sha1_hex(key, len(xml)) == digest.sha1_hex
        ):
            return f"{bucket.name}/{key}"
    raise not_held(bucket, [key])


def manifest_key(bundle: Bundle) -> str:
    """Name the manifest of a bundle in its bucket."""
    return f"{bundle.name}.manifest.xml"


def key_and_iv(bundle: Bundle) -> tuple[bytes, bytes]:
    """Give AES key and IV of a bundle, 16 bytes each."""
    both = bytes.fromhex(bundle.secret)
    return both[:16], both[16:]


def not_held(bucket: Bucket, wrong: Sequence[str]) -> NotHeldError:
    """Say that S3 does not hold what it took."""
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return NotHeldError(
        f"The bucket {bucket.name} does not hold what was stored in it: {wrong[0]}{more} differs, "
        "also when sent again; check the object store and its disks, then try again."
    )

"""A file that a test brings into a cloud, as an install does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from imagestoreproxy.model.bundles import Chunk, Stream, Upload
from imagestoreproxy.model.errors import NotHeldError
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Cloud, Stop
from tests.functional.inline_background import now


@dataclass(frozen=True)
class Parcel:
    """What a cloud is told of a file, and its bytes.

    Args:
        chunks: opens them, from the first on.
        packed: a gzip of the whole, that is to be kept; or nothing.
    """

    upload: Upload
    size_bytes: int
    chunks: Callable[[Stop], Iterable[bytes]]
    packed: bytes = b""

    @property
    def bundle(self) -> Bundle:
        return self.upload.bundle

    def streams(self, stop: Stop) -> Generator[Stream, None, None]:
        raw = (Chunk(chunk) for chunk in self.chunks(stop))
        packed = [Chunk(b"", self.packed)] if self.packed else []
        chunks = (chunk for several in (packed, raw) for chunk in several)
        yield Stream(self.bundle, self.size_bytes, chunks, has_gzip=bool(self.packed))


def bring(cloud: Cloud, parcel: Parcel) -> str:
    """Store and seal; what the cloud does not hold is sent once more."""
    try:
        (stored,) = now(cloud.store(parcel.streams))
    except NotHeldError:
        (stored,) = now(cloud.store(parcel.streams))
    return now(cloud.seal(parcel.upload, stored))

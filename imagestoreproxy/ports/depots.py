"""A directory of verified files and their signed documents, as a protocol; a part of ``ports``.

Its layout is that of ``model/carrying.py``; behind it stands ``outside/depot.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagestoreproxy.model.carrying import CarriedImage


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that lies there.

    Args:
        used_at_s: Unix seconds; ahead of the clock for what somebody is waiting for.
    """

    digest: str
    size_bytes: int
    used_at_s: float


class Depot(Protocol):
    """All calls block, and raise ``DiskError`` when the disk cannot be used."""

    def exists(self) -> bool:
        """Tell whether there is such a directory."""

    def stamp(self) -> object:
        """Give something that is another one when ``images`` may have changed."""

    def images(self) -> tuple[CarriedImage, ...]:
        """Read what it lists.

        Raises:
            DocumentError: the list is damaged.
        """

    def save(self, images: Iterable[CarriedImage]) -> None:
        """Replace what it lists, as a whole."""

    def document(self, sha256: str) -> Path | None:
        """Give where a signed message is, or None."""

    def put_document(self, sha256: str, message: bytes) -> None:
        """Keep a signed message."""

    def file(self, digest: str) -> Path | None:
        """Give where a file is, or None."""

    def take(self, path: Path, digest: str, used_at_s: float) -> None:
        """Move a verified file here."""

    def use(self, digest: str, used_at_s: float) -> None:
        """Note when a file was used; one that is not there is fine."""

    def drop(self, digest: str) -> None:
        """Remove a file; one that is not there is fine."""

    def files(self) -> Sequence[StoredFile]:
        """Tell which files are there."""

    def tidy(self, images: Iterable[CarriedImage]) -> None:
        """Remove the documents that none of these images has."""

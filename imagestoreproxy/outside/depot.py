"""A directory of verified files and their signed documents: the cache, and what was carried here.

Everything comes by rename, so that after a cut in the middle there is the old or the new.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from imagestoreproxy.model.carrying import (
    DOCUMENTS,
    FILES,
    INDEX,
    INDEX_LIMIT_BYTES,
    CarriedImage,
    index_text,
    is_digest,
    is_sha256,
    read_index,
)
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.outside.disk import plain_words
from imagestoreproxy.ports.depots import StoredFile


class DepotDirectory:
    """``depots.Depot``.

    Args:
        path: made (0700) when the first thing comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Tell whether there is such a directory."""
        return self.path.is_dir()

    def stamp(self) -> object:
        """Give something that is another one when ``images`` may have changed."""
        try:
            found = (self.path / INDEX).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def images(self) -> tuple[CarriedImage, ...]:
        """Read what it lists; nothing where there is no list.

        Raises:
            DocumentError: the list is damaged.
            DiskError: it cannot be read.
        """
        path = self.path / INDEX
        with plain_words(path):
            if not path.is_file():
                return ()
            with path.open("rb") as file:
                content = file.read(INDEX_LIMIT_BYTES + 1)
        try:
            return read_index(content)
        except DocumentError as error:
            raise DocumentError(f"What {path} lists cannot be read: {error.message}") from error

    def save(self, images: Iterable[CarriedImage]) -> None:
        """Replace what it lists."""
        self._write(self.path / INDEX, index_text(images))

    def document(self, sha256: str) -> Path | None:
        """Give where a signed message is, or None."""
        return self._found(DOCUMENTS, sha256) if is_sha256(sha256) else None

    def put_document(self, sha256: str, message: bytes) -> None:
        """Keep a signed message."""
        if not is_sha256(sha256):
            raise ValueError(f"not a digest: {sha256!r}")
        path = self.document(sha256)
        with plain_words(self.path):
            is_here = path is not None and path.read_bytes() == message
        if not is_here:  # or damaged
            self._write(self.path / DOCUMENTS / sha256, message)

    def file(self, digest: str) -> Path | None:
        """Give where a file is, or None."""
        return self._found(FILES, digest) if is_digest(digest) else None

    def take(self, path: Path, digest: str, used_at_s: float) -> None:
        """Move a verified file here; one that is here already stays, and counts as used."""
        if not is_digest(digest):
            raise ValueError(f"not a digest: {digest!r}")
        target = self.path / FILES / digest
        with plain_words(target):
            self._make(target.parent)
            if target.exists():
                path.unlink()
            else:
                path.replace(target)
        self.use(digest, used_at_s)

    def use(self, digest: str, used_at_s: float) -> None:
        """Note when a file was used."""
        if path := self.file(digest):
            with plain_words(path):
                try:
                    os.utime(path, (used_at_s, used_at_s))
                except FileNotFoundError:
                    return

    def drop(self, digest: str) -> None:
        """Remove a file."""
        if path := self.file(digest):
            with plain_words(path):
                path.unlink(missing_ok=True)

    def files(self) -> Sequence[StoredFile]:
        """Tell which files are there."""
        found = []
        directory = self.path / FILES
        with plain_words(directory):
            for path in directory.iterdir() if directory.is_dir() else ():
                try:
                    status = path.stat()
                except FileNotFoundError:  # dropped just now
                    continue
                if is_digest(path.name):
                    found.append(StoredFile(path.name, status.st_size, status.st_mtime))
        return found

    def tidy(self, images: Iterable[CarriedImage]) -> None:
        """Remove the documents that none of these images has, and what a cut has left."""
        named = {sha256 for image in images for sha256 in image.documents}
        directory = self.path / DOCUMENTS
        with plain_words(directory):
            for path in directory.iterdir() if directory.is_dir() else ():
                if path.name not in named:
                    path.unlink(missing_ok=True)

    def _found(self, folder: str, name: str) -> Path | None:
        path = self.path / folder / name
        return path if path.is_file() and not path.is_symlink() else None

    def _make(self, directory: Path) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        new = path.with_name(path.name + ".new")
        with plain_words(path):
            self._make(path.parent)
            new.unlink(missing_ok=True)
            new.touch(mode=0o600)
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)

"""The data directory: who may use it, and the files of installs in progress.

``<path>/downloads/<token>/<name>`` holds the bytes of a download, ``<name>.validator`` beside it
what the server called them (``ETag`` or ``Last-Modified``; may be empty).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DigestError, DiskError, OwnStateError

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,199}")
_SIDECAR = ".validator"
_LONGEST_VALIDATOR = 1000
_BLOCK = 1 << 20
_CAUSES = {
    errno.ENOSPC: "the disk is full; make room there",
    errno.EDQUOT: "the disk quota of this user is used up; make room there",
    errno.EROFS: "the file system is read-only; check the disk",
    errno.EIO: "the disk reports an input/output error; check the disk",
    errno.EACCES: "this user has no permission; check the owner of the data directory",
}


class DataDirectory:
    """``ports.Disk``, and the lock that keeps a second daemon out.

    Args:
        path: made (0700) if absent.

    Raises:
        OwnStateError: it cannot be made, belongs to another user, or others may write to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._downloads = path / "downloads"
        self._lock: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = path.stat()
            if found.st_uid != os.geteuid():
                raise OwnStateError(
                    f"The data directory {path} belongs to the user with id {found.st_uid}, but "
                    f"this process runs as {os.geteuid()}; run it as that user, or give another "
                    "--data-dir."
                )
            if stat.S_IMODE(found.st_mode) & 0o022:
                raise OwnStateError(
                    f"Other users may write to the data directory {path}; "
                    f"take that away with: chmod go-w {path}"
                )
            self._downloads.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OwnStateError(
                f"The data directory {path} cannot be used: {error.strerror}."
            ) from error

    def lock(self) -> None:
        """Keep the directory for this process, until ``close`` or the process's end.

        Raises:
            OwnStateError: another process has it; says which.
        """
        path = self._path / "lock"
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OwnStateError(f"The file {path} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._lock, 20).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise OwnStateError(
                f"The data directory {self._path} is in use by another image-store-proxy, "
                f"process {owner}; stop that one first, or give another --data-dir."
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def free_bytes(self) -> int:
        """Give what may still be written."""
        with plain_words(self._path):
            found = os.statvfs(self._path)
        return found.f_bavail * found.f_frsize

    def partial(
        self,
        token: str,
        name: str,
        limit_bytes: int,
        stop: ports.Stop,
        algorithm: str = "sha256",
    ) -> PartialFile:
        """Open a download, see ``ports.Disk``; the bytes of an earlier try are read again.

        Raises:
            DiskError: it cannot be opened or read.
            Cancelled: ``stop`` was set while reading.
        """
        return PartialFile(self.path(token, name), limit_bytes, stop, algorithm)

    def path(self, token: str, name: str) -> Path:
        """Give the path of a file of the install ``token``; its directory is made (0700)."""
        directory = self._downloads / _checked(token)
        with plain_words(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
        return directory / _checked(name)

    def adopt(self, token: str, name: str, source: Path) -> bool:
        """Take a file that lies elsewhere for a complete download, without a copy of it.

        ``source`` may be removed later, but must not be written to. False where the file system
        knows no second name for a file.
        """
        path = self.path(token, name)
        new = path.with_name(f"{name}.new")
        with plain_words(path):
            new.unlink(missing_ok=True)
            try:
                new.hardlink_to(source)
            except OSError:
                return False
            # The bytes last: without what the server called them they count for nothing.
            path.with_name(name + _SIDECAR).touch(mode=0o600)
            new.replace(path)
            new.unlink(missing_ok=True)  # two names of one file stay both
        return True

    def remove(self, token: str) -> None:
        """Remove all files of the install ``token``; none is fine."""
        directory = self._downloads / _checked(token)
        with plain_words(directory), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)

    def tokens(self) -> list[str]:
        """List the tokens that have files."""
        with plain_words(self._downloads):
            names = [one.name for one in self._downloads.iterdir() if one.is_dir()]
        # Not what others keep there, such as "lost+found".
        return sorted(name for name in names if _NAME.fullmatch(name))


class PartialFile:
    """``ports.Partial``. Opened anew for each block, so none is ever left open."""

    def __init__(
        self, path: Path, limit_bytes: int, stop: ports.Stop, algorithm: str = "sha256"
    ) -> None:
        self._path = path
        self._algorithm = algorithm
        self._sidecar = path.with_name(path.name + _SIDECAR)
        self._limit_bytes = limit_bytes
        self._position = 0
        self._validator = ""
        self._digest = hashlib.new(self._algorithm)
        with plain_words(path):
            self._read_again(stop)

    @property
    def position(self) -> int:
        """Bytes held already."""
        return self._position

    @property
    def validator(self) -> str:
        """What the server called the bytes held; or empty."""
        return self._validator

    def begin(self, *, resumed: bool, validator: str) -> None:
        """The server has answered: ``resumed``, or from the first byte (drop the rest)."""
        if not resumed:
            self.discard()
        with plain_words(self._path):
            self._path.touch(mode=0o600)
            if validator != self._validator or not self._sidecar.exists():
                self._write_validator(validator[:_LONGEST_VALIDATOR])

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            DigestError: more than the limit.
            DiskError: no room, or the disk fails; what was held before is still held.
        """
        if self._position + len(block) > self._limit_bytes:
            raise DigestError(
                f"The store sent more than the signed {self._limit_bytes} bytes for the file "
                f"{self._path.name}; it is not the one that was signed."
            )
        with plain_words(self._path):
            try:
                with self._path.open("ab", buffering=0) as file:
                    rest = memoryview(block)
                    while rest:
                        rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):  # the first error is the one to tell
                    os.truncate(self._path, self._position)
                raise
        self._digest.update(block)
        self._position += len(block)

    def digest_hex(self) -> str:
        """Give the digest of all bytes held."""
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Drop what it holds."""
        with plain_words(self._path):
            # The sidecar first: bytes without one are never taken for the beginning of a file.
            self._sidecar.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._position = 0
        self._validator = ""
        self._digest = hashlib.new(self._algorithm)

    def _read_again(self, stop: ports.Stop) -> None:
        if not self._path.exists():
            return
        if not self._sidecar.exists() or self._path.stat().st_size > self._limit_bytes:
            self.discard()
            return
        self._validator = self._sidecar.read_text("utf-8", "replace")[:_LONGEST_VALIDATOR]
        with self._path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                stop.check()
                self._digest.update(block)
                self._position += len(block)

    def _write_validator(self, validator: str) -> None:
        new = self._sidecar.with_name(self._sidecar.name + ".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(validator, "utf-8")
        new.replace(self._sidecar)
        self._validator = validator


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a file name of ours: {name!r}")
    return name


@contextlib.contextmanager
def plain_words(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a ``DiskError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
        raise DiskError(f"The data directory cannot be used at {path}: {cause}.") from error

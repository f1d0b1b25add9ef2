"""The published tree: made beside the one that is read, and shown all at once.

``<directory>/public`` is a symbolic link to ``.published/N``, one publication. The next is made in
``.published/N+1.new``, renamed to ``.published/N+1``, and shown by renaming a new link over the old
one: whoever reads sees the one or the other, and a crash leaves one of them. ``state.json`` beside
them is written before that; so after a crash it may speak of a publication that never was seen,
which does no harm: serials have a gap, and files that are not there are not kept.

Published files and directories can be read by everybody, unlike all else that this project writes:
any web server shall be able to serve them, and they are made public anyway. The state is not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagestoreproxy.model.errors import DiskError, OwnStateError
from imagestoreproxy.outside.wholefile import Stamp, stamp_of

_STATE_LIMIT_BYTES = 256 * 2**20
_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o755
_NEW = ".new"
# Other file system, links not allowed or not known there, too many of them.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}


class Publications:
    """All publications of a directory.

    Args:
        directory: whose images are published.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.public = directory / "public"
        self._store = directory / ".published"
        self._state = self._store / "state.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from publishing here meanwhile.

        Raises:
            OwnStateError: somebody does, or ``public`` is something else than our link.
            DiskError: the directory cannot be written.
        """
        with _plain_words(self._store):
            self._store.mkdir(exist_ok=True)
            self._store.chmod(_DIRECTORY_MODE)
            lock = os.open(self._store / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OwnStateError(
                    f"Another publication of {self.directory} is going on; wait for its end."
                ) from error
            if (self.public.exists() or self.public.is_symlink()) and self.current() is None:
                raise OwnStateError(
                    f"{self.public} is in the way: it is no link to a publication; move it away."
                )
            yield
        finally:
            os.close(lock)

    def current(self) -> Path | None:
        """Give the tree that is seen now."""
        try:
            target = self.public.readlink()
        except OSError:
            return None
        is_ours = target.parts[:1] == (self._store.name,) and len(target.parts) == 2
        return self._store / target.name if is_ours and target.name.isdecimal() else None

    def read_state(self) -> bytes:
        """Give the state that was written last; empty without one that can be read."""
        try:
            with self._state.open("rb") as file:
                return file.read(_STATE_LIMIT_BYTES)
        except OSError:
            return b""

    def write_state(self, content: bytes) -> None:
        """Write the state, all of it or nothing."""
        new = self._state.with_name(self._state.name + _NEW)
        with _plain_words(self._state):
            new.unlink(missing_ok=True)
            _write(new, content, 0o600)
            new.replace(self._state)

    def begin(self) -> NewTree:
        """Make a new, empty tree; what an earlier crash left is removed."""
        current = self.current()
        with _plain_words(self._store):
            for leftover in self._store.glob(f"*{_NEW}"):
                _remove(leftover)
            numbers = [int(one.name) for one in self._store.iterdir() if one.name.isdecimal()]
            number = max(numbers, default=0) + 1
            path = self._store / f"{number}{_NEW}"
            path.mkdir()
            path.chmod(_DIRECTORY_MODE)
        return NewTree(path, current)

    def show(self, tree: NewTree) -> None:
        """Let the new tree be seen instead of the one before, in one step."""
        shown = tree.path.with_name(tree.path.name.removesuffix(_NEW))
        link = self._store / f"public{_NEW}"
        with _plain_words(self.public):
            for directory, _, _ in os.walk(tree.path):
                _sync(Path(directory))
            tree.path.rename(shown)
            link.unlink(missing_ok=True)
            link.symlink_to(Path(self._store.name) / shown.name)
            link.rename(self.public)
            _sync(self.directory)

    def discard(self, tree: NewTree) -> None:
        """Remove a tree that shall not be shown."""
        with suppress(OSError):  # the next publication tries again
            _remove(tree.path)

    def clean(self, previous: Path | None) -> None:
        """Remove all trees but the one that is seen and the one before.

        Args:
            previous: it; downloads from it may still go on.
        """
        kept = {self.current(), previous}
        with suppress(OSError):  # the next publication tries again
            for path in self._store.iterdir():
                if path.name.isdecimal() and path not in kept:
                    _remove(path)


class NewTree:
    """A tree that nobody sees yet.

    Attributes:
        links: by path in the tree, the stamp of the file that was put there.

    Args:
        before: the tree that is seen.
    """

    def __init__(self, path: Path, before: Path | None) -> None:
        self.path = path
        self.links: dict[str, Stamp] = {}
        self._before = before

    def write(self, path: str, content: bytes) -> None:
        """Write a document."""
        target = self._target(path)
        with _plain_words(target):
            _write(target, content, _FILE_MODE)

    def keep(self, path: str, stamp: Stamp | None) -> bool:
        """Take a file over from the tree that is seen; False where it is no longer what it was.

        Args:
            stamp: of the file when it was put there. Through another name of it somebody may
                have written into it since.
        """
        if path in self.links:
            return True
        if self._before is None or stamp is None:
            return False
        source = self._before / path
        with suppress(OSError):
            if stamp_of(source.lstat()) == stamp:
                self._link(source, path, stamp)
                return True
        return False

    def add(self, source: Path, path: str, stamp: Stamp) -> None:
        """Put a file into the tree, by a hard link where that is possible, else as a copy.

        Args:
            stamp: of ``source`` when its digest was worked out.

        Raises:
            DiskError: it has changed since, or there is no room.
        """
        if path in self.links:
            return
        with _plain_words(source):
            self._link(source.resolve(), path, stamp)

    def _link(self, source: Path, path: str, stamp: Stamp) -> None:
        target = self._target(path)
        try:
            os.link(source, target)
            _let_all_read(target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)
            target.chmod(_FILE_MODE)
        if stamp_of(source.stat()) != stamp:
            raise DiskError(f"{source} changed while it was published; publish again.")
        self.links[path] = stamp_of(target.stat())

    def _target(self, path: str) -> Path:
        target = self.path / path
        missing = [one for one in target.parents if not one.exists()]
        for directory in reversed(missing):
            directory.mkdir()
            directory.chmod(_DIRECTORY_MODE)
        return target


def _let_all_read(path: Path) -> None:
    """Let everybody read the file, by whatever name: it is being made public."""
    mode = path.stat().st_mode
    if mode & 0o444 != 0o444:
        path.chmod((mode & 0o7777) | 0o444)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def _plain_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise DiskError(f"{path} cannot be published: {what}.") from error

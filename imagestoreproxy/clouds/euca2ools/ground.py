"""Where the tools work: ``DATA_DIR/euca2ools``, for files that must lie whole on the disk.

``BUCKET/NAME`` is the image, ``BUCKET/bundle/`` what becomes of it, ``home-*`` the private home of
one call. All of it is of this process: what an earlier one has left is swept away first, and so
are tools that have outlived it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagestoreproxy.model.bundles import Chunk
from imagestoreproxy.model.errors import DiskError, UnpackError
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Stop

BLOCK_BYTES = 64 * 1024
_ZEROS = bytes(BLOCK_BYTES)
_ORPHANS_S = 2.0
_STAT_BLOCK_BYTES = 512
_CAUSES = {
    errno.ENOSPC: "the disk is full; make room there",
    errno.EDQUOT: "the disk quota of this user is used up; make room there",
    errno.EROFS: "the file system is read-only; check the disk",
}


class Ground:
    """Files and directories of ours; every call blocks and raises ``DiskError``.

    Args:
        path: made (0700) at the first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # the tools work elsewhere
        self._lock = threading.Lock()
        self._is_swept = False

    def open(self) -> Path:
        """Make it, and sweep it before that."""
        self.sweep()
        with told_disk(self.path):
            self.path.mkdir(mode=0o700, exist_ok=True)
        return self.path

    def sweep(self) -> None:
        """Remove what an earlier process has left, once.

        Only for who holds the lock of the data directory: it ends what others run here.
        """
        with self._lock:
            if not self._is_swept:
                end_orphans(self.path)
                with told_disk(self.path), contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self.path)
                self._is_swept = True

    def image(self, bundle: Bundle) -> Path:
        """Name the file of a bundle's image."""
        return self.path / bundle.bucket / bundle.name

    def bundled(self, bundle: Bundle) -> Path:
        """Make an empty directory for what a bundle becomes."""
        path = self.path / bundle.bucket / "bundle"
        with told_disk(path):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700, parents=True)
        return path

    def clear(self, bundle: Bundle) -> None:
        """Remove all of a bundle; nothing is fine."""
        path = self.path / bundle.bucket
        with told_disk(path), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def taken_bytes(self, bucket: str) -> int:
        """Add up what the files of a bucket take; holes take nothing."""
        taken_bytes = 0
        for folder, _, names in os.walk(self.path / bucket):
            for name in names:
                with contextlib.suppress(OSError):  # gone since
                    taken_bytes += Path(folder, name).lstat().st_blocks * _STAT_BLOCK_BYTES
        return taken_bytes

    def write(self, bundle: Bundle, chunks: Iterable[Chunk], size_bytes: int, stop: Stop) -> Path:
        """Write a whole file; blocks of zeros become holes.

        Raises:
            UnpackError: it is not as large as was said.
        """
        self.open()
        path = self.image(bundle)
        with told_disk(path):
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir(mode=0o700, parents=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        position = 0
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                stop.check()
                if position + len(chunk.raw) > size_bytes:
                    raise _wrong_size(bundle, position + len(chunk.raw), size_bytes)
                with told_disk(path):
                    _write_at(file.fileno(), position, chunk.raw)
                position += len(chunk.raw)
            if position != size_bytes:
                raise _wrong_size(bundle, position, size_bytes)
            with told_disk(path):
                os.ftruncate(file.fileno(), size_bytes)
        return path


def _write_at(descriptor: int, position: int, raw: bytes) -> None:
    view = memoryview(raw)
    for start in range(0, len(view), BLOCK_BYTES):
        block = view[start : start + BLOCK_BYTES]
        if block == _ZEROS[: len(block)]:
            continue
        at = position + start
        while block:
            written = os.pwrite(descriptor, block, at)
            at, block = at + written, block[written:]


def _wrong_size(bundle: Bundle, found_bytes: int, size_bytes: int) -> UnpackError:
    return UnpackError(
        f"'{bundle.name}' gave {found_bytes} bytes, not the {size_bytes} bytes announced."
    )


def held_bytes(directory: Path) -> dict[str, int]:
    """Give the sizes of the files in a directory; none where there is no such directory."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # gone since
                sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    return sizes


def end_orphans(path: Path) -> None:
    """End programs whose home is ``path`` or below: they have outlived whom they worked for.

    They would go on to upload what is no longer the bundle that is made.
    """
    until_s = time.monotonic() + _ORPHANS_S
    while orphans := list(_living(path)):
        for pid in orphans:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until_s:
            raise DiskError(
                f"Process {orphans[0]} still works in {path} for an earlier start of this program, "
                "and cannot be ended; end it."
            )
        time.sleep(0.02)


def _living(path: Path) -> Iterator[int]:
    # Looked for after each run of a tool, where thousands of processes may be.
    mark = f"\0HOME={path.absolute()}".encode()
    marks = (mark + b"/", mark + b"\0")
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if not name.isdecimal():
            continue
        environment = b""
        # Of others' processes it cannot be read; one that is over has none.
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb", 0) as file:  # noqa: PTH123
            environment = b"\0%b\0" % file.read()
        if any(one in environment for one in marks):
            yield int(name)


@contextlib.contextmanager
def told_disk(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a ``DiskError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
        raise DiskError(f"The data directory cannot be used at {path}: {cause}.") from error

"""Small files from outside, read whole: only regular ones, and never more than is believed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """A directory, a pipe or a device stands where a file is to be; reading might never end."""


def only_regular(path: str, flags: int) -> int:
    """Open a regular file, or the null device; an ``opener`` for ``open``.

    Raises:
        NotRegularError: it is something else.
        OSError: it cannot be opened.
    """
    # Before as well: to open a device can do something to it, and a socket cannot be opened.
    _check(Path(path).stat(), path)
    opened = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(opened), path)
    except NotRegularError:
        os.close(opened)
        raise
    return opened


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Give the content of a small file.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than ``limit_bytes``; its
            ``strerror`` says which.
    """
    with open(path, "rb", opener=only_regular) as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"it has more than {limit_bytes} bytes", str(path))
    return content


def _check(found: os.stat_result, path: str) -> None:
    # The null device stands for an empty file, as everywhere.
    if not stat.S_ISREG(found.st_mode) and found.st_rdev != Path(os.devnull).stat().st_rdev:
        raise NotRegularError(errno.EINVAL, "it is not a regular file", path)

"""The file that the log goes to, which others may move away."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from pathlib import Path
from typing import TextIO

from imagestoreproxy.model.errors import SettingsError

MODE = 0o600


class LogFile(io.TextIOBase):
    """Appends to a file, and opens it again when it is told; made with mode 0600.

    A line that the disk does not take is lost: the daemon goes on.

    Raises:
        SettingsError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = _opened(path)

    def reopen(self) -> None:
        """Open what has the name now.

        Raises:
            SettingsError: that cannot be opened; the log goes on where it went.
        """
        new = _opened(self._path)
        with self._lock:
            old, self._file = self._file, new
        with contextlib.suppress(OSError):
            old.close()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock, contextlib.suppress(OSError):
            self._file.write(text)
            self._file.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was written is not held back."""

    def close(self) -> None:
        """Close the file; nothing may be written after it."""
        with self._lock, contextlib.suppress(OSError):
            self._file.close()
        super().close()


def _opened(path: Path) -> TextIO:
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise SettingsError(
            f"The log file {path} cannot be written ({error.strerror}): give --log-file one that "
            "the user of the daemon may write."
        ) from error
    return os.fdopen(number, "a", encoding="utf-8", errors="backslashreplace")

"""The file that tells which process the daemon is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imagestoreproxy.model.errors import SettingsError

# Not a secret, and asked for by people too.
MODE = 0o644


class PidFile:
    """Written once the data directory is this process' own, and removed at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self) -> None:
        """Write the number of this process, whatever was there.

        Raises:
            SettingsError: it cannot be written.
        """
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            new.write_text(f"{os.getpid()}\n")
            new.chmod(MODE)
            new.replace(self._path)
        except OSError as error:
            raise SettingsError(
                f"The pid file {self._path} cannot be written ({error.strerror}): give --pid-file "
                "one in a directory that the user of the daemon may write."
            ) from error

    def remove(self) -> None:
        """Remove it, if it is still of this process."""
        with contextlib.suppress(OSError):
            if self._path.read_text().strip() == str(os.getpid()):
                self._path.unlink()

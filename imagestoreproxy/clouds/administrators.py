"""More people than one who may sign requests: a small file of theirs, read again when it changes.

It is an AWS-style credentials file; each ``[profile]`` is one administrator, with
``aws_access_key_id`` and ``aws_secret_access_key``.
"""

from __future__ import annotations

import stat
from pathlib import Path

from imagestoreproxy.clouds.credentials import ACCESS_KEYS, SECRET_KEYS, profiles
from imagestoreproxy.model.errors import SettingsError

# Each is compared with for each request.
MOST = 100


class Administrators:
    """The file as it is now; to be looked at in a worker thread.

    Attributes:
        secrets: the secret key of each access key, as read last; may be looked at from any thread.
        problem: why the file could not be read; then ``secrets`` are those from before.
        warning: what is suspicious of the file; or empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.secrets: dict[str, str] = {}
        self.problem = ""
        self.warning = ""
        self._seen: tuple[int, ...] = ()

    def look(self) -> bool:
        """Read the file if it has changed; a file that is gone has no administrators.

        Returns whether something is different now.
        """
        before = (self.secrets, self.problem)
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        except OSError as error:
            self.secrets, self._seen = {}, ()
            self.problem = f"--administrators: {self.path} cannot be read: {error.strerror}."
            return before != (self.secrets, self.problem)
        if seen == self._seen:
            return False
        try:
            self.secrets, self.problem = read_administrators(self.path), ""
        except SettingsError as error:
            self.problem = f"--administrators: {error.message}"
        self.warning = (
            f"{self.path} has secret keys and can be read by others: chmod 600 it."
            if found.st_mode & (stat.S_IRGRP | stat.S_IROTH)
            else ""
        )
        self._seen = seen
        return before != (self.secrets, self.problem)


def read_administrators(path: Path) -> dict[str, str]:
    """Give the secret key of each access key.

    Raises:
        SettingsError: the file cannot be read, a profile lacks a key, or one is there twice.
    """
    sections = profiles(path, "the file of administrators")
    if len(sections) > MOST:
        raise SettingsError(f"{path} has {len(sections)} administrators; at most {MOST} may sign.")
    secrets: dict[str, str] = {}
    for name, options in sections.items():
        access_key, secret_key = (
            next((options[one.lower()] for one in names if options.get(one.lower())), "")
            for names in (ACCESS_KEYS, SECRET_KEYS)
        )
        if not access_key or not secret_key:
            raise SettingsError(
                f"[{name}] of {path} must have aws_access_key_id and aws_secret_access_key."
            )
        if access_key in secrets:
            raise SettingsError(f"Two administrators of {path} have the same access key: [{name}].")
        secrets[access_key] = secret_key
    return secrets

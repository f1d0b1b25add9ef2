"""Beginning anew: all that the proxy has made in its data directory is removed.

What others have put there stays: the keyring, what a cloud gave only once, and files of strangers.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.outside.disk import DataDirectory

# One that was ever used has at least one of them; another one may have a cache/ of somebody's own.
_MARKS = ("state.db", "identity")
_OURS = re.compile(
    r"state\.db([-.].*)?|fake-cloud\.json(\..*)?"
    r"|downloads|cache|carried|carried\.incoming|gnupg|euca2ools"
)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done.

    Args:
        removed, kept: names in the data directory.
        installed: how many images are still in the cloud, known to nobody now.
    """

    removed: Sequence[str]
    kept: Sequence[str]
    installed: int


def reset(path: Path) -> Forgotten:
    """Remove what the proxy knows and has fetched.

    Raises:
        OwnStateError: it is no data directory, a daemon uses it, or something cannot be removed.
    """
    if not any(os.access(path / mark, os.F_OK) for mark in _MARKS):
        raise OwnStateError(
            f"There is nothing to reset: {path} is not the data directory of a proxy, or this user "
            "cannot see into it; run this as the user of the daemon, or give another --data-dir."
        )
    directory = DataDirectory(path)
    directory.lock()
    try:
        installed = _installed(path / "state.db")
        names = sorted(entry.name for entry in path.iterdir())
        removed = [name for name in names if _OURS.fullmatch(name)]
        for name in removed:
            _remove(path / name)
    except OSError as error:
        raise OwnStateError(
            f"{error.filename or path} cannot be removed ({error.strerror}); mend that, and give "
            "--reset again."
        ) from error
    finally:
        directory.close()
    return Forgotten(removed, [name for name in names if name not in removed], installed)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _installed(database: Path) -> int:
    """Count the images; 0 where the database cannot be read, which may be why it is given up."""
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        ) as opened:
            (count,) = opened.execute(
                "SELECT COUNT(*) FROM installations WHERE gone = ''"
            ).fetchone()
            return int(count)
    except sqlite3.Error:
        return 0

"""A damaged state database: set aside, never dropped, and replaced by the last good copy."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.ports import Journal

COPY = ".copy"
_COMPANIONS = ("", "-wal", "-shm")


def connect(path: Path) -> sqlite3.Connection:
    """Open a database in autocommit mode; made (0600) when absent.

    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """
    path.touch(mode=0o600)
    # Used by one thread at a time, but not always by the one that made it.
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def connect_sound(path: Path, journal: Journal) -> sqlite3.Connection:
    """Open a database; one that is damaged is set aside, and its last good copy opened instead.

    Raises:
        OwnStateError: it cannot be opened for another reason.
    """
    copy = path.with_name(path.name + COPY)
    try:
        # sqlite3 would make a new one of it, and everything would be forgotten in silence.
        damage = "it is empty or gone" if copy.exists() and _is_empty(path) else ""
        if not damage:
            connection = connect(path)
            try:
                damage = _damage(connection)
            except sqlite3.Error:
                connection.close()
                raise
            if not damage:
                return connection
            connection.close()
        aside = _set_aside(path)
        restored = _restore(copy, path)
        journal.failure(
            "the state database {path} is damaged; it is kept as {aside}, and {what}",
            OwnStateError(damage),
            path=path,
            aside=aside,
            what=f"the copy {copy} takes its place"
            if restored
            else "there is no copy: installed images have to be installed again",
        )
        connection = connect(path)
        _end_sessions(connection)
        return connection
    except (sqlite3.Error, OSError) as error:
        raise OwnStateError(f"The state database {path} cannot be used: {error}.") from error


def _end_sessions(connection: sqlite3.Connection) -> None:
    """Have all browsers log in again: who has logged out since the copy was made must stay out."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sessions'").fetchone():
        connection.execute("DELETE FROM sessions")


def keep_copy(connection: sqlite3.Connection, path: Path) -> None:
    """Write a copy beside the database, whole or not at all."""
    copy = path.with_name(path.name + COPY)
    new = copy.with_name(copy.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    connection.execute("VACUUM INTO ?", (str(new),))
    new.replace(copy)


def _is_empty(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _damage(connection: sqlite3.Connection) -> str:
    """Say what is wrong with a database; empty if nothing is."""
    try:
        row = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return str(error)
        raise
    return "" if row[0] == "ok" else str(row[0])


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    for companion in _COMPANIONS:
        file = path.with_name(path.name + companion)
        if file.exists():
            file.replace(aside.with_name(aside.name + companion))
    return aside


def _restore(copy: Path, path: Path) -> bool:
    if not copy.exists():
        return False
    connection = connect(copy)
    try:
        if _damage(connection):
            return False
        connection.execute("VACUUM INTO ?", (str(path),))
    finally:
        connection.close()
    path.chmod(0o600)
    return True

"""The rows of browsers that have logged in."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import astuple

from imagestoreproxy.model.sessions import Session


def load(db: sqlite3.Connection) -> list[Session]:
    """Give all of them, those that were begun first at first."""
    rows = db.execute("SELECT * FROM sessions ORDER BY begun_at_s, rowid")
    return [Session(**dict(row)) for row in rows]


def begin(db: sqlite3.Connection, session: Session, ended: Collection[str]) -> None:
    """Add one, and remove those that make room for it."""
    end(db, ended)
    db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", astuple(session))


def end(db: sqlite3.Connection, digests: Collection[str]) -> None:
    """Remove those of these digests."""
    db.executemany("DELETE FROM sessions WHERE digest = ?", [(digest,) for digest in digests])

"""What sources said: rows of their last good answers, and of the signed texts behind installs.

All of it is compressed: a catalogue of 20 MB takes 4.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

from imagestoreproxy.ports import Kept

EVIDENCE_S = 86400.0
_LEVEL = 1


def load(db: sqlite3.Connection, source: str) -> Sequence[Kept]:
    """Give the answers of a source."""
    rows = db.execute("SELECT * FROM kept WHERE source = ? ORDER BY url", (source,))
    return [
        Kept(row["url"], zlib.decompress(row["body"]), row["validator"], row["fetched_at_s"])
        for row in rows
    ]


def keep(db: sqlite3.Connection, source: str, kept: Sequence[Kept]) -> None:
    """Insert or replace answers."""
    for one in kept:
        db.execute(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)",
            (source, one.url, zlib.compress(one.body, _LEVEL), one.validator, one.fetched_at_s),
        )


def seen_again(db: sqlite3.Connection, source: str, url: str, fetched_at_s: float) -> None:
    """Change only the time of an answer."""
    db.execute(
        "UPDATE kept SET fetched_at_s = ? WHERE source = ? AND url = ?",
        (fetched_at_s, source, url),
    )


def drop(db: sqlite3.Connection, source: str, url: str) -> None:
    """Delete an answer."""
    db.execute("DELETE FROM kept WHERE source = ? AND url = ?", (source, url))


def keep_evidence(db: sqlite3.Connection, sha256: str, message: bytes, now_s: float) -> None:
    """Insert a text, and delete those that nothing names any more."""
    db.execute(
        "INSERT INTO evidence VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET kept_at_s = excluded.kept_at_s",
        (sha256, zlib.compress(message, _LEVEL), now_s),
    )
    db.execute(
        "DELETE FROM evidence WHERE kept_at_s < ?"
        " AND NOT EXISTS (SELECT 1 FROM installs WHERE instr(document, CAST(sha256 AS BLOB)))"
        " AND NOT EXISTS (SELECT 1 FROM installations"
        " WHERE instr(document, CAST(sha256 AS BLOB)))",
        (now_s - EVIDENCE_S,),
    )


def evidence(db: sqlite3.Connection, sha256: str) -> bytes | None:
    """Give a text, or None."""
    row = db.execute("SELECT message FROM evidence WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else zlib.decompress(row["message"])

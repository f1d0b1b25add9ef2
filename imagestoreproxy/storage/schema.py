"""The schema of the state database, step by step.

``PRAGMA user_version`` holds the number of steps taken. A step once released never changes; a new
version of the software appends one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from imagestoreproxy.model.errors import OwnStateError

STEPS: Sequence[str] = (
    """
    CREATE TABLE installs (
        image_uri TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        state TEXT NOT NULL,
        token TEXT NOT NULL,
        info TEXT NOT NULL,
        document BLOB NOT NULL,
        plan TEXT NOT NULL,
        progress_percent INTEGER NOT NULL,
        error TEXT NOT NULL,
        updated_at_s REAL NOT NULL,
        owner TEXT NOT NULL,
        lease_until_s REAL NOT NULL
    );
    CREATE TABLE bundles (
        image_uri TEXT NOT NULL REFERENCES installs (image_uri) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        bucket TEXT NOT NULL,
        name TEXT NOT NULL,
        location TEXT NOT NULL,
        registering INTEGER NOT NULL,
        image_id TEXT NOT NULL,
        PRIMARY KEY (image_uri, kind)
    );
    CREATE TABLE installations (
        id INTEGER PRIMARY KEY,
        image_uri TEXT NOT NULL,
        source TEXT NOT NULL,
        version TEXT NOT NULL,
        serial INTEGER NOT NULL,
        info TEXT NOT NULL,
        emi TEXT NOT NULL,
        eki TEXT NOT NULL,
        eri TEXT NOT NULL,
        document BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        installed_at_s REAL NOT NULL
    );
    CREATE INDEX installations_by_image ON installations (image_uri);
    CREATE TABLE installed_bundles (
        installation INTEGER NOT NULL REFERENCES installations (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        bucket TEXT NOT NULL,
        name TEXT NOT NULL,
        location TEXT NOT NULL,
        image_id TEXT NOT NULL,
        PRIMARY KEY (installation, kind)
    );
    CREATE TABLE serials (
        source TEXT NOT NULL,
        image_uri TEXT NOT NULL,
        highest INTEGER NOT NULL,
        PRIMARY KEY (source, image_uri)
    );
    CREATE TABLE listings (
        source TEXT PRIMARY KEY,
        body BLOB NOT NULL,
        fetched_at_s REAL NOT NULL
    );
    """,
    # What is needed to share, to resume an upload, and to tell what is gone from the cloud.
    """
    ALTER TABLE bundles ADD COLUMN content TEXT NOT NULL DEFAULT '';
    ALTER TABLE bundles ADD COLUMN secret TEXT NOT NULL DEFAULT '';
    ALTER TABLE installed_bundles ADD COLUMN content TEXT NOT NULL DEFAULT '';
    ALTER TABLE installations ADD COLUMN gone TEXT NOT NULL DEFAULT '';
    """,
    # Several answers of one source, and signed texts too large to lie beside every install.
    """
    CREATE TABLE kept (
        source TEXT NOT NULL,
        url TEXT NOT NULL,
        body BLOB NOT NULL,
        validator TEXT NOT NULL,
        fetched_at_s REAL NOT NULL,
        PRIMARY KEY (source, url)
    );
    DROP TABLE listings;
    CREATE TABLE evidence (
        sha256 TEXT PRIMARY KEY,
        message BLOB NOT NULL,
        kept_at_s REAL NOT NULL
    );
    """,
    # Images that are kept up to date.
    """
    CREATE TABLE follows (
        image_uri TEXT PRIMARY KEY,
        keep INTEGER NOT NULL,
        even_if_used INTEGER NOT NULL,
        since_s REAL NOT NULL,
        tried_version TEXT NOT NULL,
        tries INTEGER NOT NULL,
        tried_at_s REAL NOT NULL,
        problem TEXT NOT NULL
    );
    """,
    # Browsers that have logged in.
    """
    CREATE TABLE sessions (
        digest TEXT PRIMARY KEY,
        client_id TEXT NOT NULL,
        begun_at_s INTEGER NOT NULL,
        expires_at_s INTEGER NOT NULL,
        proof TEXT NOT NULL
    );
    """,
    # What has happened. The numbers only grow, so that they tell which run is newer.
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL UNIQUE,
        image_uri TEXT NOT NULL,
        title TEXT NOT NULL,
        version TEXT NOT NULL,
        kind TEXT NOT NULL,
        outcome TEXT NOT NULL,
        began_at_s REAL NOT NULL,
        ended_at_s REAL NOT NULL,
        error TEXT NOT NULL,
        emi TEXT NOT NULL,
        fetched_bytes INTEGER NOT NULL,
        events BLOB NOT NULL
    );
    CREATE INDEX runs_by_image ON runs (image_uri, number);
    """,
)


def upgrade(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """Bring a database to the newest version; a copy of the old one is kept beside it.

    Args:
        connection: open, in autocommit mode.
        path: of the database; the copy is ``PATH.vN``.
        steps: one script for each version.

    Raises:
        OwnStateError: the database comes from a newer version of the software.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise OwnStateError(
            f"{path} was written by a newer version (schema {version}, this one knows "
            f"{len(steps)}): start the newer version, or choose another --data-dir."
        )
    if 0 < version < len(steps):
        _back_up(connection, path.with_name(f"{path.name}.v{version}"))
    for number, script in enumerate(steps[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
        )


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600)
    connection.execute("VACUUM INTO ?", (str(copy),))

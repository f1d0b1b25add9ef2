"""The state database: sqlite3 in WAL mode, behind ``ports.Records``."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from imagestoreproxy.model.errors import DiskError, OwnStateError
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.history import Happening, Run
from imagestoreproxy.model.installs import Bundle, Install, Installation
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.ports import Background, Clock, Journal, Kept, Remembered
from imagestoreproxy.storage import answers, history, logins
from imagestoreproxy.storage.rescue import connect_sound, keep_copy
from imagestoreproxy.storage.rows import (
    bundle_of,
    follow_of,
    info_text,
    install_of,
    installation_of,
    order,
    upsert,
)
from imagestoreproxy.storage.schema import upgrade

T = TypeVar("T")

LEASE_S = 120.0
# A small database is copied after each change of what is installed, a large one now and then.
LARGE_BYTES = 8 * 2**20
LARGE_EVERY_S = 3000.0


class Database:
    """``ports.Records`` on a file.

    Args:
        path: of the database file; made (0600) when absent.
        background: runs the transactions; one thread, so that none waits behind other work.
        journal: told when the file is damaged, and its last copy takes its place.
        owner: the same after a restart, and of no other proxy that shares the database.

    Raises:
        OwnStateError: the file cannot be used.
    """

    def __init__(
        self, path: Path, background: Background, clock: Clock, journal: Journal, owner: str
    ) -> None:
        self._path = path
        self._background = background
        self._clock = clock
        self._journal = journal
        self._owner = owner
        self._copied_at_s = float("-inf")
        self._connection = connect_sound(path, journal)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            upgrade(self._connection, path)
        except (sqlite3.Error, OSError) as error:
            raise OwnStateError(f"The state database {path} cannot be used: {error}.") from error

    def close(self) -> None:
        """Close the file; nothing may be asked after that."""
        self._connection.close()

    def keep_copy(self) -> Awaitable[None]:
        return self._background.run(lambda _stop: self._keep_copy())

    def _keep_copy(self) -> None:
        now_s = self._clock.monotonic_s()
        try:
            is_large = self._path.stat().st_size > LARGE_BYTES
            if is_large and now_s - self._copied_at_s < LARGE_EVERY_S:
                return
            self._copied_at_s = now_s
            keep_copy(self._connection, self._path)
        except (sqlite3.Error, OSError) as error:
            raise OwnStateError(f"The state database cannot be copied: {error}.") from error

    def _run(self, work: Callable[[sqlite3.Connection], T], run: Run | None = None) -> Awaitable[T]:
        def transaction(_stop: object) -> T:
            with _transaction(self._connection) as connection:
                done = work(connection)
                if run:
                    with history.beside(connection, self._journal):
                        history.save(connection, run)
                return done

        return self._background.run(transaction)

    def load(self) -> Awaitable[Remembered]:
        now_s = self._clock.now_s()

        def work(db: sqlite3.Connection) -> Remembered:
            db.execute(
                "UPDATE installs SET owner = ?, lease_until_s = ? "
                "WHERE owner = ? OR lease_until_s < ?",
                (self._owner, now_s + LEASE_S, self._owner, now_s),
            )
            runs: Sequence[Run] = ()
            with history.beside(db, self._journal):
                history.end_lost(db, now_s)
                runs = history.of_installs(db, self._owner)
            installs = db.execute("SELECT * FROM installs WHERE owner = ?", (self._owner,))
            bundles = db.execute(
                "SELECT bundles.* FROM bundles JOIN installs USING (image_uri) WHERE owner = ?",
                (self._owner,),
            )
            parts: dict[int, list[Bundle]] = {}
            for row in db.execute(
                "SELECT installed_bundles.*, image_uri, 0 AS registering, '' AS secret"
                " FROM installed_bundles JOIN installations ON id = installation"
            ):
                parts.setdefault(row["installation"], []).append(bundle_of(row))
            installations = db.execute("SELECT * FROM installations ORDER BY id")
            return Remembered(
                [install_of(row) for row in installs],
                sorted((bundle_of(row) for row in bundles), key=order),
                [installation_of(row, parts.get(row["id"], [])) for row in installations],
                runs,
            )

        return self._run(work)

    def save_install(self, install: Install, run: Run | None = None) -> Awaitable[None]:
        row = {
            "image_uri": install.image_uri,
            "source": install.source,
            "state": install.state.value,
            "token": install.token,
            "info": info_text(install.info),
            "document": install.document,
            "plan": install.plan,
            "progress_percent": install.progress_percent,
            "error": install.error,
            "updated_at_s": install.updated_at_s,
            "owner": self._owner,
            "lease_until_s": self._clock.now_s() + LEASE_S,
        }
        return self._run(lambda db: upsert(db, "installs", row, key=("image_uri",)), run)

    def renew(
        self, image_uri: str, progress_percent: int, run: Run | None = None
    ) -> Awaitable[None]:
        until_s = self._clock.now_s() + LEASE_S

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE installs SET progress_percent = ?, lease_until_s = ? WHERE image_uri = ?",
                (progress_percent, until_s, image_uri),
            )

        return self._run(work, run)

    def remove_install(self, image_uri: str, run: Run | None = None) -> Awaitable[None]:
        return self._run(lambda db: _delete_install(db, image_uri), run)

    def save_bundle(self, bundle: Bundle) -> Awaitable[None]:
        row = {**asdict(bundle), "kind": bundle.kind.value}
        return self._run(lambda db: upsert(db, "bundles", row, key=("image_uri", "kind")))

    def remove_bundle(self, bundle: Bundle) -> Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM bundles WHERE image_uri = ? AND kind = ?",
                (bundle.image_uri, bundle.kind.value),
            )

        return self._run(work)

    def complete(self, installation: Installation, run: Run | None = None) -> Awaitable[int]:
        def work(db: sqlite3.Connection) -> int:
            number = db.execute(
                "INSERT INTO installations (image_uri, source, version, serial, info, emi, eki,"
                " eri, document, fingerprint, installed_at_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    installation.image_uri,
                    installation.source,
                    installation.version,
                    installation.serial,
                    info_text(installation.info),
                    installation.emi,
                    installation.eki,
                    installation.eri,
                    installation.document,
                    installation.fingerprint,
                    installation.installed_at_s,
                ),
            ).lastrowid
            db.execute(
                "INSERT INTO installed_bundles"
                " SELECT ?, kind, bucket, name, location, image_id, content FROM bundles"
                " WHERE image_uri = ?",
                (number, installation.image_uri),
            )
            _delete_install(db, installation.image_uri)
            return int(number or 0)

        return self._run(work, run)

    def mark_gone(self, number: int, why: str, told: Happening | None = None) -> Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE installations SET gone = ? WHERE id = ?", (why, number))
            if told:
                with history.beside(db, self._journal):
                    history.add(db, number, told)

        return self._run(work)

    def history_of(self, image_uri: str) -> Awaitable[Sequence[Run]]:
        return self._run(lambda db: history.of_image(db, image_uri))

    def history(self, first: int, count: int) -> Awaitable[tuple[Sequence[Run], int]]:
        return self._run(lambda db: history.of_all(db, first, count))

    def remove_installation(self, number: int) -> Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM installations WHERE id = ?", (number,))

        return self._run(work)

    def highest_serial(self, source: str, image_uri: str) -> Awaitable[int]:
        def work(db: sqlite3.Connection) -> int:
            row = db.execute(
                "SELECT highest FROM serials WHERE source = ? AND image_uri = ?",
                (source, image_uri),
            ).fetchone()
            return -1 if row is None else int(row["highest"])

        return self._run(work)

    def remember_serial(self, source: str, image_uri: str, serial: int) -> Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO serials VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET highest = max(highest, excluded.highest)",
                (source, image_uri, serial),
            )

        return self._run(work)

    def kept(self, source: str) -> Awaitable[Sequence[Kept]]:
        return self._run(lambda db: answers.load(db, source))

    def keep(self, source: str, *kept: Kept) -> Awaitable[None]:
        return self._run(lambda db: answers.keep(db, source, kept))

    def seen_again(self, source: str, url: str, fetched_at_s: float) -> Awaitable[None]:
        return self._run(lambda db: answers.seen_again(db, source, url, fetched_at_s))

    def drop(self, source: str, url: str) -> Awaitable[None]:
        return self._run(lambda db: answers.drop(db, source, url))

    def keep_evidence(self, sha256: str, message: bytes) -> Awaitable[None]:
        now_s = self._clock.now_s()
        return self._run(lambda db: answers.keep_evidence(db, sha256, message, now_s))

    def evidence(self, sha256: str) -> Awaitable[bytes | None]:
        return self._run(lambda db: answers.evidence(db, sha256))

    def follows(self) -> Awaitable[Sequence[Follow]]:
        def work(db: sqlite3.Connection) -> list[Follow]:
            return [
                follow_of(row) for row in db.execute("SELECT * FROM follows ORDER BY image_uri")
            ]

        return self._run(work)

    def follow(self, follow: Follow) -> Awaitable[None]:
        return self._run(lambda db: upsert(db, "follows", asdict(follow), key=("image_uri",)))

    def unfollow(self, image_uri: str) -> Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM follows WHERE image_uri = ?", (image_uri,))

        return self._run(work)

    def sessions(self) -> Awaitable[Sequence[Session]]:
        return self._run(logins.load)

    def begin_session(self, session: Session, ended: Collection[str]) -> Awaitable[None]:
        return self._run(lambda db: logins.begin(db, session, ended))

    def end_sessions(self, digests: Collection[str]) -> Awaitable[None]:
        return self._run(lambda db: logins.end(db, digests))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter two: odd values
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise DiskError(
                "The disk of the data directory is full, so the state cannot be written: make room."
            ) from error
        raise OwnStateError(f"The state database cannot be written or read: {error}.") from error


def _delete_install(db: sqlite3.Connection, image_uri: str) -> None:
    db.execute("DELETE FROM installs WHERE image_uri = ?", (image_uri,))

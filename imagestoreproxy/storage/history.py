"""What has happened: one row for each run, its events packed beside it.

A run is written in the transaction of the row that it tells of: so both are on disk, or neither,
and it costs no transaction of its own.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from imagestoreproxy.model.history import Happening, Outcome, Run, RunKind, What
from imagestoreproxy.ports import Journal
from imagestoreproxy.ports.remembering import RUNS, RUNS_OF_ONE

LOST = "Nothing more is known of it: the proxy's records were restored, or could not be written."
_LEVEL = 1
_BARE = (
    "token, image_uri, title, version, kind, outcome, began_at_s, ended_at_s, error, emi,"
    " fetched_bytes"
)


@contextmanager
def beside(db: sqlite3.Connection, journal: Journal) -> Iterator[None]:
    """Let what is done here fail alone: it is logged and lost, and the transaction goes on."""
    db.execute("SAVEPOINT history")
    try:
        yield
    except (sqlite3.Error, ValueError, OverflowError, KeyError, TypeError, zlib.error) as error:
        if not db.in_transaction:
            raise  # sqlite3 has ended all of it: the disk is full, or broken
        db.execute("ROLLBACK TO history")
        journal.failure("a line of the history is lost", error)
    db.execute("RELEASE history")


def save(db: sqlite3.Connection, run: Run) -> None:
    """Insert or replace a run; a new one makes the oldest ones go."""
    row = (*_bare(run), _packed(run.events))
    updates = ", ".join(f"{name} = excluded.{name}" for name in (*_BARE.split(", "), "events"))
    before = db.execute("SELECT max(number) FROM runs").fetchone()[0]
    db.execute(
        f"INSERT INTO runs ({_BARE}, events) VALUES ({', '.join('?' * len(row))})"  # noqa: S608
        f" ON CONFLICT (token) DO UPDATE SET {updates}",
        row,
    )
    if db.execute("SELECT max(number) FROM runs").fetchone()[0] != before:
        _forget_oldest(db, run.image_uri)


def add(db: sqlite3.Connection, installation: int, told: Happening) -> None:
    """Add an event to the run that an installation came from; an older one gets a run.

    Args:
        installation: number of its row.
    """
    found = db.execute("SELECT * FROM installations WHERE id = ?", (installation,)).fetchone()
    if found is None:
        return
    row = db.execute(
        "SELECT * FROM runs WHERE image_uri = ? AND emi = ? ORDER BY number DESC LIMIT 1",
        (found["image_uri"], found["emi"]),
    ).fetchone()
    run = _run(row) if row else _unknown_run(found)
    save(db, run.with_event(told))


def _unknown_run(row: sqlite3.Row) -> Run:
    return Run(
        token=f"installation-{row['id']}",
        image_uri=row["image_uri"],
        title=json.loads(row["info"])["title"],
        version=row["version"],
        kind=RunKind.INSTALL,
        outcome=Outcome.INSTALLED,
        began_at_s=row["installed_at_s"],
        ended_at_s=row["installed_at_s"],
        emi=row["emi"],
    )


def end_lost(db: sqlite3.Connection, now_s: float) -> None:
    """End the runs that no install goes on with: none is told to go on for ever."""
    db.execute(
        "UPDATE runs SET outcome = ?, error = ?, ended_at_s = ?"
        " WHERE outcome IN (?, ?) AND token NOT IN (SELECT token FROM installs)",
        (Outcome.FAILED, LOST, now_s, Outcome.GOING_ON, Outcome.PAUSED),
    )


def of_installs(db: sqlite3.Connection, owner: str) -> Sequence[Run]:
    """Give the runs of what an owner has under way."""
    rows = db.execute(
        "SELECT runs.* FROM runs JOIN installs USING (token) WHERE owner = ?", (owner,)
    )
    return [_run(row) for row in rows]


def of_image(db: sqlite3.Connection, image_uri: str) -> Sequence[Run]:
    """Give the runs of an image, newest first."""
    rows = db.execute(
        "SELECT * FROM runs WHERE image_uri = ? ORDER BY number DESC LIMIT ?",
        (image_uri, RUNS_OF_ONE),
    )
    return [_run(row) for row in rows]


def of_all(db: sqlite3.Connection, first: int, count: int) -> tuple[Sequence[Run], int]:
    """Give some runs, newest first, without their events; and how many there are."""
    rows = db.execute(
        f"SELECT {_BARE} FROM runs ORDER BY number DESC LIMIT ? OFFSET ?",  # noqa: S608
        (count, first),
    ).fetchall()
    return [_run(row) for row in rows], db.execute("SELECT count(*) FROM runs").fetchone()[0]


def _forget_oldest(db: sqlite3.Connection, image_uri: str) -> None:
    db.execute(
        "DELETE FROM runs WHERE image_uri = ? AND number <="
        " (SELECT number FROM runs WHERE image_uri = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (image_uri, image_uri, RUNS_OF_ONE),
    )
    db.execute(
        "DELETE FROM runs WHERE number <="
        " (SELECT number FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (RUNS,),
    )


def _bare(run: Run) -> tuple[Any, ...]:
    values = (getattr(run, name) for name in _BARE.split(", "))
    return tuple(str(one) if isinstance(one, str) else one for one in values)


def _run(row: sqlite3.Row) -> Run:
    fields = {name: row[name] for name in _BARE.split(", ")}
    return Run(
        **{**fields, "kind": RunKind(row["kind"]), "outcome": Outcome(row["outcome"])},
        events=_unpacked(row["events"]) if "events" in row.keys() else (),  # noqa: SIM118
    )


def _packed(events: Sequence[Happening]) -> bytes:
    rows = [(one.at_s, one.what, one.text, one.seconds, one.size_bytes) for one in events]
    return zlib.compress(json.dumps(rows).encode("ascii"), _LEVEL)


def _unpacked(packed: bytes) -> tuple[Happening, ...]:
    rows = json.loads(zlib.decompress(packed))
    return tuple(Happening(at_s, What(what), *rest) for at_s, what, *rest in rows)

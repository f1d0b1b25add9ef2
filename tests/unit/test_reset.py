"""Beginning anew: what the proxy made is removed, what others put there is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.outside.disk import DataDirectory
from imagestoreproxy.outside.reset import reset
from imagestoreproxy.storage.schema import upgrade

OURS = (
    *("state.db", "state.db-wal", "state.db-shm", "state.db.copy", "state.db.v3", "downloads"),
    *("state.db.damaged-20261129T120000", "cache", "carried", "gnupg", "euca2ools"),
)
OTHERS = ("keyring.gpg", ".keyring-as-packaged", "identity", "notes.txt", "lost+found")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    for name in (*OURS, *OTHERS):
        (directory / name).write_bytes(b"")
    for name in ("downloads", "credentials"):
        (directory / name).unlink(missing_ok=True)
        (directory / name).mkdir()
        (directory / name / "file").write_bytes(b"x")
    return directory


def test_what_is_ours_goes_and_all_else_stays(data: Path) -> None:
    done = reset(data)
    assert set(done.removed) == set(OURS)
    assert {path.name for path in data.iterdir()} == {*OTHERS, "credentials", "lock"}
    assert set(done.kept) == {path.name for path in data.iterdir()}
    assert (data / "credentials" / "file").exists()


def test_images_that_stay_in_the_cloud_are_counted(data: Path) -> None:
    database = data / "state.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as opened:
        upgrade(opened, database)
        for uri, gone in (("http://a/1", ""), ("http://a/2", "The cloud lost it.")):
            opened.execute(
                "INSERT INTO installations (image_uri, source, version, serial, info, emi, eki,"
                " eri, document, fingerprint, installed_at_s, gone)"
                " VALUES (?, 's', '1', 1, '{}', 'emi-1', '', '', x'', '', 0, ?)",
                (uri, gone),
            )
    assert reset(data).installed == 1


def test_a_link_is_removed_and_not_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"x")
    (data / "cache").unlink()
    (data / "cache").symlink_to(tmp_path / "elsewhere")
    reset(data)
    assert not (data / "cache").is_symlink()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_daemon_that_runs_keeps_everything(data: Path) -> None:
    daemon = DataDirectory(data)
    daemon.lock()
    try:
        with pytest.raises(OwnStateError, match="in use by another"):
            reset(data)
    finally:
        daemon.close()
    assert {path.name for path in data.iterdir()} >= set(OURS)


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(OwnStateError, match="nothing to reset"):
        reset(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_somebody_elses_stays_as_it_is(tmp_path: Path) -> None:
    """One with a cache/ and downloads/ of its own, as --data-dir=$HOME would name it."""
    for name in ("cache", "downloads"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
    with pytest.raises(OwnStateError, match="is not the data directory of a proxy"):
        reset(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"cache", "downloads", "file"}
    assert (tmp_path / "downloads" / "file").exists()

"""One contract for whatever remembers: the database, and the memory that unit tests use."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.history import Happening, Outcome, Run, RunKind, What
from imagestoreproxy.model.images import FileKind, ImageInfo, Provider
from imagestoreproxy.model.installs import Bundle, Install, Installation, State
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.ports import Kept, Records
from imagestoreproxy.ports.remembering import RUNS, RUNS_OF_ONE
from imagestoreproxy.storage import schema
from imagestoreproxy.storage.answers import EVIDENCE_S
from imagestoreproxy.storage.database import LEASE_S, Database
from tests.unit.memory import (
    NOW_S,
    URI,
    InlineBackground,
    MemoryClock,
    MemoryJournal,
    MemoryRecords,
    result,
)

INFO = ImageInfo(
    uri=URI,
    title="Ünïcode \U0001f600",
    description_html="<p>text</p>",
    version="1.0",
    size_mb=12,
    tags=("a", "b"),
    provider=Provider("somebody", "http://store.example/"),
    login_user="ubuntu",
    ports=(22, 443),
    source="store",
)
NEW = {"login_user", "ports", "source"}
INSTALL = Install(
    image_uri=URI,
    source="store",
    state=State.DOWNLOADING,
    token="0123456789abcdef",
    info=INFO,
    updated_at_s=NOW_S,
    document=b"signed \xff bytes",
    plan="{}",
    progress_percent=17,
    error="",
)
BUNDLE = Bundle(
    image_uri=URI,
    kind=FileKind.KERNEL,
    bucket="bucket-k",
    name="vmlinuz-a",
    content="sha/raw",
    secret="00" * 32,
    location="bucket-k/m.xml",
    registering=True,
    image_id="eki-1",
)
INSTALLED_BUNDLE = replace(BUNDLE, secret="", registering=False)
INSTALLATION = Installation(
    image_uri=URI,
    source="store",
    version="1.0",
    serial=3,
    info=INFO,
    emi="emi-1",
    eki="eki-1",
    eri="",
    document=b"signed \xff bytes",
    fingerprint="F" * 40,
    installed_at_s=NOW_S,
)


def open_database(path: Path, clock: MemoryClock | None = None, owner: str = "me") -> Database:
    journal = MemoryJournal()
    return Database(path, InlineBackground(journal), clock or MemoryClock(), journal, owner)


@pytest.fixture(params=["sqlite3", "memory"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    database = open_database(tmp_path / "state.db")
    yield database
    database.close()


def test_an_install_is_remembered_as_it_was_saved_last(records: Records) -> None:
    result(records.save_install(INSTALL))
    later = replace(INSTALL, state=State.INSTALLING, progress_percent=60)
    result(records.save_install(later))
    assert list(result(records.load()).installs) == [later]


def test_the_ledger_goes_with_its_install(records: Records) -> None:
    result(records.save_install(INSTALL))
    result(records.save_bundle(replace(BUNDLE, image_id="")))
    result(records.save_bundle(BUNDLE))
    assert list(result(records.load()).bundles) == [BUNDLE]
    result(records.remove_install(URI))
    assert not result(records.load()).bundles
    assert not result(records.load()).installs


def test_saving_an_install_again_keeps_its_ledger(records: Records) -> None:
    result(records.save_install(INSTALL))
    result(records.save_bundle(BUNDLE))
    result(records.save_install(replace(INSTALL, progress_percent=20)))
    assert list(result(records.load()).bundles) == [BUNDLE]


def test_a_line_of_the_ledger_can_be_struck(records: Records) -> None:
    result(records.save_install(INSTALL))
    result(records.save_bundle(BUNDLE))
    result(records.remove_bundle(BUNDLE))
    assert not result(records.load()).bundles


def test_completing_ends_the_install_and_keeps_the_installation(records: Records) -> None:
    result(records.save_install(INSTALL))
    result(records.save_bundle(BUNDLE))
    number = result(records.complete(INSTALLATION))
    newer = replace(INSTALLATION, version="1.1", serial=4, emi="emi-2")
    later = result(records.complete(newer))
    remembered = result(records.load())
    assert list(remembered.installations) == [
        replace(INSTALLATION, number=number, bundles=(INSTALLED_BUNDLE,)),
        replace(newer, number=later),
    ]
    assert not remembered.installs
    assert not remembered.bundles


def test_an_installation_can_be_gone_and_come_back_and_be_forgotten(records: Records) -> None:
    number = result(records.complete(INSTALLATION))
    for why in ("deregistered", ""):
        result(records.mark_gone(number, why))
        assert [one.gone for one in result(records.load()).installations] == [why]
    result(records.remove_installation(number + 1))
    assert result(records.load()).installations
    result(records.remove_installation(number))
    assert not result(records.load()).installations


def test_the_highest_serial_never_goes_down(records: Records) -> None:
    assert result(records.highest_serial("store", URI)) == -1
    for serial in (5, 3):
        result(records.remember_serial("store", URI, serial))
    assert result(records.highest_serial("store", URI)) == 5
    assert result(records.highest_serial("another", URI)) == -1


def test_the_last_good_answers_of_each_source_are_kept_by_url(records: Records) -> None:
    index, products = "http://one.example/index", "http://one.example/products"
    assert result(records.kept("one")) == []
    for kept in (Kept(index, b"old", "", 1.0), Kept(index, b"new", '"2"', 2.0)):
        result(records.keep("one", kept))
    result(records.keep("one", Kept(products, b"\0" * 100_000, "", 3.0)))
    result(records.keep("two", Kept(index, b"other", "", 4.0), Kept(products, b"more", "", 4.0)))
    assert result(records.kept("one")) == [
        Kept(index, b"new", '"2"', 2.0),
        Kept(products, b"\0" * 100_000, "", 3.0),
    ]
    for url in (products, "http://one.example/never-kept"):
        result(records.seen_again("one", url, 5.0))
    assert [kept.fetched_at_s for kept in result(records.kept("one"))] == [2.0, 5.0]
    result(records.drop("one", products))
    assert [kept.url for kept in result(records.kept("one"))] == [index]
    assert [kept.body for kept in result(records.kept("two"))] == [b"other", b"more"]


def test_a_signed_text_is_kept_by_its_digest(records: Records) -> None:
    assert result(records.evidence("a" * 64)) is None
    for _ in range(2):
        result(records.keep_evidence("a" * 64, b"signed"))
    assert result(records.evidence("a" * 64)) == b"signed"


# What only a file can do.


def test_everything_is_there_after_the_file_was_closed_and_opened(tmp_path: Path) -> None:
    first = open_database(tmp_path / "state.db")
    result(first.save_install(INSTALL))
    result(first.complete(INSTALLATION))
    first.close()
    again = result(open_database(tmp_path / "state.db").load())
    assert list(again.installations) == [replace(INSTALLATION, number=1)]


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    open_database(tmp_path / "state.db").close()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_a_signed_text_stays_as_long_as_an_install_names_it(tmp_path: Path) -> None:
    clock = MemoryClock()
    database = open_database(tmp_path / "state.db", clock)
    for letter in "abc":
        result(database.keep_evidence(letter * 64, letter.encode()))
    result(database.save_install(replace(INSTALL, document=b'{"document": "%s"}' % (b"a" * 64))))
    clock.twisted.advance(EVIDENCE_S - 1)
    result(database.keep_evidence("c" * 64, b"c"))
    clock.twisted.advance(2)
    result(database.keep_evidence("d" * 64, b"d"))
    there = [letter for letter in "abcd" if result(database.evidence(letter * 64))]
    assert there == ["a", "c", "d"]
    result(database.remove_install(INSTALL.image_uri))
    result(database.keep_evidence("d" * 64, b"d"))
    assert result(database.evidence("a" * 64)) is None


def test_another_owner_gets_an_install_only_when_its_lease_has_ended(tmp_path: Path) -> None:
    clock = MemoryClock()
    mine = open_database(tmp_path / "state.db", clock)
    result(mine.save_install(INSTALL))
    theirs = open_database(tmp_path / "state.db", clock, owner="another")
    assert not result(theirs.load()).installs
    assert result(mine.load()).installs
    clock.twisted.advance(LEASE_S + 1)
    assert result(theirs.load()).installs
    assert not result(mine.load()).installs


def test_a_database_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OwnStateError, match="newer version"):
        open_database(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("version", range(len(schema.STEPS)))
def test_every_old_version_is_upgraded(tmp_path: Path, version: int) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path, isolation_level=None)
    schema.upgrade(connection, path, schema.STEPS[:version])
    connection.close()
    database = open_database(path)
    result(database.save_install(INSTALL))
    assert list(result(database.load()).installs) == [INSTALL]


def test_display_data_that_an_earlier_version_has_written_is_read(tmp_path: Path) -> None:
    """It lacks what was not known then."""
    path = tmp_path / "state.db"
    database = open_database(path)
    result(database.save_install(INSTALL))
    connection = sqlite3.connect(path, isolation_level=None)
    (text,) = connection.execute("SELECT info FROM installs").fetchone()
    earlier = {name: value for name, value in json.loads(text).items() if name not in NEW}
    connection.execute("UPDATE installs SET info = ?", (json.dumps(earlier),))
    connection.close()
    (install,) = result(database.load()).installs
    assert install.info == replace(INFO, login_user="", ports=(), source="")
    assert len(earlier) == len(json.loads(text)) - len(NEW)


def test_an_upgrade_keeps_the_rows_and_a_copy_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    database = open_database(path)
    result(database.save_install(INSTALL))
    database.close()
    steps = [*schema.STEPS, "ALTER TABLE installs ADD COLUMN later TEXT"]
    connection = sqlite3.connect(path, isolation_level=None)
    schema.upgrade(connection, path, steps)
    assert connection.execute("SELECT image_uri, later FROM installs").fetchall() == [(URI, None)]
    copy = path.with_name(f"state.db.v{len(schema.STEPS)}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert list(result(open_database(copy).load()).installs) == [INSTALL]


def test_a_failed_upgrade_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_database(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.Error):
        schema.upgrade(connection, path, [*schema.STEPS, "CREATE TABLE half (a); nonsense"])
    connection.close()
    open_database(path).close()
    with sqlite3.connect(path) as again:
        assert not again.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no database": lambda good: b"not a database" * 1000,
    "garbage in the middle": lambda good: good[:8192] + b"x" * 8192 + good[16384:],
    "cut off": lambda good: good[:9000],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_set_aside_and_the_last_copy_takes_its_place(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "state.db"
    database = open_database(path)
    result(database.complete(INSTALLATION))
    result(database.keep_copy())
    database.close()
    bad = DAMAGE[damage](path.read_bytes())
    path.write_bytes(bad)
    rescued = open_database(path)
    assert [one.emi for one in result(rescued.load()).installations] == ["emi-1"]
    (aside,) = tmp_path.glob("state.db.damaged-*T??????")
    assert aside.read_bytes() == bad
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_copy_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database" * 1000)
    database = open_database(path)
    assert not result(database.load()).installations
    assert list(tmp_path.glob("state.db.damaged-*"))


def test_a_file_that_cannot_be_opened_is_said_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(OwnStateError, match=r"state\.db cannot be used"):
        open_database(tmp_path / "state.db")


FOLLOW = Follow(
    image_uri=URI,
    keep=3,
    even_if_used=True,
    since_s=NOW_S,
    tried_version="2.0 \u00fc",
    tries=4,
    tried_at_s=NOW_S + 1.5,
    problem="The store is away.",
)


def test_what_is_followed_is_remembered_as_it_was_saved_last(records: Records) -> None:
    assert list(result(records.follows())) == []
    other = Follow(f"{URI}0")
    for follow in (other, replace(FOLLOW, keep=0, even_if_used=False), FOLLOW):
        result(records.follow(follow))
    assert list(result(records.follows())) == [FOLLOW, other]


def test_an_image_is_followed_until_it_is_no_longer_also_where_it_never_was(
    records: Records,
) -> None:
    result(records.follow(FOLLOW))
    result(records.unfollow("http://store.example/other"))
    assert list(result(records.follows())) == [FOLLOW]
    result(records.unfollow(URI))
    result(records.unfollow(URI))
    assert list(result(records.follows())) == []


def test_what_is_followed_survives_a_restart(tmp_path: Path) -> None:
    database = open_database(tmp_path / "state.db")
    result(database.follow(FOLLOW))
    database.close()
    again = open_database(tmp_path / "state.db")
    assert list(result(again.follows())) == [FOLLOW]
    again.close()


SESSION = Session("a" * 64, "client \u00fc", int(NOW_S), int(NOW_S) + 43_200, "b" * 64)


def later(number: int) -> Session:
    return replace(SESSION, digest=f"{number}" * 64, begun_at_s=SESSION.begun_at_s + number)


def test_sessions_are_given_as_they_were_begun_the_oldest_first(records: Records) -> None:
    assert list(result(records.sessions())) == []
    for session in (later(2), SESSION, later(1)):
        result(records.begin_session(session, []))
    assert list(result(records.sessions())) == [SESSION, later(1), later(2)]


def test_a_session_that_begins_takes_the_place_of_others_known_or_not(records: Records) -> None:
    for session in (SESSION, later(1), later(2)):
        result(records.begin_session(session, []))
    result(records.begin_session(later(3), [SESSION.digest, later(2).digest, "unknown"]))
    assert list(result(records.sessions())) == [later(1), later(3)]


def test_sessions_end_once_or_twice_and_others_stay(records: Records) -> None:
    for session in (SESSION, later(1), later(2)):
        result(records.begin_session(session, []))
    for _ in range(2):
        result(records.end_sessions([SESSION.digest, later(1).digest]))
    result(records.end_sessions([]))
    assert list(result(records.sessions())) == [later(2)]


def test_sessions_survive_a_restart(tmp_path: Path) -> None:
    database = open_database(tmp_path / "state.db")
    result(database.begin_session(SESSION, []))
    database.close()
    again = open_database(tmp_path / "state.db")
    assert list(result(again.sessions())) == [SESSION]
    again.close()


def test_a_copy_that_takes_the_place_of_a_damaged_file_brings_no_session_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    database = open_database(path)
    result(database.begin_session(SESSION, []))
    result(database.follow(FOLLOW))
    result(database.keep_copy())
    result(database.end_sessions([SESSION.digest]))
    database.close()
    path.write_bytes(b"not a database" * 1000)
    rescued = open_database(path)
    assert list(result(rescued.follows())) == [FOLLOW]
    assert list(result(rescued.sessions())) == []
    rescued.close()


RUN = Run(
    token=INSTALL.token,
    image_uri=URI,
    title="Ünïcode \U0001f600",
    version="1.0",
    kind=RunKind.INSTALL,
    began_at_s=NOW_S,
    fetched_bytes=2**40,
    events=(
        Happening(NOW_S, What.ACCEPTED, "It was asked for."),
        Happening(NOW_S + 1.5, What.PLANNED, "3 files: \u00fc", 1.5, 2**40),
    ),
)
ENDED = replace(
    RUN, outcome=Outcome.INSTALLED, ended_at_s=NOW_S + 9, emi="emi-1", error="It was away."
)


def bare(*runs: Run) -> list[Run]:
    return [replace(run, events=()) for run in runs]


def test_history_rides_along_with_every_row_that_is_written(records: Records) -> None:
    writes: list[Callable[[Run | None], Awaitable[object]]] = [
        lambda run: records.save_install(INSTALL, run),
        lambda run: records.renew(URI, 5, run),
        lambda run: records.complete(INSTALLATION, run),
        lambda run: records.remove_install(URI, run),
    ]
    for number, write in enumerate(writes):
        run = replace(RUN, version=f"1.{number}")
        result(write(run))
        assert list(result(records.history_of(URI))) == [run]
        result(write(None))
        assert list(result(records.history_of(URI))) == [run]
    result(records.remove_install(URI, ENDED))
    assert list(result(records.history_of(URI))) == [ENDED]
    assert list(result(records.history_of(f"{URI}0"))) == []


def test_all_of_the_history_is_given_in_pieces_newest_first_and_without_events(
    records: Records,
) -> None:
    assert result(records.history(0, 10)) == ([], 0)
    runs = [replace(ENDED, token=f"{number}", image_uri=f"{URI}{number}") for number in range(5)]
    for run in runs:
        result(records.save_install(INSTALL, run))
    # A run that changes keeps its place.
    result(records.save_install(INSTALL, runs[0]))
    assert result(records.history(0, 2)) == (bare(runs[4], runs[3]), 5)
    assert result(records.history(4, 2)) == (bare(runs[0]), 5)
    assert result(records.history(5, 2)) == ([], 5)


def test_what_goes_on_is_loaded_with_its_history(records: Records) -> None:
    result(records.save_install(INSTALL, RUN))
    result(records.save_install(replace(INSTALL, image_uri=f"{URI}0", token="other")))
    assert list(result(records.load()).runs) == [RUN]


def test_what_is_gone_or_back_is_added_to_the_run_that_brought_it(records: Records) -> None:
    result(records.save_install(INSTALL, RUN))
    number = result(records.complete(INSTALLATION, ENDED))
    retried = replace(ENDED, token="later", emi="emi-2")
    result(records.complete(replace(INSTALLATION, emi="emi-2"), retried))
    told = Happening(NOW_S + 60, What.GONE, "It is gone.")
    result(records.mark_gone(number, "It is gone.", told))
    result(records.mark_gone(number + 99, "It is gone.", told))
    result(records.mark_gone(number, ""))
    later, first = result(records.history_of(URI))
    assert first == ENDED.with_event(told)
    assert later == retried


def test_an_installation_of_before_there_was_a_history_gets_one_when_something_happens(
    records: Records,
) -> None:
    number = result(records.complete(INSTALLATION))
    told = Happening(NOW_S + 60, What.GONE, "It is gone.")
    for _ in range(2):
        result(records.mark_gone(number, "gone", told))
    (run,) = result(records.history_of(URI))
    assert (run.emi, run.version, run.title) == ("emi-1", "1.0", INFO.title)
    assert (run.outcome, run.began_at_s) == (Outcome.INSTALLED, NOW_S)
    assert run.events == (told, told)


def test_of_one_image_the_oldest_runs_go_first(records: Records) -> None:
    other = replace(ENDED, token="other", image_uri=f"{URI}0")
    result(records.save_install(INSTALL, other))
    for number in range(RUNS_OF_ONE + 2):
        result(records.save_install(INSTALL, replace(ENDED, token=f"{number}")))
    kept = result(records.history_of(URI))
    assert [run.token for run in kept] == [f"{n}" for n in range(RUNS_OF_ONE + 1, 1, -1)]
    assert list(result(records.history_of(f"{URI}0"))) == [other]


def test_nothing_is_told_to_go_on_that_does_not(records: Records) -> None:
    result(records.save_install(INSTALL, RUN))
    for outcome in (Outcome.GOING_ON, Outcome.PAUSED):
        lost = replace(RUN, token=outcome.value, outcome=outcome)
        result(records.save_install(INSTALL, lost))
    result(records.load())
    *lost_runs, going_on = result(records.history_of(URI))
    assert going_on == RUN
    assert {run.outcome for run in lost_runs} == {Outcome.FAILED}
    assert all(run.error and run.ended_at_s for run in lost_runs)


def test_of_all_runs_the_oldest_go_first(tmp_path: Path) -> None:
    database = open_database(tmp_path / "state.db")
    result(database.save_install(INSTALL, replace(ENDED, token="first")))
    with sqlite3.connect(tmp_path / "state.db") as connection:
        names = "image_uri, title, version, kind, outcome, began_at_s, ended_at_s, error, emi, fetched_bytes, events"  # noqa: E501
        connection.executemany(
            f"INSERT INTO runs (token, {names}) SELECT ?, {names} FROM runs WHERE token = 'first'",
            [(f"{number}",) for number in range(RUNS - 1)],
        )
    assert result(database.history(0, 1))[1] == RUNS
    last = replace(ENDED, token="last", image_uri=f"{URI}0")
    result(database.save_install(INSTALL, last))
    assert result(database.history(0, 1)) == (bare(last), RUNS)
    assert [run.token for run in result(database.history(RUNS - 1, 1))[0]] == ["0"]


def test_a_line_of_the_history_that_cannot_be_written_is_lost_and_nothing_else(
    tmp_path: Path,
) -> None:
    journal = MemoryJournal()
    database = Database(
        tmp_path / "state.db", InlineBackground(journal), MemoryClock(), journal, "me"
    )
    result(database.save_install(INSTALL, replace(RUN, fetched_bytes=2**70)))
    assert list(result(database.load()).installs) == [INSTALL]
    (failure,) = journal.failures
    assert "history" in failure[0]
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("DROP TABLE runs")
    assert result(database.complete(INSTALLATION, RUN))
    result(database.mark_gone(1, "gone", RUN.events[0]))
    assert [one.gone for one in result(database.load()).installations] == ["gone"]
    database.close()


def test_an_upgrade_from_before_there_was_a_history_keeps_all_and_tells_from_then_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    before = next(n for n, step in enumerate(schema.STEPS) if "CREATE TABLE runs" in step)
    database = open_database(path)
    result(database.save_install(INSTALL))
    result(database.complete(INSTALLATION))
    result(database.save_install(INSTALL))
    result(database.follow(FOLLOW))
    database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE runs")
        for step in schema.STEPS[before + 1 :]:
            for table in re.findall(r"CREATE TABLE (\w+)", step):
                connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version = {before}")
    upgraded = open_database(path)
    remembered = result(upgraded.load())
    assert list(remembered.installs) == [INSTALL]
    assert [one.emi for one in remembered.installations] == ["emi-1"]
    assert list(result(upgraded.follows())) == [FOLLOW]
    assert not remembered.runs
    result(upgraded.save_install(INSTALL, RUN))
    assert list(result(upgraded.history_of(URI))) == [RUN]
    upgraded.close()

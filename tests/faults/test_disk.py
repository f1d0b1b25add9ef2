"""H15 and P14: a disk that is full, read-only, somebody else's; a database locked or damaged."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from imagestoreproxy.client.requests import ClientError
from tests.faults import tally
from tests.faults.ground import at_rest, fake_cloud, make_images, problems, said_500
from tests.functional import warm
from tests.functional.rig import Daemon, FakeStore, Rig, fake_rig, wait_for

TRIO = "Example Server"
DISK_MIB = 112  # an install wants 64 MiB beside what it needs
KIB = 1024
ROUNDS = 12 if tally.LONG else 1
FULL_S = 15 if tally.LONG else 8

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="to mount a small disk takes root")


class SmallDisk:
    """A tmpfs at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def leave(self, free_bytes: int) -> None:
        """Fill it up but for so much."""
        for _ in range(100):
            self.empty()
            found = os.statvfs(self.path)
            fill = found.f_bavail * found.f_frsize - free_bytes
            # Who downloads meanwhile may have taken some of it between the two calls.
            with self._ballast.open("wb") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, fill))
                return
        raise AssertionError("the disk could not be filled")

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self.path], check=True, timeout=30)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    option = f"size={DISK_MIB}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", option, "tmpfs", path], capture_output=True, timeout=30
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True, timeout=30)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("disk") / "images", kib=4096)


@pytest.fixture(scope="module")
def bootable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("disk") / "bootable"
    directory.mkdir()
    raw = directory / "raw"
    raw.write_bytes(random.Random(3).randbytes(6 * 2**20))
    made = directory / "image.qcow2"
    command = ["qemu-img", "convert", "-O", "qcow2", "-c", str(raw), str(made)]
    subprocess.run(command, check=True, timeout=60)
    raw.unlink()
    return directory


def run(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """Start a daemon that cannot run; it must end by itself."""
    return warm.run(daemon.command, os.environ, timeout_s=30)


def fails_to_start(kind: str, daemon: Daemon, *words: str) -> None:
    ended = run(daemon)
    said = ended.stderr
    good = ended.returncode in (1, 2) and all(word in said for word in words)
    good = good and "Traceback" not in said
    tally.record(kind, tally.CLEAN if good else "not told")
    assert good, said


def settles_when_there_is_room(
    rig: Rig, disk: SmallDisk, uri: str, kind: str, *, refused: bool = False
) -> None:
    """However it ends while the disk is full, afterwards the image can be installed."""
    try:
        state = at_rest(rig.daemon, [uri], within_s=FULL_S)[uri]
    except AssertionError:  # not a byte left to write down the failure with
        state = {}
    disk.empty()
    rig.store.control(reset=True)
    state = at_rest(rig.daemon, [uri])[uri]
    if state["status"] == "installed":
        outcome = tally.INSTALLED
    else:
        outcome = tally.CLEAN
        message = state.get("error-message", "disk") if refused else state["error-message"]
        assert any(word in message for word in ("disk", "room", "free", "larger")), message
        assert "Traceback" not in message
        rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
    left = problems(rig.daemon, fake_cloud(rig.daemon))
    tally.record(kind, outcome, leftovers=len(left))
    assert not left
    rig.daemon.act(uri, "uninstall")
    rig.daemon.wait(uri, "uninstalled")


def is_refused(rig: Rig, uri: str) -> bool:
    """Click on Install; a proxy that cannot write it down may refuse."""
    try:
        rig.daemon.act(uri, "install")
    except ClientError as error:
        assert "disk" in error.message or "database" in error.message, error.message
        return True
    return False


@needs_root
def test_a_disk_that_fills_up_at_any_byte_of_a_download_fails_cleanly(
    small_disk: SmallDisk, larger: Path
) -> None:
    free = tally.generator("disk: full")
    with fake_rig(small_disk.path, larger) as rig:
        uri = rig.image(TRIO)
        for number in range(ROUNDS):
            rig.store.control(fault="slow", path="image.gz", rate=1_000_000)
            rig.daemon.act(uri, "install")
            wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 150_000)
            # Down to the last page; and with room for a part of the file.
            small_disk.leave(0 if number == 0 else free.randrange(3 * 2**20))
            settles_when_there_is_room(rig, small_disk, uri, "disk: full while downloading")
        assert_no_500(rig, "disk: full while downloading")


@needs_root
def test_a_disk_that_fills_up_at_the_conversion_of_a_disk_image_fails_cleanly(
    small_disk: SmallDisk, bootable: Path
) -> None:
    size_bytes = (bootable / "image.qcow2").stat().st_size
    with fake_rig(small_disk.path, bootable) as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        for number in range(max(1, ROUNDS // 3)):
            rig.store.control(fault="slow", path="image", rate=2_000_000)
            rig.daemon.act(uri, "install")
            begun = wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0))
            # What is still to come fits, what it becomes does not.
            small_disk.leave(size_bytes - begun + (number + 1) * 512 * KIB)
            settles_when_there_is_room(rig, small_disk, uri, "disk: full while converting")
        assert_no_500(rig, "disk: full while converting")


@needs_root
def test_a_disk_that_is_full_when_install_is_clicked_still_shows_all(
    small_disk: SmallDisk, larger: Path
) -> None:
    with fake_rig(small_disk.path, larger) as rig:
        uri = rig.image(TRIO)
        for free_bytes in (0, 8 * KIB, 64 * KIB, 10 * 2**20)[: 4 if tally.LONG else 1]:
            small_disk.leave(free_bytes)
            refused = is_refused(rig, uri)
            assert rig.daemon.proxy.get("/api/dashboard")["images"]
            kind = "disk: full at the click"
            settles_when_there_is_room(rig, small_disk, uri, kind, refused=refused)
        assert_no_500(rig, "disk: full at the click")


@needs_root
def test_a_disk_that_becomes_read_only_is_told_and_passes(
    small_disk: SmallDisk, larger: Path
) -> None:
    with fake_rig(small_disk.path, larger) as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
        rig.daemon.end()
        rig.store.log = small_disk.path.parent / "store.log"
        rig.store.end()
        rig.store.start()
        rig.daemon.log = small_disk.path.parent / "proxy.log"
        small_disk.remount("ro")
        fails_to_start("disk: read-only at the start", rig.daemon, str(rig.daemon.data_dir))
        small_disk.remount("rw")
        rig.daemon.start()
        assert rig.daemon.wait(uri, "installed")["emi"]
        left = problems(rig.daemon, fake_cloud(rig.daemon))
        tally.record("disk: writable again", tally.SERVED, leftovers=len(left))
        assert not left


def assert_no_500(rig: Rig, kind: str) -> None:
    count = said_500(rig.daemon)
    tally.record(kind, tally.SERVED, times=0, errors_500=count)
    assert not count, "an answer had the status 500"


@needs_root
def test_a_data_directory_of_somebody_else_is_refused(tmp_path: Path, larger: Path) -> None:
    daemon = idle_daemon(tmp_path, larger)
    daemon.data_dir.mkdir(mode=0o700)
    os.chown(daemon.data_dir, 12345, -1)
    fails_to_start("disk: another owner", daemon, str(daemon.data_dir), "12345")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_data_directory_that_others_may_write_to_is_refused(
    tmp_path: Path, larger: Path, mode: int
) -> None:
    daemon = idle_daemon(tmp_path, larger)
    daemon.data_dir.mkdir()
    daemon.data_dir.chmod(mode)
    fails_to_start("disk: others may write", daemon, str(daemon.data_dir), "chmod")


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path, larger: Path) -> None:
    daemon = idle_daemon(tmp_path, larger)
    daemon.data_dir.write_text("in the way")
    fails_to_start("disk: a file in the way", daemon, str(daemon.data_dir))


def idle_daemon(directory: Path, images: Path) -> Daemon:
    store = FakeStore(directory, images)
    return Daemon(directory, f"--api-url={store.url}", "--fake-eucalyptus=x")


# The database.


@pytest.mark.parametrize("held_s", [1.0, 3.0, 8.0] if tally.LONG else [1.0])
def test_a_locked_database_is_waited_for_and_nothing_is_lost(
    tmp_path: Path, larger: Path, held_s: float
) -> None:
    with fake_rig(tmp_path, larger) as rig:
        uri = rig.image(TRIO)
        rig.store.control(fault="slow", path="image.gz", rate=4_000_000)
        rig.daemon.act(uri, "install")
        with closing(sqlite3.connect(rig.daemon.data_dir / "state.db", timeout=10)) as other:
            other.isolation_level = None
            other.execute("BEGIN EXCLUSIVE")
            ends_s = time.monotonic() + held_s
            while time.monotonic() < ends_s:
                assert rig.daemon.state(uri)["image-uri"] == uri
                time.sleep(0.05)
            other.execute("ROLLBACK")
        state = at_rest(rig.daemon, [uri])[uri]
        if state["status"] == "uninstalled":
            assert "database" in state["error-message"]
            rig.daemon.act(uri, "install")
            rig.daemon.wait(uri, "installed")
        left = problems(rig.daemon, fake_cloud(rig.daemon))
        outcome = tally.INSTALLED if state["status"] == "installed" else tally.CLEAN
        count = said_500(rig.daemon)
        tally.record("database: locked", outcome, leftovers=len(left), errors_500=count)
        assert not left
        assert not count


@pytest.mark.skipif(not tally.LONG, reason="it waits as long as the daemon does: five seconds")
def test_a_database_that_is_locked_at_the_start_is_waited_for_or_named(
    tmp_path: Path, larger: Path
) -> None:
    with fake_rig(tmp_path, larger) as rig:
        rig.daemon.end()
        path = rig.daemon.data_dir / "state.db"
        with closing(sqlite3.connect(path, timeout=10)) as other:
            other.isolation_level = None
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            fails_to_start("database: locked at the start", rig.daemon, str(path), "locked")
        rig.daemon.start()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, larger: Path
) -> None:
    with fake_rig(tmp_path, larger) as rig:
        rig.daemon.end()
        path = rig.daemon.data_dir / "state.db"
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 999")
        before = path.read_bytes()
        fails_to_start("database: newer schema", rig.daemon, str(path), "newer version", "999")
        assert path.read_bytes() == before


def garbage(path: Path, seeded: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(seeded.randrange(path.stat().st_size))
        file.write(seeded.randbytes(3000))


def header(path: Path, seeded: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(seeded.randbytes(100))


def truncated(path: Path, seeded: random.Random) -> None:
    os.truncate(path, seeded.randrange(1, path.stat().st_size))


def empty(path: Path, seeded: random.Random) -> None:
    os.truncate(path, 0)


def gone(path: Path, seeded: random.Random) -> None:
    path.unlink()


DAMAGES = (garbage, header, truncated, empty, gone)


@pytest.mark.parametrize("number", range(4 if tally.LONG else 1))
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "end", [signal.SIGTERM, signal.SIGKILL] if tally.LONG else [signal.SIGTERM]
)
def test_p14_a_damaged_database_is_set_aside_told_and_restored(
    tmp_path: Path, larger: Path, damage: object, end: signal.Signals, number: int
) -> None:
    name = getattr(damage, "__name__", "")
    kind = f"database: {name}"
    seeded = tally.generator(f"{kind} {end} {number}")
    with fake_rig(tmp_path, larger) as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        emi = rig.daemon.wait(uri, "installed")["emi"]
        time.sleep(0.1)
        rig.daemon.end(end)
        path = rig.daemon.data_dir / "state.db"
        assert callable(damage)
        damage(path, seeded)
        rig.daemon.start()
        state = at_rest(rig.daemon, [uri])[uri]
        aside = [] if name == "gone" else list(path.parent.glob("state.db.damaged-*"))
        told = "is damaged" in rig.daemon.said()
        known = state["status"] == "installed" and state["emi"] == emi
        # Garbage may lie where nothing was, and the log of sqlite3 mends much by itself; else it
        # is told, and what was there is kept.
        mends = name == "garbage" or end is signal.SIGKILL
        good = known and (told or mends) and (bool(aside) == told or name == "gone")
        left = problems(rig.daemon, fake_cloud(rig.daemon))
        tally.record(kind, tally.SERVED if good else "lost in silence", leftovers=len(left))
        assert known, state
        assert good, rig.daemon.said()
        assert not left
        for file in aside:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

"""The data directory, on a real file system."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import Cancelled, DigestError, DiskError, OwnStateError
from imagestoreproxy.outside.background import StopFlag
from imagestoreproxy.outside.disk import DataDirectory, PartialFile

LIMIT = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


def partial(disk: DataDirectory, limit_bytes: int = LIMIT) -> PartialFile:
    return disk.partial("t1", "image.gz", limit_bytes, StopFlag())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_everything_it_makes_is_for_its_owner_alone(disk: DataDirectory, tmp_path: Path) -> None:
    disk.lock()
    file = partial(disk)
    file.begin(resumed=False, validator='"v1"')
    file.write(b"x")
    for root, directories, files in os.walk(tmp_path / "data"):
        assert [mode(Path(root, one)) for one in directories] == [0o700] * len(directories)
        assert [mode(Path(root, one)) for one in files] == [0o600] * len(files)
    disk.close()


def test_a_directory_that_others_may_write_to_is_refused_with_the_command_that_helps(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o770)
    with pytest.raises(OwnStateError, match="chmod go-w"):
        DataDirectory(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    os.chown(tmp_path / "data", 12345, 12345)
    with pytest.raises(OwnStateError, match="12345"):
        DataDirectory(tmp_path / "data")


def test_a_second_daemon_is_told_which_process_has_the_directory(
    disk: DataDirectory, tmp_path: Path
) -> None:
    disk.lock()
    second = (
        "import sys; from pathlib import Path\n"
        "from imagestoreproxy.outside.disk import DataDirectory\n"
        "try: DataDirectory(Path(sys.argv[1])).lock()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", second, str(tmp_path / "data")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert said.startswith("OwnStateError")
    assert f"process {os.getpid()};" in said
    disk.close()
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert said == ""


def test_p1_bytes_survive_a_restart_with_their_digest_and_validator(disk: DataDirectory) -> None:
    file = partial(disk)
    assert (file.position, file.validator) == (0, "")
    file.begin(resumed=False, validator='"v1"')
    file.write(b"abc")
    again = partial(disk)
    assert (again.position, again.validator) == (3, '"v1"')
    again.begin(resumed=True, validator='"v1"')
    again.write(b"def")
    assert again.digest_hex() == hashlib.sha256(b"abcdef").hexdigest()
    assert disk.path("t1", "image.gz").read_bytes() == b"abcdef"


def test_the_digest_is_the_one_that_was_asked_for_also_over_a_restart(
    disk: DataDirectory,
) -> None:
    for already, block in ((0, b"abc"), (3, b"def")):
        file = disk.partial("t1", "image.gz", LIMIT, StopFlag(), "sha512")
        assert file.position == already
        file.begin(resumed=True, validator='"v1"')
        file.write(block)
    assert file.digest_hex() == hashlib.sha512(b"abcdef").hexdigest()
    file.discard()
    assert file.digest_hex() == hashlib.sha512(b"").hexdigest()


def test_bytes_of_a_server_that_names_no_version_are_still_held(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator="")
    file.write(b"abc")
    assert (partial(disk).position, partial(disk).validator) == (3, "")


def test_bytes_without_their_sidecar_are_dropped(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator='"v1"')
    file.write(b"abc")
    disk.path("t1", "image.gz.validator").unlink()
    assert partial(disk).position == 0


def test_a_start_from_the_first_byte_drops_what_was_held(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator='"v1"')
    file.write(b"abc")
    file.begin(resumed=False, validator='"v2"')
    file.write(b"xy")
    assert file.digest_hex() == hashlib.sha256(b"xy").hexdigest()
    assert (partial(disk).position, partial(disk).validator) == (2, '"v2"')


def test_one_byte_more_than_signed_is_refused_and_not_written(disk: DataDirectory) -> None:
    file = partial(disk, limit_bytes=5)
    file.begin(resumed=False, validator="")
    file.write(b"12345")
    with pytest.raises(DigestError, match="signed 5 bytes"):
        file.write(b"6")
    assert file.position == 5


def test_a_file_larger_than_its_limit_is_started_over(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator='"v1"')
    file.write(b"abc")
    assert partial(disk, limit_bytes=2).position == 0


def test_reading_again_stops_when_asked(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator='"v1"')
    file.write(b"abc")
    stop = StopFlag()
    stop.set()
    with pytest.raises(Cancelled):
        disk.partial("t1", "image.gz", LIMIT, stop)


def test_p6_a_full_disk_is_said_in_plain_words_and_keeps_what_was_held(
    disk: DataDirectory, tmp_path: Path
) -> None:
    # A limit of the process stands in for a full disk: no other file system is needed.
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from imagestoreproxy.outside.disk import DataDirectory\n"
        "from imagestoreproxy.outside.background import StopFlag\n"
        "disk = DataDirectory(Path(sys.argv[1]))\n"
        "file = disk.partial('t1', 'image.gz', 1 << 20, StopFlag())\n"
        "file.begin(resumed=False, validator='v')\n"
        "file.write(b'x' * 1000)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "try: file.write(b'x' * 1000)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(file.position, disk.path('t1', 'image.gz').stat().st_size)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert "DiskError The data directory cannot be used at" in said
    assert os.strerror(errno.EFBIG) in said
    assert said.splitlines()[-1] == "1000 1000"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_p6_no_space_left_names_the_file_and_what_to_do(disk: DataDirectory) -> None:
    file = partial(disk)
    file.begin(resumed=False, validator="")
    path = disk.path("t1", "image.gz")
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"image\.gz: the disk is full; make room"):
        file.write(b"x")


def test_tokens_are_listed_and_removed_whole(disk: DataDirectory) -> None:
    disk.path("t2", "x").write_bytes(b"")
    disk.path("t1", "x").write_bytes(b"")
    assert disk.tokens() == ["t1", "t2"]
    disk.remove("t1")
    disk.remove("t1")
    assert disk.tokens() == ["t2"]


@pytest.mark.parametrize("name", ["..", "", "a/b", "A", ".hidden", "a\n", "x" * 300])
def test_names_that_could_lead_elsewhere_are_refused(disk: DataDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="not a file name"):
        disk.path(name, "image")
    with pytest.raises(ValueError, match="not a file name"):
        disk.path("t1", name)


def test_h16_free_bytes_are_those_of_the_file_system(disk: DataDirectory) -> None:
    assert 0 <= disk.free_bytes() <= os.statvfs("/").f_frsize * 2**60

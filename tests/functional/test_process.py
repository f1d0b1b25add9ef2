"""Helper programs: heard line by line, and nothing of them is left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imagestoreproxy.outside.background import StopFlag
from imagestoreproxy.outside.process import Processes
from imagestoreproxy.ports.programs import ProgramMissingError, ProgramStuckError
from tests.functional.test_qemu import is_running


def sh(script: str, **options: object) -> list[str]:
    heard: list[str] = []
    Processes().run(["sh", "-c", script], StopFlag(), silence_s=10, said=heard.append, **options)  # type: ignore[arg-type]
    return heard


def test_each_line_is_told_whole_also_the_last_one_without_an_end() -> None:
    assert sh("printf 'a b'; sleep 0.1; printf 'c\\n\\nd\\re'") == ["a bc", "", "d", "e"]


def test_both_streams_are_told() -> None:
    assert sorted(sh("echo out; echo err >&2")) == ["err", "out"]


def test_a_line_without_end_is_told_up_to_the_limit() -> None:
    (line,) = sh("yes | head -c 100000 | tr -d '\\n'", limit_bytes=1000)
    assert line == "y" * 1000


def test_who_talks_for_ever_is_silent_once_nobody_listens() -> None:
    heard: list[str] = []
    with pytest.raises(ProgramStuckError):
        Processes().run(["yes"], StopFlag(), silence_s=1, said=heard.append, limit_bytes=1000)
    assert len(heard) == 500


def test_the_last_words_of_a_program_that_has_ended_are_heard_by_who_was_slow_to_listen() -> None:
    heard: list[str] = []

    def slowly(line: str) -> None:
        heard.append(line)
        time.sleep(1)

    script = "echo first; sleep 0.2; echo last"
    finished = Processes().run(["sh", "-c", script], StopFlag(), silence_s=10, said=slowly)
    assert heard == ["first", "last"]
    assert finished.output == b"first\nlast\n"


def test_who_stood_still_itself_does_not_take_that_for_silence() -> None:
    class Sleepy(StopFlag):
        """As on a machine that does other things for a while."""

        has_slept = False

        def check(self) -> None:
            super().check()
            if not self.has_slept:
                self.has_slept = True
                time.sleep(1.5)

    for script in ("echo one; sleep 0.2; echo two; sleep 0.2", "true", "echo one"):
        done = Processes().run(["sh", "-c", script], Sleepy(), silence_s=1)
        assert done.status == 0


def test_the_environment_and_the_directory_are_those_given(tmp_path: Path) -> None:
    lines = sh("echo $HOME $LC_ALL; pwd", environment={"HOME": "/h"}, directory=tmp_path)
    assert lines == ["/h C", str(tmp_path)]


def test_what_a_program_leaves_behind_is_ended_though_it_holds_the_pipe(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    assert sh(f"(trap '' TERM; sleep 62) & echo $! >{pid}; echo done") == ["done"]
    status = Path(f"/proc/{int(pid.read_text())}/stat")
    until_s = time.monotonic() + 10
    while is_running(status) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not is_running(status)


def test_what_is_no_program_is_missing(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("no program")
    for name in ("empty", "junk"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"\0\1")
        (tmp_path / name).chmod(0o755)
    for name in ("tool", "nothing", "empty", "junk"):
        with pytest.raises(ProgramMissingError):
            Processes().run([str(tmp_path / name)], StopFlag(), silence_s=1)


def test_a_program_is_found_where_it_is_looked_for(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.touch(mode=0o755)
    assert Processes().find("tool", str(tmp_path)) == tool
    assert Processes().find("tool") is None
    found = Processes().find("sh")
    assert found is not None
    assert found.is_absolute()

"""What started the daemon hears how it is, hands it sockets, and moves its log away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.rig import ROOT, SECRET, Daemon, FakeStore, wait_for


@pytest.fixture
def store(tmp_path: Path, images: Path) -> Iterator[FakeStore]:
    made = FakeStore(tmp_path, images)
    made.start()
    yield made
    end(made)


def end(process: Daemon | FakeStore) -> None:
    if process.running and process.running.poll() is None:
        process.running.kill()
        process.running.wait(10)


class Manager:
    """A socket as systemd has it."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(30)
        self.heard: list[str] = []

    def wait(self, what: str) -> str:
        while True:
            message = self._socket.recv(65536).decode()
            self.heard.append(message)
            if what in message.split("\n"):
                return message

    def close(self) -> None:
        self._socket.close()


def test_the_manager_hears_of_start_reload_watchdog_and_stop_and_the_log_is_opened_again(
    tmp_path: Path, store: FakeStore
) -> None:
    manager = Manager(tmp_path)
    log, pid_file = tmp_path / "daemon.log", tmp_path / "daemon.pid"
    daemon = Daemon(
        tmp_path,
        f"--fake-eucalyptus={SECRET}",
        f"--api-url={store.url}",
        f"--log-file={log}",
        f"--pid-file={pid_file}",
        NOTIFY_SOCKET=manager.address,
        WATCHDOG_USEC="900000",
    )
    try:
        daemon.start()
        assert daemon.running
        assert f"STATUS=Listening on 127.0.0.1:{daemon.port}" in manager.wait("READY=1")
        assert pid_file.read_text() == f"{daemon.running.pid}\n"
        assert log.stat().st_mode & 0o777 == 0o600
        manager.wait("WATCHDOG=1")
        manager.wait("WATCHDOG=1")
        log.rename(tmp_path / "daemon.log.1")
        daemon.running.send_signal(signal.SIGHUP)
        manager.wait("RELOADING=1")
        manager.wait("READY=1")
        wait_for("the new log", lambda: log.exists() and "was read again" in log.read_text())
        assert "listening on" in (tmp_path / "daemon.log.1").read_text()
        daemon.running.send_signal(signal.SIGTERM)
        manager.wait("STOPPING=1")
        assert daemon.running.wait(20) == 0
        assert not pid_file.exists()
    finally:
        end(daemon)
        manager.close()


def test_a_socket_that_the_manager_opened_is_listened_on(tmp_path: Path, store: FakeStore) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        port = door.getsockname()[1]
        # As systemd does it: the socket is descriptor 3, and the variables name the process.
        begin = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update("
            "LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='door');"
            " os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [
            sys.executable, "-c", begin, str(door.fileno()),
            sys.executable, str(ROOT / "bin" / "image-store-proxy"),
            f"--data-dir={tmp_path / 'data'}", f"--fake-eucalyptus={SECRET}",
            f"--keyring={ROOT / 'fake-pubring.gpg'}", f"--api-url={store.url}",
        ]  # fmt: skip
        with (tmp_path / "said").open("wb") as said:
            running = subprocess.Popen(
                command, pass_fds=[door.fileno()], stderr=said, env=os.environ | {"LISTEN_FDS": ""}
            )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            assert answer.status == 200
    finally:
        running.terminate()
        running.wait(20)


@pytest.mark.parametrize("option", ["--log-file", "--pid-file"])
def test_a_file_that_cannot_be_written_is_named_with_what_to_do(
    tmp_path: Path, option: str
) -> None:
    daemon = Daemon(tmp_path, f"--fake-eucalyptus={SECRET}", f"{option}=/nowhere/at/all")
    with pytest.raises(
        AssertionError, match=rf"/nowhere/at/all cannot be written .*: give {option}"
    ):
        daemon.start()
    assert daemon.running
    assert daemon.running.wait(20) == 2

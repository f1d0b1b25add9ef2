"""P4: signals at any time, two daemons, and a machine that has no file descriptors left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagestoreproxy.client.requests import ClientError
from tests.faults import tally
from tests.faults.ground import at_rest, fake_cloud, make_images, problems, said_500
from tests.faults.kill import Life
from tests.functional import warm
from tests.functional.rig import ROOT, Rig, fake_rig, wait_for

TRIO = "Example Server"
LIVES = 4 if tally.LONG else 1
ROUNDS = 8 if tally.LONG else 3
DESCRIPTORS = 64


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("machine") / "images")


@pytest.mark.parametrize("number", range(LIVES))
def test_sigterm_at_any_moment_ends_it_in_order_and_sighup_does_nothing(
    tmp_path: Path, small: Path, number: int
) -> None:
    seeded = tally.generator(f"SIGTERM {number}")
    with fake_rig(tmp_path, small, "--max-installs=4") as rig:
        look = fake_cloud(rig.daemon)
        life = Life(rig, "fake cloud", seeded, look, span_s=0.25, rounds=ROUNDS)
        life.number = signal.SIGTERM
        life.live()


@pytest.mark.parametrize("at_s", [0.0, 0.05, 0.15, 0.3] if tally.LONG else [0.15])
def test_a_signal_while_it_starts_leaves_nothing_odd(
    tmp_path: Path, small: Path, at_s: float
) -> None:
    with fake_rig(tmp_path, small) as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
            rig.daemon.end(signal.SIGKILL)
            rig.daemon.running = subprocess.Popen(
                rig.daemon.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
            )
            time.sleep(at_s)
            rig.daemon.end(number)
            rig.daemon.start()
        rig.daemon.wait(uri, "installed")
        left = problems(rig.daemon, fake_cloud(rig.daemon))
        tally.record("signal while starting", tally.INSTALLED, times=3, leftovers=len(left))
        assert not left


def test_the_second_daemon_on_a_data_directory_says_so_and_the_first_goes_on(
    tmp_path: Path, small: Path
) -> None:
    with fake_rig(tmp_path, small) as rig:
        uri = rig.image(TRIO)
        rig.store.control(fault="slow", path="image.gz", rate=400_000)
        rig.daemon.act(uri, "install")
        for _ in range(10 if tally.LONG else 1):
            ended = warm.run(rig.daemon.command, os.environ, timeout_s=30)
            said = ended.stderr
            good = ended.returncode == 1 and "in use by another image-store-proxy" in said
            tally.record("two daemons", tally.REFUSED if good else "not refused")
            assert good, said
            assert "Traceback" not in said
        rig.daemon.wait(uri, "installed")
        assert not problems(rig.daemon, fake_cloud(rig.daemon))


def with_few_descriptors(rig: Rig, count: int) -> None:
    """Start the daemon anew with room for ``count`` open files."""
    rig.daemon.end()
    program = (
        "import os, resource, sys;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({count}, {count}));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    rig.daemon.command = [sys.executable, "-c", program, *rig.daemon.command]
    rig.daemon.start()


def test_without_file_descriptors_it_goes_on_answering_and_recovers(
    tmp_path: Path, small: Path
) -> None:
    with fake_rig(tmp_path, small) as rig, ExitStack() as crowd:
        with_few_descriptors(rig, DESCRIPTORS)
        uri = rig.image(TRIO)
        port = rig.daemon.port
        for round_number in range(4 if tally.LONG else 1):
            for _ in range(2 * DESCRIPTORS):
                one = crowd.enter_context(socket.socket())
                one.settimeout(1)
                one.connect_ex(("127.0.0.1", port))
            answered = 0
            for _ in range(5):
                try:
                    rig.daemon.act(uri, "install" if round_number % 2 == 0 else "uninstall")
                    answered += 1
                except (ClientError, KeyError):
                    continue
            crowd.close()
            state = wait_for("an answer", lambda: at_rest_or_none(rig, uri))
            if "clear-error" in state["actions"]:
                rig.daemon.act(uri, "clear-error")
                told = tally.CLEAN
            else:
                told = tally.SERVED
            tally.record("no file descriptors", told, errors_500=said_500(rig.daemon))
        if rig.daemon.state(uri)["status"] == "uninstalled":
            rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
        assert not problems(rig.daemon, fake_cloud(rig.daemon))
        assert not said_500(rig.daemon)
        wait_for("few open files", lambda: open_files(rig) < DESCRIPTORS // 2)


def at_rest_or_none(rig: Rig, uri: str) -> dict[str, object] | None:
    try:
        return at_rest(rig.daemon, [uri])[uri]
    except ClientError:
        return None


def open_files(rig: Rig) -> int:
    assert rig.daemon.running
    return len(list(Path(f"/proc/{rig.daemon.running.pid}/fd").iterdir()))

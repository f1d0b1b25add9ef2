"""``image-store`` as people start it, against the real site on a loopback port."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from imagestoreproxy.model.installs import Action, ImageState, Progress, Status, Step
from imagestoreproxy.shop import Shelf, Shop
from imagestoreproxy.web.site import Limits, make_site
from tests.functional import warm
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.unit.memory_store import KARMIC, LUCID, FixedClock, MemoryKeys, MemoryStore, MemorySupply

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, str(ROOT / "bin" / "image-store")]
TIME_LIMIT_S = 30


class SystemClock(FixedClock):
    """The machine's time."""

    def now_s(self) -> float:
        return time.time()


class StagedStore(MemoryStore):
    """An install goes one step further each time its state is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.end = ImageState(LUCID, Status.INSTALLED, emi="emi-1234ABCD")
        self.steps: list[ImageState] = []
        self.stays = False

    def install(self, image_uri: str) -> Any:
        began = super().install(image_uri)
        progress = Progress(Step.UPLOADING, 70, 7 << 20, 10 << 20, 1 << 20, 3.0)
        busy = ImageState(image_uri, Status.INSTALLING, (Action.CANCEL,), progress)
        self.steps = [busy, replace(self.end, image_uri=image_uri)]
        return began

    def states(self, image_uris: Sequence[str]) -> Shelf:
        if self.steps and not self.stays:
            state = self.steps.pop(0)
            self.state_of[state.image_uri] = state
        return super().states(image_uris)


class Server:
    """A site that listens."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.store = StagedStore()
        self.supply = MemorySupply()
        self.limits = limits
        self.port: Any = None

    async def start(self) -> None:
        reactor = running_reactor()
        keys = MemoryKeys({"AK": "SK"})
        self.site = make_site(
            Shop(store=self.store, keys=keys, supply=self.supply),
            SystemClock(),
            reactor=reactor,
            limits=self.limits,
        )
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")

    def stop(self) -> Deferred[Any]:
        return maybeDeferred(self.port.stopListening)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port.getHost().port

    @property
    def url(self) -> str:
        return f"http://localhost:{self.address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    in_reactor(server.start)
    yield server
    in_reactor(server.stop)


def environment(server: Server | None, **more: str) -> dict[str, str]:
    kept = {n: os.environ[n] for n in ("PATH", "HOME", "LANG") if n in os.environ}
    kept |= {"TERM": "xterm", "NO_COLOR": "1"}
    url = {"IMAGE_STORE_URL": server.url} if server else {}
    keys = {"EC2_ACCESS_KEY": "AK", "EC2_SECRET_KEY": "SK", "EC2_URL": "http://10.0.0.1:8773/"}
    return {**kept, **url, **keys, **more}


def image_store(
    server: Server | None, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return warm.run([*PROGRAM, *arguments], environment(server, **more), timeout_s=TIME_LIMIT_S)


def test_p10_h13_an_install_ends_with_status_0_and_the_lines_to_run_it(server: Server) -> None:
    done = image_store(server, "install", "lucid")
    assert done.returncode == 0, done.stderr
    assert "70 %  uploading  7.0 MiB of 10.0 MiB  1.0 MiB/s  0:03 left" in done.stdout
    lines = done.stdout.partition("To run it:\n")[2].partition("Notes:\n")[0].splitlines()
    assert lines[0].startswith('  export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-$EC2_ACCESS_KEY}"')
    started = (
        "aws ec2 run-instances --endpoint-url http://10.0.0.1:8773/ --region us-east-1 "
        "--instance-type m1.small --key-name image-store --image-id emi-1234ABCD"
    )
    assert any(started in line for line in lines)
    assert lines[-1].startswith("  ssh -i ~/image-store.pem ")
    assert server.store.acted == [("install", LUCID)]


def test_h10_an_install_that_fails_ends_with_status_1_and_its_sentence(server: Server) -> None:
    server.store.end = ImageState(
        LUCID, Status.UNINSTALLED, (Action.INSTALL,), error_message="No route to the object store."
    )
    failed = image_store(server, "install", "lucid")
    assert failed.returncode == 1
    assert "No route to the object store." in failed.stderr
    assert "Traceback" not in failed.stderr


def test_every_command_answers_in_json(server: Server) -> None:
    shapes = {
        ("list",): {"images", "states", "sections"},
        ("search", "ubuntu"): {"images", "states", "sections"},
        ("show", KARMIC): {"image", "state", "versions"},
        ("sources",): {"sources"},
        ("bandwidth",): {"limit-mb-per-s"},
        ("status",): {"states"},
        ("install", "karmic", "--no-wait"): {"state", "installs"},
        ("cancel", "karmic"): {"state", "states"},
        ("install", "lucid"): {"state", "run-command", "installs"},
        ("reconcile",): {"reconciliation"},
        ("check",): {"ready", "findings"},
    }
    for arguments, keys in shapes.items():
        for order in (("--json", *arguments), (*arguments, "--json")):
            server.store.state_of.update(MemoryStore().state_of)
            server.store.steps = []
            if arguments[0] == "cancel":
                image_store(server, "install", "karmic", "--no-wait")
                server.store.steps = []
            done = image_store(server, *order)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout).keys() == keys


def test_an_uninstall_asks_on_a_terminal_and_refuses_without_one(server: Server) -> None:
    installed = ImageState(LUCID, Status.INSTALLED, (Action.UNINSTALL,), emi="emi-1234ABCD")
    server.store.state_of[LUCID] = installed
    refused = image_store(server, "uninstall", "lucid", "--json")
    assert refused.returncode == 2
    assert "--yes" in json.loads(refused.stdout)["error-message"]
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "uninstall", "lucid"],
        env=environment(server),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    try:
        os.close(terminal)
        assert b"emi-1234ABCD? [y/N] " in read_until(main, b"[y/N] ")
        assert server.store.acted == []
        os.write(main, b"y\n")
        assert b"Removed Ubuntu 10.04" in read_until(main, b"Removed")
        assert process.wait(TIME_LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert server.store.acted == [("uninstall", LUCID)]


def test_wrong_use_ends_with_status_2(server: Server) -> None:
    for arguments in ([], ["explode"], ["show"], ["show", "ubuntu"], ["--url", "x", "list"]):
        used = image_store(server, *arguments)
        assert used.returncode == 2, arguments
        assert "Traceback" not in used.stderr
    without = {"EC2_SECRET_KEY": "", "EC2_ACCESS_KEY": ""}
    assert image_store(server, "list", **without).returncode == 2


def test_h3_a_refused_client_ends_with_status_3_and_the_reason(server: Server) -> None:
    refused = image_store(server, "list", EC2_SECRET_KEY="wrong")
    assert refused.returncode == 3
    assert "secret key" in refused.stderr
    refused = image_store(server, "list", "--json", EC2_ACCESS_KEY="somebody")
    assert refused.returncode == 3
    assert "somebody" in json.loads(refused.stdout)["error-message"]


def test_h9_a_proxy_that_is_not_there_ends_with_status_3_and_its_url() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        missing = image_store(None, "list", IMAGE_STORE_URL=url)
    assert missing.returncode == 3
    assert url in missing.stderr
    assert "refused" in missing.stderr


def test_p10_on_a_terminal_the_bar_is_drawn_and_ctrl_c_leaves_the_install_alone(
    server: Server,
) -> None:
    server.store.stays = True
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "install", "lucid"],
        env=environment(server, COLUMNS="100"),
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        os.close(terminal)
        shown = read_until(main, b"left")
        assert b"\r[########............]  40 %  downloading  40 B of 100 B" in shown
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIME_LIMIT_S)
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert process.returncode == 130
    assert b"goes on" in said
    assert f"image-store cancel '{LUCID}'".encode() in said
    assert b"Traceback" not in said
    assert server.store.acted == [("install", LUCID)]


def read_until(descriptor: int, end: bytes) -> bytes:
    """Read what a terminal shows, until ``end`` comes."""
    shown = b""
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while end not in shown:
        ready, _, _ = select.select([descriptor], [], [], deadline_s - time.monotonic())
        assert ready, shown
        shown += os.read(descriptor, 4096)
    return shown


def test_a_reader_that_has_seen_enough_is_no_error(server: Server) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "list"], env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(TIME_LIMIT_S)
    process.stderr.close()
    assert b"Traceback" not in said

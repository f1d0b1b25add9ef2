"""No two programs that tests start are given the same port."""

from __future__ import annotations

import socket
import subprocess
import sys

from tests.functional.ports import BLOCK, free_port
from tests.functional.rig import ROOT

GIVES = (
    "from tests.functional.ports import free_port; print(free_port(), free_port(), flush=True);"
    " input()"
)


def test_a_port_comes_round_again_only_when_the_whole_block_was_given() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        given = [free_port() for _ in range(BLOCK // 2)]
        assert len({*given, taken.getsockname()[1]}) == BLOCK // 2 + 1
        assert taken.getsockname()[1] not in [free_port() for _ in range(BLOCK)]


def test_processes_side_by_side_are_given_different_ports() -> None:
    with gives() as one, gives() as other:
        ports = [free_port(), free_port()]
        for process in (one, other):
            assert process.stdout
            ports += map(int, process.stdout.readline().split())
        for process in (one, other):
            process.communicate("\n", 20)
    assert len(set(ports)) == 6, ports


def gives() -> subprocess.Popen[str]:
    """Start a process that takes two ports, and keeps its block until it is told to end."""
    command = [sys.executable, "-c", GIVES]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

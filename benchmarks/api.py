"""What signed requests, and pages that listen, cost the daemon: CPU time and memory."""

from __future__ import annotations

import os
import resource
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imagestoreproxy.model.signing import Pair, signed_pairs
from tests.functional.rig import CLIENT_ID, SECRET, Rig
from tests.unit.memory_store import raw_request


def cpu_s(rig: Rig) -> float:
    """Give the CPU time that the daemon has used."""
    assert rig.daemon.running
    stat = Path(f"/proc/{rig.daemon.running.pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def states_per_cpu_s(rig: Rig, uris: Sequence[str], *, requests: int) -> float:
    """Ask for the same states again and again over one connection; each request is signed anew.

    All are signed before the clock starts: the daemon has the machine for itself.
    """
    pairs = [("image-uri", uri) for uri in uris]
    ready = [_signed(rig, "POST", "/api/states", pairs) for _ in range(requests)]
    with _connect(rig) as connection:
        began_s = cpu_s(rig)
        for request in ready:
            connection.sendall(request)
            _read_answer(connection)
        return requests / (cpu_s(rig) - began_s)


def memory_listening_kib(rig: Rig, *, pages: int) -> int:
    """Give the resident memory of the daemon with so many open streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, pages + 200)), hard))
    with ExitStack() as stack:
        for _ in range(pages):
            connection = stack.enter_context(_connect(rig))
            connection.sendall(_signed(rig, "GET", "/api/events", []))
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        time.sleep(2)
        return rig.daemon.memory_kib("VmRSS")


def _signed(rig: Rig, method: str, path: str, pairs: Sequence[Pair]) -> bytes:
    host = f"127.0.0.1:{rig.daemon.port}"
    complete = signed_pairs(
        SECRET,
        CLIENT_ID,
        method,
        host,
        path,
        pairs,
        # Ahead, so that the last ones have not expired when their turn comes.
        now_s=time.time() + 300,
        nonce=str(secrets.randbits(63)),
    )
    return raw_request(method, path, complete, host=host)


def _connect(rig: Rig) -> socket.socket:
    return socket.create_connection(("127.0.0.1", rig.daemon.port), 30)


def _read_answer(connection: socket.socket) -> None:
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))

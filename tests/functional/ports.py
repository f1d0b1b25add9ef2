"""Ports of 127.0.0.1 for programs that are yet to listen on theirs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

# Below those that the system gives to who connects.
FIRST, LAST = 15_000, 32_000
BLOCK = 500

_claims: list[socket.socket] = []


def free_port() -> int:
    """Give a port that nobody listens on, and that nobody else is given.

    Each process of this machine has a block of its own, which begins anew once all of it was given:
    so what is given may be listened on later, or never.
    """
    ports = _block()
    for _ in range(BLOCK):
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@cache
def _block() -> Iterator[int]:
    """Claim a block for as long as this process lives."""
    for first in range(FIRST, LAST, BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0image-store-proxy tests, ports from {first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return cycle(range(first, first + BLOCK))
    raise AssertionError("every block of ports is another process's")

"""A client that asks for the states of 100 images, over and over, from a process of its own.

    python -m benchmarks.load PORT SECONDS CONNECTIONS PER_SECOND

Each request is signed freshly, all of them before the clock starts. ``PER_SECOND`` 0 asks again as
soon as it is answered. Prints JSON: the latencies of all requests in seconds, how many of them were
refused, and the time from the first to the last.

Requests of one client differ only in nonce and signature, so what they have in common is signed and
sent as it stands: the load must not take the CPU from what is measured.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from imagestoreproxy.model.signing import (
    Pair,
    canonical,
    parameter,
    sign,
    signed_pairs,
    string_to_sign,
)
from tests.functional.rig import CLIENT_ID, SECRET

PATH = "/api/states"
URIS = 100
# The daemon takes no more of one client within the half minute that a signature is good for.
MOST = 30_000
NONCE = "7418529630741852963"


class Signer:
    """Signs requests that differ in their nonces alone."""

    def __init__(self, port: int, pairs: list[Pair]) -> None:
        self._host = f"127.0.0.1:{port}"
        model = signed_pairs(
            SECRET, CLIENT_ID, "POST", self._host, PATH, pairs, now_s=time.time(), nonce=NONCE
        )
        unsigned = [pair for pair in model if pair[0] != "Signature"]
        ready = canonical(parameter(name, value) for name, value in unsigned)
        self._text = string_to_sign("POST", self._host, PATH, ready).split(NONCE)
        self._form = urlencode(unsigned).split(NONCE)
        assert len(self._text) == len(self._form) == 2
        assert self._signature(NONCE) == model[-1][1]

    def request(self) -> tuple[bytes, bytes, bytes]:
        """Give a request in three pieces, the first of them always the same."""
        nonce = f"{secrets.randbelow(10**19):019}"
        tail = f"{nonce}{self._form[1]}&{urlencode({'Signature': self._signature(nonce)})}"
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {self._host}\r\n"
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
            f"Content-Length: {len(self._form[0]) + len(tail)}\r\n\r\n"
        )
        return head.encode(), self._first, tail.encode()

    def _signature(self, nonce: str) -> str:
        return sign(SECRET, nonce.join(self._text))

    @property
    def _first(self) -> bytes:
        return self._form[0].encode()


@dataclass
class Client(threading.Thread):
    """One connection that stays open."""

    port: int
    requests: list[tuple[bytes, bytes, bytes]]
    ends_s: float
    every_s: float
    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        due_s = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pieces in self.requests:
                if self.every_s:
                    due_s += self.every_s
                    time.sleep(max(0.0, due_s - time.monotonic()))
                began_s = time.monotonic()
                if began_s >= self.ends_s:
                    return
                client.sendmsg(pieces)
                self.refused += not _answer(client).startswith(b"HTTP/1.1 200")
                self.latencies_s.append(time.monotonic() - began_s)


def _answer(client: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _some(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    left = size - len(body)
    while left:
        left -= len(_some(client))
    return head


def _some(client: socket.socket) -> bytes:
    some = client.recv(1 << 20)
    if not some:
        raise ConnectionResetError
    return some


def main(arguments: list[str] | None = None) -> int:
    """Put on the load, and print what it met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", type=int)
    parser.add_argument("per_second", type=float)
    options = parser.parse_args(arguments)
    uris = [f"http://127.0.0.1:1/api/images/{number:032x}" for number in range(URIS)]
    signer = Signer(options.port, [("image-uri", uri) for uri in uris])
    wanted = min(MOST, int((options.per_second or MOST) * options.seconds) + 1)
    requests = [signer.request() for _ in range(wanted)]
    began_s = time.monotonic()
    clients = [
        Client(
            options.port,
            requests[number :: options.connections],
            began_s + options.seconds,
            options.connections / options.per_second if options.per_second else 0.0,
        )
        for number in range(options.connections)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    result = {
        "took_s": time.monotonic() - began_s,
        "refused": sum(client.refused for client in clients),
        "latencies_s": [one for client in clients for one in client.latencies_s],
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

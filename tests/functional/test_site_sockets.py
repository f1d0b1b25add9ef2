"""The site on real sockets: what a client that sends too much, or nothing, gets to see."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from imagestoreproxy.model.signing import signed_pairs
from imagestoreproxy.web.site import Limits
from tests.functional.reactor_thread import in_reactor
from tests.functional.test_site_cli import Server
from tests.unit.memory_store import raw_request

TIME_LIMIT_S = 10.0


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Limits(idle_s=3.0, linger_s=3.0, connections=3))
    in_reactor(server.start)
    yield server
    in_reactor(server.stop)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.address, TIME_LIMIT_S)


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while block := connection.recv(65536):
        found += block
    return found


def test_a_client_that_sends_too_much_reads_why_before_the_connection_ends(server: Server) -> None:
    with connect(server) as connection:
        head = b"POST /api/states HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n"
        # All of it is taken, so that the answer is not lost in a reset.
        connection.sendall(head + b"a" * 4_000_000)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in head
    assert "1048576 bytes" in json.loads(body)["error-message"]


def test_connections_left_open_are_closed_and_give_way_to_new_ones(server: Server) -> None:
    def signed() -> bytes:
        host = f"localhost:{server.address[1]}"
        nonce = str(secrets.randbits(63))
        pairs = signed_pairs(
            "SK", "AK", "POST", host, "/api/states", [], now_s=time.time(), nonce=nonce
        )
        return raw_request("POST", "/api/states", pairs, host=host)

    first = [connect(server) for _ in range(5)]
    for connection in first[2:]:
        connection.sendall(signed())
        assert connection.recv(4096).endswith(b'{"states":[]}')
    for connection in first:
        # A connection that had to give way was reset, the others are closed.
        with connection, suppress(ConnectionResetError):
            assert read_all(connection) == b""
    with connect(server) as again:
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_all(again).endswith(b'{"status":"ok"}')

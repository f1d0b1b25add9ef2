"""Streams of the real daemon: an install is seen by all who listen, while it happens."""

from __future__ import annotations

import json
import secrets
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.model.signing import signed_pairs
from tests.functional.rig import CLIENT_ID, SECRET, SOON_S, Rig, fake_rig
from tests.unit.memory_store import raw_request

TITLE = "Example Server"
PAGES = 200
TIME_LIMIT_S = 60.0


class Page:
    """A client that listens.

    Attributes:
        states: all it was told of single images.
    """

    def __init__(self, port: int) -> None:
        host = f"localhost:{port}"
        pairs = signed_pairs(
            SECRET,
            CLIENT_ID,
            "GET",
            host,
            "/api/events",
            [],
            now_s=time.time(),
            nonce=str(secrets.randbits(63)),
        )
        self.states: list[dict[str, Any]] = []
        self.head = b""
        self.first: dict[str, Any] = {}
        self.has_ended = False
        self._rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), TIME_LIMIT_S)
        self.socket.sendall(raw_request("GET", "/api/events", pairs, host=host))

    def read(self) -> None:
        """Take what has come."""
        block = self.socket.recv(65536)
        self.has_ended = not block
        self._rest += block
        if not self.head and b"\r\n\r\n" in self._rest:
            self.head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        *events, self._rest = self._rest.split(b"\n\n")
        for event in events:
            lines = dict(line.split(b": ", 1) for line in event.split(b"\n"))
            if lines.get(b"event") == b"states":
                self.first = json.loads(lines[b"data"])
            elif lines.get(b"event") == b"state":
                self.states.append(json.loads(lines[b"data"]))

    def last(self, uri: str) -> str:
        """Give the status that an image was last told to have."""
        told = [state for state in self.states if state["image-uri"] == uri]
        return str(told[-1]["status"]) if told else ""


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    with fake_rig(tmp_path, images) as made:
        yield made


def read_until(pages: list[Page], condition: Any) -> None:
    """Read what comes for all pages until each has what it waits for."""
    ends_s = time.monotonic() + TIME_LIMIT_S
    with selectors.DefaultSelector() as selector:
        for page in pages:
            selector.register(page.socket, selectors.EVENT_READ, page)
        while not all(condition(page) for page in pages):
            assert time.monotonic() < ends_s, [page.states[-1:] for page in pages]
            for key, _ in selector.select(0.1):
                key.data.read()
                if key.data.has_ended:
                    selector.unregister(key.fileobj)


def test_all_who_listen_see_an_install_while_it_happens(rig: Rig) -> None:
    uri = rig.image(TITLE)
    # An install that is over within a quarter of a second is told at its end alone.
    rig.store.control(fault="slow", rate=8_000_000)
    with ExitStack() as stack:
        pages = [Page(rig.daemon.port) for _ in range(PAGES)]
        for page in pages:
            stack.enter_context(page.socket)
        read_until(pages, lambda page: page.first)
        assert pages[0].head.startswith(b"HTTP/1.1 200 OK")
        assert b"text/event-stream" in pages[0].head
        assert pages[0].first == {"states": []}
        rig.daemon.act(uri, "install")
        read_until(pages, lambda page: page.last(uri) == "installed")
        for page in pages:
            statuses = list(dict.fromkeys(state["status"] for state in page.states))
            assert statuses[-1] == "installed"
            assert {"downloading", "installing"} & set(statuses[:-1])
            # The last is what anybody who asks is told, but for the host in its actions.
            asked = rig.daemon.state(uri)
            assert {**page.states[-1], "actions": {}} == {**asked, "actions": {}}
        # Who asks is not kept out by those who listen.
        assert rig.daemon.proxy.get("/api/dashboard")["images"]
        assert rig.daemon.end(within_s=SOON_S) == 0
        read_until(pages, lambda page: page.has_ended)


def test_a_page_that_comes_during_an_install_is_told_how_far_it_is(rig: Rig) -> None:
    uri = rig.image(TITLE)
    rig.store.control(fault="slow", rate=2_000_000)
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "downloading")
    page = Page(rig.daemon.port)
    with page.socket:
        read_until([page], lambda page: page.first)
        (state,) = page.first["states"]
        assert (state["image-uri"], state["status"]) == (uri, "downloading")
        assert page.first["images"][0]["title"] == TITLE
        read_until([page], lambda page: len(page.states) >= 4)
        done = [state["bytes-done"] for state in page.states if "bytes-done" in state]
        assert done == sorted(done)
        rig.daemon.act(uri, "cancel")
        read_until([page], lambda page: page.last(uri) == "uninstalled")

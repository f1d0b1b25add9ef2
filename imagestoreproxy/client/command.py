"""What every command has at hand, once it is known who asks and where."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import Found
from imagestoreproxy.client.login import Login
from imagestoreproxy.client.paint import PLAIN, Paint
from imagestoreproxy.client.requests import ClientError, Connection
from imagestoreproxy.client.watch import REMOVING, Bar, Display, Lines, Silent, follow, is_working

Json = Mapping[str, Any]


class Command:
    """One command, with all it needs.

    Args:
        said: the options with which the next command reaches the same proxy.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        connection: Connection,
        login: Login,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        paint: Paint = PLAIN,
        said: Sequence[str] = (),
    ) -> None:
        self.sleep = sleep
        self.monotonic = monotonic
        self.options = options
        self.connection = connection
        self.login = login
        self.paint = paint
        self._said = said

    def again(self, *words: str) -> str:
        """Give a shell line that asks the same proxy for something else."""
        return shlex.join(["image-store", *map(text.plain, (*self._said, *words))])

    def act(self, found: Found, action: str) -> Json:
        """Do what a state offers, and give the state that comes of it."""
        # Only the path: the host is the one that was given, as through a tunnel.
        answer = self.connection.post(urlsplit(str(actions(found.state)[action])).path)
        state = answer.get("state")
        return state if isinstance(state, dict) else {}

    def tell(self, state: Json, done: str, found: Found) -> None:
        """Say what was done with an image."""
        if self.options.json:
            print_json({"state": state})
        else:
            print(f"{done} {text.plain(found.info.get('title') or '')} ({text.plain(found.uri)}).")

    def follow(self, found: Found, state: Json, what: str) -> Json:
        """Wait for the end of an install, or another piece of work, and show how far it is."""
        display: Display
        if self.options.json:
            display = Silent()
        else:
            display = Bar(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
        try:
            return follow(self.connection, found.uri, state, display, sleep=self.sleep)
        except KeyboardInterrupt:
            uri = text.plain(found.uri)
            again = f"The {what} goes on in the proxy. To follow it again"
            if what == "install":
                said = f"{again}, or to stop it:\n  image-store install '{uri}'\n"
                said += f"  image-store cancel '{uri}'"
            else:
                said = f"{again}:\n  image-store {what} '{uri}'"
            print(said, file=sys.stderr)
            raise


def actions(state: Json) -> dict[str, Any]:
    """Give what a state offers, by name."""
    found = state.get("actions")
    return found if isinstance(found, dict) else {}


def impossible(found: Found, why: str) -> ClientError:
    """Say why something cannot be done with an image."""
    return ClientError(" ".join([f"{found.uri} {why}", found.problem]).strip())


def is_removing(state: Json) -> bool:
    """Tell whether an image is being taken out of the cloud."""
    return is_working(state) and state.get("stage") == REMOVING


def status_line(state: Json) -> str:
    """Give a state in a few words."""
    if is_working(state):
        percent = text.number(state.get("progress-percentage"))
        return f"{text.plain(state.get('stage') or state['status'])} {percent:.0f} %"
    parts = [str(state.get("status") or "unknown"), str(state.get("emi") or "")]
    if state.get("is-upgrade"):
        parts.append("(newer version offered)")
    if "forget" in actions(state):
        parts[0] = "gone from the cloud"
    elif state.get("error-message"):
        parts[0] = "failed"
    return text.plain(" ".join(parts))


def print_json(content: Json) -> None:
    """Write one object."""
    print(json.dumps(content, indent=2))

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
from imagestoreproxy.client.display import Display, Silent, display_for
from imagestoreproxy.client.failure import FAILED, ClientError
from imagestoreproxy.client.login import Login
from imagestoreproxy.client.paint import PLAIN, Paint
from imagestoreproxy.client.requests import Connection
from imagestoreproxy.client.watch import PAUSED, REMOVING, follow, is_working

Json = Mapping[str, Any]
Cell = tuple[str, str]
Row = Sequence[str | Cell]


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

    def impossible(self, found: Found, why: str, *next_words: str) -> ClientError:
        """Say why something cannot be done with an image, and what can."""
        message = " ".join([f"{found.uri} {why}", found.problem]).strip()
        name = found.called or found.uri
        return ClientError(message, FAILED, hints=[self.again(word, name) for word in next_words])

    def follow(self, found: Found, state: Json, what: str) -> Json:
        """Wait for the end of a piece of work, and show how far it is."""
        display: Display = Silent() if self.options.json else display_for(sys.stdout, self.paint)
        try:
            return follow(
                self.connection,
                found.uri,
                state,
                display,
                sleep=self.sleep,
                monotonic=self.monotonic,
            )
        except KeyboardInterrupt:
            words = (what, "pause", "cancel") if what == "install" else (what,)
            print(f"The {what} goes on in the proxy. To follow it again:", file=sys.stderr)
            for word in words:
                before = "" if word == what else f"to {word} it:  "
                print(f"  {before}{self.again(word, found.uri)}", file=sys.stderr)
            raise

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str | Cell]], widest: int = 40
    ) -> str:
        """Line up columns; a cell may have a style of its own, as ``(style, text)``."""
        return text.table(head, rows, widest=widest, paint=self.paint)


def actions(state: Json) -> dict[str, Any]:
    """Give what a state offers, by name."""
    found = state.get("actions")
    return found if isinstance(found, dict) else {}


def is_removing(state: Json) -> bool:
    """Tell whether an image is being taken out of the cloud."""
    return is_working(state) and state.get("stage") == REMOVING


def status_line(state: Json) -> str:
    """Give a state in a few words."""
    if is_working(state):
        percent = text.number(state.get("progress-percentage"))
        place = text.number(state.get("queue-position"))
        queued = f" (place {place:.0f} in the queue)" if place else ""
        return f"{text.plain(state.get('stage') or state['status'])} {percent:.0f} %{queued}"
    parts = [str(state.get("status") or "unknown"), str(state.get("emi") or "")]
    if state.get("is-upgrade"):
        parts.append("(newer version offered)")
    if "forget" in actions(state):
        parts[0] = "gone from the cloud"
    elif state.get("error-message"):
        parts[0] = "failed"
    return text.plain(" ".join(filter(None, parts)))


def status_cell(state: Json) -> Cell:
    """Give a state in a few words, and their style."""
    if is_working(state):
        style = "warn" if state.get("stage") == PAUSED else "busy"
    elif state.get("error-message"):
        style = "bad"
    else:
        style = "good" if state.get("status") == "installed" else ""
    return style, status_line(state)


def print_json(content: Json) -> None:
    """Write one object."""
    print(json.dumps(content, indent=2))


def print_json_line(content: Json) -> None:
    """Write one object in one line, where more will come."""
    print(json.dumps(content), flush=True)

"""Following an install to its end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import state_of
from imagestoreproxy.client.requests import UNREACHABLE, ClientError, Connection

POLL_S = 1.0
AWAY_S = 60.0
PLAIN_STEP_PERCENT = 10
REMOVING = "removing"

Json = Mapping[str, Any]


class Display(Protocol):
    """Shows how far an install is."""

    def show(self, state: Json) -> None:
        """Show a state in progress."""

    def tell(self, message: str) -> None:
        """Show what hinders it."""

    def end(self) -> None:
        """Leave the terminal as other output needs it."""


class Bar:
    """One line of a terminal, drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = False

    def show(self, state: Json) -> None:
        """Draw the line."""
        columns = shutil.get_terminal_size().columns
        self._stream.write(f"\r{text.bar(state, columns)}\x1b[K")
        self._stream.flush()
        self._drawn = True

    def tell(self, message: str) -> None:
        """Write a line above it."""
        self._stream.write(f"\r{text.plain(message)}\x1b[K\n")

    def end(self) -> None:
        """Go on below it."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()


class Lines:
    """A line for each stage and every few percent, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: tuple[object, int] | None = None

    def show(self, state: Json) -> None:
        """Write a line, when there is something new."""
        percent = int(text.number(state.get("progress-percentage")))
        here = (state.get("stage"), percent // PLAIN_STEP_PERCENT)
        if here != self._last:
            self._stream.write(text.progress(state) + "\n")
            self._stream.flush()
        self._last = here

    def tell(self, message: str) -> None:
        """Write it."""
        self._stream.write(text.plain(message) + "\n")

    def end(self) -> None:
        """Do nothing: every line is complete."""


class Silent:
    """Shows nothing, for ``--json``."""

    def show(self, state: Json) -> None:
        """Show nothing."""

    def tell(self, message: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def is_working(state: Json) -> bool:
    """Tell whether work on the image goes on."""
    return state.get("status") in {"downloading", "installing"}


def follow(
    connection: Connection,
    uri: str,
    state: Json,
    display: Display,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Json:
    """Wait until no work on the image goes on, and give its last state.

    What hinders removing is told, each time it is something else: that is tried again without end.
    A proxy that is away, as while it is restarted, is waited for up to ``AWAY_S``.

    Raises:
        ClientError: the proxy refuses, or stays away.
    """
    heard_at_s = monotonic()
    told: object = None
    try:
        while is_working(state):
            hindrance = state.get("error-message") if state.get("stage") == REMOVING else None
            if hindrance and hindrance != told:
                display.tell(str(hindrance))
            told = hindrance
            display.show(state)
            sleep(POLL_S)
            try:
                state = state_of(connection.post("/api/states", [("image-uri", uri)]), uri)
                heard_at_s = monotonic()
            except ClientError as error:
                if error.exit_status != UNREACHABLE or monotonic() - heard_at_s > AWAY_S:
                    raise
    finally:
        display.end()
    return state

"""Following work to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from imagestoreproxy.client.catalogue import state_of
from imagestoreproxy.client.display import Board, Display
from imagestoreproxy.client.failure import UNREACHABLE, ClientError
from imagestoreproxy.client.requests import Connection

POLL_S = 1.0
AWAY_S = 60.0
# What is to go on until Ctrl-C.
FOREVER_S = math.inf
AWAY = "The proxy cannot be reached; trying again ..."
REMOVING = "removing"
PAUSED = "paused"

Json = Mapping[str, Any]


def is_working(state: Json) -> bool:
    """Tell whether work on the image goes on, or is paused."""
    return state.get("status") in {"downloading", "installing"}


def goes_on(state: Json) -> bool:
    """Tell whether work on the image will come further by itself."""
    return is_working(state) and state.get("stage") != PAUSED


class Patience:
    """Waits for a proxy that is away, as while it is restarted, for up to ``away_s``.

    Args:
        tell: takes a sentence, once each time that the proxy goes away.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        tell: Callable[[str], None],
        away_s: float = AWAY_S,
    ) -> None:
        self._monotonic = monotonic
        self._tell = tell
        self._is_away = False
        self._away_s = away_s
        self._heard_at_s = monotonic()

    def ask(self, question: Callable[[], Json]) -> Json | None:
        """Ask, and give the answer; None while the proxy is away.

        Raises:
            ClientError: the proxy refuses, or stays away.
        """
        try:
            answer = question()
        except ClientError as error:
            away_s = self._monotonic() - self._heard_at_s
            if error.exit_status != UNREACHABLE or away_s > self._away_s:
                raise
            if not self._is_away:
                self._tell(AWAY)
            self._is_away = True
            return None
        self._is_away = False
        self._heard_at_s = self._monotonic()
        return answer


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
    What is paused meanwhile is waited for too.

    Raises:
        ClientError: the proxy refuses, or stays away.
    """
    patience = Patience(monotonic, display.tell)
    told: object = None
    try:
        while is_working(state):
            hindrance = state.get("error-message") if state.get("stage") == REMOVING else None
            if hindrance and hindrance != told:
                display.tell(str(hindrance))
            told = hindrance
            display.show(state)
            sleep(POLL_S)
            answer = patience.ask(lambda: connection.post("/api/states", [("image-uri", uri)]))
            if answer is not None:
                state = state_of(answer, uri)
    finally:
        display.end()
    return state


def follow_all(
    connection: Connection,
    states: Mapping[str, Json],
    names: Mapping[str, str],
    board: Board,
    *,
    ended: Callable[[str, Json], None],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, Json]:
    """Wait until no work on any of the images goes on, and give their last states.

    Args:
        states: the present ones, by URI.
        names: how each image is called.
        ended: is called once for each, with its last state, as it ends.

    Raises:
        ClientError: the proxy refuses, or stays away.
    """
    patience = Patience(monotonic, lambda sentence: board.tell("", sentence, "warn"))
    last = dict(states)
    going = dict(states)
    try:
        while True:
            for uri in [uri for uri in going if not is_working(last[uri])]:
                del going[uri]
                ended(uri, last[uri])
            if not going:
                return last
            board.show([(names.get(uri, uri), last[uri]) for uri in going])
            sleep(POLL_S)
            pairs = [("image-uri", uri) for uri in going]
            answer = patience.ask(lambda pairs=pairs: connection.post("/api/states", pairs))  # type: ignore[misc]
            if answer is not None:
                last.update({uri: state_of(answer, uri) for uri in going})
    finally:
        board.end()

"""The commands that show what goes on: now, and as it happens."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_images, objects, state_of, told_apart
from imagestoreproxy.client.command import (
    Command,
    Row,
    actions,
    print_json,
    print_json_line,
    status_cell,
    status_line,
)
from imagestoreproxy.client.display import Board, SilentBoard, board_for
from imagestoreproxy.client.failure import ClientError
from imagestoreproxy.client.watch import AWAY_S, FOREVER_S, POLL_S, Patience, goes_on, is_working
from imagestoreproxy.model.words import size

STATUS_COLUMNS = 80

Json = Mapping[str, Any]


def status(command: Command) -> None:
    """Show images in progress and in error, or those that are named; and the queue and the disk."""
    named = find_images(command.connection, command.options.images)
    content = command.connection.post("/api/states", [("image-uri", one.uri) for one in named])
    states: list[Json] = list(objects(content, "states"))
    if named:
        states = [state for one in named if (state := state_of(content, one.uri))]
    overview = command.connection.get("/api/overview", also={404}).get("overview")
    overview = overview if isinstance(overview, dict) else {}
    if command.options.json:
        print_json({"states": states, **({"overview": overview} if overview else {})})
        return
    titles = _titles(content) | {one.uri: one.title for one in named}
    if states:
        _show_states(command, states, titles)
    else:
        print("No install is going on, and none has failed.")
    for line in _overview_lines(overview):
        print(line)
    if not states and overview and not overview.get("installed"):
        print(f"Nothing is installed yet. Next: {command.again('list')}", file=sys.stderr)


def _titles(content: Json) -> dict[str, str]:
    return {
        str(image.get("uri")): text.plain(image.get("title") or image.get("uri"))
        for image in objects(content, "images")
    }


def _show_states(command: Command, states: Sequence[Json], titles: Mapping[str, str]) -> None:
    rows: list[Row] = []
    for state in states:
        uri = str(state.get("image-uri", ""))
        style, line = status_cell(state)
        shown = text.progress(state).strip() if is_working(state) else line
        rows.append([titles.get(uri, ""), (style, shown), ("dim", uri)])
    print(command.table(["TITLE", "STATUS", "URI"], rows, STATUS_COLUMNS))
    for state in states:
        if message := state.get("error-message"):
            uri = str(state.get("image-uri", ""))
            print(f"{titles.get(uri) or text.plain(uri)}: {text.plain(message)}")
            if words := _next_words(state):
                print(f"  Next: {command.again(*words, uri)}", file=sys.stderr)


def _next_words(state: Json) -> list[str]:
    return next(([one] for one in ("retry", "install", "forget") if one in actions(state)), [])


def _overview_lines(overview: Json) -> list[str]:
    lines = []
    queue = overview.get("queue")
    if isinstance(queue, dict):
        counts = {name: len(queue.get(name) or ()) for name in ("running", "waiting", "paused")}
        if any(counts.values()):
            most = text.number(queue.get("running-most"))
            lines.append(
                f"Queue: {counts['running']} of {most:.0f} places taken, {counts['waiting']} "
                f"waiting, {counts['paused']} paused."
            )
    disk = overview.get("disk")
    if isinstance(disk, dict):
        sizes = {name: size(text.number(value)) for name, value in disk.items()}
        line = f"Disk: {sizes.get('free-bytes', '?')} free of {sizes.get('total-bytes', '?')}"
        line += f" at {text.plain(disk.get('path') or '?')}"
        line += f"; downloads {sizes.get('downloads-bytes', '?')}"
        if text.number(disk.get("cache-limit-bytes")):
            line += f", cache {sizes.get('cache-bytes', '?')} of {sizes['cache-limit-bytes']}"
        lines.append(line + ".")
    return lines


def watch(command: Command) -> None:
    """Show all that goes on, or the images that are named, until nothing of it does any more."""
    named = find_images(command.connection, command.options.images)
    watched = Watched(command, {one.uri: one.title for one in named})
    try:
        watched.watch()
    except KeyboardInterrupt:
        if not command.options.forever:
            raise
    if watched.failed:
        hints = [command.again("history", uri) for uri in watched.failed]
        count = len(watched.failed)
        raise ClientError(f"{count} {'image' if count == 1 else 'images'} failed.", hints=hints)


class Watched:
    """What is being watched.

    Attributes:
        failed: the URIs of those whose work ended in an error meanwhile.
    """

    def __init__(self, command: Command, titles: Mapping[str, str]) -> None:
        self.failed: list[str] = []
        self._command = command
        self._named = list(titles)
        self._titles = dict(titles)
        self._going: dict[str, Json] = {}
        self._told: dict[str, Json] = {}
        self._json = bool(command.options.json)
        self._board: Board = SilentBoard() if self._json else board_for(sys.stdout, command.paint)

    def watch(self) -> None:
        """Look again and again, and show what there is."""
        away_s = FOREVER_S if self._command.options.forever else AWAY_S
        patience = Patience(
            self._command.monotonic, lambda said: self._board.tell("", said, "warn"), away_s
        )
        seen_any = False
        try:
            while True:
                content = patience.ask(self._ask)
                if content is not None:
                    self._take(content)
                    seen_any = seen_any or bool(self._going)
                    if not self._is_to_go_on():
                        break
                names = told_apart(self._titles)
                self._board.show([(names[uri], state) for uri, state in self._going.items()])
                self._command.sleep(POLL_S)
        finally:
            self._board.end()
        if not seen_any and not self._json:
            print("Nothing is going on.")
            print(f"Next: {self._command.again('status')}", file=sys.stderr)

    def _is_to_go_on(self) -> bool:
        return bool(self._command.options.forever or any(map(goes_on, self._going.values())))

    def _ask(self) -> Json:
        # What is named comes without its title, and what ended only when it is named.
        uris = self._named or list(self._going)
        return self._command.connection.post("/api/states", [("image-uri", uri) for uri in uris])

    def _take(self, content: Json) -> None:
        self._titles = {**_titles(content), **self._titles}
        for state in objects(content, "states"):
            uri = str(state.get("image-uri", ""))
            if self._named and uri not in self._named:
                continue
            self._titles.setdefault(uri, uri)
            if is_working(state):
                self._going[uri] = state
                self._tell_json(uri, state)
            elif uri in self._going:
                del self._going[uri]
                self._tell_json(uri, state)
                self._ended(uri, state)

    def _ended(self, uri: str, state: Json) -> None:
        message = state.get("error-message")
        if message:
            self.failed.append(uri)
        said = f"failed: {message}" if message else status_line(state)
        self._board.tell(told_apart(self._titles)[uri], said, "bad" if message else "good")

    def _tell_json(self, uri: str, state: Json) -> None:
        if self._json and self._told.get(uri) != state:
            print_json_line({"state": state})
        self._told[uri] = state

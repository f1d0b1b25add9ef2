"""``image-store history``: what was done, when, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_image, objects
from imagestoreproxy.client.command import Cell, Command, Row, print_json
from imagestoreproxy.client.commands.supply import local_time
from imagestoreproxy.model.words import size
from imagestoreproxy.web.present import image_id

STYLES = {
    "installed": "good",
    "uninstalled": "good",
    "failed": "bad",
    "cancelled": "warn",
    "paused": "warn",
    "going-on": "busy",
}

Json = Mapping[str, Any]


def history(command: Command) -> None:
    """Show what was done with an image, step by step; or the runs of all images."""
    if command.options.image:
        _of_one(command)
    else:
        _of_all(command)


def _of_all(command: Command) -> None:
    pairs = [("from", "0"), ("count", str(command.options.count))]
    answer = command.connection.get("/api/history", pairs)
    if command.options.json:
        print_json(answer)
        return
    runs = objects(answer, "history")
    if not runs:
        print("Nothing was installed or removed yet.")
        print(f"Next: {command.again('list')}", file=sys.stderr)
        return
    rows: list[Row] = [
        [
            local_time(run.get("began-at")),
            str(run.get("kind", "")),
            _outcome(run),
            text.duration(text.number(run.get("seconds"))),
            size(text.number(run["bytes"])) if "bytes" in run else "",
            f"{run.get('title') or ''} {run.get('version') or ''}".strip(),
            ("dim", str(run.get("image-uri", ""))),
        ]
        for run in runs
    ]
    print(command.table(["BEGAN", "WHAT", "OUTCOME", "TOOK", "BYTES", "IMAGE", "URI"], rows))
    total = text.number(answer.get("history-total"))
    if total > len(runs):
        print(f"and {total - len(runs):.0f} older: {command.again('history', '--count')} N")


def _of_one(command: Command) -> None:
    found = find_image(command.connection, command.options.image)
    answer = command.connection.get(f"/api/images/{image_id(found.uri)}/history")
    runs = objects(answer, "history")[: command.options.count]
    if command.options.json:
        print_json({**answer, "history": runs})
        return
    if not runs:
        print(f"Nothing was done with {found.title} yet.")
        print(f"Next: {command.again('plan', found.called or found.uri)}", file=sys.stderr)
    # The newest comes last: it is what is read on a terminal.
    for run in reversed(runs):
        _show_run(command, found.title, run)


def _show_run(command: Command, title: str, run: Json) -> None:
    style, outcome = _outcome(run)
    name = f"{title} {text.plain(run.get('version') or '')}".strip()
    heading = f"{text.plain(run.get('kind') or '')} of {name}, {local_time(run.get('began-at'))}"
    took = text.duration(text.number(run.get("seconds")))
    parts = [outcome, text.plain(run.get("emi") or ""), f"after {took}"]
    print(
        f"{command.paint('head', heading)}: {command.paint(style, ' '.join(filter(None, parts)))}"
    )
    for one in objects(run, "events"):
        style = "bad" if one.get("what") == "failed" else ""
        said = [text.plain(one.get("text") or one.get("what") or "")]
        shown = size(text.number(one["bytes"])) if "bytes" in one else ""
        # Where the sentence tells it already, once is enough.
        measured = [shown] if shown and shown not in str(one.get("text")) else []
        seconds = text.number(one.get("seconds"))
        measured += [text.duration(seconds)] if seconds >= 1 else []
        said += [f"({', '.join(measured)})"] if measured else []
        at = command.paint("dim", local_time(one.get("at"), "%H:%M:%S"))
        print(f"  {at}  {command.paint(style, ' '.join(said))}")
    message = run.get("error-message")
    if message and message not in [one.get("text") for one in objects(run, "events")]:
        print(f"  {command.paint('bad', text.plain(message))}")


def _outcome(run: Json) -> Cell:
    outcome = text.plain(run.get("outcome") or "")
    return STYLES.get(outcome, ""), outcome.replace("-", " ")

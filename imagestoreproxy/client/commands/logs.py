"""``image-store logs``: what the proxy writes into its log, from afar."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import objects
from imagestoreproxy.client.command import Command, print_json, print_json_line
from imagestoreproxy.client.commands.supply import local_time
from imagestoreproxy.client.watch import FOREVER_S, POLL_S, Patience

AT_ONCE = 500
STYLES = {"error": "bad", "critical": "bad", "warn": "warn", "info": "", "debug": "dim"}

Json = Mapping[str, Any]


def logs(command: Command) -> None:
    """Show the newest events of the log; with ``--follow`` also those that come."""
    options = command.options
    answer = _asked(command, None, options.count)
    if options.json and not options.follow:
        print_json(answer)
        return
    _show(command, answer)
    patience = Patience(command.monotonic, lambda said: print(said, file=sys.stderr), FOREVER_S)
    while options.follow:
        since = answer.get("last-number")
        command.sleep(POLL_S)
        asked = patience.ask(lambda since=since: _asked(command, since, AT_ONCE))  # type: ignore[misc]
        if asked is not None:
            answer = asked
            _show(command, answer)


def _asked(command: Command, since: object, count: int) -> Json:
    pairs = [("count", str(count))]
    pairs += [("since", f"{text.number(since):.0f}")] if since is not None else []
    pairs += [("level", command.options.level)] if command.options.level else []
    return command.connection.get("/api/log", pairs)


def _show(command: Command, answer: Json) -> None:
    for one in objects(answer, "log"):
        if command.options.json:
            print_json_line(one)
            continue
        level = text.plain(one.get("level") or "")
        at = command.paint("dim", local_time(one.get("at"), "%Y-%m-%d %H:%M:%S"))
        line = f"{level:<5} {text.plain(one.get('text') or '')}"
        print(f"{at} {command.paint(STYLES.get(level, ''), line)}", flush=True)

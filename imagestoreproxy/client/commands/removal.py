"""The commands that take an image out of the cloud, or forget one that is gone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import Found, find_image
from imagestoreproxy.client.command import Command, actions, is_removing, print_json
from imagestoreproxy.client.requests import MISUSED, ClientError

AFTER_A_FAILURE = ("history", "uninstall")

Json = Mapping[str, Any]


def uninstall(command: Command) -> None:
    """Take an installed image out of the cloud, and wait until nothing of it is left."""
    found = find_image(command.connection, command.options.image)
    state = found.state
    if not is_removing(state):
        action = next((one for one in ("uninstall", "forget") if one in actions(state)), "")
        if not action:
            raise command.impossible(found, "cannot be uninstalled: it is not installed.", "status")
        if not command.options.yes:
            _confirm(command, found)
        state = command.act(found, action)
    _until_removed(command, found, state)


def forget(command: Command) -> None:
    """Forget an image that is gone from the cloud, and remove what is left of it."""
    found = find_image(command.connection, command.options.image)
    if "forget" not in actions(found.state):
        why = "is not gone from the cloud, so there is nothing to forget."
        raise command.impossible(found, why, "status")
    _until_removed(command, found, command.act(found, "forget"))


def _confirm(command: Command, found: Found) -> None:
    if command.options.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ClientError("Give --yes to uninstall without being asked.", MISUSED)
    name = f"{found.info.get('title') or found.uri} {found.state.get('emi') or ''}"
    print(f"Uninstall {text.plain(name)}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ClientError("Nothing was done.")


def _until_removed(command: Command, found: Found, state: Json) -> None:
    if not command.options.no_wait:
        state = command.follow(found, state, "uninstall")
        if {"uninstall", "forget"} & actions(state).keys():
            why = state.get("error-message") or "it is still there."
            hints = [command.again(word, found.called or found.uri) for word in AFTER_A_FAILURE]
            raise ClientError(f"{found.uri} could not be removed: {why}", hints=hints)
        also = " (it is no longer followed)" if found.state.get("follows") else ""
        _tell(command, state, f"Removed{also}", found)
    else:
        _tell(command, state, "Removing", found)


def _tell(command: Command, state: Json, done: str, found: Found) -> None:
    if command.options.json:
        print_json({"state": state})
    else:
        print(f"{done} {text.plain(found.info.get('title') or '')} ({text.plain(found.uri)}).")

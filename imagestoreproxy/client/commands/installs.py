"""The commands that bring an image into the cloud, or stop that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import Found, find_image, in_version
from imagestoreproxy.client.command import Command, actions, impossible, print_json, status_line
from imagestoreproxy.client.commands.listing import print_run
from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.client.watch import is_working

Json = Mapping[str, Any]


def install(command: Command) -> None:
    """Install an image, and follow it to its end."""
    found = find_image(command.connection, command.options.image)
    if command.options.version:
        found = in_version(command.connection, found, command.options.version)
    state: Json = found.state
    # What is paused offers no "install": it goes on.
    if action := next((one for one in ("install", "resume") if one in actions(state)), ""):
        state = command.act(found, action)
    elif state.get("status") == "installed":
        _done(command, found, state)
        return
    elif not is_working(state) and (refused := found.info.get("refused")):
        raise impossible(found, f"is not for this cloud: {refused}")
    elif not is_working(state):
        raise impossible(found, "cannot be installed: no store offers it now.")
    if not command.options.no_wait:
        state = command.follow(found, state, "install")
        if message := state.get("error-message"):
            raise ClientError(f"The install of {found.uri} failed: {message}")
        if state.get("status") != "installed":
            raise ClientError(f"The install of {found.uri} was cancelled.")
    _done(command, found, state)


def _done(command: Command, found: Found, state: Json) -> None:
    if command.options.json:
        run = {"run-command": command.login.run_line(str(state["emi"]))} if "emi" in state else {}
        print_json({"state": state, **run})
        return
    title = text.plain(found.info.get("title") or found.uri)
    print(f"{title}: {status_line(state)}")
    print_run(command, state)


def cancel(command: Command) -> None:
    """Stop an install."""
    found = find_image(command.connection, command.options.image)
    if "cancel" not in actions(found.state):
        raise impossible(found, "has nothing going on that can be cancelled.")
    command.tell(
        command.act(found, "cancel"), "Cancelled; the proxy removes what there is of", found
    )


def clear_error(command: Command) -> None:
    """Forget why an install failed, and the files kept for another try."""
    found = find_image(command.connection, command.options.image)
    if "clear-error" not in actions(found.state):
        raise impossible(found, "has no error that can be cleared.")
    command.tell(command.act(found, "clear-error"), "Cleared the error of", found)

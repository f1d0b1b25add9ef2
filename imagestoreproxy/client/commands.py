"""What each command does, once it is known who asks and where."""

# ruff: noqa: T201 - printing is its purpose

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import Found, find_image, objects, state_of
from imagestoreproxy.client.login import Login
from imagestoreproxy.client.requests import ClientError, Connection
from imagestoreproxy.client.watch import Bar, Display, Lines, Silent, follow, is_working

Json = Mapping[str, Any]


class Command:
    """One command, with all it needs."""

    def __init__(
        self,
        options: argparse.Namespace,
        connection: Connection,
        login: Login,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self.options = options
        self.connection = connection
        self.login = login

    def list(self) -> None:
        """Show all that is offered."""
        self._show_listing(self.connection.get("/api/dashboard"))

    def search(self) -> None:
        """Show what matches."""
        self._show_listing(self.connection.get("/api/search", [("q", self.options.text)]))

    def show(self) -> None:
        """Show all about one image."""
        found = find_image(self.connection, self.options.image)
        if self.options.json:
            print_json({"image": found.info or None, "state": found.state or None})
            return
        info, state = found.info, found.state
        provider = info.get("provider")
        described: dict[str, object] = {
            "URI": found.uri,
            "Title": info.get("title"),
            "Summary": info.get("summary"),
            "Version": info.get("version"),
            "Size": f"{text.number(info['size-in-mb']):.0f} MB" if "size-in-mb" in info else "",
            "Tags": ", ".join(str(tag) for tag in info.get("tags") or ()),
            "Provider": provider.get("title") if isinstance(provider, dict) else "",
            "Description": text.without_tags(str(info.get("description-html") or "")),
            "Status": _status(state),
            "Installed": state.get("installed-version"),
            "Kernel": state.get("eki"),
            "Ramdisk": state.get("eri"),
            "Error": state.get("error-message"),
        }
        for name, value in described.items():
            if value:
                print(f"{name + ':':<13}{text.plain(value)}")
        self._print_run(state)

    def install(self) -> None:
        """Install an image, and follow it to its end."""
        found = find_image(self.connection, self.options.image)
        state: Json = found.state
        if "install" in _actions(state):
            state = self._act(found, "install")
        elif state.get("status") == "installed":
            self._done(found, state)
            return
        elif not is_working(state):
            raise ClientError(f"{found.uri} cannot be installed: no store offers it now.")
        if not self.options.no_wait:
            state = self._follow(found, state)
            if message := state.get("error-message"):
                raise ClientError(f"The install of {found.uri} failed: {message}")
            if state.get("status") != "installed":
                raise ClientError(f"The install of {found.uri} was cancelled.")
        self._done(found, state)

    def cancel(self) -> None:
        """Stop an install."""
        found = find_image(self.connection, self.options.image)
        if "cancel" not in _actions(found.state):
            raise ClientError(f"Nothing is going on with {found.uri} that can be cancelled.")
        state = self._act(found, "cancel")
        if self.options.json:
            print_json({"state": state})
        else:
            print(f"Cancelled; the proxy removes what there is of it: {text.plain(found.uri)}")

    def status(self) -> None:
        """Show images in progress and in error, or those that are named."""
        named = [find_image(self.connection, name).uri for name in self.options.images]
        content = self.connection.post("/api/states", [("image-uri", uri) for uri in named])
        states = [state_of(content, uri) for uri in named] if named else objects(content, "states")
        if self.options.json:
            print_json({"states": [state for state in states if state]})
            return
        if not states:
            print("No install is going on, and none has failed.")
        for state in states:
            shown = text.progress(state) if is_working(state) else _status(state)
            print(f"{text.plain(state.get('image-uri', ''))}  {shown}")
            if message := state.get("error-message"):
                print(f"  {text.plain(message)}")

    def _act(self, found: Found, action: str) -> Json:
        # Only the path: the host is the one that was given, as through a tunnel.
        answer = self.connection.post(urlsplit(str(_actions(found.state)[action])).path)
        state = answer.get("state")
        return state if isinstance(state, dict) else {}

    def _follow(self, found: Found, state: Json) -> Json:
        display: Display
        if self.options.json:
            display = Silent()
        else:
            display = Bar(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
        try:
            return follow(self.connection, found.uri, state, display, sleep=self._sleep)
        except KeyboardInterrupt:
            uri = text.plain(found.uri)
            print(
                "The install goes on in the proxy. To follow it again, or to stop it:\n"
                f"  image-store install '{uri}'\n  image-store cancel '{uri}'",
                file=sys.stderr,
            )
            raise

    def _done(self, found: Found, state: Json) -> None:
        if self.options.json:
            run = {"run-command": self.login.run_line(str(state["emi"]))} if "emi" in state else {}
            print_json({"state": state, **run})
            return
        title = text.plain(found.info.get("title") or found.uri)
        print(f"{title}: {_status(state)}")
        self._print_run(state)

    def _print_run(self, state: Json) -> None:
        if emi := state.get("emi"):
            print(f"To run it:\n  {self.login.run_line(text.plain(emi))}")

    def _show_listing(self, content: Json) -> None:
        if self.options.json:
            print_json(content)
            return
        if message := content.get("error-message"):
            print(f"image-store: {text.plain(message)}", file=sys.stderr)
        rows = [
            [
                str(image.get("title", "")),
                str(image.get("version", "")),
                f"{text.number(image.get('size-in-mb')):.0f} MB",
                _status(state_of(content, str(image.get("uri")))),
                str(image.get("uri", "")),
            ]
            for image in objects(content, "images")
        ]
        if rows:
            print(text.table(["TITLE", "VERSION", "SIZE", "STATUS", "URI"], rows))
        else:
            print("No image found.")


def _actions(state: Json) -> dict[str, Any]:
    actions = state.get("actions")
    return actions if isinstance(actions, dict) else {}


def _status(state: Json) -> str:
    if is_working(state):
        percent = text.number(state.get("progress-percentage"))
        return f"{text.plain(state.get('stage') or state['status'])} {percent:.0f} %"
    parts = [str(state.get("status") or "unknown"), str(state.get("emi") or "")]
    if state.get("is-upgrade"):
        parts.append("(newer version offered)")
    if state.get("error-message"):
        parts[0] = "failed"
    return text.plain(" ".join(parts))


def print_json(content: Json) -> None:
    print(json.dumps(content, indent=2))

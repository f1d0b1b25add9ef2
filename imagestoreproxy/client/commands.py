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
from imagestoreproxy.client.catalogue import (
    Found,
    find_image,
    in_version,
    objects,
    state_of,
    versions_of,
)
from imagestoreproxy.client.login import Login
from imagestoreproxy.client.requests import MISUSED, ClientError, Connection
from imagestoreproxy.client.watch import REMOVING, Bar, Display, Lines, Silent, follow, is_working
from imagestoreproxy.model.findings import Finding

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
        versions = versions_of(self.connection, found)
        if self.options.json:
            print_json(
                {"image": found.info or None, "state": found.state or None, "versions": versions}
            )
            return
        info, state = found.info, found.state
        provider = info.get("provider")
        described: dict[str, object] = {
            "URI": found.uri,
            "Title": info.get("title"),
            "Summary": info.get("summary"),
            "Version": info.get("version"),
            "Versions": ", ".join(str(one.get("version", "")) for one in versions),
            "Machine": info.get("architecture"),
            "Support to": info.get("support-ends"),
            "Size": f"{text.number(info['size-in-mb']):.0f} MB" if "size-in-mb" in info else "",
            "Tags": ", ".join(str(tag) for tag in info.get("tags") or ()),
            "Provider": provider.get("title") if isinstance(provider, dict) else "",
            "Description": text.without_tags(str(info.get("description-html") or "")),
            "Status": _status(state),
            "Installed": state.get("installed-version"),
            "Followed": "yes" if state.get("follows") else "",
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
        if self.options.version:
            found = in_version(self.connection, found, self.options.version)
        state: Json = found.state
        actions = _actions(state)
        # What is paused offers no "install": it goes on.
        if action := next((one for one in ("install", "resume") if one in actions), ""):
            state = self._act(found, action)
        elif state.get("status") == "installed":
            self._done(found, state)
            return
        elif not is_working(state) and (refused := found.info.get("refused")):
            raise _impossible(found, f"is not for this cloud: {refused}")
        elif not is_working(state):
            raise _impossible(found, "cannot be installed: no store offers it now.")
        if not self.options.no_wait:
            state = self._follow(found, state, "install")
            if message := state.get("error-message"):
                raise ClientError(f"The install of {found.uri} failed: {message}")
            if state.get("status") != "installed":
                raise ClientError(f"The install of {found.uri} was cancelled.")
        self._done(found, state)

    def cancel(self) -> None:
        """Stop an install."""
        found = find_image(self.connection, self.options.image)
        if "cancel" not in _actions(found.state):
            raise _impossible(found, "has nothing going on that can be cancelled.")
        self._tell(
            self._act(found, "cancel"), "Cancelled; the proxy removes what there is of", found
        )

    def uninstall(self) -> None:
        """Take an installed image out of the cloud, and wait until nothing of it is left."""
        found = find_image(self.connection, self.options.image)
        state = found.state
        if not _is_removing(state):
            action = next((one for one in ("uninstall", "forget") if one in _actions(state)), "")
            if not action:
                raise _impossible(found, "cannot be uninstalled: it is not installed.")
            if not self.options.yes:
                self._confirm(found)
            state = self._act(found, action)
        self._until_removed(found, state)

    def forget(self) -> None:
        """Forget an image that is gone from the cloud, and remove what is left of it."""
        found = find_image(self.connection, self.options.image)
        if "forget" not in _actions(found.state):
            raise _impossible(found, "is not gone from the cloud, so there is nothing to forget.")
        self._until_removed(found, self._act(found, "forget"))

    def clear_error(self) -> None:
        """Forget why an install failed, and the files kept for another try."""
        found = find_image(self.connection, self.options.image)
        if "clear-error" not in _actions(found.state):
            raise _impossible(found, "has no error that can be cleared.")
        self._tell(self._act(found, "clear-error"), "Cleared the error of", found)

    def reconcile(self) -> None:
        """Compare what is installed with what the cloud has."""
        answer = self.connection.post("/api/reconcile")
        found = answer.get("reconciliation")
        found = found if isinstance(found, dict) else {}
        if self.options.json:
            print_json({"reconciliation": found})
        else:
            print(f"Installed images looked for: {text.number(found.get('checked')):.0f}.")
            for key, what in (
                ("gone", "gone from the cloud"),
                ("back", "there again"),
                ("strangers", "looks like ours, and nobody knows it; left alone"),
            ):
                for name in found.get(key) or ():
                    print(f"  {what}: {text.plain(name)}")
        if problem := found.get("problem"):
            raise ClientError("" if self.options.json else f"It is not complete: {problem}")

    def check(self) -> None:
        """Show whether an install would find all it needs."""
        answer = self.connection.get("/readyz", also={503})
        if "ready" not in answer:
            raise ClientError(str(answer.get("error-message") or "The proxy tells no readiness."))
        if self.options.json:
            print_json(answer)
        else:
            for one in objects(answer, "findings"):
                print(_finding(one).line())
        if answer["ready"] is not True:
            raise ClientError("")

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

    def _tell(self, state: Json, done: str, found: Found) -> None:
        if self.options.json:
            print_json({"state": state})
        else:
            print(f"{done} {text.plain(found.info.get('title') or '')} ({text.plain(found.uri)}).")

    def _confirm(self, found: Found) -> None:
        if self.options.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ClientError("Give --yes to uninstall without being asked.", MISUSED)
        name = f"{found.info.get('title') or found.uri} {found.state.get('emi') or ''}"
        print(f"Uninstall {text.plain(name)}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise ClientError("Nothing was done.")

    def _until_removed(self, found: Found, state: Json) -> None:
        if not self.options.no_wait:
            state = self._follow(found, state, "uninstall")
            if _is_there(state):
                why = state.get("error-message") or "it is still there."
                raise ClientError(f"{found.uri} could not be removed: {why}")
            also = " (it is no longer followed)" if found.state.get("follows") else ""
            self._tell(state, f"Removed{also}", found)
        else:
            self._tell(state, "Removing", found)

    def _follow(self, found: Found, state: Json, what: str) -> Json:
        display: Display
        if self.options.json:
            display = Silent()
        else:
            display = Bar(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
        try:
            return follow(self.connection, found.uri, state, display, sleep=self._sleep)
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


def _impossible(found: Found, why: str) -> ClientError:
    return ClientError(" ".join([f"{found.uri} {why}", found.problem]).strip())


def _is_removing(state: Json) -> bool:
    return is_working(state) and state.get("stage") == REMOVING


def _is_there(state: Json) -> bool:
    return bool({"uninstall", "forget"} & _actions(state).keys())


def _finding(told: Json) -> Finding:
    problem = "" if told.get("ok") is True else told.get("problem") or "not well"
    said = (told.get("what") or "", problem, told.get("note") or "")
    return Finding(*(text.plain(one) for one in said))


def _status(state: Json) -> str:
    if is_working(state):
        percent = text.number(state.get("progress-percentage"))
        return f"{text.plain(state.get('stage') or state['status'])} {percent:.0f} %"
    parts = [str(state.get("status") or "unknown"), str(state.get("emi") or "")]
    if state.get("is-upgrade"):
        parts.append("(newer version offered)")
    if "forget" in _actions(state):
        parts[0] = "gone from the cloud"
    elif state.get("error-message"):
        parts[0] = "failed"
    return text.plain(" ".join(parts))


def print_json(content: Json) -> None:
    print(json.dumps(content, indent=2))

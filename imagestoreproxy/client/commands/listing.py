"""The commands that show images: all, those that match, and one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import (
    about,
    find_image,
    listing,
    objects,
    state_of,
    versions_of,
)
from imagestoreproxy.client.command import Command, Row, print_json, status_cell, status_line
from imagestoreproxy.client.failure import ClientError

Json = Mapping[str, Any]


def show_all(command: Command) -> None:
    """Show all that is offered."""
    if command.options.json:
        print_json(command.connection.get("/api/dashboard"))
        return
    content = listing(command.connection, "/api/dashboard")
    if command.options.names:
        for image in objects(content, "images"):
            print(text.plain(image.get("title") or image.get("uri") or ""))
        return
    _show_listing(command, content)


def search(command: Command) -> None:
    """Show what matches."""
    pairs = [("q", command.options.text)]
    if command.options.json:
        print_json(command.connection.get("/api/search", pairs))
    else:
        _show_listing(command, listing(command.connection, "/api/search", pairs))


def _show_listing(command: Command, content: Json) -> None:
    if message := content.get("error-message"):
        print(f"image-store: {text.plain(message)}", file=sys.stderr)
    rows: list[Row] = [
        [
            str(image.get("title", "")),
            str(image.get("version", "")),
            f"{text.number(image.get('size-in-mb')):.0f} MiB",
            status_cell(state_of(content, str(image.get("uri")))),
            ("dim", str(image.get("uri", ""))),
        ]
        for image in objects(content, "images")
    ]
    if rows:
        print(command.table(["TITLE", "VERSION", "SIZE", "STATUS", "URI"], rows))
        return
    print("No image found.")
    word = "list" if command.options.entry.name == "search" else "sources"
    print(f"Next: {command.again(word)}", file=sys.stderr)


def show(command: Command) -> None:
    """Show all about one image."""
    found = find_image(command.connection, command.options.image)
    answer = about(command.connection, found)
    versions = versions_of(answer)
    # What names are looked up in has no description.
    whole = answer.get("image")
    info = whole if isinstance(whole, dict) else found.info
    if command.options.json:
        beside = {key: answer[key] for key in ("signed-by", "run") if key in answer}
        known = {"image": info or None, "state": found.state or None}
        print_json({**known, "versions": versions, **beside})
        return
    state = found.state
    provider = info.get("provider")
    described: dict[str, object] = {
        "URI": found.uri,
        "Title": info.get("title"),
        "Summary": info.get("summary"),
        "Version": info.get("version"),
        "Versions": ", ".join(str(one.get("version", "")) for one in versions),
        "Machine": info.get("architecture"),
        "Support to": info.get("support-ends"),
        "Size": f"{text.number(info['size-in-mb']):.0f} MiB" if "size-in-mb" in info else "",
        "Tags": ", ".join(str(tag) for tag in info.get("tags") or ()),
        "Provider": provider.get("title") if isinstance(provider, dict) else "",
        "Source": info.get("source"),
        "Signed by": " ".join(_signer(answer.get("signed-by"))),
        "Login": info.get("login-user"),
        "Ports": ", ".join(str(port) for port in info.get("ports") or ()),
        "Description": text.without_tags(str(info.get("description-html") or "")),
        "Status": status_line(state),
        "Installed": state.get("installed-version"),
        "Followed": "yes" if state.get("follows") else "",
        "Kernel": state.get("eki"),
        "Ramdisk": state.get("eri"),
        "Error": state.get("error-message"),
    }
    styles = {"Status": status_cell(state)[0], "Error": "bad"}
    for name, value in described.items():
        if value:
            head = command.paint("head", f"{name}:") + " " * (12 - len(name))
            print(f"{head}{command.paint(styles.get(name, ''), text.plain(value))}")
    print_run(command, state, info)


def _signer(told: object) -> list[str]:
    signer = told if isinstance(told, dict) else {}
    return [str(signer[key]) for key in ("name", "fingerprint") if signer.get(key)]


def print_run(command: Command, state: Json, info: Json | None = None) -> None:
    """Show how an instance of an installed image is started, with the credentials used here.

    Args:
        info: what the proxy says of the image.
    """
    if emi := state.get("emi"):
        guide = command.login.guide(text.plain(emi), info, is_fake=_is_fake(command))
        print("To run it:\n  " + "\n  ".join(guide.ways[0].commands))
        print("Notes:\n  " + "\n  ".join(guide.notes))


def _is_fake(command: Command) -> bool:
    """Ask whether there is a cloud at all; what was done is done without an answer too."""
    try:
        overview = command.connection.get("/api/overview", also={404}).get("overview")
    except ClientError:
        return False
    return isinstance(overview, dict) and overview.get("cloud") == "fake"

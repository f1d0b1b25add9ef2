"""``image-store plan``: what an install would do, before it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_image, in_version, objects
from imagestoreproxy.client.command import Command, print_json
from imagestoreproxy.client.commands.supply import local_time
from imagestoreproxy.client.failure import FAILED, ClientError
from imagestoreproxy.model.words import size
from imagestoreproxy.web.present import image_id

Json = Mapping[str, Any]


def plan(command: Command) -> None:
    """Show what an install would do; nothing is changed by it."""
    found = find_image(command.connection, command.options.image)
    if command.options.version:
        found = in_version(command.connection, found, command.options.version)
    answer = command.connection.get(f"/api/images/{image_id(found.uri)}/plan")
    told = answer.get("plan")
    told = told if isinstance(told, dict) else {}
    problem = told.get("problem")
    if command.options.json:
        print_json(answer)
        if problem:
            raise ClientError("")
        return
    _show(command, found.title, told)
    if problem:
        raise ClientError(f"It would fail now: {problem}", FAILED, hints=[command.again("check")])
    print(f"To do it: {command.again('install', found.called or found.uri)}")


def _show(command: Command, title: str, told: Json) -> None:
    upgrade = " (an upgrade)" if told.get("is-upgrade") else ""
    heading = f"{title} {text.plain(told.get('version') or '')}".strip() + upgrade
    print(command.paint("head", heading))
    signer = told.get("signed-by")
    signer = signer if isinstance(signer, dict) else {}
    described = {
        "URI": told.get("image-uri"),
        "For": " ".join(
            str(told[key]) for key in ("architecture", "virtualization") if told.get(key)
        ),
        "Signed by": " ".join(
            str(signer[key]) for key in ("name", "fingerprint") if signer.get(key)
        ),
        "Published": local_time(told.get("published-at")),
        "Expires": local_time(told.get("expires-at")),
        "To fetch": _fetching(told),
        "Disk": _disk(told),
        "Registers": ", ".join(map(_registered, objects(told, "register"))),
    }
    for name, value in described.items():
        if value:
            is_short = name == "Disk" and told.get("enough-room") is False
            head = command.paint("head", f"{name}:") + " " * (12 - len(name))
            print(head + command.paint("bad" if is_short else "", text.plain(value)))
    files = objects(told, "fetch")
    if files:
        rows = [
            [
                str(one.get("kind", "")),
                size(text.number(one.get("bytes"))),
                ("good", "yes") if one.get("cached") else "no",
                ("dim", str(one.get("url", ""))),
            ]
            for one in files
        ]
        print(command.table(["FILE", "SIZE", "HERE", "FROM"], rows))
    for number, step in enumerate(_steps(told), 1):
        print(f"{number:>3}. {text.plain(step)}")


def _fetching(told: Json) -> str:
    whole = sum(text.number(one.get("bytes")) for one in objects(told, "fetch"))
    coming = text.number(told.get("fetch-bytes"))
    return size(coming) + (f" of {size(whole)}" if whole > coming else "")


def _disk(told: Json) -> str:
    needed = size(text.number(told.get("peak-disk-bytes")))
    free = size(text.number(told.get("free-bytes")))
    return f"{needed} needed at the most, {free} free" + (
        ": not enough" if told.get("enough-room") is False else ""
    )


def _registered(one: Json) -> str:
    shared = one.get("shared-with")
    return f"{one.get('kind', '?')}" + (f" (is there: {shared})" if shared else "")


def _steps(told: Json) -> list[Any]:
    steps = told.get("steps")
    return steps if isinstance(steps, list) else []

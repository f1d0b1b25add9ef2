"""The commands about images that are kept up to date."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_image, objects
from imagestoreproxy.client.command import Command, print_json
from imagestoreproxy.client.commands.supply import local_time
from imagestoreproxy.client.requests import MISUSED, ClientError
from imagestoreproxy.web.present import image_id

Json = Mapping[str, Any]


def follow(command: Command) -> None:
    """Follow an image; without one, show all that are followed."""
    options = command.options
    if not options.image:
        if options.keep or options.even_if_used:
            raise ClientError("Name the image that is to be followed.", MISUSED)
        _show(command)
        return
    if options.even_if_used and not options.keep:
        raise ClientError("--even-if-used is for --keep: without it nothing is removed.", MISUSED)
    uri = find_image(command.connection, options.image).uri
    pairs = [("keep", str(options.keep or 0)), ("even-if-used", str(int(options.even_if_used)))]
    answer = command.connection.post(f"/api/images/{image_id(uri)}/follow", pairs)
    if options.json:
        print_json(answer)
        return
    told = answer.get("follow")
    if isinstance(told, dict):
        print(f"Followed: {text.plain(told.get('title') or uri)} ({text.plain(uri)}).")
        _show_steps(told)


def unfollow(command: Command) -> None:
    """Follow an image no longer."""
    uri = find_image(command.connection, command.options.image).uri
    answer = command.connection.post(f"/api/images/{image_id(uri)}/unfollow")
    if command.options.json:
        print_json(answer)
    else:
        print(f"No longer followed: {text.plain(uri)}. It stays as it is.")


def _show(command: Command) -> None:
    answer = command.connection.get("/api/follows")
    if command.options.json:
        print_json(answer)
        return
    follows = objects(answer, "follows")
    if not follows:
        print("No image is followed.")
        print(f"Next: {command.again('follow', 'IMAGE')}", file=sys.stderr)
        return
    rows = [
        [
            str(one.get("title") or ""),
            f"{text.number(one.get('keep')):.0f}" if one.get("keep") else "all",
            str(one.get("installed-version") or "none"),
            str(one.get("offered-version") or "none"),
            local_time(one.get("next-check-at")),
            str(one.get("image-uri", "")),
        ]
        for one in follows
    ]
    print(command.table(["TITLE", "KEEP", "INSTALLED", "OFFERED", "NEXT CHECK", "URI"], rows))
    for one in follows:
        print(f"{text.plain(one.get('title') or one.get('image-uri') or '')}:")
        _show_steps(one)


def _show_steps(told: Json) -> None:
    steps = told.get("will")
    for step in steps if isinstance(steps, list) else ():
        print(f"  {text.plain(step)}")

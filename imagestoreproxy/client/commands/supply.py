"""The commands about what comes in: the sources, and how fast it may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import objects
from imagestoreproxy.client.command import Command, print_json

LIMIT = "limit-mb-per-s"

Json = Mapping[str, Any]


def show_sources(command: Command) -> None:
    """Show each source, what is wrong with it, and when it will be asked again."""
    if command.options.refresh:
        answer = command.connection.post("/api/sources/refresh")
    else:
        answer = command.connection.get("/api/sources")
    if command.options.json:
        print_json(answer)
        return
    sources = objects(answer, "sources")
    rows = [
        [
            str(one.get("name", "")),
            str(one.get("type", "")),
            f"{text.number(one.get('images')):.0f}",
            f"{text.number(one.get('refused')):.0f}",
            local_time(one.get("fetched-at")) or "never",
            str(one.get("url", "")),
        ]
        for one in sources
    ]
    print(command.table(["NAME", "TYPE", "IMAGES", "REFUSED", "ASKED", "URL"], rows))
    for one in sources:
        for sentence in _sentences(one):
            print(text.plain(sentence))


def _sentences(one: Json) -> list[str]:
    name = one.get("name", "")
    said = []
    if problem := one.get("problem"):
        said.append(f"{name} cannot be asked or believed: {problem}")
    if one.get("unsigned") is True:
        said.append(f"{name} is not signed: nobody vouches for its images.")
    elif remark := one.get("remark"):
        said.append(f"{name}: {remark}")
    if published := local_time(one.get("published-at")):
        said.append(f"{name} was published on {published}.")
    if at := local_time(one.get("next-refresh-at")):
        said.append(f"{name} will be asked again at {at}.")
    return said


def local_time(told: object, form: str = "%Y-%m-%d %H:%M") -> str:
    """Write an ISO time as one of this machine's; empty where it is none."""
    try:
        at = datetime.strptime(str(told), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return at.astimezone().strftime(form)
    except (ValueError, OverflowError):
        return ""


def bandwidth(command: Command) -> None:
    """Show how fast downloads may be, or change it."""
    wanted = command.options.limit
    if wanted is None:
        answer = command.connection.get("/api/bandwidth")
    else:
        limit = "0" if wanted == "none" else wanted
        answer = command.connection.post("/api/bandwidth", [(LIMIT, limit)])
    if command.options.json:
        print_json(answer)
        return
    limit_mb = text.number(answer.get(LIMIT))
    shown = f"at most {limit_mb:g} MB/s" if limit_mb else "as fast as it can"
    until = "" if wanted is None else ", until the next start or until it reads its configuration"
    print(f"All downloads together: {shown}{until}.")

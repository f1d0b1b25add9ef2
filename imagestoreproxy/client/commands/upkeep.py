"""The commands about the proxy's own health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import objects
from imagestoreproxy.client.command import Command, print_json
from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.model.findings import Finding

Json = Mapping[str, Any]


def reconcile(command: Command) -> None:
    """Compare what is installed with what the cloud has."""
    answer = command.connection.post("/api/reconcile")
    found = answer.get("reconciliation")
    found = found if isinstance(found, dict) else {}
    if command.options.json:
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
        raise ClientError("" if command.options.json else f"It is not complete: {problem}")


def check(command: Command) -> None:
    """Show whether an install would find all it needs."""
    answer = command.connection.get("/readyz", also={503})
    if "ready" not in answer:
        raise ClientError(str(answer.get("error-message") or "The proxy tells no readiness."))
    if command.options.json:
        print_json(answer)
    else:
        for one in objects(answer, "findings"):
            finding = _finding(one)
            print(command.paint("good" if finding.is_ok else "bad", finding.line()))
    if answer["ready"] is not True:
        raise ClientError("")


def _finding(told: Json) -> Finding:
    problem = "" if told.get("ok") is True else told.get("problem") or "not well"
    said = (told.get("what") or "", problem, told.get("note") or "")
    return Finding(*(text.plain(one) for one in said))

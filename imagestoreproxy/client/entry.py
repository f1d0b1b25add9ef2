"""What is said of one command, before anything that runs it is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

LOOK, WORK, PROXY, CARRY, OWN, TERMINAL = (
    "Look",
    "Install and remove",
    "The proxy",
    "Carry images elsewhere",
    "A store of one's own",
    "The terminal",
)
FAMILIES = {
    LOOK: "What there is, and what is going on.",
    WORK: "What changes the cloud. Each waits for its end, unless it is told not to.",
    PROXY: "Where images come from, and how the proxy is.",
    CARRY: "Images for sites without internet.",
    OWN: "These need no proxy and no credentials.",
    TERMINAL: "For the shell.",
}

FILE = "file"
DIRECTORY = "directory"
IMAGE_NAME = "image"


@dataclass(frozen=True)
class Argument:
    """One option or argument, as ``argparse`` takes it.

    Args:
        completes: what a shell offers for it: ``FILE``, ``DIRECTORY``, ``IMAGE_NAME`` or nothing.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    completes: str = ""


@dataclass(frozen=True)
class Entry:
    """One command.

    Args:
        family: under which heading a manual shows it.
        what: it does, in a few words.
        does: ``module:function`` below ``client/commands/``.
        shape: of its JSON, a name in ``client/shapes.py``; empty where it has none.
        more: what a manual says beside.
        asks_proxy: else it is given the options alone, and needs no credentials.
    """

    family: str
    name: str
    what: str
    does: str
    arguments: tuple[Argument, ...] = ()
    shape: str = ""
    more: str = ""
    asks_proxy: bool = True

    def load(self) -> Callable[[Any], None]:
        """Import what runs it."""
        module, _, function = self.does.partition(":")
        found = import_module(f"imagestoreproxy.client.commands.{module}")
        return cast(Callable[[Any], None], getattr(found, function))


def arg(*names: str, completes: str = "", **settings: Any) -> Argument:
    """Describe an option or argument."""
    return Argument(names, settings, completes)

"""The parser of ``image-store``, made from the table of commands."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from imagestoreproxy import __version__
from imagestoreproxy.client.entry import DIRECTORY, FILE, Argument, arg
from imagestoreproxy.client.failure import MISUSED, TIMEOUT_S, ClientError
from imagestoreproxy.client.paint import AUTO, WHEN
from imagestoreproxy.client.table import COMMANDS

URL = "http://localhost:52780"
NEAR_MATCHES = 3
EXIT_STATUSES = {
    0: "done",
    1: "it failed: an install that ended in an error, no such image, a check, plan or watch that "
    "found a problem, a reconcile that is not complete",
    2: "wrong use",
    3: "the proxy cannot be reached, or refuses this client",
    130: "ended by Ctrl-C",
}
COMMAND = "command"

Adding = argparse.ArgumentParser | argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments, and what may have been meant."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            ClientError: always.
        """
        # Newer Pythons paint it.
        usage = re.sub(r"\x1b\[[0-9;]*m", "", self.format_usage()).strip()
        raise ClientError(f"{message}\n{usage}", MISUSED, hints=[f"{self.prog} --help"])

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == COMMAND and action.choices and value not in action.choices:
            near = difflib.get_close_matches(str(value), list(action.choices), NEAR_MATCHES, 0.6)
            meant = f" Did you mean: {', '.join(near)}?" if near else ""
            raise ClientError(
                f"There is no command '{value}'.{meant}", MISUSED, hints=["image-store --help"]
            )
        super()._check_value(action, value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number, more than 0 and at most 3600")
    return seconds


def parser(
    environ: Mapping[str, str] = os.environ, completions: Mapping[str, object] | None = None
) -> Parser:
    """Build the options and commands.

    Args:
        completions: what shells complete ``FILE`` and ``DIRECTORY`` with.
    """
    completions = completions or {}
    everywhere = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    whole = Parser(
        prog="image-store",
        description="Look into an image store, and install its images into the cloud.",
        epilog="Exit status: "
        + "; ".join(f"{number} {what}" for number, what in EXIT_STATUSES.items())
        + ".",
    )
    # Both have their own: to share them would let a command undo what stands before it.
    for one, default in ((everywhere, argparse.SUPPRESS), (whole, AUTO)):
        one.add_argument("--json", action="store_true", help="one JSON object as output")
        one.add_argument(
            "--color",
            choices=WHEN,
            default=default,
            help="when to use colours (default: on a terminal, unless NO_COLOR is set)",
        )
    whole.add_argument("--version", action="version", version=__version__)
    _add_proxy(whole, environ, completions)
    commands = whole.add_subparsers(
        title="commands", dest=COMMAND, metavar="COMMAND", required=True, parser_class=Parser
    )
    for entry in COMMANDS:
        added = commands.add_parser(
            entry.name,
            help=entry.what,
            description=" ".join(
                filter(None, [f"{entry.what[0].upper()}{entry.what[1:]}.", entry.more])
            ),
            parents=[everywhere],
        )
        added.set_defaults(entry=entry)
        for argument in entry.arguments:
            _add(added, argument, completions)
    return whole


def _add(to: Adding, argument: Argument, completions: Mapping[str, object]) -> None:
    added = to.add_argument(*argument.names, **argument.settings)
    if argument.completes in completions:
        added.complete = completions[argument.completes]  # type: ignore[attr-defined]


def _add_proxy(
    whole: argparse.ArgumentParser, environ: Mapping[str, str], completions: Mapping[str, object]
) -> None:
    group = whole.add_argument_group("the proxy")
    group.add_argument(
        "--url",
        default=environ.get("IMAGE_STORE_URL") or URL,
        help=f"where it listens (default: IMAGE_STORE_URL, else {URL})",
    )
    ca_bundle = arg(
        "--ca-bundle",
        default="",
        metavar="FILE",
        help="certificate authorities for https",
        completes=FILE,
    )
    _add(group, ca_bundle, completions)
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"how long it may be silent (default: {TIMEOUT_S:.0f})",
    )
    group = whole.add_argument_group(
        "who you are",
        "The secret key is never an option: it comes from one of these, else from "
        "IMAGE_STORE_SECRET, EC2_ACCESS_KEY and EC2_SECRET_KEY, or the AWS_ variables.",
    )
    for argument in (
        arg("--client-id", default="", metavar="ID", help="default: the access key"),
        arg(
            "--credentials-dir",
            default="",
            metavar="DIR",
            help="an unpacked credentials archive of the cloud (with an eucarc file)",
            completes=DIRECTORY,
        ),
        arg(
            "--credentials",
            default="",
            metavar="FILE",
            help="an AWS-style file, or an eucarc",
            completes=FILE,
        ),
        arg("--profile", default="default", metavar="NAME", help="in that file (default: default)"),
    ):
        _add(group, argument, completions)

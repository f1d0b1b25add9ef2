"""``image-store``: the store from a terminal.

Exit status: 0 done; 1 it failed (an install that ended in an error, no such image, a ``check`` that
found a problem, a ``reconcile`` that is not complete); 2 wrong use; 3 the proxy cannot be reached,
or refuses this client; 130 after Ctrl-C.

With ``--json`` one object goes to standard output, whatever happens, with these keys and those of
the UI API: ``list`` and ``search`` ``images``, ``states``, ``sections``; ``show`` ``image``,
``state``, ``versions``; ``install``, ``cancel``, ``uninstall``, ``forget`` and ``clear-error``
``state`` (and ``run-command`` once installed); ``status`` ``states``; ``follow`` ``follow``, or
``follows`` without an image; ``unfollow`` ``unfollowed``; ``sources`` ``sources``;
``bandwidth`` ``limit-mb-per-s``; ``export`` ``images``, ``file``; ``import`` ``images``;
``reconcile`` ``reconciliation``; ``check`` ``ready``, ``findings``; ``publish`` what was published;
a failure ``error-message``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from imagestoreproxy import __version__
from imagestoreproxy.client import text
from imagestoreproxy.client.carrying import add_commands as add_carrying
from imagestoreproxy.client.commands import Command, print_json
from imagestoreproxy.client.following import add_commands as add_following
from imagestoreproxy.client.local import add_local_commands
from imagestoreproxy.client.login import find_login
from imagestoreproxy.client.requests import FAILED, TIMEOUT_S, ClientError, Connection
from imagestoreproxy.client.supply import bandwidth, show_sources

URL = "http://localhost:52780"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        if local := getattr(options, "local", None):  # needs no proxy, and nobody's secret
            local(options)
            sys.stdout.flush()
            return 0
        login = find_login(
            os.environ,
            client_id=options.client_id,
            directory=options.credentials_dir,
            file=options.credentials,
            profile=options.profile,
        )
        connection = Connection(
            options.url,
            login.client_id,
            login.secret,
            ca_bundle=options.ca_bundle,
            timeout_s=options.timeout,
        )
        command: Callable[[Command], None] = options.command
        command(Command(options, connection, login))
        sys.stdout.flush()
    except ClientError as error:
        sys.stdout.flush()
        if options.json and error.message:
            print_json({"error-message": error.message})
        elif error.message:
            lines = [text.plain(line) for line in error.message.split("\n")]
            print("image-store: " + "\n  ".join(lines), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has seen enough; nothing is left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return 0


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("it must be more than 0 and at most 3600")
    return seconds


def parser() -> argparse.ArgumentParser:
    """Build the options and commands."""
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("--json", action="store_true", help="one JSON object as output")
    whole = argparse.ArgumentParser(
        prog="image-store",
        description="Look into an image store, and install its images into the cloud.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong use, 3 the proxy cannot be reached or "
        "refuses, 130 after Ctrl-C.",
    )
    # Its own: to share the parent's would let a command undo what stands before it.
    whole.add_argument("--json", action="store_true", help="one JSON object as output")
    whole.add_argument("--version", action="version", version=__version__)
    group = whole.add_argument_group("the proxy")
    group.add_argument(
        "--url",
        default=os.environ.get("IMAGE_STORE_URL") or URL,
        help=f"where it listens (default: IMAGE_STORE_URL, else {URL})",
    )
    group.add_argument(
        "--ca-bundle", default="", metavar="FILE", help="certificate authorities for https"
    )
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
    group.add_argument("--client-id", default="", metavar="ID", help="default: the access key")
    group.add_argument(
        "--credentials-dir",
        default="",
        metavar="DIR",
        help="an unpacked credentials archive of the cloud (with an eucarc file)",
    )
    group.add_argument(
        "--credentials", default="", metavar="FILE", help="an AWS-style file, or an eucarc"
    )
    group.add_argument(
        "--profile", default="default", metavar="NAME", help="in that file (default: default)"
    )
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, what: str, command: Callable[[Command], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what, parents=[everywhere])
        added.set_defaults(command=command)
        return added

    image = "its URI, or a part of its title or URI that no other has"
    add("list", "show what is offered", Command.list)
    add("search", "show what matches a text", Command.search).add_argument("text")
    add("show", "show all about an image", Command.show).add_argument("image", help=image)
    install = add("install", "install an image and wait for it", Command.install)
    install.add_argument("image", help=image)
    install.add_argument(
        "--version", default="", metavar="V", help="this one of its versions (see: show)"
    )
    install.add_argument("--no-wait", action="store_true", help="return once it has begun")
    add("cancel", "stop an install", Command.cancel).add_argument("image", help=image)
    status = add("status", "show work that goes on, has failed, or is gone", Command.status)
    status.add_argument("images", nargs="*", metavar="image", help="these instead: " + image)
    uninstall = add("uninstall", "take an installed image out of the cloud", Command.uninstall)
    uninstall.add_argument("image", help=image)
    uninstall.add_argument("--yes", action="store_true", help="do not ask")
    forget = add("forget", "forget an image that is gone from the cloud", Command.forget)
    forget.add_argument("image", help=image)
    for removing in (uninstall, forget):
        removing.add_argument("--no-wait", action="store_true", help="return once it has begun")
    clear = add("clear-error", "forget why an install failed", Command.clear_error)
    clear.add_argument("image", help=image)
    add_following(add, image)
    sources = add("sources", "show where images come from, and what is wrong there", show_sources)
    sources.add_argument("--refresh", action="store_true", help="ask all of them now")
    add("bandwidth", "show or change how fast downloads may be", bandwidth).add_argument(
        "limit", nargs="?", metavar="MB/S", help="of all together, or 'none'; until the next start"
    )
    add_carrying(add, image)
    add_local_commands(add)
    add("reconcile", "compare what is installed with the cloud", Command.reconcile)
    add("check", "show whether an install would find all it needs", Command.check)
    return whole

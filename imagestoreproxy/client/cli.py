"""``image-store``: the store from a terminal.

Exit status: 0 done; 1 it failed (an install that ended in an error, no such image, a ``check``,
``plan`` or ``watch`` that found a problem, a ``reconcile`` that is not complete); 2 wrong use; 3
the proxy cannot be reached, or refuses this client; 130 after Ctrl-C.

With ``--json`` one object goes to standard output, whatever happens; ``docs/command-line.md`` tells
its keys for each command. A failure has ``error-message``, and ``next-commands`` where there are
any that help.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from imagestoreproxy.client import text
from imagestoreproxy.client.entry import Entry
from imagestoreproxy.client.failure import FAILED, ClientError
from imagestoreproxy.client.parsing import parser

INTERRUPTED = 130
SAID_AGAIN = ("url", "ca_bundle", "credentials_dir", "credentials", "profile", "client_id")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Also where the arguments cannot be understood otherwise.
    as_json = "--json" in arguments
    try:
        whole = parser()
        options = whole.parse_args(arguments)
        _run(options, said(whole, options))
        sys.stdout.flush()
    except ClientError as error:
        sys.stdout.flush()
        _tell(error, as_json=as_json)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has seen enough; nothing is left to flush.
        _give_up_output()
        return FAILED
    except OSError as error:
        _give_up_output()
        what = error.filename or "The output"
        _tell(ClientError(f"{what} cannot be read or written: {error.strerror}."), as_json=False)
        return FAILED
    return 0


def _give_up_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def said(whole: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    """Give what has to be said again for another command to reach the same proxy."""
    words = []
    for name in SAID_AGAIN:
        value = getattr(options, name)
        if value != whole.get_default(name):
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


def _run(options: argparse.Namespace, said_before: Sequence[str]) -> None:
    entry: Entry = options.entry
    if not entry.asks_proxy:
        entry.load()(options)
        return
    # Not for those who only want help: these take their time to be imported.
    from imagestoreproxy.client.command import Command  # noqa: PLC0415
    from imagestoreproxy.client.login import find_login  # noqa: PLC0415
    from imagestoreproxy.client.paint import paint_for  # noqa: PLC0415
    from imagestoreproxy.client.requests import Connection  # noqa: PLC0415

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
        origin=login.origin,
    )
    paint = paint_for(sys.stdout, options.color, os.environ)
    entry.load()(Command(options, connection, login, paint=paint, said=said_before))


def _tell(error: ClientError, *, as_json: bool) -> None:
    if as_json and error.message:
        from imagestoreproxy.client.command import print_json  # noqa: PLC0415

        hints = {"next-commands": list(error.hints)} if error.hints else {}
        print_json({"error-message": error.message, **error.content, **hints})
    elif error.message:
        lines = [text.plain(line) for line in error.message.split("\n")]
        print("image-store: " + "\n  ".join(lines), file=sys.stderr)
        for hint in error.hints:
            print(f"Next: {text.plain(hint)}", file=sys.stderr)

"""Commands that need no proxy and no credentials: a source of one's own.

What they do is imported when it is wanted: all other commands begin sooner without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagestoreproxy.client.requests import FAILED, MISUSED, ClientError
from imagestoreproxy.model.errors import SettingsError, StoreProxyError
from imagestoreproxy.sources.publishing.words import (
    EXPIRES_DAYS,
    PORT,
    STORE,
    STORE_FILE,
    STREAMS,
)

DEFAULT_LISTEN = f"tcp:{PORT}"

Local = Callable[[argparse.Namespace], None]
AddCommand = Callable[[str, str, Any], argparse.ArgumentParser]


def add_local_commands(add: AddCommand) -> None:
    """Add the commands that need no proxy; ``options.local`` is then what runs one.

    Args:
        add: takes name, description and what runs it, and gives its parser.
    """
    publish = add("publish", "make a signed image store of a directory of images", None)
    publish.set_defaults(local=_told(_publish))
    publish.add_argument("directory", type=Path, metavar="DIR", help="with the images")
    publish.add_argument(
        "--key", required=True, metavar="KEYID", help="to sign with, as gpg --local-user takes it"
    )
    publish.add_argument("--title", default="", help="of the store")
    publish.add_argument(
        "--from", dest="store_file", type=Path, metavar="FILE",
        help=f"what to say about the images (default: {STORE_FILE} in DIR, if there is one)",
    )  # fmt: skip
    publish.add_argument(
        "--url", dest="public_url", default="", metavar="URL",
        help=f"where DIR/public will be reached (default: http://this host's name:{PORT})",
    )  # fmt: skip
    publish.add_argument(
        "--format", dest="form", choices=(STORE, STREAMS), default=STORE,
        help=f"an Image Store API, or a mirror like Ubuntu's (default: {STORE})",
    )  # fmt: skip
    publish.add_argument(
        "--expires-days", type=int, metavar="N",
        help=f"how long proxies believe it without another publication (default: {EXPIRES_DAYS})",
    )  # fmt: skip
    publish.add_argument(
        "--gnupg-home", default="", metavar="DIR", help="where the key is (default: gpg's own)"
    )
    served = add("serve", "serve a published directory over HTTP", None)
    served.set_defaults(local=_told(_serve))
    served.add_argument("directory", type=Path, metavar="DIR", help="that was published")
    served.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="ENDPOINT",
        help=f"as Twisted describes endpoints (default: {DEFAULT_LISTEN})",
    )  # fmt: skip
    served.add_argument("--debug", action="store_true", help="tell of each request")


def _told(command: Local) -> Local:
    def run(options: argparse.Namespace) -> None:
        try:
            command(options)
        except StoreProxyError as error:
            status = MISUSED if isinstance(error, SettingsError) else FAILED
            raise ClientError(error.message, status) from error

    return run


def _publish(options: argparse.Namespace) -> None:
    from imagestoreproxy.client.publish import publish_directory  # noqa: PLC0415 - see above

    publish_directory(options)


def _serve(options: argparse.Namespace) -> None:
    from imagestoreproxy.client.serve import serve  # noqa: PLC0415 - see above

    serve(options.directory, options.listen, is_debug=options.debug)

"""Every command: its words, its options, what runs it, and the shape of its JSON.

The parser, the help, the manual page, the completion and the list in ``docs/command-line.md`` are
made from this. Nothing heavy is imported here: what runs a command is, when it is wanted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imagestoreproxy.client.entry import DIRECTORY, FILE, Entry, arg
from imagestoreproxy.model.follows import KEEP_MOST
from imagestoreproxy.sources.publishing.words import (
    EXPIRES_DAYS,
    PORT,
    STORE,
    STORE_FILE,
    STREAMS,
)

LOOK, WORK, PROXY, CARRY, OWN = (
    "Look",
    "Install and remove",
    "The proxy",
    "Carry images elsewhere",
    "A store of one's own",
)
FAMILIES = {
    LOOK: "What there is, and what is going on.",
    WORK: "What changes the cloud. Each waits for its end, unless it is told not to.",
    PROXY: "Where images come from, and how the proxy is.",
    CARRY: "Images for sites without internet.",
    OWN: "These need no proxy and no credentials.",
}

DATA_DIR = "/var/lib/image-store-proxy"
# As in config/file.py, which takes its time to be imported.
DEFAULT_CONFIG = "/etc/image-store-proxy/config.toml"
DEFAULT_LISTEN = f"tcp:{PORT}"

NAMED = "its URI, or a part of its title or URI that no other has"
IMAGE = arg("image", help=NAMED)
IMAGES = arg("images", nargs="+", metavar="image", help=NAMED)
NO_WAIT = arg("--no-wait", action="store_true", help="return once it has begun")


def _keep(value: str) -> int:
    if not (value.isdecimal() and 1 <= int(value) <= KEEP_MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {KEEP_MOST}")
    return int(value)


LOOKING = (
    Entry(LOOK, "list", "show what is offered", "listing:show_all", shape="listing"),
    Entry(
        LOOK,
        "search",
        "show what matches a text",
        "listing:search",
        (arg("text", help="words of its title, summary or tags"),),
        shape="listing",
    ),
    Entry(LOOK, "show", "show all about an image", "listing:show", (IMAGE,), shape="show"),
    Entry(
        LOOK,
        "status",
        "show work that goes on, has failed, or is gone",
        "status:status",
        (arg("images", nargs="*", metavar="image", help="these instead: " + NAMED),),
        shape="status",
    ),
)

WORKING = (
    Entry(
        WORK,
        "install",
        "install an image and wait for it",
        "installs:install",
        (
            IMAGE,
            arg("--version", default="", metavar="V", help="this one of its versions (see: show)"),
            NO_WAIT,
        ),
        shape="install",
    ),
    Entry(WORK, "cancel", "stop an install", "installs:cancel", (IMAGE,), shape="state"),
    Entry(
        WORK,
        "uninstall",
        "take an installed image out of the cloud",
        "removal:uninstall",
        (IMAGE, arg("--yes", action="store_true", help="do not ask"), NO_WAIT),
        shape="state",
    ),
    Entry(
        WORK,
        "forget",
        "forget an image that is gone from the cloud",
        "removal:forget",
        (IMAGE, NO_WAIT),
        shape="state",
    ),
    Entry(
        WORK,
        "clear-error",
        "forget why an install failed",
        "installs:clear_error",
        (IMAGE,),
        shape="state",
    ),
    Entry(
        WORK,
        "follow",
        "keep an image up to date, or show those that are",
        "following:follow",
        (
            arg("image", nargs="?", help=NAMED + "; without it: show all"),
            arg(
                "--keep", type=_keep, metavar="N", help="remove all but its N newest installations"
            ),
            arg(
                "--even-if-used",
                action="store_true",
                help="also those that an instance was started from",
            ),
        ),
        shape="follow",
    ),
    Entry(
        WORK,
        "unfollow",
        "keep an image up to date no longer",
        "following:unfollow",
        (IMAGE,),
        shape="unfollow",
    ),
)

KEEPING = (
    Entry(
        PROXY,
        "sources",
        "show where images come from, and what is wrong there",
        "supply:show_sources",
        (arg("--refresh", action="store_true", help="ask all of them now"),),
        shape="sources",
    ),
    Entry(
        PROXY,
        "bandwidth",
        "show or change how fast downloads may be",
        "supply:bandwidth",
        (
            arg(
                "limit",
                nargs="?",
                metavar="MB/S",
                help="of all together, or 'none'; until the next start",
            ),
        ),
        shape="bandwidth",
    ),
    Entry(
        PROXY,
        "reconcile",
        "compare what is installed with the cloud",
        "upkeep:reconcile",
        shape="reconcile",
    ),
    Entry(
        PROXY,
        "check",
        "show whether an install would find all it needs",
        "upkeep:check",
        shape="check",
    ),
)

CARRYING = (
    Entry(
        CARRY,
        "export",
        "write images and their signatures into an archive",
        "carrying:export_images",
        (
            IMAGES,
            arg("file", help="the archive; '-': standard output", completes=FILE),
        ),
        shape="export",
    ),
    Entry(
        CARRY,
        "import",
        "verify an archive, and offer its images here",
        "carrying:import_images",
        (
            arg("file", help="what export wrote; '-': standard input", completes=FILE),
            arg(
                "--data-dir",
                default=DATA_DIR,
                metavar="DIR",
                help=f"of the proxy; whoever may write there may import (default: {DATA_DIR})",
                completes=DIRECTORY,
            ),
            arg(
                "--keyring",
                default="",
                metavar="FILE",
                help="as the proxy's own option (without it: DIR/keyring.gpg)",
                completes=FILE,
            ),
            arg(
                "--config",
                default="",
                metavar="FILE",
                help="as the proxy's own option: sources in it say whose keys hold for their images"
                f" (without it: {DEFAULT_CONFIG}, if there is one)",
                completes=FILE,
            ),
        ),
        shape="import",
        asks_proxy=False,
    ),
)

PUBLISHING = (
    Entry(
        OWN,
        "publish",
        "make a signed image store of a directory of images",
        "local:publish",
        (
            arg(
                "directory",
                type=Path,
                metavar="DIR",
                help="with the images",
                completes=DIRECTORY,
            ),
            arg(
                "--key",
                required=True,
                metavar="KEYID",
                help="to sign with, as gpg --local-user takes it",
            ),
            arg("--title", default="", help="of the store"),
            arg(
                "--from",
                dest="store_file",
                type=Path,
                metavar="FILE",
                help=f"what to say about the images (default: {STORE_FILE} in DIR, if there is "
                "one)",
                completes=FILE,
            ),
            arg(
                "--url",
                dest="public_url",
                default="",
                metavar="URL",
                help="where DIR/public will be reached (default: http://this host's name:"
                + f"{PORT})",
            ),
            arg(
                "--format",
                dest="form",
                choices=(STORE, STREAMS),
                default=STORE,
                help=f"an Image Store API, or a mirror like Ubuntu's (default: {STORE})",
            ),
            arg(
                "--expires-days",
                type=int,
                metavar="N",
                help="how long proxies believe it without another publication "
                f"(default: {EXPIRES_DAYS})",
            ),
            arg(
                "--gnupg-home",
                default="",
                metavar="DIR",
                help="where the key is (default: gpg's own)",
                completes=DIRECTORY,
            ),
        ),
        shape="publish",
        asks_proxy=False,
    ),
    Entry(
        OWN,
        "serve",
        "serve a published directory over HTTP",
        "local:serve",
        (
            arg(
                "directory",
                type=Path,
                metavar="DIR",
                help="that was published",
                completes=DIRECTORY,
            ),
            arg(
                "--listen",
                default=DEFAULT_LISTEN,
                metavar="ENDPOINT",
                help=f"as Twisted describes endpoints (default: {DEFAULT_LISTEN})",
            ),
            arg("--debug", action="store_true", help="tell of each request"),
        ),
        asks_proxy=False,
    ),
)

COMMANDS: tuple[Entry, ...] = (*LOOKING, *WORKING, *KEEPING, *CARRYING, *PUBLISHING)

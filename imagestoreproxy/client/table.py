"""Every command: its words, its options, what runs it, and the shape of its JSON.

The parser, the help, the manual page, the completion and the list in ``docs/command-line.md`` are
made from this. Nothing heavy is imported here: what runs a command is, when it is wanted.
"""

from __future__ import annotations

import argparse
from contextlib import suppress

from imagestoreproxy.client.entry import (
    CARRY,
    FILE,
    IMAGE_NAME,
    LOOK,
    PROXY,
    WORK,
    Argument,
    Entry,
    arg,
)
from imagestoreproxy.client.offline import OFFLINE
from imagestoreproxy.model.follows import KEEP_MOST

COUNT_MOST = 500

NAMED = "its URI, or a part of its title or URI that no other has"
IMAGE = arg("image", help=NAMED, completes=IMAGE_NAME)
IMAGES = arg("images", nargs="+", metavar="image", help=NAMED, completes=IMAGE_NAME)
LIMIT_MOST_MB_PER_S = 100_000
NO_WAIT = arg("--no-wait", action="store_true", help="return once it has begun")


VERSION = arg("--version", default="", metavar="V", help="this one of its versions (see: show)")


def _images(before: str) -> Argument:
    return arg("images", nargs="*", metavar="image", help=before + NAMED, completes=IMAGE_NAME)


def _image(behind: str) -> Argument:
    return arg("image", nargs="?", help=NAMED + behind, completes=IMAGE_NAME)


def _count(value: str) -> int:
    if not (value.isdecimal() and 1 <= int(value) <= COUNT_MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {COUNT_MOST}")
    return int(value)


def _keep(value: str) -> int:
    if not (value.isdecimal() and 1 <= int(value) <= KEEP_MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {KEEP_MOST}")
    return int(value)


def _limit(value: str) -> str:
    with suppress(ValueError):
        if value == "none" or 0 <= float(value) <= LIMIT_MOST_MB_PER_S:
            return value
    raise argparse.ArgumentTypeError(f"must be a number up to {LIMIT_MOST_MB_PER_S}, or 'none'")


LOOKING = (
    Entry(
        LOOK,
        "list",
        "show what is offered",
        "listing:show_all",
        (arg("--names", action="store_true", help="the titles alone, one in each line"),),
        shape="listing",
    ),
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
        (
            arg(
                "images",
                nargs="*",
                metavar="image",
                help="these instead: " + NAMED,
                completes=IMAGE_NAME,
            ),
        ),
        shape="status",
        more="Then the queue of installs, and the disk.",
    ),
    Entry(
        LOOK,
        "plan",
        "show what an install would do",
        "plan:plan",
        (IMAGE, VERSION),
        shape="plan",
        more="Nothing is changed by it. Exit status 1 if the install would fail now.",
    ),
    Entry(
        LOOK,
        "watch",
        "show all that goes on as it happens",
        "status:watch",
        (
            arg(
                "images",
                nargs="*",
                metavar="image",
                help="these alone: " + NAMED,
                completes=IMAGE_NAME,
            ),
            arg("--forever", action="store_true", help="also when nothing goes on any more"),
        ),
        shape="watch",
        more="It ends when nothing goes on any more; exit status 1 if anything failed meanwhile. "
        "A proxy that is restarted is waited for.",
    ),
    Entry(
        LOOK,
        "history",
        "show what was done with an image, or with all",
        "timeline:history",
        (
            arg(
                "image",
                nargs="?",
                help=NAMED + "; without it: the runs of all",
                completes=IMAGE_NAME,
            ),
            arg("--count", type=_count, default=20, metavar="N", help="so many runs (default: 20)"),
        ),
        shape="history",
    ),
)

WORKING = (
    Entry(
        WORK,
        "install",
        "install images and wait for them",
        "installs:install",
        (IMAGES, VERSION, NO_WAIT),
        shape="install",
        more="What goes on already is joined.",
    ),
    Entry(WORK, "cancel", "stop installs", "installs:cancel", (IMAGES,), shape="states"),
    Entry(
        WORK,
        "pause",
        "hold installs up",
        "installs:pause",
        (IMAGES,),
        shape="states",
        more="What was fetched and uploaded is kept, also over a restart of the proxy.",
    ),
    Entry(
        WORK,
        "resume",
        "let paused installs go on",
        "installs:resume",
        (IMAGES, NO_WAIT),
        shape="install",
    ),
    Entry(
        WORK,
        "retry",
        "try failed installs again from what is kept",
        "installs:retry",
        (IMAGES, NO_WAIT),
        shape="install",
    ),
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
        "forget why installs failed",
        "installs:clear_error",
        (IMAGES,),
        shape="states",
        more="The files that were kept for another try are given up.",
    ),
    Entry(
        WORK,
        "follow",
        "keep an image up to date, or show those that are",
        "following:follow",
        (
            _image("; without it: show all"),
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
                type=_limit,
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
    Entry(
        PROXY,
        "logs",
        "show what the proxy logs",
        "logs:logs",
        (
            arg("-f", "--follow", action="store_true", help="also what comes, until Ctrl-C"),
            arg(
                "--level",
                choices=("debug", "info", "warn", "error"),
                default="",
                help="what matters as much as this, or more",
            ),
            arg(
                "-n",
                "--count",
                type=_count,
                default=100,
                metavar="N",
                help="so many of the newest (default: 100)",
            ),
        ),
        shape="logs",
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
)

COMMANDS: tuple[Entry, ...] = (*LOOKING, *WORKING, *KEEPING, *CARRYING, *OFFLINE)

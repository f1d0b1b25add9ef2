"""Options of the daemon that have a file of their own, and what their values are checked with."""

from __future__ import annotations

import argparse

from imagestoreproxy.install.inside import InstallLimits
from imagestoreproxy.outside.journal import FORMS

CONNECTIONS = InstallLimits().connections


class WholeFrom:
    """An argparse type: a whole number within bounds."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest

    def __call__(self, text: str) -> int:
        if text.isdecimal() and self._lowest <= int(text) <= self._highest:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {self._lowest} to {self._highest}, not '{text}'"
        )


def add_watching(daemon: argparse._ArgumentGroup) -> None:
    """Add the options of what the daemon tells of itself."""
    daemon.add_argument("--debug", action="store_true", help="log more")
    daemon.add_argument(
        "--log-format", choices=tuple(FORMS), default="text",
        help="json: one JSON object a line, with at, level, text, namespace and fields",
    )  # fmt: skip
    daemon.add_argument(
        "--log-file", default="", metavar="FILE",
        help="append the log to it, and open it again at SIGHUP; without it, the log goes to"
        " standard error",
    )  # fmt: skip
    daemon.add_argument(
        "--pid-file", default="", metavar="FILE",
        help="write the number of the process to it, and remove it at the end",
    )  # fmt: skip
    daemon.add_argument(
        "--share-metrics", action="store_true",
        help="give /metrics to everybody who asks, unsigned; without it, to programs on this"
        " machine, and signed",
    )  # fmt: skip


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options of how much goes on at a time."""
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-bandwidth", type=_megabytes, metavar="MB/S",
        help="of all downloads together; 0 for none (without it: what the configuration says)",
    )  # fmt: skip
    limits.add_argument(
        "--connections", type=WholeFrom(1, 16), metavar="N",
        help=f"for one large file (without it: what the configuration says, else {CONNECTIONS})",
    )  # fmt: skip
    limits.add_argument(
        "--max-installs", type=WholeFrom(1, 64), default=2, metavar="N", help="installs at a time"
    )
    limits.add_argument(
        "--max-downloads", type=WholeFrom(1, 64), default=6, metavar="N", help="downloads at a time"
    )
    limits.add_argument(
        "--keep-downloads", type=WholeFrom(0, 1), default=1, metavar="0|1",
        help="1: downloads lie in the data directory until their install is done, and go on from"
        " there after a restart; 0: they never lie there, but for qcow2 disks and second tries",
    )  # fmt: skip
    limits.add_argument(
        "--max-unpacked-size", type=WholeFrom(1, 2**20), default=64, metavar="GIB",
        help="what one file may unpack to, in GiB",
    )  # fmt: skip


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add the options of the cache."""
    cache = parser.add_argument_group("the cache of verified files")
    cache.add_argument(
        "--cache-size", type=WholeFrom(0, 2**20), default=0, metavar="GIB",
        help="how much stays of downloads once their install is done, in GiB, so that nothing is"
        " downloaded twice; 0: nothing. With --keep-downloads=0 hardly anything lies on the disk"
        " that could stay. It is given up where an install needs the room",
    )  # fmt: skip
    cache.add_argument(
        "--share-cache", action="store_true",
        help="give it to everybody who asks, below /cache/ and unsigned: a source for other"
        " proxies, which verify the original signatures",
    )  # fmt: skip


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 100_000:
        raise argparse.ArgumentTypeError(
            f"must be a number of megabytes from 0 to 100000, not '{text}'"
        )
    return value

"""Options of the daemon that have a file of their own, and what their values are checked with."""

from __future__ import annotations

import argparse

from imagestoreproxy.outside.journal import FORMS


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

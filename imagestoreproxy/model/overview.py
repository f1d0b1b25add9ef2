"""How the proxy is, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What lies in the data directory; all in bytes that are really taken.

    Args:
        free_bytes, total_bytes: of the file system that it is on.
    """

    path: str
    free_bytes: int
    total_bytes: int
    downloads_bytes: int
    cache_bytes: int
    database_bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """How the proxy is.

    Args:
        started_at_s: Unix seconds.
        installed: images, also those that are gone from the cloud.
        failed: images whose last install has failed.
        running, waiting, paused: installs, by image URI; what waits is in order.
        running_most: how many run at a time.
        cache_limit_bytes: what may stay in the cache unasked.
        next_comparison_at_s: when all is compared with the cloud next, Unix seconds; 0: not known.
    """

    version: str
    started_at_s: float
    cloud: str
    installed: int
    failed: int
    running: Sequence[str]
    running_most: int
    waiting: Sequence[str]
    paused: Sequence[str]
    disk: DiskUse
    cache_limit_bytes: int
    next_comparison_at_s: float

"""A download that lies on the disk, where a restart finds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.feed import FileFeed
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.digests import algorithm_of
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.plan import download_name
from imagestoreproxy.ports import Disk, Stop


def on_disk(
    disk: Disk,
    work: Work,
    file: ImageFile,
    stop: Stop,
    *,
    cache: Cache,
    is_wanted: Callable[[], bool] = lambda: False,
) -> FileFeed:
    """Open a file of an install as it lies on the disk; reads it. To be called in the background.

    Args:
        cache: where it may be already; it is checked again.
        is_wanted: whether others wait for the place of who follows.
    """
    token, name = work.install.token, download_name(file)
    is_lent = cache.lend(token, file)
    held = disk.partial(token, name, file.size_bytes, stop, algorithm_of(file.digest))
    if is_lent and held.digest_hex() != file.digest:
        held.discard()
        cache.is_damaged(file)
    path = partial(disk.path, token, name)
    return FileFeed(held, path, file.size_bytes, counter(work, file), is_wanted)


def counter(work: Work, file: ImageFile) -> Callable[[int], None]:
    """Give what a feed tells how many bytes are there."""
    return partial(work.meter.set_done, Step.DOWNLOADING, download_name(file))

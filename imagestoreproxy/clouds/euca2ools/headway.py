"""How far a tool is, seen from outside, and whether it gets on at all.

Tools of 3.x say nothing before they end, and a large image takes hours: so what counts is what they
leave behind, files in a directory or parts in a bucket, and what older ones say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagestoreproxy.clouds.bucket import Bucket
from imagestoreproxy.clouds.euca2ools.ground import held_bytes
from imagestoreproxy.clouds.euca2ools.words import Stage, stage_of
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.stops import Within

Told = Callable[[float], None]


def forward(told: Told) -> Told:
    """Give one to tell which passes on how far it ever was: a second try begins anew."""
    most = 0.0

    def tell(fraction: float) -> None:
        nonlocal most
        most = max(most, fraction)
        told(most)

    return tell


class StalledError(Exception):
    """Nothing has changed for longer than is allowed."""


class Headway:
    """A ``Stop`` that also ends work which gets nowhere, with ``StalledError``.

    Args:
        mark: gives something that changes as long as the work gets on.
        stall_s: how long it may stay the same.
        every_s: how often it is looked at.
    """

    def __init__(
        self, stop: Stop, mark: Callable[[], object], *, stall_s: float, every_s: float
    ) -> None:
        self._stop = stop
        self._mark = mark
        self._stall_s = stall_s
        self._every_s = every_s
        self._seen: object = None
        self._moved_at_s = self._looked_at_s = time.monotonic()

    def heard(self) -> None:
        """Note that it has said something."""
        self._moved_at_s = time.monotonic()

    def check(self) -> None:
        """Raise when the work is to end."""
        self._stop.check()
        now_s = time.monotonic()
        if now_s - self._looked_at_s < self._every_s:
            return
        self._looked_at_s = now_s
        seen = self._mark()
        if seen != self._seen:
            self._seen, self._moved_at_s = seen, now_s
        elif now_s - self._moved_at_s > self._stall_s:
            raise StalledError

    def wait(self, seconds: float) -> None:
        """Sleep a moment."""
        self._stop.wait(min(seconds, self._every_s))
        self.check()


class Bundled:
    """How much of a bundle lies in a directory.

    Args:
        raw_bytes: the size of the image.
        passes: see ``Generation``.
        told: hears the fraction.
    """

    def __init__(self, directory: Path, raw_bytes: int, passes: int, told: Told) -> None:
        self._directory = directory
        self._raw_bytes = max(1, raw_bytes)
        self._passes = passes
        self._told = forward(told)
        self._stage = Stage.PACKING
        self._whole_bytes = self._raw_bytes

    def heard(self, line: str) -> None:
        """Take what the tool says."""
        stage = stage_of(line)
        if stage is not None:
            # What was written last is read again, and is as large as what comes of it.
            self._whole_bytes = max(held_bytes(self._directory).values(), default=self._raw_bytes)
            self._stage = stage

    def look(self) -> object:
        """Give what is there, and tell how far that is."""
        sizes = held_bytes(self._directory)
        if self._passes == 1:
            written = sum(sizes.values())
        elif self._stage is Stage.SPLITTING:
            written = sum(size for name, size in sizes.items() if name[-1:].isdigit())
        else:
            ending = ".part" if self._stage is Stage.ENCRYPTING else ".tar.gz"
            written = sum(size for name, size in sizes.items() if name.endswith(ending))
        stage = self._stage.value if self._passes > 1 else 0
        fraction = (stage + min(1.0, written / max(1, self._whole_bytes))) / self._passes
        self._told(fraction)
        return sizes


class Uploaded:
    """How many parts a bucket holds; asked for in a thread of its own, and never in the way.

    Args:
        open_bucket: gives a way of its own to the bucket.
        parts: how many there will be.
        told: hears the fraction.
    """

    def __init__(
        self, open_bucket: Callable[[Stop], Bucket], parts: int, every_s: float, told: Told
    ) -> None:
        self._open_bucket = open_bucket
        self._parts = max(1, parts)
        self._every_s = every_s
        self._told = told
        self._there: object = None

    def look(self) -> object:
        """Give what was there when it was looked at last."""
        return self._there

    @contextmanager
    def going_on(self, stop: Stop) -> Iterator[None]:
        """Look from time to time, until the context is left."""
        within = Within(stop)
        thread = threading.Thread(
            target=self._look_often, args=(within,), name="upload watch", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            within.end()
            thread.join()

    def _look_often(self, stop: Stop) -> None:
        with suppress(Cancelled):
            while True:
                began_s = time.monotonic()
                with suppress(CloudError):  # whoever uploads says what is wrong
                    held = self._open_bucket(stop).objects() or {}
                    self._there = {key: one.size_bytes for key, one in held.items()}
                    whole = sum(1 for key in held if ".part." in key)
                    self._told(min(1.0, whole / self._parts))
                # A long list is not asked for all the time.
                stop.wait(max(self._every_s, 10 * (time.monotonic() - began_s)))

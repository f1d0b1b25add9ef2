"""How the proxy is, at a glance: all of it from memory, but for the disk."""

from __future__ import annotations

from collections.abc import Callable

from imagestoreproxy import __version__
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.reconcile import Reconciler
from imagestoreproxy.install.together import Beside
from imagestoreproxy.model.installs import State
from imagestoreproxy.model.overview import DiskUse, Overview
from imagestoreproxy.ports import Background, Clock, Cloud

KEEP_S = 5.0
_COMING = frozenset({State.WAITING, State.DOWNLOADING, State.INSTALLING})


class Glance:
    """``shop.Glancing``: the disk is measured at most every ``KEEP_S``, for all who ask.

    Args:
        measure: looks at the disk; blocks.
        max_installs, cache_bytes: as of ``InstallLimits``.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        reconciler: Reconciler,
        cloud: Cloud,
        measure: Callable[[], DiskUse],
        background: Background,
        clock: Clock,
        max_installs: int,
        cache_bytes: int,
    ) -> None:
        self._inventory = inventory
        self._reconciler = reconciler
        self._cloud = cloud
        self._measure = measure
        self._background = background
        self._clock = clock
        self._max_installs = max_installs
        self._cache_bytes = cache_bytes
        self._started_at_s = clock.now_s()
        self._measured: Beside[DiskUse] | None = None
        self._measured_at_s = 0.0

    async def overview(self) -> Overview:
        """Tell how it is.

        Raises:
            DiskError: the disk cannot be looked at.
        """
        disk = await self._disk()
        works = self._inventory.works
        coming = [uri for uri, work in works.items() if work.state in _COMING]
        waiting = [uri for uri in coming if works[uri].queue_position]
        return Overview(
            version=__version__,
            started_at_s=self._started_at_s,
            cloud=self._cloud.name,
            installed=len(self._inventory.installed),
            failed=sum(work.state is State.FAILED for work in works.values()),
            running=[uri for uri in coming if uri not in waiting],
            running_most=self._max_installs,
            waiting=sorted(waiting, key=lambda uri: works[uri].queue_position),
            paused=[uri for uri, work in works.items() if work.state is State.PAUSED],
            disk=disk,
            cache_limit_bytes=self._cache_bytes,
            next_comparison_at_s=self._reconciler.next_at_s,
        )

    async def _disk(self) -> DiskUse:
        now_s = self._clock.monotonic_s()
        measured = self._measured
        is_old = measured is None or (
            measured.is_over and (measured.error or now_s >= self._measured_at_s + KEEP_S)
        )
        if measured is None or is_old:
            measured = self._measured = Beside(self._background, "look at the disk", self._look())
            self._measured_at_s = now_s
        return await measured.outcome()

    async def _look(self) -> DiskUse:
        return await self._background.run(lambda _stop: self._measure())

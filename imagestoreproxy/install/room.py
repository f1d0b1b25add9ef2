"""Room on the disk: looked for before the first byte, and kept apart for what runs already."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.model.plan import Plan, download_name
from imagestoreproxy.ports import Background, Disk, Stop

# Left free for the database, the log and everybody else.
SPARE_BYTES = 64 * 2**20


class Room:
    """What the installs that run may still write; what the cache holds is given up for them."""

    def __init__(self, disk: Disk, cache: Cache, background: Background) -> None:
        self._disk = disk
        self._cache = cache
        self._background = background
        self._plans: dict[str, Plan] = {}

    async def take(self, work: Work, plan: Plan) -> None:
        """Keep room for an install, until ``give_back``.

        Raises:
            DiskError: there is not enough.
        """
        token = work.install.token
        self._plans[token] = plan
        free_bytes, still = await self._background.run(partial(self._look, dict(self._plans)))
        needed_bytes = still.pop(token) + SPARE_BYTES
        promised_bytes = sum(still.values())
        if (missing_bytes := needed_bytes + promised_bytes - free_bytes) > 0:
            free_bytes = await self._background.run(
                partial(self._give_up, missing_bytes, dict(self._plans))
            )
        if free_bytes < needed_bytes + promised_bytes:
            others = f", and {_mib(promised_bytes)} MiB are kept for others that run"
            raise DiskError(
                f"The data directory has {_mib(free_bytes)} MiB free{others if still else ''}, but"
                f" this install needs {_mib(needed_bytes)} MiB: make room, or choose another"
                " --data-dir."
            )

    async def take_more(self, work: Work, size_bytes: int) -> None:
        """Keep room for something that the plan did not foresee; as ``take``."""
        plan = self._plans[work.install.token]
        peak_bytes = plan.peak_disk_bytes + size_bytes
        await self.take(work, replace(plan, peak_disk_bytes=peak_bytes))

    def give_back(self, work: Work) -> None:
        """End what ``take`` began."""
        self._plans.pop(work.install.token, None)

    async def free_bytes(self) -> int:
        """Give what may be written now, without what is left for everybody else."""
        return await self._background.run(lambda _stop: self._disk.free_bytes()) - SPARE_BYTES

    def _look(self, plans: dict[str, Plan], _stop: Stop) -> tuple[int, dict[str, int]]:
        still = {
            token: max(0, plan.peak_disk_bytes - self._held_bytes(token, plan))
            for token, plan in plans.items()
        }
        return self._disk.free_bytes(), still

    def _give_up(self, size_bytes: int, plans: dict[str, Plan], _stop: Stop) -> int:
        needed = {file.digest for plan in plans.values() for file in plan.fetches}
        self._cache.make_room(size_bytes, besides=needed)
        return self._disk.free_bytes()

    def _held_bytes(self, token: str, plan: Plan) -> int:
        """Count what is here already; what the cache lends takes no room."""
        held_bytes = 0
        for file in plan.fetches:
            path = self._disk.path(token, download_name(file))
            if self._cache.has(file):
                held_bytes += file.size_bytes
            elif path.exists():
                held_bytes += path.stat().st_size
        return held_bytes


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // 2**20)

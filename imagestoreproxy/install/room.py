"""Room on the disk: looked for before the first byte, and kept apart for what runs already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.model.images import FileFormat, FileKind, ImageFile
from imagestoreproxy.model.plan import RAW, UNPACKED, Plan, bucket_name, download_name
from imagestoreproxy.ports import Background, Cloud, Disk, Stop

# Left free for the database, the log and everybody else.
SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Foresight:
    """What is there for an install that has not begun.

    Args:
        held_bytes: by name of the download: what is here of it already.
        needed_bytes: the most that is written at one time.
        free_bytes: what may be written, when the cache has given up what it can.
    """

    held_bytes: Mapping[str, int]
    needed_bytes: int
    free_bytes: int


class Room:
    """What the installs that run may still write; what the cache holds is given up for them."""

    def __init__(self, disk: Disk, cache: Cache, cloud: Cloud, background: Background) -> None:
        self._disk = disk
        self._cache = cache
        self._cloud = cloud
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

    async def foresee(self, token: str, plan: Plan) -> Foresight:
        """Tell what ``take`` would find, and keep nothing.

        Args:
            token: whose files lie on the disk already; empty: nobody's.
        """
        others = {one: other for one, other in self._plans.items() if one != token}
        return await self._background.run(partial(self._foresee, token, plan, others))

    def _foresee(self, token: str, plan: Plan, others: dict[str, Plan], stop: Stop) -> Foresight:
        held = {
            download_name(file): self._held_bytes_of(token, file)
            for file in plan.fetches
            if token or self._cache.has(file)
        }
        free_bytes, promised = self._look(others, stop)
        needed = {file.digest for one in (plan, *others.values()) for file in one.fetches}
        free_bytes += self._cache.spare_bytes(besides=needed)
        return Foresight(
            held,
            max(0, plan.peak_disk_bytes - sum(held.values())),
            max(0, free_bytes - sum(promised.values()) - SPARE_BYTES),
        )

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
        downloaded = sum(self._held_bytes_of(token, file) for file in plan.fetches)
        converted = sum(
            _taken_bytes(self._disk.path(token, download_name(file) + ending))
            for file in plan.fetches
            if file.format is FileFormat.QCOW2
            for ending in (UNPACKED, RAW)
        )
        buckets = [bucket_name(token, kind) for kind in FileKind]
        return downloaded + converted + sum(map(self._cloud.laid_down_bytes, buckets))

    def _held_bytes_of(self, token: str, file: ImageFile) -> int:
        if self._cache.has(file):
            return file.size_bytes
        path = self._disk.path(token, download_name(file))
        return path.stat().st_size if path.exists() else 0


def _taken_bytes(path: Path) -> int:
    """Give what a file takes on the disk; holes take nothing."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // 2**20)

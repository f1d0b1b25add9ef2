"""Comparing what is written down with what the cloud has: at start, from time to time, when asked.

Images are deregistered behind our back, clouds are reinstalled; then "installed" would be a lie.
Removed is only what a record says is ours, and what a newer installation has replaced.
"""

from __future__ import annotations

import re
from dataclasses import replace

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.model.errors import Cancelled, InstallError, OwnStateError
from imagestoreproxy.model.installs import Installation, Reconciliation
from imagestoreproxy.ports import Clock, Cloud, Journal, Records

EVERY_S = 3600.0
_OURS = re.compile(r"image-store-[0-9a-f]{16}-(kernel|ramdisk|image)")


class Reconciler:
    """Keeps "installed" true."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        undo: Undo,
        cloud: Cloud,
        records: Records,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._inventory = inventory
        self._undo = undo
        self._cloud = cloud
        self._records = records
        self._clock = clock
        self._journal = journal

    async def run(self) -> None:
        """Compare now, and every hour; keep a copy of what is true then. Never ends by itself."""
        while True:
            try:
                await self.once()
                await self._records.keep_copy()
            except Cancelled:
                raise
            except Exception as error:  # an answer nobody foresaw must not end all later ones
                self._journal.failure("the comparison with the cloud failed", error)
            await self._clock.sleep(EVERY_S)

    async def once(self) -> Reconciliation:
        """Compare now; a cloud that cannot be asked changes nothing."""
        found = Reconciliation()
        for installation in self._inventory.all():
            try:
                found = await self._look_at(installation, found)
            except (InstallError, OwnStateError) as error:
                found = self._with_problem(found, error)  # one image does not hide the others
        try:
            await self._undo.installations(self._replaced())
            found = replace(found, strangers=await self._strangers())
        except (InstallError, OwnStateError) as error:
            found = self._with_problem(found, error)
        for stranger in found.strangers:
            self._journal.info(
                "the bucket {bucket} has a name like ours, but no record knows it: left alone",
                bucket=stranger,
            )
        return found

    def _with_problem(
        self, found: Reconciliation, error: InstallError | OwnStateError
    ) -> Reconciliation:
        self._journal.failure("the comparison with the cloud is not complete", error)
        return replace(found, problem=found.problem or error.message)

    async def _look_at(self, one: Installation, found: Reconciliation) -> Reconciliation:
        why = await self._why_gone(one)
        found = replace(found, checked=found.checked + 1)
        is_here = any(one is other for other in self._inventory.all())
        if not is_here or bool(why) == bool(one.gone) or one.image_uri in self._inventory.works:
            return found
        await self._records.mark_gone(one.number, why)
        self._inventory.replace(one, replace(one, gone=why))
        self._journal.info(
            "{image}: {what}", image=one.image_uri, what=why or "it is in the cloud again"
        )
        if why:
            return replace(found, gone=(*found.gone, one.image_uri))
        return replace(found, back=(*found.back, one.image_uri))

    async def _why_gone(self, one: Installation) -> str:
        for bundle in one.bundles:
            if not await self._cloud.is_registered(bundle.image_id):
                what = f"The cloud no longer knows the {bundle.kind} {bundle.image_id}"
                return f"{what}. Install the image again, or forget it."
            if bundle.location and not await self._cloud.is_stored(bundle.location):
                what = f"The bundle {bundle.location} of {bundle.image_id} is no longer in S3"
                return f"{what}. Install the image again, or forget it."
        return ""

    def _replaced(self) -> list[Installation]:
        """Name what is gone and was installed anew: its remains help nobody."""
        newest = [many[-1] for many in self._inventory.installed.values()]
        return [
            one
            for one in self._inventory.all()
            if one.gone and one not in newest and one.image_uri not in self._inventory.works
        ]

    async def _strangers(self) -> tuple[str, ...]:
        buckets = await self._cloud.buckets()
        ours = {
            bundle.bucket
            for bundles in (
                *(one.bundles for one in self._inventory.all()),
                *(work.bundles.values() for work in self._inventory.works.values()),
            )
            for bundle in bundles
        }
        return tuple(sorted(name for name in buckets if _OURS.fullmatch(name) and name not in ours))

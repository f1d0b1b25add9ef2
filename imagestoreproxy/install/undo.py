"""The way back: what was put into the cloud is taken out again, unless others use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Bundle, Installation, Step
from imagestoreproxy.ports import Background, Cloud, Disk, Records


class Undo:
    """Takes back. Each call may be repeated until it ends without an error.

    All raise ``CloudError`` when the cloud cannot be asked now, ``DiskError`` and ``OwnStateError``
    when the disk cannot be changed.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        cloud: Cloud,
        disk: Disk,
        records: Records,
        background: Background,
    ) -> None:
        self._inventory = inventory
        self._cloud = cloud
        self._disk = disk
        self._records = records
        self._background = background

    async def files(self, work: Work) -> None:
        """Remove what an install has on disk."""
        await self._background.run(lambda _stop: self._disk.remove(work.install.token))

    async def install(self, work: Work) -> None:
        """Take back what an install did in the cloud."""
        work.meter.begin(Step.UNDOING)
        kinds = list(FileKind)
        for bundle in sorted(work.bundles.values(), key=lambda one: -kinds.index(one.kind)):
            await self.bundle(work, bundle)

    async def bundle(self, work: Work, bundle: Bundle) -> None:
        """Take back one part of an install."""
        if not self._is_left_to_others(bundle, work):
            await self._deregister(bundle)
            # Noted between the two: what is half gone must not pass for something that is there.
            bundle = replace(bundle, image_id="", registering=False, location="")
            await work.note(bundle)
            await self._cloud.remove(bundle)
        await work.strike(bundle)
        self._inventory.has_left(work)

    async def installations(self, installations: Sequence[Installation]) -> None:
        """Take installed images out of the cloud, and forget them."""
        for installation in installations:
            # The image first: it is registered with the ids of its kernel and ramdisk.
            for bundle in reversed(installation.bundles):
                if not self._is_left_to_others(bundle, installation):
                    await self._deregister(bundle)
                    await self._cloud.remove(bundle)
            await self._records.remove_installation(installation.number)
            self._inventory.remove(installation)
            self._inventory.has_left(installation)

    def _is_left_to_others(self, bundle: Bundle, owner: Work | Installation) -> bool:
        """Decide who removes a bundle; two that go at the same time must not both leave it."""
        if not bundle.image_id or not self._inventory.is_used(bundle.image_id, besides=owner):
            return False
        self._inventory.let_go(bundle.image_id, owner)
        return True

    async def _deregister(self, bundle: Bundle) -> None:
        image_id = bundle.image_id
        if not image_id and bundle.registering:
            # The answer was lost: it may be registered all the same.
            image_id = await self._cloud.find(bundle, bundle.location)
        if image_id:
            await self._cloud.deregister(image_id)

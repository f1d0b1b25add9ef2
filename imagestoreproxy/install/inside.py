"""All parts of the install put together: what the daemon runs, and what unit tests run."""

from __future__ import annotations

from dataclasses import dataclass

from imagestoreproxy.install.actions import Actions
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.installer import Installer
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.prepare import Preparation
from imagestoreproxy.install.reconcile import Reconciler
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.runs import Runs
from imagestoreproxy.install.shelf import ImageStore
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.ports import (
    Background,
    Clock,
    Cloud,
    Disk,
    DiskImages,
    Fetcher,
    Journal,
    Records,
    Sources,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What stands behind each port."""

    sources: Sources
    fetcher: Fetcher
    cloud: Cloud
    disk: Disk
    disk_images: DiskImages
    records: Records
    background: Background
    clock: Clock
    journal: Journal


class Inside:
    """Everything between a click and an EMI.

    Args:
        max_installs: how many run at a time.
        max_unpacked_bytes: what one file may unpack to.
    """

    def __init__(self, outside: Outside, *, max_installs: int, max_unpacked_bytes: int) -> None:
        sources, cloud, disk = outside.sources, outside.cloud, outside.disk
        records, background = outside.records, outside.background
        clock, journal = outside.clock, outside.journal
        self.inventory = Inventory()
        undo = Undo(
            inventory=self.inventory,
            cloud=cloud,
            disk=disk,
            records=records,
            background=background,
        )
        room = Room(disk, background)
        installer = Installer(
            sources=sources,
            inventory=self.inventory,
            downloader=Downloader(
                fetcher=outside.fetcher,
                disk=disk,
                sources=sources,
                background=background,
                clock=clock,
                journal=journal,
            ),
            room=room,
            preparation=Preparation(
                disk=disk,
                disk_images=outside.disk_images,
                room=room,
                background=background,
                max_unpacked_bytes=max_unpacked_bytes,
            ),
            cloud=cloud,
            undo=undo,
            disk=disk,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
        )
        self.runs = Runs(
            inventory=self.inventory,
            installer=installer,
            undo=undo,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
            max_installs=max_installs,
        )
        self.actions = Actions(
            inventory=self.inventory,
            runs=self.runs,
            sources=sources,
            records=records,
            disk=disk,
            background=background,
            clock=clock,
        )
        self.reconciler = Reconciler(
            inventory=self.inventory,
            undo=undo,
            cloud=cloud,
            records=records,
            clock=clock,
            journal=journal,
        )
        self.store = ImageStore(
            sources=sources,
            inventory=self.inventory,
            actions=self.actions,
            reconciler=self.reconciler,
            clock=clock,
        )

"""All parts of the install put together: what the daemon runs, and what unit tests run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagestoreproxy.install.actions import Actions
from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.contents import Contents
from imagestoreproxy.install.conversion import Conversion
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.fetches import Fetches
from imagestoreproxy.install.following import Follower
from imagestoreproxy.install.follows import Follows
from imagestoreproxy.install.installer import Installer
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.look import Look
from imagestoreproxy.install.onepass import OnePass
from imagestoreproxy.install.overview import Glance
from imagestoreproxy.install.previews import Previews
from imagestoreproxy.install.reconcile import Reconciler
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.runs import Runs
from imagestoreproxy.install.shelf import ImageStore
from imagestoreproxy.install.tail import Tails
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.model.overview import DiskUse
from imagestoreproxy.ports import (
    Background,
    Clock,
    Cloud,
    Disk,
    DiskImages,
    Journal,
    Records,
    Sources,
)
from imagestoreproxy.ports.depots import Depot
from imagestoreproxy.ports.metering import NO_METERS, Meters


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What stands behind each port.

    Args:
        depot: the cache of verified files.
        lenders: where such files lie as well.
        name_of: gives the name in a key by its fingerprint, as far as it is known.
    """

    sources: Sources
    cloud: Cloud
    disk: Disk
    depot: Depot
    disk_images: DiskImages
    records: Records
    background: Background
    clock: Clock
    journal: Journal
    lenders: Sequence[Depot] = ()
    meters: Meters = NO_METERS
    name_of: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallLimits:
    """How much goes on at a time, and how large it may be.

    Args:
        max_installs, max_downloads: that run at a time, of all images together.
        max_passes: files that are read and stored at a time; each takes memory.
        max_unpacked_bytes: what one file may unpack to.
        keep_downloads: whether downloads lie on the disk until their install is done.
        cache_bytes: what stays of them after that.
        connections: for each large file; each takes 4 MiB of memory, 1 is the thriftiest.
    """

    max_installs: int = 2
    max_downloads: int = 6
    max_passes: int = 3
    max_unpacked_bytes: int = 64 * 2**30
    keep_downloads: bool = True
    connections: int = 1
    cache_bytes: int = 0


class Inside:
    """Everything between a click and an EMI."""

    def __init__(self, outside: Outside, limits: InstallLimits) -> None:
        sources, cloud, disk = outside.sources, outside.cloud, outside.disk
        records, background = outside.records, outside.background
        clock, journal = outside.clock, outside.journal
        self._outside, self._limits = outside, limits
        self.inventory = Inventory()
        follows = Follows(records, clock)
        undo = Undo(
            inventory=self.inventory,
            cloud=cloud,
            disk=disk,
            records=records,
            background=background,
        )
        self.cache = Cache(
            outside.depot,
            others=outside.lenders,
            disk=disk,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
            limit_bytes=limits.cache_bytes,
        )
        room = Room(disk, self.cache, cloud, background)
        downloader = Downloader(
            sources=sources,
            background=background,
            clock=clock,
            journal=journal,
            max_downloads=limits.max_downloads,
            connections=limits.connections,
        )
        contents = Contents(
            tails=Tails(sources=sources, background=background, clock=clock),
            background=background,
            max_unpacked_bytes=limits.max_unpacked_bytes,
            taking=lambda: cloud.taking,
        )
        onepass = OnePass(
            cloud=cloud,
            downloader=downloader,
            contents=contents,
            conversion=Conversion(
                disk=disk,
                disk_images=outside.disk_images,
                room=room,
                background=background,
                max_unpacked_bytes=limits.max_unpacked_bytes,
                taking=lambda: cloud.taking,
            ),
            disk=disk,
            cache=self.cache,
            room=room,
            background=background,
            clock=clock,
            keep_downloads=limits.keep_downloads,
            max_passes=limits.max_passes,
        )
        installer = Installer(
            sources=sources,
            inventory=self.inventory,
            room=room,
            look=Look(
                downloader=downloader,
                contents=contents,
                disk=disk,
                cache=self.cache,
                background=background,
            ),
            onepass=onepass,
            cloud=cloud,
            undo=undo,
            disk=disk,
            cache=self.cache,
            background=background,
            clock=clock,
            journal=journal,
            keep_downloads=limits.keep_downloads,
        )
        self.runs = Runs(
            inventory=self.inventory,
            installer=installer,
            undo=undo,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
            max_installs=limits.max_installs,
        )
        self.actions = Actions(
            inventory=self.inventory,
            follows=follows,
            runs=self.runs,
            sources=sources,
            records=records,
            disk=disk,
            background=background,
            clock=clock,
            meters=outside.meters,
        )
        self.fetches = Fetches(
            sources=sources,
            downloader=downloader,
            cache=self.cache,
            room=room,
            disk=disk,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
        )
        self.reconciler = Reconciler(
            inventory=self.inventory,
            undo=undo,
            cloud=cloud,
            records=records,
            background=background,
            clock=clock,
            journal=journal,
        )
        self.previews = Previews(
            sources=sources,
            inventory=self.inventory,
            room=room,
            cloud=cloud,
            disk=disk,
            background=background,
            clock=clock,
            keep_downloads=limits.keep_downloads,
            name_of=outside.name_of,
        )
        self.follower = Follower(
            follows=follows,
            inventory=self.inventory,
            actions=self.actions,
            sources=sources,
            undo=undo,
            cloud=cloud,
            records=records,
            clock=clock,
            journal=journal,
        )
        self.store = ImageStore(
            sources=sources,
            inventory=self.inventory,
            follows=follows,
            actions=self.actions,
            reconciler=self.reconciler,
            fetches=self.fetches,
            clock=clock,
        )

    def glance(self, measure: Callable[[], DiskUse]) -> Glance:
        """Make what tells how all of it is.

        Args:
            measure: looks at the disk; blocks.
        """
        return Glance(
            inventory=self.inventory,
            reconciler=self.reconciler,
            cloud=self._outside.cloud,
            measure=measure,
            background=self._outside.background,
            clock=self._outside.clock,
            max_installs=self._limits.max_installs,
            cache_bytes=self._limits.cache_bytes,
        )

    def start_keeping(self) -> None:
        """Begin to look after what is kept beside installs: the cache, and what is fetched."""
        self.cache.start()
        self.fetches.start()

    async def stop_keeping(self) -> None:
        """Stop fetches where they are, and look no more."""
        await self.fetches.close()
        await self.cache.close()

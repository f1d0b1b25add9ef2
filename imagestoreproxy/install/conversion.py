"""From a verified qcow2 to the raw disk in it: the one format that cannot be read from a stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from imagestoreproxy.install.room import Room
from imagestoreproxy.install.unpack import Unpacking, read_sparse
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.model.images import Compression, FileFormat, ImageFile
from imagestoreproxy.model.plan import RAW, UNPACKED, download_name
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Disk, DiskImages, Stop


class Conversion:
    """Converts disks on the disk, into sparse files.

    Args:
        max_unpacked_bytes: what one file may unpack to.
        taking: gives what the cloud takes.
    """

    def __init__(
        self,
        *,
        disk: Disk,
        disk_images: DiskImages,
        room: Room,
        background: Background,
        max_unpacked_bytes: int,
        taking: Callable[[], Taking] = Taking,
    ) -> None:
        self._disk = disk
        self._disk_images = disk_images
        self._room = room
        self._background = background
        self._max_unpacked_bytes = max_unpacked_bytes
        self._taking = taking

    async def raw_disk(self, work: Work, file: ImageFile) -> Path:
        """Convert a downloaded qcow2; give the file that the raw disk is in.

        Raises:
            UnpackError: broken, out of bounds, or naming other files.
            DiskError: no room for it.
        """
        source = await self._path(work, file, "")
        if file.compression is not Compression.NONE:
            packed, source = source, await self._path(work, file, UNPACKED)
            limit_bytes = await self._limit_bytes()
            await self._background.run(
                partial(_write_unpacked, packed, source, file.compression, limit_bytes)
            )
        target = await self._path(work, file, RAW)
        limit_bytes = await self._limit_bytes()
        if (max_image_bytes := self._taking().max_image_bytes) > 0:
            limit_bytes = min(limit_bytes, max_image_bytes)
        await self._disk_images.to_raw(source, target, limit_bytes)
        return target

    async def clean(self, work: Work, file: ImageFile) -> None:
        """Remove what a conversion left; the download stays."""
        if file.format is not FileFormat.QCOW2:
            return
        token, name = work.install.token, download_name(file)

        def remove(_stop: Stop) -> None:
            for ending in (UNPACKED, RAW):
                self._disk.path(token, name + ending).unlink(missing_ok=True)

        await self._background.run(remove)

    async def _path(self, work: Work, file: ImageFile, ending: str) -> Path:
        token, name = work.install.token, download_name(file) + ending
        return await self._background.run(lambda _stop: self._disk.path(token, name))

    async def _limit_bytes(self) -> int:
        return min(self._max_unpacked_bytes, max(0, await self._room.free_bytes()))


def _write_unpacked(
    packed: Path, target: Path, compression: Compression, limit_bytes: int, stop: Stop
) -> None:
    unpacking = Unpacking(compression, limit_bytes, stop)
    try:
        with target.open("wb") as file:
            for chunk in unpacking.chunks(read_sparse(packed, stop)):
                file.write(chunk)
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}.") from error

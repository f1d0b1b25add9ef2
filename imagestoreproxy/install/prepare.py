"""From verified downloads to parts that can be stored: looked through, measured, converted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imagestoreproxy.install.meter import Meter
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.unpack import Download, Report, sizes, stream
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DiskError, UnpackError
from imagestoreproxy.model.images import Compression, FileFormat, ImageFile
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import Part, Plan, download_name
from imagestoreproxy.ports import Background, Chunks, Disk, DiskImages, Stop

SCRATCH = (".qcow2", ".raw")


@dataclass(frozen=True, slots=True)
class Ready:
    """A part that is verified and measured: it can be stored.

    Args:
        file_bytes: of the file that it is read from.
        size_bytes: of the part itself.
        share_bytes: of its download, as a measure of how far the whole is.
    """

    part: Part
    download: Download
    file_bytes: int
    size_bytes: int
    share_bytes: int

    def chunks(self, meter: Meter) -> Chunks:
        """Give what opens the stream of the part."""
        report = _scaled(meter, self.file_bytes, self.share_bytes)
        return partial(stream, self.download, self.part, report)


class Preparation:
    """Looks through downloads before the first byte of them goes out.

    Args:
        max_unpacked_bytes: what one file may unpack to.
    """

    def __init__(
        self,
        *,
        disk: Disk,
        disk_images: DiskImages,
        room: Room,
        background: Background,
        max_unpacked_bytes: int,
    ) -> None:
        self._disk = disk
        self._disk_images = disk_images
        self._room = room
        self._background = background
        self._max_unpacked_bytes = max_unpacked_bytes

    async def parts(self, work: Work, plan: Plan) -> list[Ready]:
        """Check that every download is whole and within bounds; give its parts, in order.

        Raises:
            UnpackError: it is not.
            DiskError: no room for a conversion.
        """
        work.meter.set_done(Step.UNPACKING, 0)
        ready: dict[Part, Ready] = {}
        for file in plan.fetches:
            try:
                ready |= await self._parts_of(work, plan, file)
            except UnpackError as error:
                what = f"The {file.kind} from {masked(file.url)} cannot be unpacked"
                raise UnpackError(f"{what}: {error.message}") from error
        return [ready[part] for part in plan.parts]

    async def _parts_of(self, work: Work, plan: Plan, file: ImageFile) -> dict[Part, Ready]:
        download = await self._download(work, file)
        if file.format is FileFormat.QCOW2:
            download = await self._raw_disk(work, download)
        parts = [part for part in plan.parts if part.file is file]
        file_bytes, by_part = await self._background.run(
            partial(_measured, download, parts, work.meter, file.size_bytes)
        )
        unpacked_bytes = max(1, sum(by_part.values()))
        return {
            part: Ready(
                part,
                download,
                file_bytes=file_bytes,
                size_bytes=size_bytes,
                share_bytes=file.size_bytes * size_bytes // unpacked_bytes,
            )
            for part, size_bytes in by_part.items()
        }

    async def clean(self, work: Work, plan: Plan) -> None:
        """Remove what conversions left; the downloads stay."""
        names = [download_name(file) for file in plan.fetches if file.format is FileFormat.QCOW2]

        def remove(_stop: Stop) -> None:
            for name in names:
                for ending in SCRATCH:
                    self._disk.path(work.install.token, name + ending).unlink(missing_ok=True)

        if names:
            await self._background.run(remove)

    async def _download(self, work: Work, file: ImageFile) -> Download:
        path = await self._path(work, file, "")
        return Download(path, file, self._max_unpacked_bytes)

    async def _path(self, work: Work, file: ImageFile, ending: str) -> Path:
        token, name = work.install.token, download_name(file) + ending
        return await self._background.run(lambda _stop: self._disk.path(token, name))

    async def _raw_disk(self, work: Work, download: Download) -> Download:
        """Convert a qcow2, the one format that cannot be streamed."""
        file, source = download.file, download.path
        if file.compression is not Compression.NONE:
            source = await self._path(work, file, ".qcow2")
            bounded = replace(
                download,
                file=replace(file, format=FileFormat.RAW),
                limit_bytes=await self._limit_bytes(),
            )
            await self._background.run(partial(_write_unpacked, bounded, source))
        target = await self._path(work, file, ".raw")
        await self._disk_images.to_raw(source, target, await self._limit_bytes())
        raw = replace(file, compression=Compression.NONE, format=FileFormat.RAW)
        return replace(download, path=target, file=raw)

    async def _limit_bytes(self) -> int:
        return min(self._max_unpacked_bytes, max(0, await self._room.free_bytes()))


def _measured(
    download: Download, parts: list[Part], meter: Meter, share_bytes: int, stop: Stop
) -> tuple[int, dict[Part, int]]:
    file_bytes = download.path.stat().st_size
    return file_bytes, sizes(download, parts, _scaled(meter, file_bytes, share_bytes), stop)


def _scaled(meter: Meter, file_bytes: int, share_bytes: int) -> Report:
    """Report in bytes of the download, whatever file is read and however often."""
    read_bytes = reported_bytes = 0

    def report(size_bytes: int) -> None:
        nonlocal read_bytes, reported_bytes
        read_bytes += size_bytes
        due_bytes = share_bytes * read_bytes // max(1, file_bytes) - reported_bytes
        reported_bytes += due_bytes
        meter.advance(due_bytes)

    return report


def _write_unpacked(download: Download, target: Path, stop: Stop) -> None:
    part = Part(download.file.kind, download.file)
    try:
        with target.open("wb") as file:
            for chunk in stream(download, part, lambda _size_bytes: None, stop):
                file.write(chunk)
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}.") from error

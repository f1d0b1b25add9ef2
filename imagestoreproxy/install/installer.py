"""One install from start to end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.meter import Meter
from imagestoreproxy.install.unpack import Download, Report, sizes, stream
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import Cancelled, DiskError, DocumentError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind, ImageDocument
from imagestoreproxy.model.installs import Bundle, Event, Installation, State, Step
from imagestoreproxy.model.plan import (
    Part,
    Plan,
    bucket_name,
    bundle_name,
    content_name,
    download_name,
    make_plan,
    parts_of,
)
from imagestoreproxy.ports import (
    Background,
    Clock,
    Cloud,
    Disk,
    DiskImages,
    Journal,
    Records,
    Sources,
    Stop,
    Upload,
)

# Left free for the database, the log and everybody else.
SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Ready:
    """A part that is verified and measured: it can be stored.

    Args:
        size_bytes: of the part itself.
        share_bytes: of its download, as a measure of how far the whole is.
    """

    part: Part
    download: Download
    size_bytes: int
    share_bytes: int


class Installer:
    """Runs installs; several at a time, each on its own ``Work``.

    Args:
        max_unpacked_bytes: what one file may unpack to.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        inventory: Inventory,
        downloader: Downloader,
        cloud: Cloud,
        disk: Disk,
        disk_images: DiskImages,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
        max_unpacked_bytes: int,
    ) -> None:
        self._sources = sources
        self._inventory = inventory
        self._downloader = downloader
        self._cloud = cloud
        self._disk = disk
        self._disk_images = disk_images
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._max_unpacked_bytes = max_unpacked_bytes

    async def run(self, work: Work) -> Installation:
        """Bring an image from the store into the cloud, going on from what the ledger says.

        Raises:
            InstallError: with one plain sentence; ``undo.py`` takes back what was done.
        """
        await work.begin(Step.CHECKING)
        document = await self._document(work)
        await self._share(work, document)
        in_place = {kind for kind, bundle in work.bundles.items() if bundle.image_id}
        plan = make_plan(document, without=in_place)
        self._journal.info("plan for {image}: {plan}", image=plan.image_uri, plan=plan.as_text())
        await work.decided(document.signed_text, plan.as_text())
        work.meter.plan(plan.fetch_bytes)
        await self._check(work, plan)

        await work.begin(Step.DOWNLOADING)
        before_bytes = 0
        for file in plan.fetches:
            await self._downloader.fetch(work, file, before_bytes)
            before_bytes += file.size_bytes
        await work.happen(Event.DOWNLOADED)

        await work.begin(Step.UNPACKING)
        ready = await self._measure(work, plan)
        before_bytes = 0
        for each in ready:
            await self._store(work, document, each, before_bytes)
            before_bytes += each.share_bytes
        return await self._complete(work, document)

    async def _document(self, work: Work) -> ImageDocument:
        install = work.install
        if install.document:
            try:
                return await self._sources.reread(
                    install.source, install.image_uri, install.document
                )
            except DocumentError as error:
                # Expired meanwhile: only a new one can say what may be installed now.
                self._journal.failure("asking for {image} again", error, image=install.image_uri)
        return await self._sources.document(install.source, install.image_uri)

    async def _share(self, work: Work, document: ImageDocument) -> None:
        """Take kernel and ramdisk from another installation that has the same."""
        for part in parts_of(document):
            if part.kind is FileKind.IMAGE or part.kind in work.bundles:
                continue
            bundle = self._inventory.shared(part.kind, content_name(part, document.architecture))
            if bundle and await self._cloud.is_registered(bundle.image_id):
                await work.note(replace(bundle, image_uri=document.uri))

    async def _check(self, work: Work, plan: Plan) -> None:
        """Fail before the first byte where it would fail after the last."""
        free_bytes, held_bytes = await self._background.run(partial(self._room, work, plan))
        needed_bytes = plan.peak_disk_bytes - held_bytes + SPARE_BYTES
        if free_bytes < needed_bytes:
            raise DiskError(
                f"The data directory has {_mib(free_bytes)} MiB free, but this install needs"
                f" {_mib(needed_bytes)} MiB: make room, or choose another --data-dir."
            )
        await self._cloud.check()

    def _room(self, work: Work, plan: Plan, _stop: Stop) -> tuple[int, int]:
        paths = [self._disk.path(work.install.token, download_name(file)) for file in plan.fetches]
        held_bytes = sum(path.stat().st_size for path in paths if path.exists())
        return self._disk.free_bytes(), held_bytes

    async def _measure(self, work: Work, plan: Plan) -> list[_Ready]:
        """Go through every download before the first byte goes out; parts in order."""
        work.meter.set_done(Step.UNPACKING, 0)
        ready: dict[Part, _Ready] = {}
        for file in plan.fetches:
            path = self._disk.path(work.install.token, download_name(file))
            download = Download(path, file, self._max_unpacked_bytes)
            parts = [part for part in plan.parts if part.file is file]
            if file.format is FileFormat.QCOW2:
                download = await self._raw_disk(work, download)
            by_part = await self._background.run(
                partial(sizes, download, parts, _scaled(work.meter, download, file.size_bytes))
            )
            unpacked_bytes = max(1, sum(by_part.values()))
            for part, size_bytes in by_part.items():
                share_bytes = file.size_bytes * size_bytes // unpacked_bytes
                ready[part] = _Ready(part, download, size_bytes, share_bytes)
        return [ready[part] for part in plan.parts]

    async def _raw_disk(self, work: Work, download: Download) -> Download:
        """Convert a qcow2, the one format that cannot be streamed."""
        token, name = work.install.token, download_name(download.file)
        source = download.path
        if download.file.compression is not Compression.NONE:
            source = self._disk.path(token, f"{name}.qcow2")
            await self._background.run(partial(_write_decompressed, download, source))
        target = self._disk.path(token, f"{name}.raw")
        limit_bytes = min(download.limit_bytes, await self._background.run(self._free_bytes))
        await self._disk_images.to_raw(source, target, limit_bytes)
        raw = replace(download.file, compression=Compression.NONE, format=FileFormat.RAW)
        return Download(target, raw, download.limit_bytes)

    def _free_bytes(self, _stop: Stop) -> int:
        return self._disk.free_bytes()

    async def _store(
        self, work: Work, document: ImageDocument, each: _Ready, before_bytes: int
    ) -> None:
        """Upload and register one part, unless the ledger says that it is done."""
        kind = each.part.kind
        bundle = work.bundles.get(kind) or Bundle(
            image_uri=document.uri,
            kind=kind,
            bucket=bucket_name(work.install.token, kind),
            name=bundle_name(document.info.title, document.version, kind),
            content=content_name(each.part, document.architecture),
            secret=secrets.token_hex(32),
        )
        work.meter.set_done(Step.UPLOADING, before_bytes)
        upload = self._upload(work, document, each, bundle)
        if not bundle.location:
            await work.begin(Step.UPLOADING)
            await work.note(bundle)
            bundle = replace(bundle, location=await self._cloud.upload(upload))
            await work.note(bundle)
        work.meter.set_done(Step.UPLOADING, before_bytes + each.share_bytes)
        if not bundle.image_id:
            await work.begin(Step.REGISTERING)
            await work.note(replace(bundle, image_id=await self._register(work, upload, bundle)))

    async def _register(self, work: Work, upload: Upload, bundle: Bundle) -> str:
        if bundle.registering:
            # The answer to an earlier request was lost: it may have been heard all the same.
            image_id = await self._cloud.find(bundle, bundle.location)
            if image_id:
                return image_id
        await work.note(replace(bundle, registering=True))
        return await self._cloud.register(upload, bundle.location)

    def _upload(self, work: Work, document: ImageDocument, each: _Ready, bundle: Bundle) -> Upload:
        report = _scaled(work.meter, each.download, each.share_bytes)
        is_image = bundle.kind is FileKind.IMAGE
        return Upload(
            bundle=bundle,
            size_bytes=each.size_bytes,
            chunks=partial(stream, each.download, each.part, report),
            architecture=document.architecture,
            virtualization=document.virtualization,
            kernel_id=_id_of(work, FileKind.KERNEL) if is_image else "",
            ramdisk_id=_id_of(work, FileKind.RAMDISK) if is_image else "",
            title=f"{document.info.title} {document.version}".strip(),
        )

    async def _complete(self, work: Work, document: ImageDocument) -> Installation:
        if work.state is State.CANCELLING:
            raise Cancelled  # the click came first, though the task has not heard of it yet
        work.sealed = True
        installation = Installation(
            image_uri=document.uri,
            source=work.install.source,
            version=document.version,
            serial=document.serial,
            info=document.info,
            emi=_id_of(work, FileKind.IMAGE),
            eki=_id_of(work, FileKind.KERNEL),
            eri=_id_of(work, FileKind.RAMDISK),
            document=document.signed_text,
            fingerprint=document.fingerprint,
            installed_at_s=self._clock.now_s(),
            bundles=tuple(work.bundles[kind] for kind in FileKind if kind in work.bundles),
        )
        number = await self._records.complete(installation)
        await self._background.run(lambda _stop: self._disk.remove(work.install.token))
        return replace(installation, number=number)


def _id_of(work: Work, kind: FileKind) -> str:
    bundle = work.bundles.get(kind)
    return bundle.image_id if bundle else ""


def _scaled(meter: Meter, download: Download, share_bytes: int) -> Report:
    """Report in bytes of the download, whatever file is read and however often."""
    file_bytes = max(1, download.path.stat().st_size)
    read_bytes = reported_bytes = 0

    def report(size_bytes: int) -> None:
        nonlocal read_bytes, reported_bytes
        read_bytes += size_bytes
        due_bytes = share_bytes * read_bytes // file_bytes - reported_bytes
        reported_bytes += due_bytes
        meter.advance(due_bytes)

    return report


def _write_decompressed(download: Download, target: Path, stop: Stop) -> None:
    raw_format = replace(download.file, format=FileFormat.RAW)
    chunks = stream(
        replace(download, file=raw_format), Part(download.file.kind, raw_format), _ignore, stop
    )
    try:
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}.") from error


def _ignore(_size_bytes: int) -> None:
    pass


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // 2**20)

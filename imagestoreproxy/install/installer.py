"""One install from start to end."""

from __future__ import annotations

import secrets
from dataclasses import replace

from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.prepare import Preparation, Ready
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import Cancelled, DiskError, DocumentError
from imagestoreproxy.model.images import FileKind, ImageDocument
from imagestoreproxy.model.installs import Bundle, Event, Installation, State, Step
from imagestoreproxy.model.plan import (
    Plan,
    bucket_name,
    bundle_name,
    content_name,
    make_plan,
    parts_of,
)
from imagestoreproxy.ports import Background, Clock, Cloud, Disk, Journal, Records, Sources, Upload

TURN_S = 0.1


class Installer:
    """Runs installs; several at a time, each on its own ``Work``."""

    def __init__(
        self,
        *,
        sources: Sources,
        inventory: Inventory,
        downloader: Downloader,
        room: Room,
        preparation: Preparation,
        cloud: Cloud,
        undo: Undo,
        disk: Disk,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._sources = sources
        self._inventory = inventory
        self._downloader = downloader
        self._room = room
        self._preparation = preparation
        self._cloud = cloud
        self._undo = undo
        self._disk = disk
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._storing: Work | None = None

    async def run(self, work: Work) -> Installation:
        """Bring an image from the store into the cloud, going on from what the ledger says.

        Raises:
            InstallError: with one plain sentence; ``undo.py`` takes back what was done.
        """
        await work.begin(Step.CHECKING)
        document = await self._document(work)
        await self._drop_others(work, document)
        await self._share(work, document)
        in_place = {kind for kind, bundle in work.bundles.items() if bundle.image_id}
        plan = make_plan(document, without=in_place)
        self._journal.info("plan for {image}: {plan}", image=plan.image_uri, plan=plan.as_text())
        await work.decided(document.signed_text, plan.as_text())
        work.meter.plan(plan.fetch_bytes)
        try:
            # Fail before the first byte where it would fail after the last.
            await self._room.take(work, plan)
            await self._cloud.check()
            await self._download(work, plan)
            await self._take_turn(work)
            try:
                # Once more: who had the turn before may have stored the same kernel.
                await self._share(work, document)
                await self._store_all(work, document, plan)
            finally:
                self._storing = None
                await self._preparation.clean(work, plan)
        finally:
            self._room.give_back(work)
        return await self._complete(work, document)

    async def _document(self, work: Work) -> ImageDocument:
        install = work.install
        document = None
        if install.document:
            try:
                document = await self._sources.reread(
                    install.source, install.image_uri, install.document
                )
            except DocumentError as error:
                # Expired meanwhile: only a new one can say what may be installed now.
                self._journal.failure("asking for {image} again", error, image=install.image_uri)
        document = document or await self._sources.document(install.source, install.image_uri)
        installed = self._inventory.newest(install.image_uri)
        if installed and not installed.gone and document.serial <= installed.serial:
            raise DocumentError(
                f"The store lists a newer version of {install.image_uri}, but what it has signed is"
                f" still version {document.version} (serial {document.serial}), and version"
                f" {installed.version} is installed: wait until the store has signed the newer one."
            )
        return document

    async def _drop_others(self, work: Work, document: ImageDocument) -> None:
        """Take out of the cloud what an earlier document asked for and this one does not."""
        wanted = {
            part.kind: content_name(part, document.architecture) for part in parts_of(document)
        }
        kept = {kind for kind, bundle in work.bundles.items() if wanted.get(kind) == bundle.content}
        if kept != wanted.keys():
            # An image is registered with the ids of its kernel and ramdisk: it goes with them.
            kept.discard(FileKind.IMAGE)
        for kind in reversed(FileKind):
            if kind in work.bundles and kind not in kept:
                await self._undo.bundle(work, work.bundles[kind])

    async def _share(self, work: Work, document: ImageDocument) -> None:
        """Take kernel and ramdisk from another installation that has the same."""
        for part in parts_of(document):
            if part.kind is FileKind.IMAGE or part.kind in work.bundles:
                continue
            bundle = self._inventory.shared(part.kind, content_name(part, document.architecture))
            if bundle:
                # Noted first: from here on no uninstall takes it away.
                bundle = replace(bundle, image_uri=document.uri)
                await work.note(bundle)
                if not (
                    await self._cloud.is_registered(bundle.image_id)
                    and await self._cloud.is_stored(bundle.location)
                ):
                    await work.strike(bundle)

    async def _download(self, work: Work, plan: Plan) -> None:
        await work.begin(Step.DOWNLOADING)
        before_bytes = 0
        for file in plan.fetches:
            await self._downloader.fetch(work, file, before_bytes)
            before_bytes += file.size_bytes
        await work.happen(Event.DOWNLOADED)

    async def _take_turn(self, work: Work) -> None:
        """Wait until no other install unpacks and uploads.

        One at a time uses the cores and the link to the cloud as well as several would, in the
        memory of one.
        """
        while self._storing is not None:
            await self._clock.sleep(TURN_S)
        self._storing = work

    async def _store_all(self, work: Work, document: ImageDocument, plan: Plan) -> None:
        await work.begin(Step.UNPACKING)
        before_bytes = 0
        for each in await self._preparation.parts(work, plan):
            await self._store(work, document, each, before_bytes)
            before_bytes += each.share_bytes

    async def _store(
        self, work: Work, document: ImageDocument, each: Ready, before_bytes: int
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

    def _upload(self, work: Work, document: ImageDocument, each: Ready, bundle: Bundle) -> Upload:
        is_image = bundle.kind is FileKind.IMAGE
        return Upload(
            bundle=bundle,
            size_bytes=each.size_bytes,
            chunks=each.chunks(work.meter),
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
        try:
            await self._background.run(lambda _stop: self._disk.remove(work.install.token))
        except DiskError as error:
            # It is installed all the same; the next start sweeps up.
            self._journal.failure("files of {image} stay behind", error, image=document.uri)
        return replace(installation, number=number)


def _id_of(work: Work, kind: FileKind) -> str:
    bundle = work.bundles.get(kind)
    return bundle.image_id if bundle else ""

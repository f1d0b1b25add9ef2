"""One install from start to end."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.look import Look
from imagestoreproxy.install.onepass import OnePass
from imagestoreproxy.install.refusal import refuse, refuse_older
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.together import together
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.bundles import Stored, Upload
from imagestoreproxy.model.errors import Cancelled, DiskError, DocumentError, OwnStateError
from imagestoreproxy.model.history import What
from imagestoreproxy.model.images import FileKind, ImageDocument, ImageFile
from imagestoreproxy.model.installs import Bundle, Event, Installation, State, Step
from imagestoreproxy.model.plan import (
    Part,
    Plan,
    bucket_name,
    bundle_name,
    content_name,
    download_name,
    has_unknown_members,
    make_plan,
    parts_of,
    still_good,
)
from imagestoreproxy.model.words import listed, size
from imagestoreproxy.ports import Background, Clock, Cloud, Disk, Journal, Sources

_SECRET = re.compile("[0-9a-f]{64}")


class Installer:
    """Runs installs; several at a time, each on its own ``Work``."""

    def __init__(
        self,
        *,
        sources: Sources,
        inventory: Inventory,
        room: Room,
        look: Look,
        onepass: OnePass,
        cloud: Cloud,
        undo: Undo,
        disk: Disk,
        cache: Cache,
        background: Background,
        clock: Clock,
        journal: Journal,
        keep_downloads: bool,
    ) -> None:
        self._sources = sources
        self._inventory = inventory
        self._room = room
        self._look = look
        self._onepass = onepass
        self._cloud = cloud
        self._undo = undo
        self._disk = disk
        self._cache = cache
        self._background = background
        self._clock = clock
        self._journal = journal
        self._keep_downloads = keep_downloads

    async def run(self, work: Work) -> Installation:
        """Bring an image from the store into the cloud, going on from what the ledger says.

        Raises:
            InstallError: with one plain sentence; ``undo.py`` takes back what was done.
        """
        await work.begin(Step.CHECKING)
        document = await self._document(work)
        refuse(document, self._cloud.taking)
        work.tell(What.CHECKED, _checked(document))
        try:
            if any(has_unknown_members(file) for file in document.files):
                await self._prepared(work, document)
                document = await self._look.into(work, document)
                refuse(document, self._cloud.taking)
            await self._drop_others(work, document)
            await self._share(work, document)
            plan = await self._prepared(work, document)
            brought = await self._bring(work, document, plan)
            if not self._cloud.bundles_on_disk:
                work.tell(What.UPLOADED, "All of it is in the cloud.", since=[What.UPLOADING])
            await self._register_all(work, document, brought)
        finally:
            self._room.give_back(work)
        work.tell(What.REGISTERED, _registered(work), since=[What.REGISTERING])
        return await self._complete(work, document)

    @property
    def _storing(self) -> Step:
        """What goes on while the cloud takes the files: theirs, or only the disk's."""
        return Step.UNPACKING if self._cloud.bundles_on_disk else Step.UPLOADING

    async def _prepared(self, work: Work, document: ImageDocument) -> Plan:
        """Decide what is to do, and fail before the first byte where it would after the last."""
        await self._cloud.check()
        # What the cloud takes, and how, may be known only now.
        refuse(document, self._cloud.taking)
        stored = {kind for kind, bundle in work.bundles.items() if bundle.location}
        on_disk = self._cloud.bundles_on_disk
        plan = make_plan(
            document,
            without=stored,
            keep_downloads=self._keep_downloads,
            bundles_on_disk=on_disk,
        )
        self._journal.info("plan for {image}: {plan}", image=plan.image_uri, plan=plan.as_text())
        work.tell(What.PLANNED, _planned(plan), size_bytes=plan.fetch_bytes)
        await work.decided(document.signed_text, plan.as_text())
        sizes_bytes = {download_name(file): file.size_bytes for file in plan.fetches}
        work.meter.plan(sizes_bytes, bundles_on_disk=on_disk)
        await self._room.take(work, plan)
        return plan

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
        refuse_older(document, self._inventory.newest(install.image_uri))
        return document

    async def _drop_others(self, work: Work, document: ImageDocument) -> None:
        """Take out of the cloud what an earlier document asked for and this one does not."""
        kept = still_good(document, work.bundles)
        for kind in reversed(FileKind):
            if kind in work.bundles and kind not in kept:
                await self._undo.bundle(work, work.bundles[kind])

    async def _share(self, work: Work, document: ImageDocument) -> None:
        """Take kernel and ramdisk from another installation that has the same."""
        for part in parts_of(document):
            if part.kind is FileKind.IMAGE:
                continue
            content = content_name(part, document.architecture)
            bundle = work.bundles.get(part.kind) or self._inventory.shared(part.kind, content)
            if bundle and bundle.bucket == bucket_name(work.install.token, part.kind):
                continue  # our own; another's is looked at anew whenever the work goes on
            if bundle:
                # Noted first: from here on no uninstall takes it away.
                bundle = replace(bundle, image_uri=document.uri)
                await work.note(bundle)
                if not (
                    await self._cloud.is_registered(bundle.image_id)
                    and await self._cloud.is_stored(bundle.location)
                ):
                    await work.strike(bundle)

    async def _bring(
        self, work: Work, document: ImageDocument, plan: Plan
    ) -> Mapping[FileKind, Stored]:
        """Fetch and store all files at once, the small ones first; none can be used yet.

        This is the gate: it gives something only when every file of the image is what was signed.
        """
        if not all(file.find_members for file in plan.fetches):
            await work.begin(Step.DOWNLOADING)  # else the look has fetched all
        missing = {download_name(file) for file in plan.fetches}

        async def verified(file: ImageFile) -> None:
            missing.discard(download_name(file))
            if not missing and work.state is State.DOWNLOADING:
                await work.happen(Event.DOWNLOADED)
                await work.begin(self._storing)

        if not missing:
            await work.happen(Event.DOWNLOADED)
        bundles = {part: await self._bundle(work, document, part) for part in plan.parts}
        brought = await together(
            self._background,
            {
                f"{file.kind} of {document.uri}": self._onepass.bring(
                    work,
                    file,
                    {part: bundle for part, bundle in bundles.items() if part.file is file},
                    partial(verified, file),
                )
                for file in plan.fetches
            },
        )
        return {stored.bundle.kind: stored for several in brought for stored in several}

    async def _bundle(self, work: Work, document: ImageDocument, part: Part) -> Bundle:
        """Give the ledger's line of a part; it stands there before the first byte goes out."""
        bundle = work.bundles.get(part.kind) or Bundle(
            image_uri=document.uri,
            kind=part.kind,
            bucket=bucket_name(work.install.token, part.kind),
            name=bundle_name(document.info.title, document.version, part.kind),
            content=content_name(part, document.architecture),
        )
        if not _SECRET.fullmatch(bundle.secret):
            bundle = replace(bundle, secret=secrets.token_hex(32))
        await work.note(bundle)
        return bundle

    async def _register_all(
        self, work: Work, document: ImageDocument, brought: Mapping[FileKind, Stored]
    ) -> None:
        """Make images of what was stored; the last one names the ids of the others."""
        takes_time = self._cloud.bundles_on_disk and brought
        await work.begin(Step.BUNDLING if takes_time else Step.REGISTERING)
        kinds = [part.kind for part in parts_of(document)]
        first = [kind for kind in kinds if kind is not FileKind.IMAGE]
        for several in (first, [FileKind.IMAGE]):
            await together(
                self._background,
                {
                    f"register {kind}": self._register(work, document, kind, brought.get(kind))
                    for kind in several
                },
            )

    async def _register(
        self, work: Work, document: ImageDocument, kind: FileKind, stored: Stored | None
    ) -> None:
        """Complete and register one bundle, unless the ledger says that it is done."""
        upload = self._upload(work, document, work.bundles[kind])
        if stored is not None:
            done = self._bundled(work, document, kind)
            location = await self._cloud.seal(upload, stored, done)
            await work.note(replace(work.bundles[kind], location=location))
        if kind is FileKind.IMAGE:
            await work.begin(Step.REGISTERING)
        bundle = work.bundles[kind]
        if bundle.image_id:
            return
        if bundle.registering:
            # The answer to an earlier request was lost: it may have been heard all the same.
            image_id = await self._cloud.find(bundle, bundle.location)
            if image_id:
                await work.note(replace(bundle, image_id=image_id))
                return
        await work.note(replace(bundle, registering=True))
        image_id = await self._cloud.register(upload, bundle.location)
        await work.note(replace(bundle, registering=True, image_id=image_id))

    def _bundled(
        self, work: Work, document: ImageDocument, kind: FileKind
    ) -> Callable[[float], None]:
        """Give what counts the sealing of one bundle: files weigh as their downloads do."""
        parts = parts_of(document)
        (file,) = (part.file for part in parts if part.kind is kind)
        share_bytes = file.size_bytes / sum(part.file is file for part in parts)

        def done(fraction: float) -> None:
            work.meter.set_done(Step.BUNDLING, kind.value, int(fraction * share_bytes))

        return done

    def _upload(self, work: Work, document: ImageDocument, bundle: Bundle) -> Upload:
        is_image = bundle.kind is FileKind.IMAGE
        return Upload(
            bundle=bundle,
            architecture=document.architecture,
            virtualization=document.virtualization,
            kernel_id=_id_of(work, FileKind.KERNEL) if is_image else "",
            ramdisk_id=_id_of(work, FileKind.RAMDISK) if is_image else "",
            title=f"{document.info.title} {document.version}".strip(),
        )

    async def _complete(self, work: Work, document: ImageDocument) -> Installation:
        if work.state is not State.INSTALLING:
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
        number = await work.complete(installation)
        try:
            await self._cache.keep(work.install.token, document)
            await self._background.run(lambda _stop: self._disk.remove(work.install.token))
        except (DiskError, OwnStateError) as error:
            # It is installed all the same; the next start sweeps up.
            self._journal.failure("files of {image} stay behind", error, image=document.uri)
        return replace(installation, number=number)


def _checked(document: ImageDocument) -> str:
    who = f"signed with the key {document.fingerprint}" if document.fingerprint else "not signed"
    return f"Version {document.version} can be installed here; it is {who}."


def _planned(plan: Plan) -> str:
    count = len(plan.fetches)
    files = f"{count} file{'s' if count > 1 else ''} of {size(plan.fetch_bytes)}" if count else ""
    kinds = [part.kind.value for part in plan.parts] or ["image"]
    one = "an image" if kinds == ["image"] else f"a {kinds[0]}"
    made = listed(kinds) if len(kinds) > 1 else one
    return f"It takes {files or 'no file'}, to be made into {made}."


def _registered(work: Work) -> str:
    ids = [work.bundles[kind].image_id for kind in FileKind if kind in work.bundles]
    return f"The cloud knows {listed(ids)}."


def _id_of(work: Work, kind: FileKind) -> str:
    bundle = work.bundles.get(kind)
    return bundle.image_id if bundle else ""

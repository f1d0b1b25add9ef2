"""What an install would do: told before anybody asks for it, and nothing is changed by it.

The source is asked for the signed document, and the cloud whether it can take something; what the
plan says is then what an install of this moment begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.refusal import refuse, refuse_older
from imagestoreproxy.install.room import Room
from imagestoreproxy.install.together import Beside
from imagestoreproxy.model.errors import CallerError, CloudError, FetchError
from imagestoreproxy.model.images import FileKind, ImageDocument, is_newer
from imagestoreproxy.model.installs import ACTIVE, Bundle
from imagestoreproxy.model.plan import (
    content_name,
    download_name,
    has_unknown_members,
    make_plan,
    parts_of,
    still_good,
)
from imagestoreproxy.model.previews import PlannedFile, Preview, steps_of
from imagestoreproxy.model.words import size
from imagestoreproxy.ports import Background, Clock, Cloud, Disk, Sources

# A page asks again when its dialog is opened again.
KEEP_S = 10.0
AT_ONCE = 4
WAITING = 100
LIMIT_S = 30.0
CLOUD_LIMIT_S = 15.0
NAME_CHARS = 200


class Previews:
    """``shop.Planning``: at most ``AT_ONCE`` are made at a time; who asks for the same shares one.

    Args:
        name_of: gives the name in the key of a fingerprint, or empty.
        keep_downloads: as of ``make_plan``.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        inventory: Inventory,
        room: Room,
        cloud: Cloud,
        disk: Disk,
        background: Background,
        clock: Clock,
        keep_downloads: bool,
        name_of: Callable[[str], str],
    ) -> None:
        self._sources = sources
        self._inventory = inventory
        self._room = room
        self._cloud = cloud
        self._disk = disk
        self._background = background
        self._clock = clock
        self._keep_downloads = keep_downloads
        self._name_of = name_of
        self._asked: dict[Hashable, _Asked] = {}
        self._waiting = 0
        self._checked: tuple[float, list[str]] | None = None

    async def plan(self, image_uri: str) -> Preview:
        """Tell what an install of an image would do now.

        Raises:
            CallerError: 404, 409: it cannot be installed; 503: too many ask.
            InstallError: what is signed could not be had, or is refused.
        """
        source = self._installable(image_uri)
        work = self._inventory.works.get(image_uri)
        tried_at_s = work.install.updated_at_s if work else 0.0
        revisions = (self._inventory.revision, self._sources.revision)
        key = (image_uri, source, tried_at_s, revisions)
        asked = self._known(key) or self._begin(key, source, image_uri)
        if self._waiting >= WAITING:
            raise CallerError("Too many wait for plans already: ask again in a minute.", 503)
        self._waiting += 1
        try:
            # It goes on whoever leaves.
            return await asked.making.outcome()
        finally:
            self._waiting -= 1

    def _installable(self, image_uri: str) -> str:
        """Give the source of an image; refuse what a click on Install would not begin."""
        work = self._inventory.works.get(image_uri)
        if work and work.state in ACTIVE:
            raise CallerError(f"Nothing to plan: the image is {work.state} just now.", 409)
        source = self._sources.source_of(image_uri)
        if not source:
            raise CallerError("No image store offers this image.", 404)
        info = self._sources.info(image_uri)
        installed = self._inventory.newest(image_uri)
        is_there = installed is not None and not installed.gone
        if installed and is_there and not (info and is_newer(info.version, installed.version)):
            raise CallerError(
                f"Nothing to plan: version {installed.version} is installed as {installed.emi}, and"
                " no newer one is offered.",
                409,
            )
        if info and info.refused:
            raise CallerError(f"This image is not for this cloud: {info.refused}", 409)
        return source

    def _known(self, key: Hashable) -> _Asked | None:
        now_s = self._clock.monotonic_s()
        self._asked = {
            one: asked
            for one, asked in self._asked.items()
            if not asked.making.is_over or (asked.is_good and now_s < asked.at_s + KEEP_S)
        }
        return self._asked.get(key)

    def _begin(self, key: Hashable, source: str, image_uri: str) -> _Asked:
        if sum(not asked.making.is_over for asked in self._asked.values()) >= AT_ONCE:
            raise CallerError(
                f"{AT_ONCE} plans are being made already: ask again in a moment.", 503
            )
        making = Beside(self._background, "plan", self._bounded(source, image_uri))
        asked = self._asked[key] = _Asked(making, self._clock.monotonic_s())
        return asked

    async def _bounded(self, source: str, image_uri: str) -> Preview:
        making = Beside(self._background, "plan", self._make(source, image_uri))
        if await making.ends_within(LIMIT_S, self._clock):
            return await making.outcome()
        raise FetchError(
            f"The plan is not ready after {LIMIT_S:.0f} seconds: the source, or the cloud, is slow."
            " Ask again."
        )

    async def _make(self, source: str, image_uri: str) -> Preview:
        document = await self._sources.document(source, image_uri)
        installed = self._inventory.newest(image_uri)
        refuse_older(document, installed)
        refuse(document, self._cloud.taking)
        problems = await self._cloud_problems()
        brought = await self._brought(document, problems)
        stored = [kind for kind, bundle in brought.items() if bundle.location]
        plan = make_plan(
            document,
            without=stored,
            keep_downloads=self._keep_downloads,
            bundles_on_disk=self._cloud.bundles_on_disk,
        )
        room = await self._room.foresee(await self._token(image_uri), plan)
        files = [
            PlannedFile(file, room.held_bytes.get(download_name(file), 0)) for file in plan.fetches
        ]
        register = [
            (part.kind, brought[part.kind].image_id if part.kind in brought else "")
            for part in parts_of(document)
        ]
        if any(has_unknown_members(file) for file in document.files):
            register.append((FileKind.IMAGE, ""))  # and what else is found in the tar
        signer = _printable(self._name_of(document.fingerprint))
        preview = Preview(
            image_uri=image_uri,
            version=document.version,
            is_upgrade=bool(installed and not installed.gone),
            architecture=document.architecture,
            virtualization=document.virtualization,
            fingerprint=document.fingerprint,
            signer=signer,
            published_s=document.published_s,
            expires_s=document.expires_s,
            files=files,
            peak_disk_bytes=room.needed_bytes,
            free_bytes=room.free_bytes,
            conversions=plan.conversions(),
            register=register,
            steps=steps_of(document, files, plan.parts, register, signer),
            problem="",
        )
        if not preview.has_room:
            problems.append(
                f"The data directory can take {size(preview.free_bytes)}, but this install needs"
                f" {size(preview.peak_disk_bytes)}: make room, or choose another --data-dir."
            )
        return replace(preview, problem=" ".join(problems))

    async def _token(self, image_uri: str) -> str:
        """Give whose files an earlier try has left, or nothing."""
        work = self._inventory.works.get(image_uri)
        if work is None:
            return ""
        token = work.install.token
        tokens = await self._background.run(lambda _stop: self._disk.tokens())
        return token if token in tokens else ""

    async def _cloud_problems(self) -> list[str]:
        """Give why the cloud cannot be used, as of some seconds ago."""
        now_s = self._clock.monotonic_s()
        if self._checked is None or now_s >= self._checked[0] + KEEP_S:
            self._checked = now_s, await self._check_cloud()
        return list(self._checked[1])

    async def _check_cloud(self) -> list[str]:
        async def check() -> None:
            await self._cloud.check()

        checking = Beside(self._background, "check of the cloud", check())
        if not await checking.ends_within(CLOUD_LIMIT_S, self._clock):
            return [f"The cloud did not answer within {CLOUD_LIMIT_S:.0f} seconds."]
        try:
            await checking.outcome()
        except CloudError as error:
            return [error.message]
        return []

    async def _brought(
        self, document: ImageDocument, problems: list[str]
    ) -> dict[FileKind, Bundle]:
        """Give what is in the cloud already: of an earlier try, or of another installation."""
        work = self._inventory.works.get(document.uri)
        earlier = work.bundles if work else {}
        found = {kind: earlier[kind] for kind in still_good(document, earlier)}
        for part in parts_of(document):
            if part.kind is FileKind.IMAGE or part.kind in found:
                continue
            bundle = self._inventory.shared(part.kind, content_name(part, document.architecture))
            if bundle and not problems and await self._is_there(bundle, problems):
                found[part.kind] = bundle
        return found

    async def _is_there(self, bundle: Bundle, problems: list[str]) -> bool:
        try:
            return await self._cloud.is_registered(bundle.image_id) and await self._cloud.is_stored(
                bundle.location
            )
        except CloudError as error:
            problems.append(error.message)
            return False


def _printable(name: str) -> str:
    return "".join(one if one.isprintable() else " " for one in name).strip()[:NAME_CHARS]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One plan that is made, or was made just now.

    Args:
        at_s: when it was begun, monotonic.
    """

    making: Beside[Preview]
    at_s: float

    @property
    def is_good(self) -> bool:
        """Tell whether it has come to a plan."""
        return self.making.error is None

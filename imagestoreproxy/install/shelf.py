"""What is shown: what the sources offer, beside what is installed and what is going on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from imagestoreproxy.install.actions import Actions
from imagestoreproxy.install.fetches import Fetches
from imagestoreproxy.install.follows import Follows
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.reconcile import Reconciler
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.carrying import Fetch
from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.images import ImageInfo, Listing, is_newer
from imagestoreproxy.model.installs import (
    ACTIVE,
    STATUS,
    Action,
    ImageState,
    Installation,
    Progress,
    Reconciliation,
    State,
    Status,
    Step,
)
from imagestoreproxy.ports import Clock, Offer, Sources
from imagestoreproxy.shop import Shelf

# States made between two turns of the reactor.
AT_A_STRETCH = 500
CANCELLABLE = frozenset({State.WAITING, State.DOWNLOADING, State.INSTALLING, State.PAUSED})


class ImageStore:
    """``shop.Store``: the inside, as ``web/`` sees it."""

    def __init__(
        self,
        *,
        sources: Sources,
        inventory: Inventory,
        follows: Follows,
        actions: Actions,
        reconciler: Reconciler,
        fetches: Fetches,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._inventory = inventory
        self._follows = follows
        self._actions = actions
        self._reconciler = reconciler
        self._fetches = fetches
        self._clock = clock

    @property
    def revision(self) -> int:
        # All only ever grow, so that their sum is new when one is.
        return self._inventory.revision + self._sources.revision + self._follows.revision

    def under_way(self) -> Collection[str]:
        return self._inventory.works.keys()

    def installed(self) -> Collection[str]:
        return self._inventory.installed.keys()

    def installed_newest_first(self) -> Sequence[str]:
        found = self._inventory.installed
        return sorted(found, key=lambda uri: found[uri][-1].installed_at_s, reverse=True)

    async def offered(self, text: str | None) -> Shelf:
        whole = await self._sources.dashboard()
        found = whole if text is None else await self._sources.search(text)
        listing = Listing(found.listing.images, whole.listing.sections)
        return Shelf(listing, (), found.problem)

    async def dashboard(self) -> Shelf:
        return await self._shelf(await self._sources.dashboard())

    async def search(self, text: str) -> Shelf:
        return await self._shelf(await self._sources.search(text))

    def states(self, image_uris: Sequence[str]) -> Shelf:
        asked = dict.fromkeys(image_uris)
        others = [uri for uri in self._noteworthy() if uri not in asked]
        return Shelf(
            Listing(tuple(self._info(uri) for uri in others)),
            [self._state(uri) for uri in (*asked, *others)],
        )

    def image(self, image_uri: str) -> Shelf:
        if not self._is_known(image_uri):
            raise CallerError("No image store offers this image.", 404)
        return Shelf(Listing((self._info(image_uri),)), [self._state(image_uri)])

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        return self._sources.versions(image_uri)

    def installation(self, image_uri: str) -> Installation | None:
        work = self._inventory.works.get(image_uri)
        installation = self._inventory.newest(image_uri)
        is_there = installation and not installation.gone
        return installation if is_there and not (work and work.state is State.REMOVING) else None

    async def install(self, image_uri: str) -> ImageState:
        await self._actions.install(image_uri)
        return self._state(image_uri)

    async def retry(self, image_uri: str) -> ImageState:
        await self._actions.retry(image_uri)
        return self._state(image_uri)

    async def pause(self, image_uri: str) -> ImageState:
        await self._actions.pause(image_uri)
        return self._state(image_uri)

    async def resume(self, image_uri: str) -> ImageState:
        await self._actions.resume(image_uri)
        return self._state(image_uri)

    async def cancel(self, image_uri: str) -> ImageState:
        await self._actions.cancel(image_uri)
        return self._state(image_uri)

    async def clear_error(self, image_uri: str) -> ImageState:
        await self._actions.clear_error(image_uri)
        return self._state(image_uri)

    async def uninstall(self, image_uri: str) -> ImageState:
        await self._actions.uninstall(image_uri)
        return self._state(image_uri)

    async def reconcile(self) -> Reconciliation:
        return await self._reconciler.once()

    def fetch(self, image_uri: str) -> Fetch:
        return self._fetches.ask(image_uri)

    async def release(self, image_uri: str) -> None:
        await self._fetches.release(image_uri)

    def _noteworthy(self) -> list[str]:
        """Name the images with work going on or an error."""
        gone = (uri for uri, many in self._inventory.installed.items() if many[-1].gone)
        return list(dict.fromkeys((*self._inventory.works, *gone)))

    async def _shelf(self, offer: Offer) -> Shelf:
        """Add everything in progress: such an answer makes the Store tab forget what it knew."""
        infos = {info.uri: info for info in offer.listing.images}
        for uri in self._noteworthy():
            infos.setdefault(uri, self._info(uri))
        states: list[ImageState] = []
        for uri in infos:
            states.append(self._state(uri))
            if len(states) % AT_A_STRETCH == 0:
                await self._clock.sleep(0)
        return Shelf(Listing(tuple(infos.values()), offer.listing.sections), states, offer.problem)

    def _info(self, uri: str) -> ImageInfo:
        work = self._inventory.works.get(uri)
        installation = self._inventory.newest(uri)
        if offered := self._sources.info(uri):
            return offered
        if work:
            return replace(work.install.info, source=work.install.source)
        if installation:
            return replace(installation.info, source=installation.source)
        return ImageInfo(uri=uri)

    def _is_known(self, uri: str) -> bool:
        return bool(
            uri in self._inventory.works
            or uri in self._inventory.installed
            or self._sources.source_of(uri)
        )

    def _state(self, uri: str) -> ImageState:
        state = self._unfollowed(uri)
        return replace(state, follows=True) if self._follows.find(uri) else state

    def _unfollowed(self, uri: str) -> ImageState:
        work = self._inventory.works.get(uri)
        installation = self._inventory.newest(uri)
        if work and work.state in ACTIVE:
            return self._going_on(uri, work, installation)
        error = work.install.error if work else ""
        if installation and installation.gone:
            return self._gone(uri, installation, work)
        clear = (Action.CLEAR_ERROR,) if error else ()
        remove = (Action.UNINSTALL,) if installation else ()
        offered = self._sources.info(uri)
        newer = bool(installation and offered and is_newer(offered.version, installation.version))
        if installation and not newer:
            return ImageState(
                uri,
                Status.INSTALLED,
                actions=(*clear, *remove),
                emi=installation.emi,
                eki=installation.eki,
                eri=installation.eri,
                installed_version=installation.version,
                error_message=error,
                updated_at_s=installation.installed_at_s,
            )
        return ImageState(
            uri,
            Status.UNINSTALLED,
            actions=(*self._to_install(uri, work), *clear, *remove),
            is_upgrade=newer,
            installed_version=installation.version if installation else "",
            error_message=error,
            updated_at_s=work.install.updated_at_s if work else 0.0,
        )

    def _to_install(self, uri: str, work: Work | None) -> tuple[Action, ...]:
        info = self._sources.info(uri)
        if not self._sources.source_of(uri) or (info and info.refused):
            return ()
        has_failed = work is not None and work.state is State.FAILED and not work.is_uninstall
        return (Action.INSTALL, Action.RETRY) if has_failed else (Action.INSTALL,)

    def _gone(self, uri: str, installation: Installation, work: Work | None) -> ImageState:
        error = work.install.error if work else ""
        return ImageState(
            uri,
            Status.UNINSTALLED,
            # The Store tab knows no "forget"; to clear the error is the same.
            actions=(*self._to_install(uri, work), Action.CLEAR_ERROR, Action.FORGET),
            installed_version=installation.version,
            error_message=error or installation.gone,
            updated_at_s=installation.installed_at_s,
        )

    def _going_on(self, uri: str, work: Work, installation: Installation | None) -> ImageState:
        actions = []
        if work.state in CANCELLABLE and not work.sealed:
            actions.append(Action.CANCEL)
        if work.can_pause:
            actions.append(Action.PAUSE)
        if work.state is State.PAUSED:
            actions.append(Action.RESUME)
        return ImageState(
            uri,
            STATUS[work.state],
            actions=tuple(actions),
            progress=self._progress(work),
            is_upgrade=bool(
                installation and not installation.gone and work.state is not State.REMOVING
            ),
            installed_version=installation.version if installation else "",
            error_message=" ".join(filter(None, (work.install.error, work.trouble))),
            updated_at_s=work.install.updated_at_s,
        )

    def _progress(self, work: Work) -> Progress:
        reading = work.meter.reading(self._clock.monotonic_s())
        if work.state is State.PAUSED:
            return replace(reading, step=Step.PAUSED, bytes_per_second=0.0, eta_s=None)
        return replace(reading, queue_position=work.queue_position)

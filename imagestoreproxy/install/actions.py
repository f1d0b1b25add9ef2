"""What users ask for: accept, join, pause, cancel, clear, uninstall; and what a restart takes up.

At most one install per image; a second click joins the first.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from imagestoreproxy.install.fetches import FETCHED
from imagestoreproxy.install.follows import Follows
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.runs import Runs
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import CallerError, DiskError, OwnStateError
from imagestoreproxy.model.images import ImageInfo, is_newer
from imagestoreproxy.model.installs import (
    ACTIVE,
    TRANSITIONS,
    Event,
    Install,
    Installation,
    State,
    Step,
)
from imagestoreproxy.ports import Background, Clock, Disk, Records, Sources, Stop
from imagestoreproxy.ports.metering import Meters

WAIT_S = 1.5
POLL_S = 0.05
CANCELLABLE = {state for state in ACTIVE if (state, Event.CANCEL) in TRANSITIONS}
BUSY = {
    State.CANCELLING: "The last install of this image is still being taken back",
    State.FAILING: "The last install of this image is still being taken back",
    State.REMOVING: "This image is still being uninstalled",
}


class Actions:
    """Changes what is installed.

    All raise ``CallerError`` (404, 409) for what makes no sense, and ``OwnStateError`` when it
    cannot be written down.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        follows: Follows,
        runs: Runs,
        sources: Sources,
        records: Records,
        disk: Disk,
        background: Background,
        clock: Clock,
        meters: Meters,
    ) -> None:
        self._inventory = inventory
        self._follows = follows
        self._runs = runs
        self._sources = sources
        self._records = records
        self._disk = disk
        self._background = background
        self._clock = clock
        self._meters = meters

    async def take_up(self) -> None:
        """Take up what an earlier run of the daemon left; call once, before anything else."""
        remembered = await self._records.load()
        self._inventory.load(remembered, self._records, self._clock, self._meters)
        await self._follows.load()
        await self._background.run(self._sweep)
        for work in list(self._inventory.works.values()):
            if work.state in ACTIVE:
                await work.happen(Event.RESTART, work.install.error)
                self._go_on(work)
        self._runs.start()

    async def install(self, image_uri: str, *, is_update: bool = False) -> None:
        """Start an install, or join the one that is going on; one that is paused goes on.

        Args:
            is_update: nobody has clicked; the image is followed.
        """
        work = self._inventory.works.get(image_uri)
        if work and work.state in ACTIVE:
            await self._resume(work)
            return
        source = self._sources.source_of(image_uri)
        if not source:
            raise CallerError("No image store offers this image.", 404)
        if self._is_installed(image_uri):
            return
        info = self._sources.info(image_uri)
        if info and info.refused:
            raise CallerError(f"This image is not for this cloud: {info.refused}", 409)
        before = work.state if work else State.UNINSTALLED
        work = await self._begin(image_uri, source, Event.ACCEPT, before, is_update=is_update)
        if work.state is State.WAITING:  # and was not cancelled meanwhile
            self._runs.install(work)

    async def retry(self, image_uri: str) -> None:
        """Install an image whose last try has failed; what that has kept is used again."""
        work = self._inventory.works.get(image_uri)
        has_none = work is None or work.state is State.PAUSED or work.is_uninstall
        if has_none or self._is_installed(image_uri):
            raise CallerError("Nothing to retry: no install of this image has failed.", 409)
        await self.install(image_uri)

    async def pause(self, image_uri: str) -> None:
        """Stop an install where it is; returns when nothing runs, or after 1.5 seconds.

        It holds even when it cannot be written down, and is written down later.
        """
        work = self._inventory.works.get(image_uri)
        if work is None or work.state not in ACTIVE:
            raise CallerError("Nothing to pause: no install of this image is going on.", 409)
        if work.state in BUSY:
            raise CallerError(f"{BUSY[work.state]}, which cannot be paused.", 409)
        if work.state is State.PAUSED:
            return
        if not work.can_pause:
            raise CallerError(
                "The cloud is registering this image, which cannot be paused: it will be installed "
                "in a moment. It can still be cancelled.",
                409,
            )
        # No wait between the two: nothing may be registered after the click.
        work.enter(Event.PAUSE)
        self._runs.pause(work)
        await work.save()
        await self._until(lambda: not work.ending)

    async def resume(self, image_uri: str) -> None:
        """Let a paused install go on as soon as there is a place."""
        work = self._inventory.works.get(image_uri)
        if work is None or work.state not in ACTIVE:
            raise CallerError("Nothing to resume: no install of this image is paused.", 409)
        await self._resume(work)

    async def _resume(self, work: Work) -> None:
        if work.state in BUSY:
            raise CallerError(f"{BUSY[work.state]}; try again in a moment.", 409)
        if work.state is State.PAUSED:
            await self._queue_again(work)

    async def _queue_again(self, work: Work) -> None:
        work.meter.begin(Step.WAITING)
        try:
            await work.happen(Event.RESUME)
        except (OwnStateError, DiskError):
            if work.state is State.WAITING:
                work.enter(Event.PAUSE)
            raise
        if work.state is State.WAITING:  # and was not paused again meanwhile
            self._runs.install(work)

    async def cancel(self, image_uri: str) -> None:
        """Stop an install and take back what it did; returns when done, or after 1.5 seconds."""
        work = self._inventory.works.get(image_uri)
        if work is None or work.state not in CANCELLABLE:
            raise CallerError("Nothing to cancel: no install of this image is going on.", 409)
        if work.sealed:
            return
        is_first = work.state not in (State.CANCELLING, State.FAILING)
        # No wait between the two: nothing may be registered after the click.
        work.enter(Event.CANCEL)
        if is_first:
            self._runs.stop(work)
        try:
            await work.save()
        finally:
            if is_first:
                self._runs.take_back(work)
        info = self._sources.info(image_uri) or work.install.info
        await self._follows.was_cancelled(
            image_uri, info.version, is_installed=bool(self._inventory.newest(image_uri))
        )
        await self._end_of(work)

    async def clear_error(self, image_uri: str) -> None:
        """Forget the error of a failed install, and the files kept for another try."""
        work = self._inventory.works.get(image_uri)
        if work is None or work.state is not State.FAILED:
            installation = self._inventory.newest(image_uri)
            if installation and installation.gone:
                await self.uninstall(image_uri)
                return
            raise CallerError("Nothing to clear: this image has no error.", 409)
        if work.bundles:
            await self._try_again_to_undo(work)
            return
        work.enter(Event.CLEAR)
        del self._inventory.works[image_uri]
        await work.remove()
        await self._background.run(lambda _stop: self._disk.remove(work.install.token))

    async def _try_again_to_undo(self, work: Work) -> None:
        work.enter(Event.CANCEL)
        try:
            await work.save()
        finally:
            self._runs.take_back(work)
        await self._end_of(work)

    async def uninstall(self, image_uri: str) -> None:
        """Take all versions of an image out of the cloud; returns when done, or after 1.5 s.

        It is no longer followed, or it would come back by itself.
        """
        installation = self._inventory.newest(image_uri)
        work = self._inventory.works.get(image_uri)
        if work and work.state is State.REMOVING:
            return
        if work and work.state in ACTIVE:
            how = "is paused" if work.state is State.PAUSED else "is going on"
            raise CallerError(f"An install of this image {how}: cancel it first.", 409)
        if installation is None:
            raise CallerError("Nothing to uninstall: this image is not installed.", 409)
        if work:
            await self.clear_error(image_uri)
        if image_uri in self._inventory.works:
            raise CallerError(f"{BUSY[State.CANCELLING]}; try again in a moment.", 409)
        await self._follows.drop(image_uri)
        work = await self._begin(image_uri, installation.source, Event.REMOVE, State.INSTALLED)
        self._runs.remove(work)
        await self._end_of(work)

    async def _begin(
        self, image_uri: str, source: str, event: Event, before: State, *, is_update: bool = False
    ) -> Work:
        """Begin work on an image, written down before the click is answered.

        Raises:
            OwnStateError: it cannot be written; then nothing was heard, and all is as it was.
        """
        installation = self._inventory.newest(image_uri)
        info = self._sources.info(image_uri) or (
            installation.info if installation else ImageInfo(uri=image_uri)
        )
        earlier = self._inventory.works.get(image_uri)
        # An uninstall that has failed is another story, and has left nothing to go on from.
        failed = earlier if earlier and not earlier.is_uninstall else None
        # Files that a failed try left are found again by the token.
        token = failed.install.token if failed else secrets.token_hex(8)
        row = Install(image_uri, source, before, token, info, self._clock.now_s())
        begun = failed.story.run if failed else None
        work = Work(row, self._records, self._clock, begun, self._meters)
        self._inventory.works[image_uri] = work
        work.story.is_update = is_update
        if installation and event is Event.REMOVE:
            work.story.run = replace(work.story.run, version=installation.version)
        if failed:  # what could not be taken back of it is still ours to use, or to undo
            work.bundles = failed.bundles
        try:
            await work.happen(event)
        except (OwnStateError, DiskError):
            if self._inventory.works.get(image_uri) is work:
                del self._inventory.works[image_uri]
                if earlier:
                    self._inventory.works[image_uri] = earlier
            raise
        return work

    async def _end_of(self, work: Work) -> None:
        await self._until(lambda: self._inventory.works.get(work.install.image_uri) is not work)

    async def _until(self, is_over: Callable[[], bool]) -> None:
        for _ in range(int(WAIT_S / POLL_S)):
            if is_over():
                return
            await self._clock.sleep(POLL_S)

    def _is_installed(self, image_uri: str) -> bool:
        """Tell whether what is offered is installed."""
        installation = self._inventory.newest(image_uri)
        return bool(installation and not installation.gone and not self._is_upgrade(installation))

    def _is_upgrade(self, installation: Installation) -> bool:
        info = self._sources.info(installation.image_uri)
        return info is not None and is_newer(info.version, installation.version)

    def _sweep(self, _stop: Stop) -> None:
        """Remove files that belong to no install."""
        wanted = {work.install.token for work in self._inventory.works.values()}
        for token in set(self._disk.tokens()) - wanted:
            if not token.startswith(FETCHED):
                self._disk.remove(token)

    def _go_on(self, work: Work) -> None:
        if work.state is State.PAUSED:
            return
        if work.state is State.WAITING:
            self._runs.install(work)
        elif work.state is State.REMOVING:
            self._runs.remove(work)
        else:
            self._runs.take_back(work)

"""What users ask for: accept, join, cancel, clear; and what a restart takes up again.

At most one install per image; a second click joins the first.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import replace

from imagestoreproxy.install.installer import Installer
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import (
    CallerError,
    Cancelled,
    DiskError,
    InstallError,
    OwnStateError,
)
from imagestoreproxy.model.images import ImageInfo, is_newer
from imagestoreproxy.model.installs import ACTIVE, Event, Install, Installation, State
from imagestoreproxy.ports import (
    Background,
    Clock,
    Disk,
    Journal,
    Records,
    Sources,
    Stop,
    Task,
)

KEEP_S = 2.0
CANCEL_WAIT_S = 1.5
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0


class Actions:
    """All installs, going on and done.

    Args:
        max_installs: how many run at a time; more wait for a place.
    """

    def __init__(
        self,
        *,
        installer: Installer,
        sources: Sources,
        records: Records,
        disk: Disk,
        background: Background,
        clock: Clock,
        journal: Journal,
        max_installs: int,
    ) -> None:
        self.works: dict[str, Work] = {}
        self.installations: dict[str, Installation] = {}
        self._installer = installer
        self._sources = sources
        self._records = records
        self._disk = disk
        self._background = background
        self._clock = clock
        self._journal = journal
        self._max_installs = max_installs
        self._running = 0
        self._queue: deque[Work] = deque()
        self._keeper: Task | None = None
        self._closing = False

    async def resume(self) -> None:
        """Take up what an earlier run of the daemon left; call once, before anything else."""
        remembered = await self._records.load()
        for installation in remembered.installations:
            self.installations[installation.image_uri] = installation
        for install in remembered.installs:
            self.works[install.image_uri] = Work(install, self._records, self._clock)
        for bundle in remembered.bundles:
            self.works[bundle.image_uri].bundles[bundle.kind] = bundle
        await self._background.run(self._sweep)
        for work in list(self.works.values()):
            await self._take_up(work)
        self._keeper = self._background.start("leases", self._keep())

    async def close(self) -> None:
        """Stop all work where it is; the records say how to go on."""
        self._closing = True
        tasks = [work.task for work in self.works.values() if work.task]
        tasks += [self._keeper] if self._keeper else []
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.ended()

    async def install(self, image_uri: str) -> None:
        """Start an install, or join the one that is going on.

        Raises:
            CallerError: nobody offers this image (404), or its last install is still being
                taken back (409).
        """
        work = self.works.get(image_uri)
        if work and work.state in ACTIVE:
            if work.state in (State.CANCELLING, State.FAILING):
                raise CallerError(
                    "The last install of this image is still being taken back;"
                    " try again in a moment.",
                    409,
                )
            return
        source = self._sources.source_of(image_uri)
        if not source:
            raise CallerError("No image store offers this image.", 404)
        installation = self.installations.get(image_uri)
        info = self._sources.info(image_uri) or (
            installation.info if installation else ImageInfo(uri=image_uri)
        )
        if installation and not self._is_upgrade(installation):
            return
        # Files that a failed try left are found again by the token.
        token = work.install.token if work else secrets.token_hex(8)
        row = Install(
            image_uri=image_uri,
            source=source,
            state=work.state if work else State.UNINSTALLED,
            token=token,
            info=info,
            updated_at_s=self._clock.now_s(),
        )
        work = self.works[image_uri] = Work(row, self._records, self._clock)
        try:
            await work.happen(Event.ACCEPT)
        except OwnStateError:
            del self.works[image_uri]
            raise
        self._enqueue(work)

    def _is_upgrade(self, installation: Installation) -> bool:
        info = self._sources.info(installation.image_uri)
        return info is not None and is_newer(info.version, installation.version)

    async def cancel(self, image_uri: str) -> None:
        """Stop an install and take back what it did; returns when done, or after 1.5 seconds.

        Raises:
            CallerError: there is nothing to cancel (409).
        """
        work = self.works.get(image_uri)
        if work is None or work.state not in ACTIVE:
            raise CallerError("Nothing to cancel: no install of this image is going on.", 409)
        if work.sealed:
            return
        was, stopped = work.state, work.task
        # No wait between the two: nothing may be registered after the click.
        work.enter(Event.CANCEL)
        is_first = was not in (State.CANCELLING, State.FAILING)
        if is_first and work in self._queue:
            self._queue.remove(work)
        if is_first and stopped:
            stopped.cancel()
        try:
            await work.save()
        finally:
            if is_first:
                work.task = self._background.start("cancel", self._take_back(work, stopped))
        for _ in range(int(CANCEL_WAIT_S / 0.05)):
            if self.works.get(image_uri) is not work:
                return
            await self._clock.sleep(0.05)

    async def clear_error(self, image_uri: str) -> None:
        """Forget the error of a failed install, and the files kept for another try.

        Raises:
            CallerError: there is no error (409).
        """
        work = self.works.get(image_uri)
        if work is None or work.state is not State.FAILED:
            raise CallerError("Nothing to clear: this image has no error.", 409)
        work.enter(Event.CLEAR)
        del self.works[image_uri]
        await self._records.remove_install(image_uri)
        await self._background.run(lambda _stop: self._disk.remove(work.install.token))

    def _sweep(self, _stop: Stop) -> None:
        """Remove files that belong to no install."""
        wanted = {work.install.token for work in self.works.values()}
        for token in set(self._disk.tokens()) - wanted:
            self._disk.remove(token)

    async def _take_up(self, work: Work) -> None:
        if work.state not in ACTIVE:
            return
        await work.happen(Event.RESTART, work.install.error)
        if work.state is State.WAITING:
            self._enqueue(work)
        else:
            work.task = self._background.start("undo", self._take_back(work, None))

    def _enqueue(self, work: Work) -> None:
        self._queue.append(work)
        self._fill()

    def _fill(self) -> None:
        while self._queue and self._running < self._max_installs and not self._closing:
            work = self._queue.popleft()
            self._running += 1
            work.task = self._background.start("install", self._run(work))

    async def _run(self, work: Work) -> None:
        try:
            await work.happen(Event.START)
            installation = await self._installer.run(work)
        except Cancelled:
            raise
        except Exception as error:
            self._fail(work, error)
        else:
            self.installations[installation.image_uri] = installation
            del self.works[installation.image_uri]
            self._journal.info(
                "{image} is installed as {emi}",
                image=installation.image_uri,
                emi=installation.emi,
            )
        finally:
            self._running -= 1
            self._fill()

    def _fail(self, work: Work, error: Exception) -> None:
        self._journal.failure(
            "the install of {image} failed while {step}",
            error,
            image=work.install.image_uri,
            step=work.meter.step.value,
        )
        if self._closing or work.state is State.CANCELLING:
            return
        known = isinstance(error, InstallError | OwnStateError)
        message = str(error) if known else "An unexpected error; the proxy's log has the details."
        work.keep_files = not isinstance(error, DiskError)
        work.enter(Event.FAIL, message)
        work.task = self._background.start("undo", self._take_back(work, None))

    async def _take_back(self, work: Work, stopped: Task | None) -> None:
        """Undo an install until nothing of it is left, however long the cloud is away."""
        if stopped:
            await stopped.ended()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await work.save()
                state = work.state
                keep_files = work.keep_files and state is State.FAILING
                await self._installer.undo(work, keep_files=keep_files)
                if work.state is state:  # else a cancel came meanwhile, and the files go too
                    await self._settle(work)
                    return
            except (InstallError, OwnStateError) as error:
                self._journal.failure(
                    "{image} cannot be taken back yet; the next try is in {pause_s:.0f} s",
                    error,
                    image=work.install.image_uri,
                    pause_s=pause_s,
                )
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _settle(self, work: Work) -> None:
        work.install = replace(work.install, progress_percent=0)
        if work.state is State.FAILING:
            await work.happen(Event.UNDONE, work.install.error)
            return
        work.sealed = True
        await self._records.remove_install(work.install.image_uri)
        work.enter(Event.UNDONE)
        del self.works[work.install.image_uri]

    async def _keep(self) -> None:
        """Renew the leases, and what is remembered of the progress."""
        while True:
            await self._clock.sleep(KEEP_S)
            for work in list(self.works.values()):
                if work.state in ACTIVE and not work.sealed:
                    try:
                        await work.save()
                    except OwnStateError as error:
                        self._journal.failure("the state cannot be saved", error)

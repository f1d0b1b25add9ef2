"""What runs: installs, a few at a time, and whatever takes them back, for as long as it takes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from imagestoreproxy.install.installer import Installer
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import Cancelled, DiskError, InstallError, OwnStateError
from imagestoreproxy.model.installs import ACTIVE, Event, State, Step
from imagestoreproxy.model.retry import REFUSED, UNDO
from imagestoreproxy.ports import Background, Clock, Journal, Records, Task

KEEP_S = 2.0
# The same for what stands still: only its lease, of two minutes, has to be renewed.
KEEP_STILL_S = 30.0


class Runs:
    """The coroutines at work on installs; each ``Work`` has at most one.

    Args:
        max_installs: how many run at a time; more wait for a place.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        installer: Installer,
        undo: Undo,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
        max_installs: int,
    ) -> None:
        self._inventory = inventory
        self._installer = installer
        self._undo = undo
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._max_installs = max_installs
        self._running = 0
        self._queue: deque[Work] = deque()
        self._keeper: Task | None = None
        self._closing = False

    def start(self) -> None:
        """Begin to keep the records fresh."""
        self._keeper = self._background.start("leases", self._keep())

    async def close(self) -> None:
        """Stop all work where it is; the records say how to go on."""
        self._closing = True
        works = list(self._inventory.works.values())
        tasks = [work.task for work in works if work.task]
        tasks += [self._keeper] if self._keeper else []
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.ended()
        for work in works:
            await work.stopped()
        await self._renew_all()

    def install(self, work: Work) -> None:
        """Run an install as soon as there is a place; twice asked for is once."""
        if work.task is None and work not in self._queue:
            self._queue.append(work)
            self._fill()

    def stop(self, work: Work) -> None:
        """Stop an install, or take it out of the queue."""
        if work in self._queue:
            self._queue.remove(work)
            work.queue_position = 0
            self._number()
        work.stop()

    def pause(self, work: Work) -> None:
        """Stop an install, and leave what it did; its place is free when it has ended."""
        self.stop(work)
        self._background.start("pause", self._pause(work))

    def take_back(self, work: Work) -> None:
        """Undo an install that was cancelled or has failed, once what was stopped has ended."""
        work.task = self._background.start("undo", self._take_back(work))

    def remove(self, work: Work) -> None:
        """Take an installed image out of the cloud."""
        work.task = self._background.start("uninstall", self._remove(work))

    def _fill(self) -> None:
        while self._queue and self._running < self._max_installs and not self._closing:
            work = self._queue.popleft()
            work.queue_position = 0
            self._running += 1
            work.task = self._background.start("install", self._run(work))
        self._number()

    def _number(self) -> None:
        for position, work in enumerate(self._queue, start=1):
            work.queue_position = position

    async def _pause(self, work: Work) -> None:
        await work.stopped()
        self._journal.info("{image} is paused", image=work.install.image_uri)
        if work.state is State.PAUSED:
            # What came between the click and the end is remembered too.
            await self._renew(work)

    async def _run(self, work: Work) -> None:
        stops = work.stops
        try:
            await work.stopped()
            await work.happen(Event.START)
            installation = await self._installer.run(work)
        except Cancelled as error:
            if work.stops != stops or self._closing:
                raise
            self._fail(work, error)  # nobody has asked for it
        except Exception as error:
            if work.stops == stops:
                self._fail(work, error)
        else:
            work.was_installed()
            self._inventory.add(installation)
            del self._inventory.works[installation.image_uri]
            self._journal.info(
                "{image} is installed as {emi}",
                image=installation.image_uri,
                emi=installation.emi,
            )
            await self._keep_copy()
        finally:
            self._running -= 1
            self._fill()

    def _fail(self, work: Work, error: Exception) -> None:
        work.sealed = False
        if self._closing:
            return
        self._journal.failure(
            "the install of {image} failed while {step}",
            error,
            image=work.install.image_uri,
            step=work.meter.step.value,
        )
        # A disk that filled up is freed; anything else leaves the downloads for the next try.
        is_full = isinstance(error, DiskError) and work.meter.step is not Step.CHECKING
        work.keep_files = not is_full
        work.enter(Event.FAIL, _said(error))
        self.take_back(work)

    async def _take_back(self, work: Work) -> None:
        await work.stopped()

        async def attempt() -> bool:
            state = work.state
            if not (work.keep_files and state is State.FAILING):
                # Before anything is written: it may be the disk that is full.
                await self._undo.files(work)
            await work.save()
            await self._undo.install(work)
            # Not over when a cancel came meanwhile: then the files go too.
            return work.state is state

        if await self._insist(work, attempt):
            await self._insist(work, lambda: self._settle(work))

    async def _remove(self, work: Work) -> None:
        uri = work.install.image_uri

        async def attempt() -> bool:
            work.meter.begin(Step.REMOVING)
            await work.save()
            await self._undo.installations(list(self._inventory.installed.get(uri, ())))
            return True

        if await self._insist(work, attempt):
            await self._insist(work, lambda: self._settle(work))
            self._journal.info("{image} is uninstalled", image=uri)
            await self._keep_copy()

    async def _insist(self, work: Work, attempt: Callable[[], Awaitable[bool]]) -> bool:
        """Try until it is done, however long the cloud or the disk is away.

        Gives False when the cloud refuses for good: then the error says what is left.
        """
        failures = 0
        while True:
            try:
                if await attempt():
                    return True
                continue
            except Cancelled:
                raise
            except Exception as error:
                if self._closing:
                    raise
                failures += 1
                refused = isinstance(error, InstallError) and not error.retry_helps
                if refused and REFUSED.is_over(failures):
                    await self._give_up(work, error)
                    return False
                pause_s = UNDO.pause_s(failures, random.random())
                work.trouble = f"Cannot be taken back yet: {_said(error)}"
                self._journal.failure(
                    "{image} cannot be taken back yet; the next try is in {pause_s:.0f} s",
                    error,
                    image=work.install.image_uri,
                    pause_s=pause_s,
                )
            await self._clock.sleep(pause_s)

    async def _give_up(self, work: Work, error: Exception) -> None:
        self._journal.failure("{image} stays half there", error, image=work.install.image_uri)
        message = f"{work.install.error} Taking it back was refused: {_said(error)}".strip()
        work.enter(Event.UNDONE if work.state is State.FAILING else Event.FAIL, message)
        await work.save()

    async def _settle(self, work: Work) -> bool:
        if self._inventory.works.get(work.install.image_uri) is not work:
            return True  # another install of this image has taken its place meanwhile
        work.install = replace(work.install, progress_percent=0)
        if work.state is State.FAILING:
            work.enter(Event.UNDONE, work.install.error)
        if work.state is State.FAILED:
            await work.save()
            return True
        work.sealed = True
        await work.end(Event.UNDONE)
        del self._inventory.works[work.install.image_uri]
        return True

    async def _keep_copy(self) -> None:
        try:
            await self._records.keep_copy()
        except (OwnStateError, DiskError) as error:
            self._journal.failure("no copy of the records could be kept", error)

    async def _keep(self) -> None:
        """Renew the leases, and what is remembered of the progress."""
        while True:
            await self._clock.sleep(KEEP_S)
            await self._renew_all()

    async def _renew_all(self) -> None:
        now_s = self._clock.monotonic_s()
        for work in list(self._inventory.works.values()):
            if work.state not in ACTIVE or work.sealed:
                continue
            is_due = not work.stands_still or now_s >= work.written_at_s + KEEP_STILL_S
            if is_due or _is_lost(work):
                await self._renew(work)

    async def _renew(self, work: Work) -> None:
        try:
            await (work.save() if _is_lost(work) else work.renew())
        except (OwnStateError, DiskError) as error:
            self._journal.failure("the state cannot be saved", error)


def _is_lost(work: Work) -> bool:
    """Tell whether a pause, which holds all the same, could not be written down."""
    return work.state is State.PAUSED and work.is_behind


def _said(error: Exception) -> str:
    if isinstance(error, InstallError | OwnStateError):
        # What a store wrote may be in it: half characters cannot be stored, nor sent.
        return error.message.encode("utf-8", "replace").decode()
    return "An unexpected error; the proxy's log has the details."

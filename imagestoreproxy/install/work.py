"""The work on one image, in memory: what the records hold of it, and what only lives now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.install.laps import Laps
from imagestoreproxy.install.meter import Meter
from imagestoreproxy.install.story import Story
from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.model.history import Outcome, Run, RunKind, What
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import (
    TRANSITIONS,
    Bundle,
    Event,
    Install,
    Installation,
    State,
    Step,
    advance,
)
from imagestoreproxy.ports import Clock, Records, Task
from imagestoreproxy.ports.metering import NO_METERS, Meters


class Work:
    """One install; every change is made here and then written down.

    Attributes:
        install: the row as it stands.
        bundles: the ledger: what was, or may have been, put into the cloud.
        task: the coroutine at work, if any.
        ending: those that were stopped, and may not have ended yet.
        stops: how often it was stopped; who finds another number than before has no say any more.
        queue_position: 1 for the next to get a place; 0 when it does not wait for one.
        sealed: nothing can be cancelled any more; the installation is being written down.
        trouble: why it is not taken back yet, while that is so.
        keep_files: whether a failure leaves the downloads for the next try.
        story: what has happened; rides along with what is written down.
        written_at_s: when the lease was renewed last, monotonic.

    Args:
        run: what is on record of the story; None if nothing is.
    """

    def __init__(
        self,
        install: Install,
        records: Records,
        clock: Clock,
        run: Run | None = None,
        meters: Meters = NO_METERS,
    ) -> None:
        self.install = install
        self.bundles: dict[FileKind, Bundle] = {}
        self.meter = Meter(install.progress_percent)
        self.task: Task | None = None
        self.ending: list[Task] = []
        self.stops = 0
        self.queue_position = 0
        self.sealed = False
        self.keep_files = True
        self.trouble = ""
        self.story = Story(install, run, clock.now_s())
        self.written_at_s = clock.monotonic_s()
        self._records = records
        self._clock = clock
        self._laps = Laps(meters, clock)
        self._saved = install

    @property
    def state(self) -> State:
        return self.install.state

    @property
    def can_pause(self) -> bool:
        """Tell whether it can stop where it is: not while the cloud is making images of it."""
        is_registering = self.sealed or self.meter.step is Step.REGISTERING
        return (self.state, Event.PAUSE) in TRANSITIONS and not is_registering

    @property
    def is_uninstall(self) -> bool:
        """Tell whether something is, or was to be, taken out of the cloud."""
        return self.story.run.kind is RunKind.UNINSTALL

    @property
    def stands_still(self) -> bool:
        """Tell whether nothing is done for it: it is paused, or waits for a place."""
        return self.state is State.PAUSED or self.queue_position > 0

    @property
    def is_behind(self) -> bool:
        """Tell whether the records do not say yet what this says."""
        return self._saved is not self.install

    def stop(self) -> None:
        """Stop what is at work; ``stopped`` waits for its end."""
        self.stops += 1
        if self.task:
            self.task.cancel()
            self.ending.append(self.task)
        self.task = None

    async def stopped(self) -> None:
        """Wait until everything that was stopped has ended."""
        while self.ending:
            task = self.ending[0]
            await task.ended()
            if task in self.ending:  # more than one may wait here
                self.ending.remove(task)

    def enter(self, event: Event, error: str = "") -> None:
        """Enter the state that ``event`` leads to; the records follow with ``save``."""
        before = self.state
        self.install = replace(self.install, state=advance(before, event), error=error)
        self._laps.entered(before, self.state)
        self._hear(event, before, self.state, error)

    def was_installed(self) -> None:
        """The installation is written down: nothing more is to be done."""
        self._laps.end(Outcome.INSTALLED)

    def _hear(self, event: Event, before: State, after: State, error: str = "") -> None:
        self.story.has_fetched(self.meter.received_bytes)
        self.story.heard(event, before, after, error, self._clock.now_s())

    async def happen(self, event: Event, error: str = "") -> None:
        """Enter the state that ``event`` leads to, and write it down."""
        self.enter(event, error)
        await self.save()

    async def begin(self, step: Step) -> None:
        """Enter a step, and keep the percentage reached so far."""
        self.meter.begin(step)
        self._laps.begin(step)
        self.story.begins(step, self._clock.now_s())
        await self.save()

    def tell(
        self, what: What, text: str, *, since: Sequence[What] = (), size_bytes: int | None = None
    ) -> None:
        """Add to the story; the records follow with whatever is saved next."""
        self.story.tell(what, text, self._clock.now_s(), since=since, size_bytes=size_bytes)

    async def decided(self, document: bytes, plan: str) -> None:
        """Keep the signed document and the plan made from it."""
        self.install = replace(self.install, document=document, plan=plan)
        await self.save()

    async def renew(self) -> None:
        """Renew the lease, and what is remembered of the progress."""
        run = self._unsaved()
        await self._records.renew(self.install.image_uri, self._percent(), run)
        self.written_at_s = self._clock.monotonic_s()
        self.story.was_saved(run)

    async def complete(self, installation: Installation) -> int:
        """Write down that it is installed; give the number of the installation."""
        self.story.has_fetched(self.meter.received_bytes)
        now_s = self._clock.now_s()
        run = self.story.installed(installation.emi, installation.version, now_s)
        return await self._records.complete(installation, run)

    async def end(self, event: Event) -> None:
        """Remove the row; then enter the state that ``event`` leads to, where nothing is left."""
        after = advance(self.state, event)
        self._hear(event, self.state, after)
        await self.remove()
        self.install = replace(self.install, state=after, error="")

    async def remove(self) -> None:
        """Remove the row and the ledger."""
        await self._records.remove_install(self.install.image_uri, self._unsaved())

    def _unsaved(self) -> Run | None:
        self.story.has_fetched(self.meter.received_bytes)
        return self.story.unsaved()

    async def save(self) -> None:
        """Write the row; this also renews its lease."""
        self.install = replace(
            self.install,
            progress_percent=self._percent(),
            updated_at_s=self._clock.now_s(),
        )
        saved, run = self.install, self._unsaved()
        await self._records.save_install(saved, run)
        self.written_at_s = self._clock.monotonic_s()
        self._saved = saved
        self.story.was_saved(run)

    def _percent(self) -> int:
        return self.meter.reading(self._clock.monotonic_s()).percent

    async def note(self, bundle: Bundle) -> None:
        """Write a line of the ledger."""
        before = self.bundles.get(bundle.kind)
        self.bundles[bundle.kind] = bundle
        try:
            await self._records.save_bundle(bundle)
        except Cancelled:
            # Perhaps never written, and nothing was done yet: nobody may rely on it.
            del self.bundles[bundle.kind]
            if before:
                self.bundles[bundle.kind] = before
            raise

    async def strike(self, bundle: Bundle) -> None:
        """Strike a line of the ledger: nothing of it is left in the cloud."""
        await self._records.remove_bundle(bundle)
        self.bundles.pop(bundle.kind, None)

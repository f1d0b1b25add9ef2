"""The work on one image, in memory: what the records hold of it, and what only lives now."""

from __future__ import annotations

from dataclasses import replace

from imagestoreproxy.install.laps import Laps
from imagestoreproxy.install.meter import Meter
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Bundle, Event, Install, State, Step, advance
from imagestoreproxy.ports import Clock, Records, Task
from imagestoreproxy.ports.metering import NO_METERS, Meters, Outcome


class Work:
    """One install; every change is made here and then written down.

    Attributes:
        install: the row as it stands.
        bundles: the ledger: what was, or may have been, put into the cloud.
        task: the coroutine at work, if any.
        sealed: nothing can be cancelled any more; the installation is being written down.
        trouble: why it is not taken back yet, while that is so.
        keep_files: whether a failure leaves the downloads for the next try.
    """

    def __init__(
        self, install: Install, records: Records, clock: Clock, meters: Meters = NO_METERS
    ) -> None:
        self.install = install
        self.bundles: dict[FileKind, Bundle] = {}
        self.meter = Meter(install.progress_percent)
        self.task: Task | None = None
        self.sealed = False
        self.keep_files = True
        self.trouble = ""
        self._records = records
        self._clock = clock
        self._laps = Laps(meters, clock)

    @property
    def state(self) -> State:
        return self.install.state

    def enter(self, event: Event, error: str = "") -> None:
        """Enter the state that ``event`` leads to; the records follow with ``save``."""
        before = self.state
        self.install = replace(self.install, state=advance(before, event), error=error)
        self._laps.entered(before, self.state)

    def was_installed(self) -> None:
        """The installation is written down: nothing more is to be done."""
        self._laps.end(Outcome.INSTALLED)

    async def happen(self, event: Event, error: str = "") -> None:
        """Enter the state that ``event`` leads to, and write it down."""
        self.enter(event, error)
        await self.save()

    async def begin(self, step: Step) -> None:
        """Enter a step, and keep the percentage reached so far."""
        self.meter.begin(step)
        self._laps.begin(step)
        await self.save()

    async def decided(self, document: bytes, plan: str) -> None:
        """Keep the signed document and the plan made from it."""
        self.install = replace(self.install, document=document, plan=plan)
        await self.save()

    async def renew(self) -> None:
        """Renew the lease, and what is remembered of the progress."""
        await self._records.renew(self.install.image_uri, self._percent())

    async def save(self) -> None:
        """Write the row; this also renews its lease."""
        self.install = replace(
            self.install,
            progress_percent=self._percent(),
            updated_at_s=self._clock.now_s(),
        )
        await self._records.save_install(self.install)

    def _percent(self) -> int:
        return self.meter.reading(self._clock.monotonic_s()).percent

    async def note(self, bundle: Bundle) -> None:
        """Write a line of the ledger."""
        self.bundles[bundle.kind] = bundle
        await self._records.save_bundle(bundle)

    async def strike(self, bundle: Bundle) -> None:
        """Strike a line of the ledger: nothing of it is left in the cloud."""
        await self._records.remove_bundle(bundle)
        self.bundles.pop(bundle.kind, None)

"""How long one install spends in each of its stages."""

from __future__ import annotations

from imagestoreproxy.model.history import Outcome
from imagestoreproxy.model.installs import ACTIVE, State, Step
from imagestoreproxy.ports import Clock
from imagestoreproxy.ports.metering import Meters

_RUNNING = frozenset({State.WAITING, State.DOWNLOADING, State.INSTALLING})
_ENDS = {State.FAILING: Outcome.FAILED, State.CANCELLING: Outcome.CANCELLED}
_COMING = ACTIVE - {*_ENDS, State.REMOVING}


class Laps:
    """Tells ``meters`` of each stage that has ended, and of the end of the install.

    What an earlier process did is not counted: it has told of that itself.
    """

    def __init__(self, meters: Meters, clock: Clock) -> None:
        self._meters = meters
        self._clock = clock
        self._is_running = False
        self._step: Step | None = None
        self._since_s = 0.0
        self._total_s = 0.0

    def begin(self, step: Step) -> None:
        """Enter a stage; the same one again goes on. What is stopped already enters none."""
        if self._is_running and step is not self._step:
            self._stop()
            self._step, self._since_s = step, self._clock.monotonic_s()

    def entered(self, before: State, after: State) -> None:
        """The install has come from one state into another."""
        self._is_running = after in _RUNNING
        if after is State.WAITING:
            self.begin(Step.WAITING)
        elif not self._is_running:
            self._stop()
            if before in _COMING and after in _ENDS:
                self.end(_ENDS[after])

    def end(self, outcome: Outcome) -> None:
        """The install is over."""
        self._stop()
        self._is_running = False
        self._meters.install_ended(outcome, self._total_s)
        self._total_s = 0.0

    def _stop(self) -> None:
        if self._step is not None:
            seconds = max(0.0, self._clock.monotonic_s() - self._since_s)
            self._total_s += seconds
            self._meters.stage_ended(self._step, seconds)
            self._step = None

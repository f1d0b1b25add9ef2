"""What the inside tells of what it does, as numbers; a part of ``ports``."""

from __future__ import annotations

from typing import Protocol

from imagestoreproxy.model.history import Outcome
from imagestoreproxy.model.installs import Step

# How an install may end.
ENDS = (Outcome.INSTALLED, Outcome.FAILED, Outcome.CANCELLED)


class Meters(Protocol):
    """Counts what happens. In memory: never waits, never raises."""

    def stage_ended(self, step: Step, seconds: float) -> None:
        """An install has spent so long in one stage."""

    def install_ended(self, outcome: Outcome, seconds: float) -> None:
        """An install is over.

        Args:
            outcome: one of ``ENDS``.
            seconds: how long it took, without the time it was paused.
        """

    def uploaded(self, size_bytes: int) -> None:
        """The cloud has taken so many bytes. May be called from any thread."""


class NoMeters:
    """Where nobody wants to know."""

    def stage_ended(self, step: Step, seconds: float) -> None:
        """Forget it."""

    def install_ended(self, outcome: Outcome, seconds: float) -> None:
        """Forget it."""

    def uploaded(self, size_bytes: int) -> None:
        """Forget it."""


NO_METERS = NoMeters()

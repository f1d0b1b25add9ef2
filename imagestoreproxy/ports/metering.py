"""What the inside tells of what it does, as numbers; a part of ``ports``."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from imagestoreproxy.model.installs import Step


class Outcome(StrEnum):
    """How an install has ended."""

    INSTALLED = "installed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Meters(Protocol):
    """Counts what happens. In memory: never waits, never raises."""

    def stage_ended(self, step: Step, seconds: float) -> None:
        """An install has spent so long in one stage."""

    def install_ended(self, outcome: Outcome, seconds: float) -> None:
        """An install is over; ``seconds`` is how long it took, without the time it was paused."""

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

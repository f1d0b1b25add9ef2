"""What the browser tests measured, told at the end of the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Figures:
    """Sizes, times and counts; only sizes and counts are judged, time never.

    Attributes:
        transfers: bytes on the wire of the first view, headers included, by path.
        times_ms: by what was waited for.
        axe: violations by view, as ``"store, dark"``.
        violations: of the content security policy, in all tests together.
        tests: how many pages were watched.
        shift: the layout shift of the first view; without a unit, 0 is none.
    """

    transfers: dict[str, int] = field(default_factory=dict)
    times_ms: dict[str, float] = field(default_factory=dict)
    axe: dict[str, int] = field(default_factory=dict)
    violations: int = 0
    tests: int = 0
    shift: float | None = None

    def counted(self) -> dict[str, Any]:
        """Give all of it, for ``merge``."""
        return asdict(self)

    def merge(self, counted: dict[str, Any]) -> None:
        """Add what another process has measured."""
        self.transfers.update(counted["transfers"])
        self.times_ms.update(counted["times_ms"])
        self.axe.update(counted["axe"])
        self.violations += counted["violations"]
        self.tests += counted["tests"]
        if counted["shift"] is not None:
            self.shift = counted["shift"]

    def lines(self) -> list[str]:
        """Give the table."""
        lines = []
        if self.transfers:
            lines.append("First view of 500 images: bytes on the wire, headers included")
            lines += [f"  {size:>9,}  {path}" for path, size in self.transfers.items()]
            lines.append(f"  {sum(self.transfers.values()):>9,}  all")
        lines += [f"{what}: {ms:.0f} ms" for what, ms in self.times_ms.items()]
        if self.shift is not None:
            lines.append(f"Layout shift of the first view: {self.shift:.4f}")
        if self.axe:
            lines.append("axe violations (WCAG 2.2 A and AA, best practice)")
            views: dict[str, dict[str, int]] = {}
            for name, count in self.axe.items():
                view, _, theme = name.rpartition(", ")
                views.setdefault(view, {})[theme] = count
            for view, themes in views.items():
                counts = ", ".join(f"{theme} {count}" for theme, count in themes.items())
                lines.append(f"  {view}: {counts}")
        lines.append(
            f"Violations of the content security policy: {self.violations} "
            f"({self.tests} tests watched)"
        )
        return lines


FIGURES = Figures()
"""Of this process, and at the end of the run of all."""

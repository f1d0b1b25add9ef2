"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: its name; says nothing of addresses or paths.
        problem: what is wrong and what to do, in plain words; empty when nothing is.
        note: what is worth knowing of it.
    """

    what: str
    problem: str = ""
    note: str = ""

    @property
    def is_ok(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.problem

    def line(self) -> str:
        """Write it as one line for a terminal."""
        said = " ".join((self.problem or self.note).split())
        return f"{'ok' if self.is_ok else 'PROBLEM':<7}  {self.what}{': ' if said else ''}{said}"

"""Counts what the fault tests inject and how it ended; a table is printed when pytest ends.

Every fault test tells each fault it has injected, once, by its end::

    from tests.faults import tally

    tally.record("store: cut off", tally.CLEAN)                  # one fault, a clean failure
    tally.record("requests: fuzzing", tally.REFUSED, times=812)  # many of a kind
    tally.record("kill -9", tally.INSTALLED, leftovers=2)        # two files nobody owns
    tally.record("archive: bomb", "the daemon died")             # anything else: must not be

``make faults`` ends with an error when any outcome is another one than those of ``GOOD``, or when
a leftover or an answer 500 was counted, also where the test itself passed. ``LONG`` tells it from
the short round; a fuzzer runs for ``SECONDS``. ``generator("name")`` gives random numbers that
depend on ``SEED`` and the name alone, so that a run can be repeated.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

INSTALLED = "installed"
CLEAN = "clean failure"  # an error that says what to do, or a state as it was before
REFUSED = "refused"  # hostile input or a request turned away, as it should be
SERVED = "served"  # went on answering as if nothing had happened
GOOD = (INSTALLED, CLEAN, REFUSED, SERVED)

LONG = os.environ.get("FAULTS") == "long"
"""Whether this is ``make faults``; else the short round of ``make test``."""
SEED = int(os.environ.get("FAULTS_SEED") or 1)
SECONDS = float(os.environ.get("FAULTS_SECONDS") or (60 if LONG else 1))
"""How long each fuzzer runs."""


@dataclass
class Row:
    """What is known of one kind of fault.

    Attributes:
        outcomes: how often it ended how.
        leftovers: files, objects and registrations that nobody owned afterwards.
        errors_500: answers with status 500.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    leftovers: int = 0
    errors_500: int = 0

    @property
    def times(self) -> int:
        """How often the fault was injected."""
        return sum(self.outcomes.values())

    @property
    def is_good(self) -> bool:
        """Whether nothing happened that must not."""
        return set(self.outcomes) <= set(GOOD) and not self.leftovers and not self.errors_500


rows: dict[str, Row] = {}
notes: list[str] = []


def record(
    kind: str, outcome: str, *, times: int = 1, leftovers: int = 0, errors_500: int = 0
) -> None:
    """Count ``times`` faults of a kind with the same outcome.

    Args:
        kind: "where: what", such as "store: cut off"; one line of the table.
        outcome: one of ``GOOD``, or in a few words what happened instead.
    """
    row = rows.setdefault(kind, Row())
    row.outcomes[outcome] = row.outcomes.get(outcome, 0) + times
    row.leftovers += leftovers
    row.errors_500 += errors_500


def counted() -> dict[str, Any]:
    """Give what was counted, for ``merge``."""
    return {"rows": {kind: asdict(row) for kind, row in rows.items()}, "notes": notes}


def save(path: Path) -> None:
    """Write what was counted, for ``load``."""
    path.write_text(json.dumps(counted()))


def load(path: Path) -> None:
    """Count what another process has saved."""
    merge(json.loads(path.read_text()))


def merge(counted: dict[str, Any]) -> None:
    """Count what another process has counted."""
    notes.extend(counted["notes"])
    for kind, row in counted["rows"].items():
        for outcome, times in row["outcomes"].items():
            record(kind, outcome, times=times)
        rows.setdefault(kind, Row()).leftovers += row["leftovers"]
        rows[kind].errors_500 += row["errors_500"]


def note(text: str) -> None:
    """Keep a measurement, to be printed below the table."""
    notes.append(text)


def generator(name: str) -> random.Random:
    """Give seeded random numbers for one test."""
    return random.Random(f"{SEED} {name}")


def is_good() -> bool:
    """Whether every fault ended as it should."""
    return all(row.is_good for row in rows.values())


def table() -> list[str]:
    """Give the table, as Markdown, and the notes below it."""
    titles = ["Fault", "Times", *(word.capitalize() for word in GOOD)]
    titles += ["Anything else", "Leftovers", "500s"]
    cells = [[kind, *_cells(row)] for kind, row in sorted(rows.items())]
    cells.append(["all", *_cells(_sum())])
    widths = [max(len(line[i]) for line in [titles, *cells]) for i in range(len(titles))]
    aligned = [widths[0] * "-", *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = ["| " + " | ".join(_aligned(line, widths)) + " |" for line in [titles, aligned, *cells]]
    return [*lines, *notes]


def _sum() -> Row:
    every = Row()
    for row in rows.values():
        for outcome, times in row.outcomes.items():
            every.outcomes[outcome] = every.outcomes.get(outcome, 0) + times
        every.leftovers += row.leftovers
        every.errors_500 += row.errors_500
    return every


def _cells(row: Row) -> list[str]:
    other = {outcome: times for outcome, times in row.outcomes.items() if outcome not in GOOD}
    told = "; ".join(f"{times} {outcome}" for outcome, times in sorted(other.items())) or "0"
    good = (str(row.outcomes.get(outcome, 0)) for outcome in GOOD)
    return [str(row.times), *good, told, str(row.leftovers), str(row.errors_500)]


def _aligned(line: list[str], widths: list[int]) -> list[str]:
    first = line[0].ljust(widths[0])
    return [first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]

"""Runs the contract suite of clouds, and writes what came of it into docs/clouds.md.

python -m tools.cloud_table
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "clouds.md"
SUITE = ROOT / "tests" / "contracts" / "test_clouds.py"
BEGIN, END = "<!-- contract suite: begin -->\n", "<!-- contract suite: end -->\n"
_ITEM = re.compile(r"::(test_\w+)\[([^\]]*)\]$")
_KIND = re.compile(r"\b(fake|ec2|euca2ools [\w.]+)(?=-|$)")
_STORY = re.compile(r"^([hp])(\d+) ")

Outcomes = Mapping[str, Mapping[str, bool]]


def sentences() -> dict[str, str]:
    """Give each test of the suite, in its order, as a sentence."""
    functions = [
        node.name
        for node in ast.parse(SUITE.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return {name: _sentence(name) for name in functions}


def _sentence(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return _STORY.sub(lambda found: f"{found[1].upper()}{found[2]}: ", words)


def table(outcomes: Outcomes, kinds: Iterable[str]) -> str:
    """Give the table: a row for each test, a column for each kind of cloud."""
    kinds = list(kinds)
    heads = [kind.removeprefix("euca2ools ") for kind in kinds]
    lines = [f"| what a cloud must do | {' | '.join(heads)} |", f"|---|{'---|' * len(kinds)}"]
    for name, sentence in sentences().items():
        cells = ["yes" if outcomes[name][kind] else "**no**" for kind in kinds]
        lines.append(f"| {sentence} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """Give the table that stands in the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


class Collected:
    """Hears how each test ended."""

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = _ITEM.search(report.nodeid)
        kind = _KIND.search(found[2]) if found else None
        if found and kind:
            of_test = self.outcomes.setdefault(found[1], {})
            of_test[kind[1]] = of_test.get(kind[1], True) and not report.failed


def main() -> int:
    """Run the suite and write the table."""
    collected = Collected()
    pytest.main([str(SUITE), "-p", "no:xdist"], plugins=[collected])
    kinds = list(next(iter(collected.outcomes.values())))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{table(collected.outcomes, kinds)}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

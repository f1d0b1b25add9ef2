"""A bar chart of the installs, as SVG that can be read on white and on dark.

    python -m benchmarks.plot RESULTS.json CHART.svg

Each image has bars to its own scale: what counts are the ratios.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.report import Row

# What is drawn of each subject: the row's name begins so, the bar's label and its colour.
BARS = (
    ("limit", "limit", "#8f96a3"),
    ("bare curl to disk", "curl alone", "#3f9c8f"),
    ("installed, into moto", "", ""),
    ("installed", "installed", "#3c7dd9"),
    ("steps by hand, pigz", "by hand, pigz", "#d9822b"),
    ("steps by hand, gzip", "by hand, gzip", "#b3541e"),
)
WIDTH, LEFT, RIGHT = 760, 210, 90
BAR, GAP, HEAD = 14, 4, 30
TEXT = "#7d8590"

Bar = tuple[str, str, float]


def draw(rows: Iterable[Row], path: Path) -> bool:
    """Write the chart; False, and nothing is written, when there is nothing to draw."""
    groups: dict[str, list[Bar]] = {}
    for row in rows:
        bar = _bar(row)
        if bar:
            groups.setdefault(row.subject, []).append(bar)
    if not groups:
        return False
    path.write_text(_svg(groups))
    return True


def _bar(row: Row) -> Bar | None:
    if row.part != "install" or row.unit != "s":
        return None
    for name, label, colour in BARS:
        if row.what.startswith(name):
            return (label, colour, row.value) if label else None
    return None


def _svg(groups: dict[str, list[Bar]]) -> str:
    parts, top = [], HEAD
    for subject, bars in groups.items():
        parts.append(_text(0, top + 4, subject, "start", bold=True))
        top += 14
        # Each group to its own scale: what counts are the ratios within it.
        longest = max(value for _, _, value in bars)
        for label, colour, value in _in_order(bars):
            width = max(1.0, (WIDTH - LEFT - RIGHT) * value / longest)
            parts.append(_text(LEFT - 8, top + 11, label, "end"))
            parts.append(
                f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(LEFT + width + 6, top + 11, f"{value:.1f} s", "start"))
            top += BAR + GAP
        top += 22
    title = _text(0, 14, "Seconds from the request to the registered image", "start", bold=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" '
        f'height="{top}" font-family="sans-serif" font-size="12" fill="{TEXT}">\n'
        "<title>How long installs take, and what they are compared with</title>\n"
        + "\n".join([title, *parts])
        + "\n</svg>\n"
    )


def _in_order(bars: Sequence[Bar]) -> list[Bar]:
    labels = [label for _, label, _ in BARS]
    return sorted(bars, key=lambda bar: labels.index(bar[0]))


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def main(arguments: list[str]) -> int:
    """Draw what an earlier run has measured."""
    results, chart = map(Path, arguments)
    rows = json.loads(results.read_text())["rows"]
    return 0 if draw((Row(**row) for row in rows), chart) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What was measured: rows, the table for people and the JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMATS = {
    "s": "{:.2f} s",
    "x": "{:.2f}",
    "MiB": "{:.0f} MiB",
    "ms": "{:.1f} ms",
    "/s": "{:.0f} /s",
}


@dataclass(frozen=True)
class Row:
    """One number.

    Args:
        part: of the report, such as ``install``.
        subject: what it was measured on.
        what: is told.
        unit: ``s``, ``ms``, ``MiB``, ``/s``, ``x`` (a ratio) or empty (a count).
        at_most, at_least: the target, where there is one.
        samples: all values of which ``value`` is the median, or one.
    """

    part: str
    subject: str
    what: str
    value: float
    unit: str
    at_most: float | None = None
    note: str = ""
    samples: tuple[float, ...] = ()
    at_least: float | None = None

    @property
    def told(self) -> str:
        return FORMATS.get(self.unit, "{:,.0f}").format(self.value)

    @property
    def verdict(self) -> str:
        if self.at_most is not None:
            is_met, target = self.value <= self.at_most, f"at most {self.at_most:g}"
        elif self.at_least is not None:
            is_met, target = self.value >= self.at_least, f"at least {self.at_least:g}"
        else:
            return ""
        return f"{'ok' if is_met else 'MISSED'}: {target}"


def median_row(
    part: str,
    subject: str,
    what: str,
    samples: Sequence[float],
    unit: str = "s",
    at_most: float | None = None,
    note: str = "",
    at_least: float | None = None,
) -> Row:
    """Give the row of a median; tells how many samples there were."""
    spread = ""
    if len(samples) > 1 and unit == "s":
        spread = f", {min(samples):.2f} to {max(samples):.2f}"
    told = f"{len(samples)} round{'s' * (len(samples) > 1)}{spread}"
    note = f"{told}; {note}" if note else told
    value = statistics.median(samples)
    return Row(part, subject, what, value, unit, at_most, note, tuple(samples), at_least)


def ratio_row(
    part: str,
    subject: str,
    what: str,
    above: Sequence[float],
    below: Sequence[float],
    at_most: float | None = None,
    note: str = "",
    at_least: float | None = None,
) -> Row:
    """Give the median of the ratios of the rounds that both have."""
    ratios = [one / (other or 1e-9) for one, other in zip(above, below, strict=False)]
    return median_row(part, subject, what, ratios, "x", at_most, note, at_least)


def percentile(samples: Sequence[float], at: float) -> float:
    """Give the value below which the share ``at`` of the samples is; 0 without samples."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * at), len(ordered) - 1)] if ordered else 0.0


@dataclass
class Report:
    """All rows of a run; prints each as it comes."""

    size: str
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    began_s: float = field(default_factory=time.time)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        told = f"{row.part}: {row.subject}: {row.what}: {row.told}"
        print(f"{time.time() - self.began_s:6.0f} s  {told}  {row.verdict}", file=sys.stderr)

    def remark(self, text: str) -> None:
        """Add a plain line, such as why a part was left out."""
        self.remarks.append(text)
        print(f"{time.time() - self.began_s:6.0f} s  {text}", file=sys.stderr)

    def table(self) -> str:
        """Give the table."""
        lines, seen = [], ("", "")
        width = max((len(row.what) for row in self.rows), default=0) + 2
        for row in self.rows:
            if (row.part, row.subject) != seen:
                lines += ["", f"{row.part}: {row.subject}"]
                seen = row.part, row.subject
            lines.append(
                f"  {row.what:<{width}}{row.told:>10}  {row.verdict:<18} {row.note}".rstrip()
            )
        took_s = time.time() - self.began_s
        lines += ["", *self.remarks, f"Size {self.size}; took {took_s / 60:.1f} minutes."]
        lines += [", ".join(f"{name} {value}" for name, value in machine().items())]
        return "\n".join(lines).lstrip("\n")

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.began_s)),
            "took_s": round(time.time() - self.began_s),
            "size": self.size,
            "machine": machine(),
            "remarks": self.remarks,
            "rows": [asdict(row) for row in self.rows],
        }
        rounded = json.loads(json.dumps(content), parse_float=lambda text: round(float(text), 5))
        path.write_text(json.dumps(rounded, indent=1) + "\n")


def machine() -> dict[str, str]:
    """Tell what was measured on; no names."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": cpu[1] if cpu else platform.machine(),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "?",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }

"""``make faults``: all fault tests with their long settings, and one table at the end.

Beside them what `tests/unit` says of any example is tried with others. A few files are tested at a
time, each in a pytest of its own; ``FAULTS_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import tally

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Of these only what is said of any example: with others than last time.
PROPERTIES = HERE.parent / "unit"
LANES = 3  # on two cores: much of it waits
LIMIT_S = 850
# What takes longest, first; the rest in any order.
LONGEST = (
    "unit",
    "test_kill",
    "test_hostile",
    "test_requests",
    "test_cloud",
    "test_disk",
    "test_soak",
)


def main() -> int:
    """Run everything; give the exit status."""
    files = sorted([*HERE.glob("test_*.py"), PROPERTIES], key=_rank)
    started_s = time.monotonic()
    print(f"{len(files)} groups of tests, FAULTS_SEED={tally.SEED}", flush=True)
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(LANES) as lanes:
        ends_s = started_s + LIMIT_S
        good = list(lanes.map(lambda file: _run(file, Path(directory), ends_s), files))
        for counted in sorted(Path(directory).glob("*.json")):
            tally.load(counted)
    lines = tally.table()
    print("\n".join(["", *lines, ""]))
    took_s = time.monotonic() - started_s
    is_good = all(good) and tally.is_good()
    print(f"{'All is well' if is_good else 'NOT all is well'}, after {took_s:.0f} s.")
    return 0 if is_good else 1


def _rank(file: Path) -> tuple[int, str]:
    rank = LONGEST.index(file.stem) if file.stem in LONGEST else len(LONGEST)
    return rank, file.stem


def _run(file: Path, directory: Path, ends_s: float) -> bool:
    began_s = time.monotonic()
    environment = {
        **os.environ,
        "FAULTS": "long",
        "FAULTS_SEED": str(tally.SEED),
        "FAULTS_COUNTS": str(directory / f"{file.stem}.json"),
    }
    command = [sys.executable, "-m", "pytest", "--timeout=600", "--tb=short", "-rfEs", str(file)]
    if file == PROPERTIES:
        command += ["-m", "hypothesis", f"--hypothesis-seed={tally.SEED}"]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=max(1.0, ends_s - began_s),
        )
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output, status = (error.stdout or b"") + b"\nstopped: the time for all is over\n", 1
    took_s = time.monotonic() - began_s
    print(f"{file.stem}: {'well' if status == 0 else 'NOT well'}, {took_s:.0f} s", flush=True)
    if status:
        print(output.decode(errors="replace")[-20_000:], flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())

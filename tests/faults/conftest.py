"""What fault tests share with the functional ones, and the table at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import tally
from tests.functional.conftest import moto_url  # noqa: F401  (a fixture)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was injected and how it ended."""
    if not tally.rows:
        return
    terminalreporter.section(f"faults, FAULTS_SEED={tally.SEED}")
    for line in tally.table():
        terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for an outcome that must not be, even where no test did."""
    if counts := os.environ.get("FAULTS_COUNTS"):
        tally.save(Path(counts))
    if not tally.is_good() and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

"""What is told at the end of a run, also of one on which several processes have worked.

The tests run in workers when pytest is called with ``-n``; the tables are printed by the process
that called them, which has loaded no other conftest.py than this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.figures import FIGURES
from tests.faults import tally
from tests.functional.moto_server import empty, moto_server

# What goes to one worker as a whole and takes longest, first, and the many small files last: two
# workers then end at about the same time.
ORDER = ("browser", "contracts", "faults", "functional")


@pytest.fixture(scope="session")
def moto_process() -> Iterator[str]:
    """moto's EC2 and S3 over HTTP: to load it takes four seconds of the processor."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def moto_url(moto_process: str) -> Iterator[str]:
    """That process, empty for each file; give its URL, for EC2 and S3 alike."""
    yield moto_process
    empty(moto_process)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the dear directories first; within one, nothing changes places."""
    items.sort(key=lambda item: _rank(item.path.parent.name))


def _rank(directory: str) -> int:
    return ORDER.index(directory) if directory in ORDER else len(ORDER)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a file to one worker as a whole, and all tests with a browser to the same one.

    What the tests of a file share, a cloud or a daemon, is then started once; and two browsers
    at once are more than a small machine has patience for.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    scheduler: Any = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    browser = "tests/browser/"
    scheduler._split_scope = lambda node: browser if node.startswith(browser) else by_file(node)
    return scheduler


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Count what a worker has counted."""
    told = getattr(node, "workeroutput", {})
    if "tally" in told:
        tally.merge(told["tally"])
    if "figures" in told:
        FIGURES.merge(told["figures"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process above, or fail the run for a fault with an outcome that must not be."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["tally"] = tally.counted()
        told["figures"] = FIGURES.counted()
        return
    if counts := os.environ.get("FAULTS_COUNTS"):
        tally.save(Path(counts))
    if not tally.is_good() and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was injected and how it ended, and what browsers have measured."""
    if FIGURES.tests:
        terminalreporter.section("the page in a browser")
        for line in FIGURES.lines():
            terminalreporter.write_line(line)
    if tally.rows:
        terminalreporter.section(f"faults, FAULTS_SEED={tally.SEED}")
        for line in tally.table():
            terminalreporter.write_line(line)

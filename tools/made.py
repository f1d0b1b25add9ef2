"""Writes pages that are made from the code, or with ``--check`` only compares them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(pages: Mapping[Path, str]) -> int:
    """Give the exit status: 1 when ``--check`` finds a page that is not current."""
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in pages.items() if not _is_current(path, text)]
        for name in stale:
            sys.stderr.write(f"{name} is not current: make docs\n")
        return 1 if stale else 0
    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text

"""How the demo speaks."""

from __future__ import annotations

import shlex
from pathlib import Path


def say(word: str, text: str) -> None:
    """Print a line with a word in front."""
    print(f"{word:<16} {text}", flush=True)


def short(path: Path) -> str:
    """Give a path as one would type it here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))

"""moto's EC2 and S3 in a process of its own, on a port that the system chose."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

_EMPTY_S = 30
_PROGRAM = Path(__file__).with_name("moto_program.py")


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a server, give its URL (for EC2 and S3 alike), stop it.

    It ends with its standard input, so it cannot outlive the process that started it.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), "moto's server did not start: pip install 'moto[server]'"
        yield url
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def empty(url: str) -> None:
    """Make a server forget all that it was given; each image makes its lists slower."""
    with urlopen(Request(f"{url}/moto-api/reset", method="POST"), timeout=_EMPTY_S):
        pass

"""``image-store`` beside the real daemon: the whole life of an image."""

from __future__ import annotations

import subprocess
import sys

from tests.functional.rig import ROOT


def test_the_help_imports_nothing_that_takes_long() -> None:
    """A shell that completes, and a person who reads, do not wait for what they do not use."""
    asked = "import sys; import imagestoreproxy.client.cli as c\n"
    asked += "try: c.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    slow = {"twisted", "boto3", "botocore", "nh3", "ssl", "http.client", "cryptography", "shtab"}
    assert "usage: image-store" in done.stdout
    assert slow & set(done.stdout.splitlines()[-1].split()) == set()

"""What functional tests share: small images."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for fakestoreapi.py: a kernel, a ramdisk, and an image of 24 MiB, half noise."""
    directory = tmp_path_factory.mktemp("images")
    noise = random.Random(7)
    (directory / "kernel").write_bytes(noise.randbytes(300_000))
    (directory / "ramdisk.gz").write_bytes(gzip.compress(noise.randbytes(500_000), 1))
    image = noise.randbytes(12 * 2**20) + bytes(12 * 2**20)
    (directory / "image.gz").write_bytes(gzip.compress(image, 1))
    return directory

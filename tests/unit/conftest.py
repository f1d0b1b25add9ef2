"""What unit tests share: a world with one image, and no word about time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.unit.memory import MemoryDisk, World, trio

# A busy machine must make no test fail, and what was well a moment ago is well now: other examples
# are tried where somebody looks for trouble, by ``make faults``.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=os.environ.get("FAULTS") != "long",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A store that offers one image, a cloud, and a disk."""
    made = World(MemoryDisk(tmp_path))
    made.sources.offer(trio(made.fetcher))
    return made

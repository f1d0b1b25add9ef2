"""P4 and P11 at random moments: whatever is going on when the daemon dies, it ends as it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import tally
from tests.faults.ground import ec2_cloud, fake_cloud, make_images
from tests.faults.kill import Life
from tests.functional.interceptor import Answer, Request, interceptor
from tests.functional.moto_server import empty
from tests.functional.rig import ec2_rig, fake_rig

FAKE_LIVES = 24 if tally.LONG else 1
EC2_LIVES = 5 if tally.LONG else 1
EC2_ROUNDS = 8 if tally.LONG else 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("kill") / "images")


@pytest.mark.parametrize("number", range(FAKE_LIVES))
def test_p4_killed_at_any_moment_every_image_ends_installed_once_or_not_at_all(
    tmp_path: Path, small: Path, number: int
) -> None:
    seeded = tally.generator(f"kill, fake {number}")
    with fake_rig(tmp_path, small, "--max-installs=4") as rig:
        Life(rig, "fake cloud", seeded, fake_cloud(rig.daemon), span_s=0.25).live()


@pytest.mark.parametrize("number", range(EC2_LIVES))
def test_p4_p11_killed_at_any_moment_ec2_and_s3_hold_what_the_records_say(
    tmp_path: Path, small: Path, moto_url: str, number: int
) -> None:
    seeded = tally.generator(f"kill, ec2 {number}")
    empty(moto_url)
    with interceptor(moto_url) as cloud:

        def slow(_request: Request) -> Answer | None:
            cloud.released.wait(0.01)
            return None

        cloud.rule = slow
        with ec2_rig(tmp_path, small, cloud.url, "--debug") as rig:
            look = ec2_cloud(moto_url)
            Life(rig, "EC2 and S3", seeded, look, span_s=1.0, rounds=EC2_ROUNDS).live()

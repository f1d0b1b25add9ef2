"""P8 and P4: a cancel does not wait for a registration that the cloud is at, and loses none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.errors import Cancelled
from tests.functional import ec2_ground
from tests.functional.ec2_ground import a_cloud, an_upload
from tests.functional.euca2ools_ground import Places, euca2ools, heard_as_ec2
from tests.functional.inline_background import Flag, InlineBackground, now
from tests.functional.interceptor import Answer, Interceptor, Request
from tests.functional.parcel import Parcel, bring
from tests.functional.rig import ec2_rig, wait_for
from tests.functional.test_daemon import ours

between = ec2_ground.between
complete, credentials = ec2_ground.complete, ec2_ground.credentials


@pytest.fixture
def moto(moto_url: str) -> str:
    """One that is there already."""
    return moto_url


@dataclass
class Ground:
    """A cloud, and a bundle that is sealed in it."""

    cloud: Ec2Cloud
    background: InlineBackground
    upload: Parcel
    location: str

    def register_and_cancel(self, is_heard: Callable[[], object]) -> None:
        """Cancel the registration once ``is_heard``; it ends though there is no answer."""

        def cancel() -> None:
            wait_for("the request", is_heard)
            self.background.stop.set()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(Cancelled):
            now(self.cloud.register(self.upload.upload, self.location))
        canceller.join()
        self.background.stop = Flag()

    def find(self) -> str:
        return now(self.cloud.find(self.upload.bundle, self.location))


@pytest.fixture(params=["ec2", "3.4"])
def ground(
    request: pytest.FixtureRequest, credentials: Credentials, between: Interceptor, tmp_path: Path
) -> Iterator[Ground]:
    background: Any
    if request.param == "ec2":
        cloud = a_cloud(credentials)
        background = cloud._background
    else:
        made = euca2ools(tmp_path, request.param, credentials)
        cloud, background = made.cloud, made.background
    between.rewrite, between.rule = Places(), heard_as_ec2
    upload = an_upload(b"an image")
    yield Ground(cloud, background, upload, bring(cloud, upload))
    between.released.set()


def asked(request: Request, action: bytes) -> bool:
    return action in request.path.encode() + request.body()


def registrations(between: Interceptor) -> int:
    return sum(asked(one, b"Action=RegisterImage") for one in between.seen)


def test_p8_a_cancel_does_not_wait_for_an_answer_and_what_was_registered_is_found(
    ground: Ground, between: Interceptor
) -> None:
    heard, places = threading.Event(), between.rewrite

    def held(request: Request, body: bytes) -> bytes:
        body = places(request, body)
        if asked(request, b"RegisterImage"):
            heard.set()
            between.released.wait(60)
        return body

    between.rewrite = held
    ground.register_and_cancel(heard.is_set)
    image_id = ground.find()
    assert image_id, "also before there is an answer"
    between.released.set()
    now(ground.cloud.deregister(image_id))
    now(ground.cloud.remove(ground.upload.bundle))
    assert ground.find() == ""
    assert registrations(between) == 1


def test_p4_who_looks_for_a_registration_waits_until_the_cloud_has_made_up_its_mind(
    ground: Ground, between: Interceptor
) -> None:
    heard = threading.Event()

    def slow(request: Request) -> Answer | None:
        if asked(request, b"RegisterImage"):
            heard.set()
            between.released.wait(60)
        return heard_as_ec2(request)

    between.rule = slow
    ground.register_and_cancel(heard.is_set)
    found: list[str] = []
    finder = threading.Thread(target=lambda: found.append(ground.find()))
    between.seen.clear()
    finder.start()
    wait_for(
        "it to be looked for twice",
        lambda: sum(asked(one, b"DescribeImages") for one in between.seen) > 1,
    )
    assert not found, "nobody knows yet"
    between.released.set()
    finder.join(60)
    assert now(ground.cloud.is_registered(found[0]))
    assert registrations(between) == 0, "and none more"


def test_p8_a_cancelled_install_gives_its_place_to_the_next_while_the_cloud_registers(
    tmp_path: Path, images: Path, moto_url: str, between: Interceptor
) -> None:
    before = ours(moto_url)

    def slow(request: Request) -> Answer | None:
        if asked(request, b"RegisterImage"):
            between.released.wait(60)
        return None

    with ec2_rig(tmp_path, images, between.url, "--max-installs=1") as rig:
        first, second = rig.image("Example Server"), rig.image("Example Server, bootable disk")
        between.rule = slow
        rig.daemon.act(first, "install")
        wait_for("its registrations", lambda: registrations(between) == 2)
        between.rule = lambda request: None
        rig.daemon.act(first, "cancel")
        rig.daemon.act(second, "install")
        done = rig.daemon.wait(second, "installed")
        assert not between.released.is_set()
        assert rig.daemon.state(first)["status"] != "uninstalled", "nobody knows yet"
        between.released.set()
        rig.daemon.wait(first, "uninstalled")
        buckets, ids = ours(moto_url)
        assert ids - before[1] == {done["emi"]}
        assert len(buckets - before[0]) == 1
        assert rig.daemon.running
        rig.daemon.end()
        assert "cut short" not in rig.daemon.said()

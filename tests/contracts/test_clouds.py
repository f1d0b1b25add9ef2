"""What every cloud must do, whoever stands behind the port."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from imagestoreproxy.clouds.credentials import from_directory
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.fake import FakeCloud
from imagestoreproxy.model.bundles import Upload
from imagestoreproxy.model.errors import Cancelled, InstallError, UnpackError
from imagestoreproxy.model.images import Architecture, FileKind, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Cloud, Stop
from tests.functional.ec2_ground import impatient
from tests.functional.euca2ools_ground import GENERATIONS, Places, euca2ools, heard_as_ec2
from tests.functional.eucarc_directory import make_eucarc_directory
from tests.functional.inline_background import InlineBackground, now
from tests.functional.interceptor import interceptor
from tests.functional.moto_server import empty
from tests.functional.parcel import Parcel, bring


@dataclass
class Ground:
    """A cloud under test, and a look at it from outside."""

    cloud: Cloud
    background: InlineBackground
    left_of: Callable[[Bundle], list[str]]
    start: Callable[[str], str]
    terminate: Callable[[str], None]


@pytest.fixture(scope="module")
def ec2_directory(
    moto_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    with interceptor(moto_url) as between:
        between.rewrite, between.rule = Places(), heard_as_ec2
        path = tmp_path_factory.mktemp("ec2") / "credentials"
        ec2_url, s3_url = (f"{between.url}/services/{one}" for one in ("Eucalyptus", "Walrus"))
        make_eucarc_directory(path, ec2_url, s3_url)
        yield moto_url, path


KINDS = ["fake", "ec2", *(f"euca2ools {one}" for one in GENERATIONS)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on each kind of cloud."""
    if "ground" in metafunc.fixturenames:
        metafunc.parametrize("ground", KINDS, indirect=True)


@pytest.fixture
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    yield made(request, tmp_path)
    if request.param != "fake":
        empty(request.getfixturevalue("moto_url"))


def made(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    background = InlineBackground()
    if request.param == "fake":
        state_file = tmp_path / "fake-cloud.json"

        def stored(bundle: Bundle) -> list[str]:
            held = json.loads(state_file.read_text()) if state_file.exists() else {"stored": {}}
            return [bucket for bucket in held["stored"] if bucket == bundle.bucket]

        def changed(change: Callable[[Any], object]) -> None:
            held = json.loads(state_file.read_text())
            change(held.setdefault("instances", {}))
            state_file.write_text(json.dumps(held))

        def start(image_id: str) -> str:
            name = f"i-{random.getrandbits(32):08x}"
            changed(lambda instances: instances.update({name: {"image": image_id}}))
            return name

        def terminate(name: str) -> None:
            changed(lambda instances: instances.pop(name))

        cloud = FakeCloud(background, state_file)
        return Ground(cloud, background, stored, start, terminate)
    url, path = request.getfixturevalue("ec2_directory")
    credentials = from_directory(path)
    s3: Any = whole_client("s3", url)

    def listed(bundle: Bundle) -> list[str]:
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        return [name for name in names if name == bundle.bucket]

    # botocore's own description of EC2: ours knows only what the proxy does.
    ec2: Any = whole_client("ec2", url)

    def run(image_id: str) -> str:
        started = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)
        return str(started["Instances"][0]["InstanceId"])

    def terminate_instance(name: str) -> None:
        ec2.terminate_instances(InstanceIds=[name])

    if request.param == "ec2":
        direct = Ec2Cloud(background, credentials, patience=impatient())
        return Ground(direct, background, listed, run, terminate_instance)
    generation = request.param.split()[1]
    installed = path.with_name(f"euca2ools-{generation}")
    behind = euca2ools(tmp_path, generation, credentials, tools_path=installed)

    def listed_or_lying_about(bundle: Bundle) -> list[str]:
        return [*listed(bundle), *behind.left()]

    return Ground(behind.cloud, behind.background, listed_or_lying_about, run, terminate_instance)


@cache  # that of EC2 is large
def whole_client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def a_bundle(kind: FileKind = FileKind.IMAGE) -> Bundle:
    stem = {FileKind.KERNEL: "vmlinuz", FileKind.RAMDISK: "initrd", FileKind.IMAGE: "image"}[kind]
    token = f"{random.getrandbits(64):016x}"
    return Bundle("http://store.example/api/images/1", kind, f"isp-{token}", f"{stem}-{token}")


def an_upload(content: bytes, kind: FileKind = FileKind.IMAGE) -> Parcel:
    def chunks(stop: Stop) -> Iterator[bytes]:
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    upload = Upload(a_bundle(kind), Architecture.X86_64, Virtualization.PARAVIRTUAL)
    return Parcel(upload, len(content), chunks)


def noise(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def test_a_cloud_that_works_passes_its_check(ground: Ground) -> None:
    now(ground.cloud.check())


def test_a_cloud_says_what_it_can_run_without_being_asked_over_the_network(
    ground: Ground,
) -> None:
    taking = ground.cloud.taking
    assert Virtualization.PARAVIRTUAL in taking.virtualizations
    assert {Architecture.I386, Architecture.X86_64} <= taking.architectures
    assert not taking.needs_ramdisk


def test_what_was_uploaded_and_registered_is_known_found_and_can_be_taken_back(
    ground: Ground,
) -> None:
    upload = an_upload(noise(3_000_000))
    bundle = upload.bundle
    location = bring(ground.cloud, upload)
    assert location == f"{bundle.bucket}/{bundle.name}.manifest.xml"
    assert now(ground.cloud.find(bundle, location)) == ""
    image_id = now(ground.cloud.register(upload.upload, location))
    assert image_id
    assert now(ground.cloud.is_registered(image_id))
    assert now(ground.cloud.find(bundle, location)) == image_id
    now(ground.cloud.deregister(image_id))
    assert not now(ground.cloud.is_registered(image_id))
    assert now(ground.cloud.find(bundle, location)) == ""
    now(ground.cloud.remove(bundle))
    assert ground.left_of(bundle) == []


def test_h11_all_that_is_registered_is_listed_and_no_longer_once_it_is_taken_back(
    ground: Ground,
) -> None:
    uploads = [an_upload(kind.encode(), kind) for kind in FileKind]
    ids = {
        now(ground.cloud.register(upload.upload, bring(ground.cloud, upload))) for upload in uploads
    }
    assert ids <= now(ground.cloud.registered_ids())
    taken = ids.pop()
    now(ground.cloud.deregister(taken))
    listed = now(ground.cloud.registered_ids())
    assert ids <= listed
    assert taken not in listed


def test_ids_that_instances_were_started_from_are_told_until_these_are_terminated(
    ground: Ground,
) -> None:
    uploads = [an_upload(noise(1000 + extra)) for extra in range(3)]
    ids = [
        now(ground.cloud.register(upload.upload, bring(ground.cloud, upload))) for upload in uploads
    ]
    assert dict(now(ground.cloud.used_ids(ids))) == {}
    first, second, _unasked = (ground.start(image_id) for image_id in ids)
    assert now(ground.cloud.is_registered(ids[0])), "another change must not lose the instances"
    asked = [*ids[:2], "emi-00000000"]
    assert dict(now(ground.cloud.used_ids(asked))) == {ids[0]: first, ids[1]: second}
    ground.terminate(first)
    assert dict(now(ground.cloud.used_ids(asked))) == {ids[1]: second}
    assert dict(now(ground.cloud.used_ids([]))) == {}


def test_p4_registering_again_after_a_lost_answer_gives_the_same_id(ground: Ground) -> None:
    upload = an_upload(b"kernel", FileKind.KERNEL)
    location = bring(ground.cloud, upload)
    image_id = now(ground.cloud.register(upload.upload, location))
    assert now(ground.cloud.register(upload.upload, location)) == image_id


def test_images_of_one_install_do_not_get_mixed_up(ground: Ground) -> None:
    uploads = [an_upload(kind.encode(), kind) for kind in FileKind]
    locations = [bring(ground.cloud, upload) for upload in uploads]
    ids = [
        now(ground.cloud.register(upload.upload, location))
        for upload, location in zip(uploads, locations, strict=True)
    ]
    assert len(set(ids)) == 3
    now(ground.cloud.deregister(ids[0]))
    assert [now(ground.cloud.is_registered(one)) for one in ids] == [False, True, True]


def test_p4_an_upload_goes_through_after_one_that_was_broken_off(ground: Ground) -> None:
    content = noise(12 << 20)
    whole = an_upload(content)

    def broken(stop: Stop) -> Iterator[bytes]:
        yield content[: 11 << 20]
        raise InstallError("the disk is gone")

    with pytest.raises(InstallError, match="the disk is gone"):
        bring(ground.cloud, replace(whole, chunks=broken))
    location = bring(ground.cloud, whole)
    assert now(ground.cloud.register(whole.upload, location))
    now(ground.cloud.remove(whole.bundle))
    assert ground.left_of(whole.bundle) == []


def test_p8_a_cancel_in_the_middle_leaves_nothing_once_it_is_removed(ground: Ground) -> None:
    content = noise(12 << 20)
    background = ground.background

    def cancelled_midway(stop: Stop) -> Iterator[bytes]:
        yield content[: 11 << 20]
        background.stop.set()
        yield content[11 << 20 :]

    upload = replace(an_upload(content), chunks=cancelled_midway)
    with pytest.raises(Cancelled):
        bring(ground.cloud, upload)
    background.stop = type(background.stop)()
    now(ground.cloud.remove(upload.bundle))
    assert ground.left_of(upload.bundle) == []


def test_removing_twice_or_what_never_was_is_fine(ground: Ground) -> None:
    upload = an_upload(b"x")
    bring(ground.cloud, upload)
    for _ in range(2):
        now(ground.cloud.remove(upload.bundle))
    now(ground.cloud.remove(a_bundle()))
    assert ground.left_of(upload.bundle) == []


@pytest.mark.parametrize("unknown", ["ami-0badc0de", "emi-0BADC0DE", "eki-00000000"])
def test_h11_an_unknown_id_is_not_registered_and_may_be_deregistered(
    ground: Ground, unknown: str
) -> None:
    assert not now(ground.cloud.is_registered(unknown))
    now(ground.cloud.deregister(unknown))


@pytest.mark.parametrize("difference", [-1, 1])
def test_p5_a_stream_of_another_size_than_announced_is_never_an_upload(
    ground: Ground, difference: int
) -> None:
    upload = an_upload(noise(2000))
    with pytest.raises(UnpackError, match=str(2000 + difference)):
        bring(ground.cloud, replace(upload, size_bytes=2000 + difference))


def test_two_uploads_at_once_do_not_disturb_each_other(ground: Ground) -> None:
    uploads = [an_upload(noise(1_500_000 + extra)) for extra in range(4)]

    def one(upload: Parcel) -> str:
        location = bring(ground.cloud, upload)
        return now(ground.cloud.register(upload.upload, location))

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, uploads))
    assert len(set(ids)) == 4
    for image_id in ids:
        assert now(ground.cloud.is_registered(image_id))

"""P4 and H10: an upload that was broken off goes on with the part where it broke."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.bundle import PART_BYTES
from imagestoreproxy.clouds.credentials import from_directory
from imagestoreproxy.model.errors import CloudError, InstallError
from imagestoreproxy.ports import Stop
from tests.functional import cloud_clients, ec2_ground
from tests.functional.ec2_ground import a_cloud, an_upload
from tests.functional.eucarc_directory import EucarcDirectory, make_eucarc_directory
from tests.functional.interceptor import Answer, Interceptor, Request
from tests.functional.parcel import Parcel, bring
from tests.functional.unbundle import unbundle

moto, between = ec2_ground.moto, ec2_ground.between
MIB = 1 << 20
NOISE = random.Random(3).randbytes(35 * MIB)
SECRET = "00112233445566778899aabbccddeeff" * 2


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> EucarcDirectory:
    path = tmp_path_factory.mktemp("resume") / "credentials"
    return make_eucarc_directory(path, "http://ec2/", "http://s3/")


@pytest.fixture
def s3(moto: str) -> Any:
    return cloud_clients.client("s3", moto)


def a_big_upload(content: bytes = NOISE, secret: str = SECRET) -> Parcel:
    def chunks(stop: Stop) -> Iterator[bytes]:
        # After a restart the chunks may have other limits.
        start = 0
        while start < len(content):
            size = random.randint(1, MIB)
            yield content[start : start + size]
            start += size

    small = an_upload()
    bundle = replace(small.bundle, secret=secret)
    upload = replace(small.upload, bundle=bundle)
    return Parcel(upload, len(content), chunks)


def cloud_of(directory: EucarcDirectory, between: Interceptor) -> Any:
    credentials = from_directory(directory.path)
    urls = (f"{between.url}/services/Eucalyptus", f"{between.url}/services/Walrus")
    return a_cloud(credentials.with_urls(*urls))


def parts_put(between: Interceptor) -> list[int]:
    """Give the numbers of the parts that were sent; several are on their way at a time."""
    return sorted(
        int(one.path.rpartition(".")[2])
        for one in between.seen
        if one.method == "PUT" and ".part." in one.path
    )


def parts_there(s3: Any, parcel: Parcel) -> list[int]:
    """Give the numbers of the full parts that S3 holds; moto also keeps what was broken off."""
    try:
        found = s3.list_objects(Bucket=parcel.bundle.bucket).get("Contents", ())
    except s3.exceptions.NoSuchBucket:
        return []
    return sorted(int(one["Key"].rpartition(".")[2]) for one in found if one["Size"] == PART_BYTES)


def opened(s3: Any, location: str, work: Path, directory: EucarcDirectory) -> bytes:
    return unbundle(
        s3,
        location,
        work,
        private_key=directory.cloud_private_key,
        whose="ec2",
        certificate=directory.user_certificate,
    ).image.read_bytes()


def break_off(whole: Parcel, after_bytes: int) -> Parcel:
    def chunks(stop: Stop) -> Iterator[bytes]:
        left = after_bytes
        for chunk in whole.chunks(stop):
            left -= len(chunk)
            if left < 0:
                raise InstallError("killed")
            yield chunk

    return replace(whole, chunks=chunks)


@pytest.mark.parametrize("whole_parts", [0, 1, 3])
def test_p4_parts_that_are_there_are_not_sent_again_and_the_bundle_opens(
    whole_parts: int, directory: EucarcDirectory, between: Interceptor, s3: Any, tmp_path: Path
) -> None:
    whole = a_big_upload()
    with pytest.raises(InstallError, match="killed"):
        broken = break_off(whole, (10 * whole_parts + 4) * MIB)
        bring(cloud_of(directory, between), broken)
    there = parts_there(s3, whole)
    assert set(there) <= set(range(whole_parts)), "those that were on their way may be missing"
    between.seen.clear()
    location = bring(cloud_of(directory, between), whole)
    # What was on its way may have arrived since.
    sent = parts_put(between)
    assert set(range(whole_parts + 1, 4)) <= set(sent) <= set(range(4)) - set(there)
    assert len(sent) == len(set(sent))
    puts = [one.path for one in between.seen if one.method == "PUT"]
    assert puts[-1].endswith(".manifest.xml"), "the manifest comes last"
    assert opened(s3, location, tmp_path, directory) == NOISE


def test_p4_what_is_wrong_or_does_not_belong_is_replaced_and_nothing_else(
    directory: EucarcDirectory, between: Interceptor, s3: Any, tmp_path: Path
) -> None:
    whole = a_big_upload()
    cloud = cloud_of(directory, between)
    bring(cloud, whole)
    bucket, name = whole.bundle.bucket, whole.bundle.name
    same_size = bytes(s3.head_object(Bucket=bucket, Key=f"{name}.part.1")["ContentLength"])
    s3.put_object(Bucket=bucket, Key=f"{name}.part.1", Body=same_size)
    s3.delete_object(Bucket=bucket, Key=f"{name}.part.2")
    for stray in (f"{name}.part.4", f"{name}.part.01", "readme"):
        s3.put_object(Bucket=bucket, Key=stray, Body=b"x")
    between.seen.clear()
    location = bring(cloud, whole)
    assert parts_put(between) == [1, 2]
    keys = [one["Key"] for one in s3.list_objects(Bucket=bucket)["Contents"]]
    assert keys == [f"{name}.manifest.xml", *(f"{name}.part.{i}" for i in range(4))]
    deleted = [one.path.rpartition("/")[2] for one in between.seen if one.method == "DELETE"]
    assert deleted[0] == f"{name}.manifest.xml", "no manifest while parts are missing"
    assert opened(s3, location, tmp_path, directory) == NOISE


@pytest.mark.parametrize("secret", ["", "of an older version"])
def test_without_a_secret_in_the_ledger_all_is_sent_again_under_a_new_key(
    secret: str, directory: EucarcDirectory, between: Interceptor, s3: Any, tmp_path: Path
) -> None:
    upload = a_big_upload(NOISE[: 11 * MIB], secret)
    cloud = cloud_of(directory, between)
    for _ in range(2):
        between.seen.clear()
        location = bring(cloud, upload)
        assert parts_put(between) == [0, 1]
    assert opened(s3, location, tmp_path, directory) == NOISE[: 11 * MIB]


def test_p4_etags_that_are_no_md5_prove_nothing(
    directory: EucarcDirectory, between: Interceptor
) -> None:
    def in_several_parts(request: Request, body: bytes) -> bytes:
        return body.replace(b"&quot;</ETag>", b"-1&quot;</ETag>").replace(
            b'"</ETag>', b'-1"</ETag>'
        )

    upload = a_big_upload(NOISE[: 11 * MIB])
    cloud = cloud_of(directory, between)
    bring(cloud, upload)
    between.rewrite = in_several_parts
    between.seen.clear()
    bring(cloud, upload)
    assert parts_put(between) == [0, 1]


def test_p4_a_part_that_fails_for_good_leaves_the_others_for_the_next_try(
    directory: EucarcDirectory, between: Interceptor, s3: Any
) -> None:
    def refused(request: Request) -> Answer | None:
        return Answer(503, "") if request.path.endswith(".part.2") else None

    between.rule = refused
    upload, cloud = a_big_upload(), cloud_of(directory, between)
    with pytest.raises(CloudError):
        bring(cloud, upload)
    there = parts_there(s3, upload)
    assert there[:2] == [0, 1]
    between.rule = lambda request: None
    between.seen.clear()
    bring(cloud, upload)
    assert 2 in parts_put(between)
    assert not set(there) & set(parts_put(between))


def test_uploads_that_fail_leave_their_memory_to_the_next(
    directory: EucarcDirectory, between: Interceptor
) -> None:
    upload, cloud = a_big_upload(NOISE[: 25 * MIB]), cloud_of(directory, between)
    between.rule = lambda request: Answer(403, "") if ".part." in request.path else None
    for _ in range(5):
        with pytest.raises(CloudError):
            bring(cloud, upload)
    between.rule = lambda request: None
    assert bring(cloud, upload)

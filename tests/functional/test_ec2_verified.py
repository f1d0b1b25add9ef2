"""Only what was read back counts, nothing happens twice, and a cancel leaves nothing."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.ports import Stop
from tests.functional import cloud_clients, ec2_ground
from tests.functional.ec2_ground import (
    a_cloud,
    an_upload,
    s3_error,
)
from tests.functional.inline_background import InlineBackground, now
from tests.functional.interceptor import Answer, Close, Interceptor, Lost, Request
from tests.functional.parcel import bring
from tests.functional.rig import SOON_S

moto, complete = ec2_ground.moto, ec2_ground.complete
between, credentials = ec2_ground.between, ec2_ground.credentials


def test_endpoints_may_have_paths(credentials: Credentials, between: Interceptor) -> None:
    cloud, upload = a_cloud(credentials), an_upload()
    now(cloud.check())
    assert {request.path.split("/")[2] for request in between.seen} == {"Walrus", "Eucalyptus"}
    between.seen.clear()
    location = bring(cloud, upload)
    assert now(cloud.is_registered(now(cloud.register(upload.upload, location))))
    assert {request.path.split("/")[2] for request in between.seen} == {"Walrus", "Eucalyptus"}
    stored = [one for one in between.seen if one.method == "PUT" and "image-" in one.path]
    assert {one.headers["x-amz-acl"] for one in stored} == {"aws-exec-read"}
    assert stored[-1].path.endswith(".manifest.xml"), "parts first, the manifest last"


def test_h10_a_check_is_cheap_and_asks_again_once_something_failed(
    credentials: Credentials, between: Interceptor
) -> None:
    cloud = a_cloud(credentials)
    now(cloud.check())
    assert len(between.seen) <= 10
    between.seen.clear()
    now(cloud.check())
    assert between.seen == [], "known for a minute"
    between.rule = lambda request: s3_error(403, "AccessDenied")
    with pytest.raises(CloudError):
        bring(cloud, an_upload())
    with pytest.raises(CloudError):
        now(cloud.check())


def test_h3_clocks_that_begin_to_differ_are_a_warning_of_the_check(
    credentials: Credentials, between: Interceptor
) -> None:
    cloud = a_cloud(credentials)
    between.headers = {"date": formatdate(time.time() - 200, usegmt=True)}
    now(cloud.check())
    assert [" EC2 at " in one or " S3 at " in one for one in cloud.warnings] == [True, True]
    between.headers = {"date": formatdate(time.time() - 400, usegmt=True)}
    with pytest.raises(CloudError, match="set both by NTP"):
        now(a_cloud(credentials).check())


def test_a_service_without_the_acl_is_told_about_the_option_and_the_option_helps(
    credentials: Credentials, between: Interceptor
) -> None:
    def radosgw(request: Request) -> Answer | None:
        if request.headers.get("x-amz-acl") == "aws-exec-read":
            return s3_error(400, "InvalidArgument")
        return None

    between.rule = radosgw
    with pytest.raises(CloudError, match="--public-read-fallback") as caught:
        bring(a_cloud(credentials), an_upload())
    assert not caught.value.retry_helps
    between.seen.clear()
    assert bring(a_cloud(credentials, public_read_fallback=True), an_upload())
    stored = [
        one.headers["x-amz-acl"]
        for one in between.seen
        if "image-" in one.path and one.method == "PUT"
    ]
    assert stored == ["aws-exec-read", "public-read", "public-read"], "asked once, then known"


def test_a_bucket_of_another_account_is_never_used(
    credentials: Credentials, between: Interceptor
) -> None:
    def taken(request: Request) -> Answer | None:
        is_bucket = request.method == "PUT" and "image-" not in request.path
        return s3_error(409, "BucketAlreadyExists") if is_bucket else None

    between.rule = taken
    with pytest.raises(CloudError, match="of another account"):
        bring(a_cloud(credentials), an_upload())
    assert not any("image-" in request.path for request in between.seen)


def test_p5_an_upload_that_s3_swallowed_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def swallow(request: Request) -> Answer | None:
        return Answer(200) if request.method == "PUT" and ".part." in request.path else None

    between.rule = swallow
    with pytest.raises(CloudError, match="does not hold what was stored"):
        bring(a_cloud(credentials), an_upload())


def test_p5_a_registration_without_an_id_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def without_id(request: Request) -> Answer | None:
        if b"Action=RegisterImage" not in request.body():
            return None
        return Answer(200, "<RegisterImageResponse></RegisterImageResponse>")

    cloud, upload = a_cloud(credentials), an_upload()
    location = bring(cloud, upload)
    between.rule = without_id
    with pytest.raises(CloudError, match="without giving an id"):
        now(cloud.register(upload.upload, location))


def test_p5_an_id_that_ec2_does_not_know_afterwards_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def made_up(request: Request) -> Answer | None:
        if b"Action=RegisterImage" not in request.body():
            return None
        text = "<imageId>emi-00000001</imageId>"
        return Answer(200, f"<RegisterImageResponse>{text}</RegisterImageResponse>")

    cloud, upload = a_cloud(credentials), an_upload()
    location = bring(cloud, upload)
    between.rule = made_up
    with pytest.raises(CloudError, match="emi-00000001 but does not list it"):
        now(cloud.register(upload.upload, location))


def test_p4_an_answer_to_register_that_is_lost_registers_once(
    credentials: Credentials, between: Interceptor, moto: str
) -> None:
    losses = [True]

    def lose(request: Request) -> Answer | None:
        if b"Action=RegisterImage" in request.body() and losses:
            losses.pop()
            raise Lost
        return None

    cloud, upload = a_cloud(credentials), an_upload()
    location = bring(cloud, upload)
    between.rule = lose
    image_id = now(cloud.register(upload.upload, location))
    assert losses == []
    ec2 = cloud_clients.client("ec2", moto)
    ours = [
        image["ImageId"]
        for image in ec2.describe_images(Owners=["self"])["Images"]
        if upload.bundle.bucket in image["Name"]
    ]
    assert ours == [image_id]


@pytest.mark.parametrize("silent_at", ["listing", "body"])
def test_p8_a_cancel_ends_an_upload_to_a_server_that_is_silent(
    silent_at: str, credentials: Credentials, between: Interceptor
) -> None:
    reached = threading.Event()

    def silent(request: Request) -> Answer | None:
        if (request.method == "GET") if silent_at == "listing" else (".part." in request.path):
            reached.set()
            between.released.wait(50)
            raise Close
        return None

    between.rule = silent
    background = InlineBackground()
    cloud = Ec2Cloud(background, credentials)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            bring(cloud, an_upload(random.randbytes(11 << 20)))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert reached.wait(20)
    background.stop.set()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [Cancelled]


def test_a_cancel_ends_the_pause_before_another_try(
    credentials: Credentials, between: Interceptor
) -> None:
    background = InlineBackground()

    def busy_then_cancelled(request: Request) -> Answer | None:
        background.stop.set()
        return s3_error(503, "SlowDown", **{"retry-after": "30"})

    between.rule = busy_then_cancelled
    with pytest.raises(Cancelled):
        bring(Ec2Cloud(background, credentials), an_upload())
    assert len(between.seen) == 1


def test_the_memory_of_an_upload_does_not_depend_on_the_size_of_the_image(
    complete: Credentials, moto: str
) -> None:
    cloud = a_cloud(complete.with_urls(moto, moto))
    bring(cloud, an_upload())

    def noise(stop: Stop) -> Iterator[bytes]:
        for _ in range(64):
            yield random.randbytes(1 << 20)

    big = replace(an_upload(), size_bytes=64 << 20, chunks=noise)
    tracemalloc.start()
    try:
        bring(cloud, big)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * 10485760

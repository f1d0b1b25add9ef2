"""What goes wrong between the proxy and a cloud, and what is said and done about it."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from socket import socket
from typing import Any

import boto3
import pytest

from imagestoreproxy.clouds.credentials import Credentials, from_directory
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.model.images import Architecture, FileKind, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Stop, Upload
from tests.functional.eucarc_directory import make_eucarc_directory
from tests.functional.inline_background import InlineBackground, now
from tests.functional.interceptor import Answer, Close, Interceptor, Lost, Request, interceptor
from tests.functional.moto_server import moto_server


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    path = tmp_path_factory.mktemp("ec2") / "credentials"
    return from_directory(make_eucarc_directory(path, "http://ec2/", "http://s3/").path)


@pytest.fixture
def between(moto: str) -> Iterator[Interceptor]:
    with interceptor(moto) as state:
        yield state


@pytest.fixture
def credentials(complete: Credentials, between: Interceptor) -> Credentials:
    return complete.with_urls(
        f"{between.url}/services/Eucalyptus", f"{between.url}/services/Walrus"
    )


def a_cloud(credentials: Credentials, **options: Any) -> Ec2Cloud:
    return Ec2Cloud(InlineBackground(), credentials, first_pause_s=0.01, **options)


def an_upload(content: bytes = b"linux") -> Upload:
    token = f"{random.getrandbits(64):016x}"
    bundle = Bundle("uri", FileKind.IMAGE, f"isp-{token}", f"image-{token}")

    def chunks(stop: Stop) -> Iterator[bytes]:
        yield content

    return Upload(bundle, len(content), chunks, Architecture.X86_64, Virtualization.HVM)


def s3_error(status: int, code: str, message: str = "m", **headers: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body, {"content-type": "application/xml", **headers})


def ec2_error(status: int, code: str, message: str = "m", **headers: str) -> Answer:
    body = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>r</RequestID></Response>"
    )
    return Answer(status, body, {"content-type": "text/xml", **headers})


def is_s3(request: Request) -> bool:
    return request.path.startswith("/services/Walrus")


def refusing(answer: Answer) -> Callable[[Request], Answer | None]:
    return lambda request: answer if is_s3(request) else None


def told_by_check(credentials: Credentials, **options: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        now(a_cloud(credentials, **options).check())
    assert "\n" not in caught.value.message
    assert "testing-secret" not in caught.value.message
    return caught.value


def a_closed_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_endpoints_may_have_paths(credentials: Credentials, between: Interceptor) -> None:
    cloud, upload = a_cloud(credentials), an_upload()
    now(cloud.check())
    location = now(cloud.upload(upload))
    assert now(cloud.is_registered(now(cloud.register(upload, location))))
    assert {request.path.split("/")[2] for request in between.seen} == {"Walrus", "Eucalyptus"}
    stored = [one for one in between.seen if one.method == "PUT" and "image-" in one.path]
    assert {one.headers["x-amz-acl"] for one in stored} == {"aws-exec-read"}
    assert stored[-1].path.endswith(".manifest.xml"), "parts first, the manifest last"


@pytest.mark.parametrize(
    ("service", "setting"), [("S3", "S3_URL or --s3-url"), ("EC2", "EC2_URL or --ec2-url")]
)
def test_h10_a_service_that_is_down_is_named_with_its_setting_before_the_first_byte(
    service: str, setting: str, credentials: Credentials
) -> None:
    url = f"http://127.0.0.1:{a_closed_port()}/services/x"
    down = credentials.with_urls(**{f"{service.lower()}_url": url})
    error = told_by_check(down)
    assert error.message.startswith(
        f"Cannot reach {service} at {url} ({setting}): connection refused; check"
    )
    assert error.retry_helps


def test_h9_a_host_name_that_is_unknown_is_named(credentials: Credentials) -> None:
    error = told_by_check(credentials.with_urls(s3_url="http://walrus.invalid:8773/"))
    assert "walrus.invalid" in error.message
    assert "the host name is not known" in error.message


def test_h9_an_http_proxy_that_is_down_is_named_without_its_password(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = a_closed_port()
    monkeypatch.setenv("http_proxy", f"http://u:hush-hush@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    message = told_by_check(credentials.with_urls(s3_url="http://walrus.invalid/")).message
    assert "S3 at http://walrus.invalid/" in message
    assert f"through the HTTP proxy 127.0.0.1:{port}): connection refused" in message
    assert "hush-hush" not in message


def test_h8_an_object_store_at_the_loopback_address_is_suspected(
    complete: Credentials, between: Interceptor
) -> None:
    # The services are the same; only the names differ.
    s3_url = f"http://127.0.0.1:{a_closed_port()}/services/Walrus"
    error = told_by_check(complete.with_urls("http://ec2.invalid:8773/", s3_url))
    assert "registered with 127.0.0.1" in error.message


def test_h8_missing_parts_are_all_named_by_the_check(credentials: Credentials) -> None:
    error = told_by_check(replace(credentials, s3_url="", user_certificate=b"", account=""))
    for name in ("S3_URL", "EC2_CERT", "EC2_USER_ID"):
        assert f"{name} is missing in credentials directory" in error.message
    assert not error.retry_helps


@pytest.mark.parametrize("url", ["ftp://host/", "192.168.7.7:8773", "http://"])
def test_an_address_that_is_no_url_is_named(url: str, credentials: Credentials) -> None:
    error = told_by_check(credentials.with_urls(s3_url=url))
    assert "S3_URL or --s3-url" in error.message
    assert url in error.message


@pytest.mark.parametrize("field", ["user_certificate", "user_private_key", "cloud_certificate"])
def test_keys_that_are_none_are_named_by_the_check(field: str, credentials: Credentials) -> None:
    broken: Any = {field: b"-----BEGIN NONSENSE-----"}
    assert "in PEM" in told_by_check(replace(credentials, **broken)).message


def test_a_certificate_of_another_key_is_refused(credentials: Credentials) -> None:
    mixed = replace(credentials, user_certificate=credentials.cloud_certificate)
    assert "do not belong together" in told_by_check(mixed).message


def test_a_service_that_is_busy_is_asked_again(
    credentials: Credentials, between: Interceptor
) -> None:
    busy: list[Answer] = [
        s3_error(503, "SlowDown"),
        s3_error(500, "InternalError", **{"retry-after": "0"}),
        Answer(502, "<html>Bad gateway</html>"),
    ]
    between.rule = lambda request: busy.pop() if is_s3(request) and busy else None
    now(a_cloud(credentials).upload(an_upload()))
    assert busy == []


def test_p7_a_service_that_stays_broken_is_asked_four_times_and_named(
    credentials: Credentials, between: Interceptor
) -> None:
    between.rule = refusing(s3_error(503, "ServiceUnavailable", "come back later"))
    error = told_by_check(credentials)
    assert "could not list buckets: it is overloaded or broken" in error.message
    assert "come back later" in error.message
    assert error.retry_helps
    assert len([one for one in between.seen if is_s3(one)]) == 4


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (s3_error(403, "AccessDenied"), "access denied"),
        (s3_error(403, "InvalidAccessKeyId"), "does not take the access key"),
        (s3_error(403, "SignatureDoesNotMatch"), "check the secret key"),
        (s3_error(400, "ExpiredToken"), "session token has expired"),
        (s3_error(400, "TooManyBuckets", "100"), "a limit of the cloud is reached"),
        (s3_error(418, "Odd", "new \n words"), "Odd: new words"),
        (Answer(404, "<html>no such page</html>"), "HTTP status 404"),
        (Answer(200, "<html>welcome</html>"), "is no S3; check S3_URL"),
    ],
)
def test_h10_a_refusal_is_one_plain_sentence_and_is_not_sent_again(
    answer: Answer, told: str, credentials: Credentials, between: Interceptor
) -> None:
    between.rule = refusing(answer)
    error = told_by_check(credentials)
    assert told in error.message
    assert f"at {between.url}/services/Walrus" in error.message
    assert not error.retry_helps
    assert len([one for one in between.seen if is_s3(one)]) == 1


@pytest.mark.parametrize(
    "answer", [Answer(200, "<html>welcome<br>"), Answer(200, "{}"), Answer(502, "bad gateway")]
)
def test_h10_a_web_server_in_place_of_s3_is_told(
    answer: Answer, credentials: Credentials, between: Interceptor
) -> None:
    between.rule = refusing(answer)
    message = told_by_check(credentials).message
    assert re.search("HTTP status 50[02] without a reason; check S3_URL or --s3-url", message)


def test_h3_clocks_that_differ_are_told_with_the_difference(
    credentials: Credentials, between: Interceptor
) -> None:
    then = formatdate(time.time() - 3600, usegmt=True)
    between.rule = refusing(s3_error(403, "RequestTimeTooSkewed", date=then))
    message = told_by_check(credentials).message
    assert "the clocks differ (ours is 36" in message
    assert "s ahead)" in message


def test_ec2_that_refuses_the_credentials_is_no_good_cloud(
    credentials: Credentials, between: Interceptor
) -> None:
    between.rule = lambda request: None if is_s3(request) else ec2_error(401, "AuthFailure")
    message = told_by_check(credentials).message
    assert message.startswith("EC2 at ")
    assert "get new credentials" in message


def test_a_service_without_the_acl_is_told_about_the_option_and_the_option_helps(
    credentials: Credentials, between: Interceptor
) -> None:
    def radosgw(request: Request) -> Answer | None:
        if request.headers.get("x-amz-acl") == "aws-exec-read":
            return s3_error(400, "InvalidArgument")
        return None

    between.rule = radosgw
    with pytest.raises(CloudError, match="--public-read-fallback") as caught:
        now(a_cloud(credentials).upload(an_upload()))
    assert not caught.value.retry_helps
    between.seen.clear()
    assert now(a_cloud(credentials, public_read_fallback=True).upload(an_upload()))
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
        now(a_cloud(credentials).upload(an_upload()))
    assert not any("image-" in request.path for request in between.seen)


def test_p5_an_upload_that_s3_swallowed_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def swallow(request: Request) -> Answer | None:
        return Answer(200) if request.method == "PUT" and ".part." in request.path else None

    between.rule = swallow
    with pytest.raises(CloudError, match="does not hold what was stored"):
        now(a_cloud(credentials).upload(an_upload()))


def test_p5_a_registration_without_an_id_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def without_id(request: Request) -> Answer | None:
        if b"Action=RegisterImage" not in request.body():
            return None
        return Answer(200, "<RegisterImageResponse></RegisterImageResponse>")

    cloud, upload = a_cloud(credentials), an_upload()
    location = now(cloud.upload(upload))
    between.rule = without_id
    with pytest.raises(CloudError, match="without giving an id"):
        now(cloud.register(upload, location))


def test_p5_an_id_that_ec2_does_not_know_afterwards_is_no_success(
    credentials: Credentials, between: Interceptor
) -> None:
    def made_up(request: Request) -> Answer | None:
        if b"Action=RegisterImage" not in request.body():
            return None
        text = "<imageId>emi-00000001</imageId>"
        return Answer(200, f"<RegisterImageResponse>{text}</RegisterImageResponse>")

    cloud, upload = a_cloud(credentials), an_upload()
    location = now(cloud.upload(upload))
    between.rule = made_up
    with pytest.raises(CloudError, match="emi-00000001 but does not list it"):
        now(cloud.register(upload, location))


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
    location = now(cloud.upload(upload))
    between.rule = lose
    image_id = now(cloud.register(upload, location))
    assert losses == []
    ec2 = boto3.client(
        "ec2",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    ours = [
        image["ImageId"]
        for image in ec2.describe_images(Owners=["self"])["Images"]
        if upload.bundle.bucket in image["Name"]
    ]
    assert ours == [image_id]


def test_h9_a_connection_that_closes_without_an_answer_is_told(
    credentials: Credentials, between: Interceptor
) -> None:
    def close(request: Request) -> Answer | None:
        if is_s3(request):
            raise Close
        return None

    between.rule = close
    assert "without an answer" in told_by_check(credentials).message


def test_h6_a_certificate_of_an_unknown_authority_needs_the_ca_bundle(
    credentials: Credentials, moto: str, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-subj", "/CN=cloud", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with interceptor(moto, (certificate, key)) as tls:
        secured = credentials.with_urls(s3_url=f"{tls.url}/services/Walrus")
        error = told_by_check(secured)
        assert "its certificate is not trusted (self-signed certificate)" in error.message
        assert "--ca-bundle" in error.message
        assert not error.retry_helps
        cloud = a_cloud(secured, ca_bundle=str(certificate))
        now(cloud.check())
        now(cloud.upload(an_upload()))
        stored = next(one for one in tls.seen if ".part.0" in one.path)
        assert stored.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_h5_https_to_a_server_without_tls_is_told(
    credentials: Credentials, between: Interceptor
) -> None:
    wrong = credentials.with_urls(s3_url=between.url.replace("http:", "https:"))
    assert "does not speak TLS" in told_by_check(wrong).message


@pytest.mark.parametrize("silent_at", ["listing", "body"])
def test_p8_a_cancel_ends_an_upload_to_a_silent_server_within_two_seconds(
    silent_at: str, credentials: Credentials, between: Interceptor
) -> None:
    reached = threading.Event()

    def silent(request: Request) -> Answer | None:
        if (request.method == "GET") if silent_at == "listing" else (".part." in request.path):
            reached.set()
            between.released.wait(30)
            raise Close
        return None

    between.rule = silent
    background = InlineBackground()
    cloud = Ec2Cloud(background, credentials)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            now(cloud.upload(an_upload(random.randbytes(11 << 20))))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert reached.wait(20)
    background.stop.set()
    thread.join(2)
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
        now(Ec2Cloud(background, credentials).upload(an_upload()))
    assert len(between.seen) == 1


def test_the_memory_of_an_upload_does_not_depend_on_the_size_of_the_image(
    complete: Credentials, moto: str
) -> None:
    cloud = a_cloud(complete.with_urls(moto, moto))
    now(cloud.upload(an_upload()))

    def noise(stop: Stop) -> Iterator[bytes]:
        for _ in range(64):
            yield random.randbytes(1 << 20)

    big = replace(an_upload(), size_bytes=64 << 20, chunks=noise)
    tracemalloc.start()
    try:
        now(cloud.upload(big))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * 10485760

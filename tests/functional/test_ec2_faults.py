"""What goes wrong between the proxy and a cloud, and what is said about it."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.frontend.iam import account_number
from tests.functional import ec2_ground
from tests.functional.ec2_ground import (
    a_cloud,
    an_upload,
    ec2_error,
    is_s3,
    refusing,
    s3_error,
    told_by_check,
)
from tests.functional.inline_background import now
from tests.functional.interceptor import Answer, Close, Interceptor, Request, interceptor
from tests.functional.parcel import bring
from tests.functional.ports import free_port
from tests.unit.memory import NeverStop

moto, complete = ec2_ground.moto, ec2_ground.complete
between, credentials = ec2_ground.between, ec2_ground.credentials


@pytest.mark.parametrize(
    ("service", "setting"), [("S3", "S3_URL or --s3-url"), ("EC2", "EC2_URL or --ec2-url")]
)
def test_h10_a_service_that_is_down_is_named_with_its_setting_before_the_first_byte(
    service: str, setting: str, credentials: Credentials
) -> None:
    url = f"http://127.0.0.1:{free_port()}/services/x"
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
    port = free_port()
    monkeypatch.setenv("http_proxy", f"http://u:hush-hush@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    message = told_by_check(credentials.with_urls(s3_url="http://walrus.invalid/")).message
    assert "S3 at http://walrus.invalid/" in message
    assert f"through the HTTP proxy 127.0.0.1:{port}): connection refused" in message
    assert "hush-hush" not in message


def test_a_cloud_on_this_machine_is_reached_by_no_http_proxy(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    now(a_cloud(credentials).check())
    account = account_number(
        replace(credentials, iam_url=credentials.ec2_url), "us-east-1", "", NeverStop()
    )
    assert account.isdigit()


def test_h8_an_object_store_at_the_loopback_address_is_suspected(
    complete: Credentials, between: Interceptor
) -> None:
    # The services are the same; only the names differ.
    s3_url = f"http://127.0.0.1:{free_port()}/services/Walrus"
    error = told_by_check(complete.with_urls("http://ec2.invalid:8773/", s3_url))
    assert "registered with 127.0.0.1" in error.message


def test_h8_missing_parts_are_all_named_by_the_check(credentials: Credentials) -> None:
    error = told_by_check(replace(credentials, s3_url="", user_certificate=b"", account=""))
    for name in ("S3_URL", "EC2_CERT", "EC2_USER_ID"):
        assert f"{name} is missing in credentials directory" in error.message
    assert not error.retry_helps


@pytest.mark.parametrize("url", ["ftp://host/", "192.168.7.7:8773", "http://", "http://my_cloud/"])
def test_an_address_that_is_no_url_is_named(url: str, credentials: Credentials) -> None:
    error = told_by_check(credentials.with_urls(s3_url=url))
    assert "S3_URL or --s3-url" in error.message
    assert url in error.message


def test_a_password_in_an_address_is_not_told(credentials: Credentials) -> None:
    url = f"http://me:hush-hush@127.0.0.1:{free_port()}/services/Walrus"
    message = told_by_check(credentials.with_urls(s3_url=url)).message
    assert "hush" not in message
    assert "S3 at http://127.0.0.1:" in message


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
    bring(a_cloud(credentials), an_upload())
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
    ("answer", "told", "asked"),
    [
        # What may be said to a signature is asked once more in each manner of signing.
        (s3_error(403, "AccessDenied"), "access denied", 5),
        (s3_error(403, "InvalidAccessKeyId"), "does not take the access key", 5),
        (s3_error(403, "SignatureDoesNotMatch"), "check the secret key", 5),
        (s3_error(403, "RequestTimeTooSkewed"), "the clocks differ", 1),
        (s3_error(400, "ExpiredToken"), "session token has expired", 1),
        (s3_error(400, "TooManyBuckets", "100"), "a limit of the cloud is reached", 1),
        (s3_error(418, "Odd", "new \n words"), "Odd: new words", 1),
        (Answer(404, "<html>no such page</html>"), "HTTP status 404", 5),
        (Answer(200, "<html>welcome</html>"), "is no S3; check S3_URL", 1),
    ],
)
def test_h10_a_refusal_is_one_plain_sentence_and_is_not_sent_again(
    answer: Answer, told: str, asked: int, credentials: Credentials, between: Interceptor
) -> None:
    between.rule = refusing(answer)
    error = told_by_check(credentials)
    assert told in error.message
    assert f"at {between.url}/services/Walrus" in error.message
    assert not error.retry_helps
    assert len([one for one in between.seen if is_s3(one)]) == asked


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
    assert "s ahead: " in message
    assert "there, UTC)" in message


def test_ec2_that_refuses_the_credentials_is_no_good_cloud(
    credentials: Credentials, between: Interceptor
) -> None:
    between.rule = lambda request: None if is_s3(request) else ec2_error(401, "AuthFailure")
    message = told_by_check(credentials).message
    assert message.startswith("EC2 at ")
    assert "get new credentials" in message


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
    key, certificate = a_certificate(tmp_path, "cloud", "-addext", "subjectAltName=IP:127.0.0.1")
    with interceptor(moto, (certificate, key)) as tls:
        secured = credentials.with_urls(s3_url=f"{tls.url}/services/Walrus")
        error = told_by_check(secured)
        assert "its certificate is not trusted (self-signed certificate)" in error.message
        assert "--ca-bundle" in error.message
        assert not error.retry_helps
        cloud = a_cloud(secured, ca_bundle=str(certificate))
        now(cloud.check())
        bring(cloud, an_upload())
        stored = next(one for one in tls.seen if ".part.0" in one.path)
        assert stored.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def a_certificate(directory: Path, name: str, *more: str) -> tuple[Path, Path]:
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-subj", f"/CN={name}", *more, "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return key, certificate


def test_the_certificate_of_eucalyptus_itself_is_no_authority_for_its_addresses(
    credentials: Credentials, moto: str, tmp_path: Path
) -> None:
    """What it serves by default names nobody but "eucalyptus": to trust it is not enough."""
    key, certificate = a_certificate(tmp_path, "eucalyptus")
    with interceptor(moto, (certificate, key)) as tls:
        secured = credentials.with_urls(s3_url=f"{tls.url}/services/Walrus")
        error = told_by_check(secured, ca_bundle=str(certificate))
    assert "its certificate is made out to another name" in error.message
    assert "use the name that is in it, or have one made for this address" in error.message
    assert not error.retry_helps


def test_h5_https_to_a_server_without_tls_is_told(
    credentials: Credentials, between: Interceptor
) -> None:
    wrong = credentials.with_urls(s3_url=between.url.replace("http:", "https:"))
    assert "does not speak TLS" in told_by_check(wrong).message

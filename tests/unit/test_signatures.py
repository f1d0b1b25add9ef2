"""Requests are signed in the manner that the service takes, and another is looked for but once."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, EndpointConnectionError

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.manners import NOT_AGAIN_S, Manners, manners
from imagestoreproxy.clouds.signatures import Manner, Signer

KEYS = Credentials("here", "ID", "SECRET")
NOW_S = 1_790_000_000.0
S3_URL = "http://10.0.0.1:8773/services/Walrus"
EC2_URL = "http://10.0.0.1:8773/services/Eucalyptus"


def a_signer(service: str, manner: Manner, keys: Credentials = KEYS) -> Signer:
    path = "/services/Walrus" if service == "s3" else "/services/Eucalyptus"
    signer = Signer(service, path, "us-east-1", lambda: keys, lambda: NOW_S)
    signer.manner = manner
    return signer


def of_ec2(**parameters: str) -> Any:
    return AWSRequest("POST", EC2_URL, data={"Action": "DescribeImages", **parameters})


def of_s3(path: str = "/bucket/key", **more: Any) -> Any:
    request = AWSRequest("GET", f"{S3_URL}{path}", **more)
    # As botocore leaves it: the path of another endpoint than ours.
    request.auth_path = path
    return request


def query_signature(path: str, parameters: dict[str, str]) -> str:
    pairs = "&".join(
        f"{name}={quote(value, safe='-_.~')}"
        for name, value in sorted(parameters.items())
        if name != "Signature"
    )
    text = f"POST\n10.0.0.1:8773\n{path}\n{pairs}"
    return b64encode(hmac.digest(b"SECRET", text.encode(), "sha256")).decode()


@pytest.mark.parametrize(
    ("with_path", "path"), [(True, "/services/Eucalyptus"), (False, "/")], ids=["path", "bare"]
)
def test_version_2_of_ec2_signs_host_path_and_parameters(with_path: bool, path: str) -> None:
    request = of_ec2(Description="a b/c")
    a_signer("ec2", Manner(2, with_path))(request)
    assert request.url == EC2_URL
    assert request.data["AWSAccessKeyId"] == "ID"
    assert request.data["Timestamp"] == "2026-09-21T14:13:20Z"
    assert request.data["Signature"] == query_signature(path, request.data)


def test_no_signature_of_version_2_is_given_twice() -> None:
    """Eucalyptus takes the second for a replay: identical requests of one second differ."""
    sign = a_signer("ec2", Manner(2))
    requests = [of_ec2() for _ in range(3)]
    for request in requests:
        sign(request)
    assert len({request.data["Signature"] for request in requests}) == 3
    assert [request.data["Timestamp"][-3:] for request in requests] == ["20Z", "19Z", "18Z"]


@pytest.mark.parametrize(
    ("with_path", "path"),
    [(True, "/services/Walrus/bucket/key"), (False, "/bucket/key")],
    ids=["path", "bare"],
)
def test_version_2_of_s3_signs_the_path_as_it_is_sent(with_path: bool, path: str) -> None:
    request = of_s3(headers={"x-amz-acl": "aws-exec-read", "Content-MD5": "m"})
    a_signer("s3", Manner(2, with_path))(request)
    date = request.headers["Date"]
    text = f"GET\nm\n\n{date}\nx-amz-acl:aws-exec-read\n{path}"
    expected = b64encode(hmac.digest(b"SECRET", text.encode(), "sha1")).decode()
    assert request.headers["Authorization"] == f"AWS ID:{expected}"
    assert request.url == f"{S3_URL}/bucket/key"


def test_a_listing_for_an_old_walrus_has_no_parameter_that_it_does_not_know() -> None:
    request = of_s3("/bucket?marker=a&encoding-type=url")
    a_signer("s3", Manner(2))(request)
    assert request.url == f"{S3_URL}/bucket?marker=a"


@pytest.mark.parametrize("service", ["s3", "ec2"])
def test_version_4_names_region_and_service(service: str) -> None:
    request = of_s3() if service == "s3" else of_ec2()
    request.context["client_config"] = None
    a_signer(service, Manner(4))(request)
    scope = f"/us-east-1/{service}/aws4_request"
    assert scope in request.headers["Authorization"]
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=ID/")


@pytest.mark.parametrize("version", [2, 4])
def test_a_session_token_goes_along(version: int) -> None:
    keys = Credentials("here", "ID", "SECRET", "TOKEN")
    request = of_ec2()
    a_signer("ec2", Manner(version), keys)(request)
    told = request.headers.get("X-Amz-Security-Token") or request.data["SecurityToken"]
    assert told == "TOKEN"


def test_what_a_thread_tries_does_not_change_the_manner_of_the_others() -> None:
    sign = a_signer("ec2", Manner(4))
    request = of_ec2()
    with sign.trying(Manner(2)):
        sign(request)
    assert request.data["SignatureVersion"] == "2"
    assert sign.manner == Manner(4)


def test_the_manners_of_the_setting_and_of_the_address() -> None:
    assert manners("auto", "/") == [Manner(4), Manner(2)]
    assert manners("2", "/services/Walrus") == [Manner(2), Manner(2, with_path=False)]
    assert manners("auto", "/services/Walrus/") == [
        Manner(4),
        Manner(2),
        Manner(4, with_path=False),
        Manner(2, with_path=False),
    ]


def refused(code: str, status: int = 403) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "DescribeImages"
    )


class TriedSigner:
    """Signs nothing, and tells in which manner it would."""

    def __init__(self) -> None:
        self.manner = self.tried = Manner(4)

    @contextmanager
    def trying(self, manner: Manner) -> Iterator[None]:
        self.tried = manner
        yield
        self.tried = self.manner


class Search:
    """Manners with a service that takes one of them."""

    def __init__(self, *taken: Manner, code: str = "403") -> None:
        self.signer = TriedSigner()
        self.taken = taken
        self.code = code
        self.asked: list[Manner] = []
        self.now_s = 0.0
        candidates = manners("auto", "/services/Eucalyptus")
        signer = cast(Signer, self.signer)
        self.manners = Manners(signer, candidates, self.probe, lambda: self.now_s)

    def probe(self) -> bool:
        self.asked.append(self.signer.tried)
        if self.signer.tried not in self.taken:
            raise refused(self.code)
        return True

    def after(self, failure: Exception, signed: Manner | None = None) -> Exception | None:
        def send(request: Callable[[], bool]) -> bool:
            return request()

        return self.manners.another(signed or self.manners.manner, failure, send)


def test_the_first_manner_that_is_taken_is_kept() -> None:
    search = Search(Manner(2))
    assert search.after(refused("403")) is None
    assert search.manners.manner == Manner(2)
    assert search.asked == [Manner(4), Manner(2)]
    failure = refused("403")
    assert search.after(failure) is failure
    assert len(search.asked) == 2


def test_who_asked_in_the_old_manner_meanwhile_asks_again_without_a_search() -> None:
    search = Search(Manner(2))
    assert search.after(refused("403")) is None
    assert search.after(refused("403"), Manner(4)) is None
    assert len(search.asked) == 2


def test_a_refusal_in_a_manner_that_is_taken_stands() -> None:
    search = Search(Manner(4))
    failure = refused("AccessDenied")
    assert search.after(failure) is failure
    assert search.manners.manner == Manner(4)


def test_after_a_request_that_was_taken_nothing_is_searched() -> None:
    search = Search(Manner(2))
    search.manners.taken()
    failure = refused("403")
    assert search.after(failure) is failure
    assert search.asked == []


@pytest.mark.parametrize("code", ["SlowDown", "RequestTimeTooSkewed", "TooManyBuckets"])
def test_what_is_no_matter_of_signatures_is_told_as_it_is(code: str) -> None:
    search = Search(Manner(2))
    failure = refused(code)
    assert search.after(failure) is failure
    assert search.asked == []


def test_a_search_in_vain_gives_the_answer_with_a_reason_and_is_not_done_at_once_again() -> None:
    search = Search(code="InvalidAccessKeyId")
    told = search.after(refused("500", 500))
    assert isinstance(told, ClientError)
    assert told.response["Error"]["Code"] == "InvalidAccessKeyId"
    assert search.manners.manner == Manner(4)
    assert len(search.asked) == 4
    search.after(refused("403"))
    assert len(search.asked) == 4
    search.now_s += NOT_AGAIN_S
    search.after(refused("403"))
    assert len(search.asked) == 8


def test_a_service_that_is_down_by_now_ends_the_search() -> None:
    search = Search()

    def down(request: Callable[[], bool]) -> bool:
        raise EndpointConnectionError(endpoint_url="http://x")

    failure = refused("403")
    assert search.manners.another(Manner(4), failure, down) is failure
    assert search.manners.manner == Manner(4)


def test_forgetting_keeps_the_manner_but_lets_another_be_found() -> None:
    search = Search(Manner(2))
    search.after(refused("403"))
    search.manners.forget()
    assert search.manners.manner == Manner(2)
    search.taken = (Manner(4),)
    assert search.after(refused("403")) is None
    assert search.manners.manner == Manner(4)

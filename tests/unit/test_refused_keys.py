"""When keys are believed to be refused, so that they are fetched again: not for a wrong clock."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagestoreproxy.clouds.clouderrors import refuses_keys

NOW_S = 1_800_000_000.0


def refusal(status: int, code: str, message: str = "", *, ahead_s: float = 0.0) -> ClientError:
    """Give an answer of a service whose clock is ahead of ours."""
    answer: dict[str, Any] = {
        "Error": {"Code": code or str(status), "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {"date": formatdate(NOW_S + ahead_s, usegmt=True)},
        },
    }
    return ClientError(answer, "DescribeImages")


MAYBE = [
    (401, "AuthFailure", ""),
    (403, "SignatureDoesNotMatch", ""),
    (401, "401", "User authentication failed."),
    (403, "", ""),
]


@pytest.mark.parametrize(("status", "code", "message"), MAYBE)
def test_a_refused_signature_counts_only_where_no_clock_can_be_why(
    status: int, code: str, message: str
) -> None:
    assert refuses_keys(refusal(status, code, message), NOW_S)
    assert refuses_keys(refusal(status, code, message, ahead_s=60), NOW_S)
    for ahead_s in (-3600, 3600):
        assert not refuses_keys(refusal(status, code, message, ahead_s=ahead_s), NOW_S)


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"])
def test_what_says_that_the_clock_is_wrong_is_no_refusal(code: str) -> None:
    assert not refuses_keys(refusal(403, code, "authentication failed"), NOW_S)


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "ExpiredToken"])
def test_keys_that_are_not_known_are_refused_whatever_the_clock(code: str) -> None:
    assert refuses_keys(refusal(403, code, ahead_s=3600), NOW_S)


def test_what_is_no_matter_of_keys_is_no_refusal() -> None:
    assert not refuses_keys(refusal(503, "ServiceUnavailable"), NOW_S)
    assert not refuses_keys(TimeoutError(), NOW_S)

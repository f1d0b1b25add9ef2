"""What botocore raises, told in one plain sentence: endpoint, its setting, cause, what to do."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import botocore.exceptions as boto

from imagestoreproxy.clouds.cloudwords import (
    LIMIT_REACHED,
    LIMITS,
    MEANINGS,
    NOT_BOUND,
    PASSING,
    REFUSED_SIGNATURE,
    SAID,
    SIGNATURE,
    SKEWED,
    STATUS,
    UNKNOWN_KEYS,
    UNTAKEN,
)
from imagestoreproxy.model.errors import CloudError

Kind = TypeVar("Kind", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service answers.

    Args:
        service: ``S3`` or ``EC2``.
        setting: by which the user says so, such as ``S3_URL or --s3-url``.
    """

    service: str
    url: str
    setting: str

    def __str__(self) -> str:
        return f"{self.service} at {self.url}"


class TooLongError(boto.HTTPClientError):  # type: ignore[misc]
    """An answer is longer than any that S3 or EC2 gives."""

    fmt = "more than {limit_mib} MiB"


CAUSES = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
}
# A signature whose clock is further off than some minutes is refused.
CLOCK_S = 120.0
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
OTHER_NAME = (62, 64)
OWN_NAME = "use the name that is in it, or have one made for this address"
TIMEOUTS = (boto.ConnectTimeoutError, boto.ReadTimeoutError)


def code_of(error: BaseException) -> str:
    """Give the error code of a service's answer, or empty."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def has_reason(error: BaseException) -> bool:
    """Tell whether a service's answer gives a reason: a code that is more than its HTTP status."""
    code = code_of(error)
    return bool(code) and not STATUS.match(code)


def telling(error: BaseException) -> int:
    """Rank refusals by how much they tell: a known reason, the request's fault, or nothing."""
    message = _message(error)
    if has_reason(error) or any(words.search(message) for words, _ in SAID):
        return 2
    return 1 if status_of(error) < 500 else 0


def may_be_signature(error: BaseException) -> bool:
    """Tell whether the manner of its signature may be why a request was refused."""
    code = code_of(error)
    return code not in PASSING | SKEWED and (not has_reason(error) or bool(SIGNATURE.search(code)))


def refuses_keys(error: BaseException, now_s: float) -> bool:
    """Tell whether a request was refused as the service does not know the keys.

    Args:
        now_s: Unix seconds. A signature is refused for the clock, too, and most clouds do not say
            which of the two it was.
    """
    code = code_of(error)
    if code in UNKNOWN_KEYS:
        return True
    served_s = served_at_s(_answer(error))
    if code in SKEWED or (served_s and abs(now_s - served_s) > CLOCK_S):
        return False
    # Eucalyptus before 2.0 gives no reason; nor can an answer to HEAD.
    is_bare = _is_bare(error) and status_of(error) in (401, 403)
    is_head = str(getattr(error, "operation_name", "")).startswith("Head")
    is_told = code in REFUSED_SIGNATURE or UNTAKEN.search(_message(error))
    return bool(is_told) or (is_bare and not is_head)


def is_not_understood(error: BaseException) -> bool:
    """Tell whether a request was refused as it has what an old service does not know."""
    if not _answer(error):
        return False
    # Before 2.0 there is not even a message.
    is_bare = _is_bare(error) and status_of(error) == 400
    return is_bare or bool(NOT_BOUND.search(_message(error)))


def _is_bare(error: BaseException) -> bool:
    return bool(_answer(error)) and not has_reason(error) and not _message(error)


def status_of(error: BaseException) -> int:
    """Give the HTTP status of a service's answer, or 0."""
    status = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status if isinstance(status, int) else 0


def retry_after_s(error: BaseException) -> float:
    """Give what the service asked to wait, in seconds or as a date; else 0."""
    text = headers_of(_answer(error)).get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until_s = _unix_s(text)
    return max(0.0, until_s - time.time()) if until_s else 0.0


def may_pass(error: BaseException) -> bool:
    """Tell whether the same request may succeed in a moment."""
    if _answer(error):
        return status_of(error) >= 500 or status_of(error) == 429 or code_of(error) in PASSING
    if isinstance(error, TooLongError | boto.SSLError):
        return False
    connection = isinstance(error, boto.ConnectionError | boto.HTTPClientError | TimeoutError)
    return connection and _first(error, ssl.SSLError) is None


def cloud_error(error: Exception, endpoint: Endpoint, what: str, now_s: float) -> CloudError:
    """Tell ``error`` in plain words.

    Args:
        error: from botocore.
        what: what was asked for, after "could not", such as ``list buckets``.
        now_s: Unix seconds, to compare with the service's clock.
    """
    if _answer(error):
        text = _refused(error, endpoint, what, now_s)
    else:
        text = _unreachable(error, endpoint)
    return CloudError(text, retry_helps=may_pass(error))


def _refused(error: Exception, endpoint: Endpoint, what: str, now_s: float) -> str:
    code, status, message = code_of(error), status_of(error), _message(error)
    meaning = next((text for words, text in SAID if words.search(message)), "")
    meaning = meaning or next((text for codes, text in MEANINGS if code in codes), "")
    if not meaning and _is_bare(error) and status in (401, 403):
        meaning = (
            "access denied without a reason; check the keys, {setting} with its path, and that the "
            "user of these keys may do this ({code})"
        )
    if not meaning and _is_bare(error):
        # No S3 and no EC2 answers without a code: a web server does, or a gateway before a cloud.
        meaning = "HTTP status {code} without a reason; check {setting}, with its path"
    if not meaning and LIMITS.search(code):
        meaning = LIMIT_REACHED
    if not meaning and status >= 500:
        meaning = "it is overloaded or broken ({code}: {message})"
    told = (meaning or "{code}: {message}").format(
        code=code or status,
        message=_short(message),
        difference=_difference(error, now_s),
        place=_place(error),
        setting=endpoint.setting,
    )
    return f"{endpoint} could not {what}: {told}."


def _unreachable(error: Exception, endpoint: Endpoint) -> str:
    start = f"Cannot reach {endpoint} ({endpoint.setting}"
    # What stands before the @ is a secret, and botocore's own way to hide it has holes.
    proxy = re.sub(r".*(@|//)", "", str(getattr(error, "kwargs", {}).get("proxy_url") or ""))
    start += f", through the HTTP proxy {proxy})" if proxy else ")"
    cause, advice = _cause(error)
    return f"{start}: {cause}; {advice}."


def _cause(error: Exception) -> tuple[str, str]:
    cause, advice = "", "check the address and that the service runs"
    if tls := _first(error, ssl.SSLCertVerificationError):
        cause = f"its certificate is not trusted ({tls.verify_message})"
        advice = "give the certificate authority's file with --ca-bundle"
        if tls.verify_code in OTHER_NAME:
            advice = OWN_NAME
    elif isinstance(error, boto.SSLError) and re.search("match|subjectAltName", str(error)):
        # Seen by urllib3 itself: a certificate that names no address at all, or only others.
        cause, advice = "its certificate is made out to another name", OWN_NAME
    elif tls_error := _first(error, ssl.SSLError):
        cause = f"it does not speak TLS as expected ({tls_error.reason or 'TLS failed'})"
        advice = "check whether the URL must begin with http or https"
    elif lookup := _first(error, socket.gaierror):
        cause = f"the host name is not known ({lookup.strerror})"
        advice = "check the name and your DNS"
    elif isinstance(error, TooLongError):
        cause = f"its answer does not end ({error})"
        advice = "check that the URL is right, with its path"
    elif isinstance(error, TIMEOUTS) or _first(error, TimeoutError):
        cause = "no answer in time"
        advice += ", and for a firewall between"
    elif isinstance(error, boto.ConnectionClosedError):
        cause = "the connection was closed without an answer"
    elif told := _errno(error):
        cause = CAUSES.get(told, os.strerror(told))
    else:
        cause = "what answers there is neither S3 nor EC2"
        advice = "check that the URL is right, with its path"
    return cause, advice


def _difference(error: Exception, now_s: float) -> str:
    served_s = served_at_s(_answer(error))
    if not served_s or abs(now_s - served_s) < 60:
        return ""
    return f" ({told_difference(now_s, served_s)})"


def served_at_s(answer: dict[str, Any]) -> float:
    """Give the service's clock when it answered, in Unix seconds; 0 where it does not say."""
    return _unix_s(headers_of(answer).get("date", ""))


def told_difference(now_s: float, served_s: float) -> str:
    """Tell two clocks, ours first."""
    seconds = round(abs(now_s - served_s))
    ours, theirs = (
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s)) for at_s in (now_s, served_s)
    )
    return (
        f"ours is {seconds} s {'ahead' if now_s > served_s else 'behind'}: {ours} here, "
        f"{theirs} there, UTC"
    )


def _unix_s(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _place(error: Exception) -> str:
    told = (
        _answer(error).get("Error", {}).get("Endpoint"),
        headers_of(_answer(error)).get("x-amz-bucket-region"),
    )
    place = ", ".join(_short(str(one)) for one in told if one)
    return f" ({place})" if place else ""


def no_service(endpoint: Endpoint) -> CloudError:
    """Give the error for an answer that is well-formed, and none of this service."""
    return CloudError(
        f"What answers at {endpoint.url} is no {endpoint.service}; check {endpoint.setting}, with "
        "its path.",
        retry_helps=False,
    )


def _first(error: BaseException, kind: type[Kind]) -> Kind | None:
    return next((one for one in _chain(error) if isinstance(one, kind)), None)


def _errno(error: BaseException) -> int:
    # Some of botocore's own errors are OSErrors, too, but without a number.
    return next((one.errno for one in _chain(error) if isinstance(one, OSError) and one.errno), 0)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give the error and all that led to it, bounded against circles."""
    todo, seen = [error], list[BaseException]()
    while todo and len(seen) < 20:
        one = todo.pop(0)
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        # botocore keeps what it wraps in its keywords, urllib3 in an attribute or the arguments.
        wrapped = (getattr(one, "kwargs", {}).get("error"), getattr(one, "original_error", None))
        led = (one.__cause__, one.__context__, *wrapped, *one.args)
        todo += [other for other in led if isinstance(other, BaseException)]


def _answer(error: BaseException) -> dict[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}


def _message(error: BaseException) -> str:
    text = str(_answer(error).get("Error", {}).get("Message") or "")
    # The HTTP status's own words, which botocore gives where there is no other message.
    return "" if text == http.client.responses.get(status_of(error)) else text


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    """Give the headers of a service's answer, names in lower case."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _short(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")

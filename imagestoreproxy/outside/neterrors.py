"""What went wrong on the way to a store, in plain words.

Each text names the URL, the address, the HTTP proxy and the cause, tells this machine's network
from the store, and says what to do.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pycurl

from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.outside.exchange import Answer, Limits, Request

# By number: libcurl 7.62 made one of the two, and the names in pycurl have moved.
UNTRUSTED = (51, 60)

_CLEAR_TEXT = ("wrong version number", "packet length too long", "unknown protocol", "http request")
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_WHITE = re.compile(r"\s+")


def failure(
    request: Request,
    cause: str,
    *,
    address: str = "",
    retry_helps: bool = True,
    status: int = 0,
    retry_after_s: float = 0.0,
) -> FetchError:
    """Give the error for a cause: URL, address and HTTP proxy are added to it."""
    at = f"address {address}" if address else "no address yet"
    through = f"HTTP proxy {masked(request.proxy)}" if request.proxy else "no HTTP proxy"
    text = f"Cannot fetch {masked(request.url)} ({at}, {through}): {cause}."
    return FetchError(text, retry_helps=retry_helps, status=status, retry_after_s=retry_after_s)


def network_error(
    request: Request, answer: Answer, limits: Limits, certificate: Answer | None = None
) -> FetchError:
    """Classify what libcurl says.

    Args:
        certificate: what a look at the server's certificate found, if one was taken.
    """
    host = urlsplit(request.url).hostname or "the host"
    if answer.refused:
        return failure(
            request,
            f"{host} has the local address {answer.refused}, and a source on the public net may "
            "not send this machine to a local address",
            address=answer.refused,
            retry_helps=False,
        )
    cause, retry_helps = _cause(request, answer, limits, host, certificate or Answer())
    return failure(request, cause, address=answer.address, retry_helps=retry_helps)


def status_error(request: Request, answer: Answer) -> FetchError:
    """Give the error for an HTTP status that is of no use, with a hint where there is one."""
    status = answer.status
    who = urlsplit(request.url).hostname or "the server"
    hint, retry_helps = _HINTS.get(status) or _CLASSES.get(status // 100, ("", False))
    asked_s = retry_after_s(answer.headers, time.time()) if status in _MAY_ASK_TO_WAIT else 0.0
    wait = f", after {asked_s:.0f} s as it asks" if asked_s else ""
    cause = f"{who} answered with the HTTP status {status}{hint}{wait}"
    return failure(
        request,
        cause,
        address=answer.address,
        retry_helps=retry_helps,
        status=status,
        retry_after_s=asked_s,
    )


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float:
    """Give the seconds that ``Retry-After`` asks for, at most a day; 0 for none or a senseless one.

    RFC 9110, 10.2.3. A date is taken from the server's own ``Date``, where it says one: the two
    clocks need not agree.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), _LONGEST_WAIT_S)
    until_s = _date_s(value)
    if until_s is None:
        return 0.0
    from_s = _date_s(headers.get("date", ""))
    return min(max(0.0, until_s - (now_s if from_s is None else from_s)), _LONGEST_WAIT_S)


def _date_s(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value[:100]).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


_MAY_ASK_TO_WAIT = (429, 503)
_LONGEST_WAIT_S = 86400.0
_HINTS = {
    401: ("; it wants a user and a password, which belong into the source's URL", False),
    403: ("; it forbids this, check whether this machine may use the store", False),
    404: ("; there is no such file any more, check the source's URL or refresh the list", False),
    407: ("; the HTTP proxy wants a user and a password, write it as http://USER:PW@HOST:PORT",
          False),
    408: ("; it waited too long for the request, check this machine's network", True),
    410: ("; the file was withdrawn, refresh the list", False),
    416: ("; its file is shorter than what was to come from it", False),
    425: ("; it wants to be asked again", True),
    429: ("; it says that it is asked too often, try again later", True),
    451: ("; it may not give the file for legal reasons", False),
}  # fmt: skip
_CLASSES = {
    1: ("; an answer never followed, check what is at this URL", True),
    2: ("; there is no file in such an answer, check the source's URL", False),
    3: ("; it is a redirect without an address to follow, check the source's URL", False),
    4: ("; it does not take the request, check the source's URL", False),
    5: ("; the store has a problem of its own, try again later", True),
}


def _cause(  # noqa: PLR0911 - one per cause
    request: Request, answer: Answer, limits: Limits, host: str, certificate: Answer
) -> tuple[str, bool]:
    """Give the cause, and whether a retry helps."""
    code, said = answer.code, _said(answer)
    proxy = urlsplit(request.proxy).hostname or "" if request.proxy else ""
    peer = f"the HTTP proxy {proxy}" if proxy else f"the server {host}"
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return (
            f"the name {host} has no address here; the store was not reached at all, check this "
            "machine's DNS and network, and the name in the source's URL"
        ), True
    if code == pycurl.E_COULDNT_RESOLVE_PROXY:
        return (
            f"the name {proxy} of the HTTP proxy has no address here; check the HTTP proxy's "
            "setting and this machine's DNS and network"
        ), True
    if answer.connect_status >= 300:
        return _connect_cause(answer.connect_status, proxy, host)
    if code == pycurl.E_COULDNT_CONNECT:
        return _unreached(answer.os_errno, said, peer), True
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return _too_slow(request, answer, limits, proxy or host, peer), True
    if code in _TLS:
        return _tls_cause(request, answer, host, proxy, certificate)
    if code == pycurl.E_PARTIAL_FILE:
        return f"the connection to {peer} was cut off before the end ({said})", True
    if code == pycurl.E_GOT_NOTHING:
        return f"{peer} closed the connection without an answer", True
    if code in (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR):
        return f"the connection to {peer} broke ({said})", True
    if code in _NO_HTTP:
        return (
            f"{peer} does not answer as HTTP has it; is another service at this port? ({said})"
        ), True
    if code == pycurl.E_URL_MALFORMAT:
        return f"it is no proper URL ({said})", False
    return f"libcurl says {code}, {said}", True


_TLS = (
    *UNTRUSTED,
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_ISSUER_ERROR,
)


# Its answer is no HTTP, or HTTP gone wrong. Other protocols never get as far as libcurl.
_NO_HTTP = (
    pycurl.E_UNSUPPORTED_PROTOCOL,
    pycurl.E_FTP_WEIRD_SERVER_REPLY,
    pycurl.E_BAD_CONTENT_ENCODING,
    100,  # CURLE_TOO_LARGE, which pycurl has no name for
)


def _connect_cause(status: int, proxy: str, host: str) -> tuple[str, bool]:
    refused = f"the HTTP proxy {proxy} refused the way (CONNECT) to {host} with the status {status}"
    if status == 407:
        wants = "it wants a user and a password, write it as http://USER:PW@HOST:PORT"
        return f"{refused}; {wants}", False
    if status in (403, 405):
        return f"{refused}; ask who runs it to allow {host}", False
    return f"{refused}; it could not reach the store, or does not want to", True


def _unreached(os_errno: int, said: str, peer: str) -> str:
    if os_errno == errno.ECONNREFUSED:
        return (
            f"{peer} refuses connections; the network works, but nothing listens on this port "
            "or a firewall is in the way, check that it runs and the port in the URL"
        )
    if os_errno in _NO_ROUTE:
        cause = os.strerror(os_errno)
        return f"there is no way to {peer} ({cause}); check this machine's network and routes"
    return f"{peer} could not be connected to ({said}); check it and this machine's network"


def _too_slow(request: Request, answer: Answer, limits: Limits, name: str, peer: str) -> str:
    if "too slow" in answer.text.lower():
        bytes_per_s, for_s = limits.stall(request.patience_s)
        return (
            f"{peer} sent less than {bytes_per_s} bytes a second for {for_s:g} s, the transfer has "
            "stalled"
        )
    if not answer.looked_up:
        return (
            f"the lookup of the name {name} took longer than {limits.connect_s:g} s; check this "
            "machine's DNS and network"
        )
    if request.total_s and answer.connected and "operation timed out" in answer.text.lower():
        # What redirects took is no part of the last request's.
        within_s = max(limits.get_s, round(request.total_s))
        return f"no whole answer came from {peer} within {within_s:g} s"
    return (
        f"no connection to {peer} within {limits.connect_s:g} s; it does not answer, or a "
        "firewall drops what is sent"
    )


def _tls_cause(  # noqa: PLR0911 - one per cause
    request: Request, answer: Answer, host: str, proxy: str, certificate: Answer
) -> tuple[str, bool]:
    said = _said(answer)
    low = said.lower()
    to_proxy = request.proxy.lower().startswith("https:") and answer.connect_status == 0
    whose = f"the HTTP proxy {proxy}" if to_proxy else host
    if any(words in low for words in _CLEAR_TEXT):
        if to_proxy:
            return (
                f"{whose} answered in clear text where TLS was expected; if it does not speak "
                "TLS itself, write its URL with http:// instead of https://"
            ), False
        if proxy:
            return (
                f"the HTTP proxy {proxy} let the way to {host} be opened, but then clear text "
                "came where TLS was expected; check what the HTTP proxy does with https"
            ), False
        return (
            f"{host} answered in clear text where TLS was expected; write its URL with http:// if "
            "it does not speak TLS"
        ), False
    store = f"the CA file {request.ca}" if request.ca else "libcurl's own CA file"
    if answer.code == pycurl.E_SSL_CACERT_BADFILE:
        return f"{store} has no usable certificates; set --ca-bundle ({said})", False
    if answer.code not in UNTRUSTED:
        return f"TLS with {whose} failed ({said})", True
    about = _about(certificate)
    if "expired" in low:
        return f"the certificate of {whose}{about} has expired; check this machine's clock", False
    if "not yet valid" in low:
        return f"the certificate of {whose}{about} is not valid yet; check this clock", False
    if "subject name" in low or "does not match" in low:
        return f"the certificate of {whose}{about} is for another name ({said})", False
    return (
        f"the certificate of {whose}{about} was issued by nobody that {store} trusts; if its "
        f"authority is to be trusted, set --ca-bundle ({said})"
    ), False


def _about(certificate: Answer) -> str:
    # Nobody has checked this certificate: its texts are a stranger's.
    issuer = masked(certificate.certificate.get("Issuer", "")[:200])
    until = masked(certificate.certificate.get("Expire date", "")[:100])
    facts = [f"issued by {issuer}" if issuer else "", f"valid until {until}" if until else ""]
    return f" ({', '.join(fact for fact in facts if fact)})" if any(facts) else ""


def _said(answer: Answer) -> str:
    words = _WHITE.sub(" ", masked(answer.text)).strip().rstrip(".")
    return words or f"libcurl's error {answer.code}"

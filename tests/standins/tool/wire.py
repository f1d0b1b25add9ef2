"""Signed requests to S3 and EC2, as each generation signs them."""

from __future__ import annotations

import binascii
import hashlib
import time
from hmac import digest

from .elements import Element, read
from .http import exchange, location_of, quote
from .reporting import RefusedError, UnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .credentials import Keys

EC2_VERSION = "2013-02-01"
REGION = "us-east-1"
# After an answer of 5xx; boto and requestbuilder do so.
TRIES_AGAIN = 2
AGAIN_S = 0.5


class Wire:
    """One endpoint.

    Args:
        query_v4: sign EC2 requests by version 4.
        signs_path: the endpoint's own path is part of what is signed in S3 requests.
        patience_s: how long a dead service is tried again.
    """

    def __init__(
        self, url: str, keys: Keys, query_v4: bool, signs_path: bool, patience_s: float
    ) -> None:
        self._url, self._keys = url, keys
        self._query_v4, self._signs_path = query_v4, signs_path
        self._patience_s = patience_s

    def s3(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> bytes:
        """A request signed in the ``AWS id:signature`` way; ``path`` is ``/BUCKET/KEY``."""
        base = location_of(self._url).path.rstrip("/")
        path = quote(path)
        moment = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        sent = {"Date": moment, "Content-Length": str(len(content))}
        sent |= headers or {}
        amazon = sorted((n.lower(), v) for n, v in sent.items() if n.lower().startswith("x-amz-"))
        to_sign = "\n".join(
            [method, "", sent.get("Content-Type", ""), sent["Date"]]
            + [f"{name}:{value}" for name, value in amazon]
            + [(base if self._signs_path else "") + path]
        )
        signature = _base64(digest(self._keys.secret.encode(), to_sign.encode(), "sha1"))
        sent["Authorization"] = f"AWS {self._keys.access}:{signature}"
        return self._exchange(method, base + path + (f"?{query}" if query else ""), content, sent)

    def ec2(self, action: str, parameters: Mapping[str, str]) -> Element:
        """A query request."""
        given = {"Action": action, "Version": EC2_VERSION} | dict(parameters)
        location = location_of(self._url)
        path = location.path or "/"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._query_v4:
            content = _encoded(given).encode()
            headers |= self._v4(location.host, path, content)
        else:
            given |= {
                "AWSAccessKeyId": self._keys.access,
                "SignatureVersion": "2",
                "SignatureMethod": "HmacSHA256",
                "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            ordered = _encoded(dict(sorted(given.items())))
            to_sign = f"POST\n{location.host.lower()}\n{path}\n{ordered}"
            signature = _base64(digest(self._keys.secret.encode(), to_sign.encode(), "sha256"))
            content = f"{ordered}&Signature={quote(signature, safe='')}".encode()
        headers["Content-Length"] = str(len(content))
        return read(self._exchange("POST", path, content, headers))

    def _v4(self, host: str, path: str, content: bytes) -> dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{moment[:8]}/{REGION}/ec2/aws4_request"
        canonical = "\n".join(
            [
                *("POST", path, ""),
                *(f"host:{host}", f"x-amz-date:{moment}", ""),
                *("host;x-amz-date", hashlib.sha256(content).hexdigest()),
            ]
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self._keys.secret}".encode()
        for part in scope.split("/"):
            key = digest(key, part.encode(), "sha256")
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}"
        signature = digest(key, to_sign.encode(), "sha256").hex()
        return {
            "X-Amz-Date": moment,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._keys.access}/{scope}, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}",
        }

    def _exchange(
        self, method: str, path: str, content: bytes, headers: Mapping[str, str]
    ) -> bytes:
        until = time.monotonic() + self._patience_s
        again = TRIES_AGAIN
        while True:
            try:
                answer = exchange(self._url, method, path, content, headers)
            except OSError as error:
                if time.monotonic() >= until:
                    raise UnreachableError(str(error)) from None
                time.sleep(min(5.0, self._patience_s / 5))
                continue
            if answer.status < 300:
                return answer.body
            again -= 1
            if answer.status < 500 or again < 0:
                raise _refusal(answer.status, answer.reason, answer.body)
            time.sleep(AGAIN_S)


def _base64(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode()


def _encoded(parameters: Mapping[str, str]) -> str:
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items()
    )


def _refusal(status: int, reason: str, body: bytes) -> RefusedError:
    code = message = ""
    try:
        told = read(body)
        code = told.first("Code") or ""
        message = told.first("Message") or ""
    except ValueError:
        pass
    text = body.decode("utf-8", "replace")
    if not code and not message:
        message = text
    return RefusedError(status, code or str(status), message or reason, f"{reason}\n{text}")

"""Signed requests to S3 and EC2, as each generation signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from .credentials import Keys
from .reporting import RefusedError, UnreachableError

EC2_VERSION = "2013-02-01"
REGION = "us-east-1"
TIMEOUT_S = 60
# After an answer of 5xx; boto and requestbuilder do so.
TRIES_AGAIN = 2


@dataclass(frozen=True, slots=True)
class Wire:
    """One endpoint.

    Args:
        query_v4: sign EC2 requests by version 4.
        signs_path: the endpoint's own path is part of what is signed in S3 requests.
        patience_s: how long a dead service is tried again.
    """

    url: str
    keys: Keys
    query_v4: bool
    signs_path: bool
    patience_s: float

    def s3(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> bytes:
        """A request signed in the ``AWS id:signature`` way; ``path`` is ``/BUCKET/KEY``."""
        base = urlsplit(self.url).path.rstrip("/")
        path = quote(path)
        sent = {"Date": formatdate(usegmt=True), "Content-Length": str(len(content))}
        sent |= headers or {}
        amazon = sorted((n.lower(), v) for n, v in sent.items() if n.lower().startswith("x-amz-"))
        to_sign = "\n".join(
            [method, "", sent.get("Content-Type", ""), sent["Date"]]
            + [f"{name}:{value}" for name, value in amazon]
            + [(base if self.signs_path else "") + path]
        )
        digest = hmac.new(self.keys.secret.encode(), to_sign.encode(), hashlib.sha1).digest()
        sent["Authorization"] = f"AWS {self.keys.access}:{base64.b64encode(digest).decode()}"
        return self._exchange(method, base + path + (f"?{query}" if query else ""), content, sent)

    def ec2(self, action: str, parameters: Mapping[str, str]) -> ElementTree.Element:
        """A query request; the answer without its namespace."""
        given = {"Action": action, "Version": EC2_VERSION} | dict(parameters)
        parts = urlsplit(self.url)
        path = parts.path or "/"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.query_v4:
            content = urlencode(given, quote_via=quote).encode()
            headers |= self._v4(path, content)
        else:
            given |= {
                "AWSAccessKeyId": self.keys.access,
                "SignatureVersion": "2",
                "SignatureMethod": "HmacSHA256",
                "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            ordered = urlencode(sorted(given.items()), quote_via=quote, safe="-_.~")
            to_sign = f"POST\n{parts.netloc.lower()}\n{path}\n{ordered}"
            digest = hmac.new(self.keys.secret.encode(), to_sign.encode(), hashlib.sha256).digest()
            signature = quote(base64.b64encode(digest).decode(), safe="")
            content = f"{ordered}&Signature={signature}".encode()
        headers["Content-Length"] = str(len(content))
        root = ElementTree.fromstring(self._exchange("POST", path, content, headers))
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def _v4(self, path: str, content: bytes) -> dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        host = urlsplit(self.url).netloc
        scope = f"{moment[:8]}/{REGION}/ec2/aws4_request"
        canonical = "\n".join(
            [
                *("POST", path, ""),
                *(f"host:{host}", f"x-amz-date:{moment}", ""),
                *("host;x-amz-date", hashlib.sha256(content).hexdigest()),
            ]
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.keys.secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}"
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        return {
            "X-Amz-Date": moment,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self.keys.access}/{scope}, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}",
        }

    def _exchange(
        self, method: str, path: str, content: bytes, headers: Mapping[str, str]
    ) -> bytes:
        until = time.monotonic() + self.patience_s
        again = TRIES_AGAIN
        while True:
            try:
                return self._once(method, path, content, headers)
            except RefusedError as error:
                again -= 1
                if error.status < 500 or again < 0:
                    raise
                time.sleep(0.5)
            except OSError as error:
                if time.monotonic() >= until:
                    raise UnreachableError(str(error)) from None
                time.sleep(min(5.0, self.patience_s / 5))

    def _once(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> bytes:
        parts = urlsplit(self.url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            # None of them verifies the server unless told to by a configuration file.
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                parts.netloc, timeout=TIMEOUT_S, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, content, dict(headers))
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from None
        finally:
            connection.close()
        if response.status >= 300:
            raise _refusal(response.status, response.reason, body)
        return body


def content_of(path: Path) -> bytes:
    """A part; they are at most 10 MiB."""
    return path.read_bytes()


def _refusal(status: int, reason: str, body: bytes) -> RefusedError:
    found = {"Code": "", "Message": ""}
    try:
        for element in ElementTree.fromstring(body).iter():
            name = element.tag.rpartition("}")[2]
            if name in found and not found[name]:
                found[name] = element.text or ""
    except ElementTree.ParseError:
        pass
    text = body.decode("utf-8", "replace")
    if not found["Code"] and not found["Message"]:
        found["Message"] = text
    return RefusedError(
        status, found["Code"] or str(status), found["Message"] or reason, f"{reason}\n{text}"
    )

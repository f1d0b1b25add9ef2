"""Signs requests to S3 and EC2 in the manner that each cloud checks.

botocore's own signing has one manner for each client, and its version 2 for S3 leaves the
endpoint's own path out of what is signed, which no Walrus before 3.4 takes. What each generation
of Eucalyptus checks was read in its ``HmacHandler``, ``Hmacv2LoginModule``, ``Hmacv4LoginModule``,
``WalrusAuthenticationHandler`` and ``S3Authentication``; a table is in docs/eucalyptus.md.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from imagestoreproxy.clouds.credentials import Credentials

# The same signature twice is a replay to Eucalyptus before 4.2, for a quarter of an hour, and those
# of version 2 change once in a second.
REMEMBERED = 512
# Clouds allow five minutes and more between the clocks.
LATEST_S = 60
ISO8601 = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Manner:
    """How requests are signed.

    Args:
        version: 4, or 2 for EC2 before Eucalyptus 4.0 and S3 before 4.4.
        with_path: whether the endpoint's own path is part of what is signed; not so where
            something between, such as a gateway, takes it away.
    """

    version: int = 4
    with_path: bool = True

    def __str__(self) -> str:
        path = "" if self.with_path else " without the path of the address"
        return f"signatures of version {self.version}{path}"


class Signer:
    """Signs each request of one client: a handler of botocore's event ``request-created``.

    Args:
        service: ``s3`` or ``ec2``.
        path: that of the endpoint's URL.
        credentials: gives those of now.
        unix_s: the clock.

    Attributes:
        manner: of all requests, but those that are ``trying`` another.
    """

    def __init__(
        self,
        service: str,
        path: str,
        region: str,
        credentials: Callable[[], Credentials],
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self.manner = Manner()
        self._service = service
        self._path = path.rstrip("/")
        self._region = region
        self._credentials = credentials
        self._unix_s = unix_s
        self._given: deque[str] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._tried = threading.local()

    @contextmanager
    def trying(self, manner: Manner) -> Iterator[None]:
        """Sign what this thread sends in another manner."""
        self._tried.manner = manner
        try:
            yield
        finally:
            self._tried.manner = None

    def __call__(self, request: Any, **_: Any) -> None:
        """Sign a request that botocore has made and not signed."""
        # Loaded long before by the client that made the request; not for an idle daemon.
        from botocore import auth  # noqa: PLC0415
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415

        manner = getattr(self._tried, "manner", None) or self.manner
        own = self._credentials()
        keys = ReadOnlyCredentials(own.access_key, own.secret_key, own.session_token or None)
        url = request.url = _plain_listing(request.url) if manner.version == 2 else request.url
        if not manner.with_path:
            request.url = self._without_path(url)
        if self._service == "ec2" and manner.version == 2:
            self._sign_query(request, auth.SigV2Auth(keys))
        elif manner.version == 2:
            # It would be the path of another endpoint.
            request.auth_path = None
            auth.HmacV1Auth(keys).add_auth(request)
        elif self._service == "ec2":
            auth.SigV4Auth(keys, "ec2", self._region).add_auth(request)
        else:
            auth.S3SigV4Auth(keys, "s3", self._region).add_auth(request)
        request.url = url

    def _sign_query(self, request: Any, signature: Any) -> None:
        """Sign parameters (version 2), never twice with the same outcome."""
        parameters = request.data
        parameters["AWSAccessKeyId"] = signature.credentials.access_key
        parameters["SignatureVersion"] = "2"
        parameters["SignatureMethod"] = "HmacSHA256"
        if signature.credentials.token:
            parameters["SecurityToken"] = signature.credentials.token
        now_s = self._unix_s()
        for back_s in range(LATEST_S):
            parameters["Timestamp"] = time.strftime(ISO8601, time.gmtime(now_s - back_s))
            _, text = signature.calc_signature(request, parameters)
            if self._is_fresh(text):
                break
        parameters["Signature"] = text

    def _is_fresh(self, signature: str) -> bool:
        with self._lock:
            if signature in self._given:
                return False
            self._given.append(signature)
            return True

    def _without_path(self, url: str) -> str:
        parts = urlsplit(url)
        path = parts.path.removeprefix(self._path) or "/"
        return urlunsplit(parts._replace(path=path))


def _plain_listing(url: str) -> str:
    # Walrus before 3.0 tells operations by their first parameter and knows none of this name, which
    # botocore adds by itself.
    parts = urlsplit(url)
    query = "&".join(one for one in parts.query.split("&") if one != "encoding-type=url")
    return urlunsplit(parts._replace(query=query))

"""Signed requests to a proxy, as the Store tab makes them."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Collection, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from imagestoreproxy.client.failure import FAILED, MISUSED, TIMEOUT_S, UNREACHABLE, ClientError
from imagestoreproxy.model.signing import Pair, signed_pairs

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
ATTEMPTS = 3
# In the words of web/answers.py, which takes its time to be imported.
NOWHERE = "There is nothing at this address."
CLOCKS_DIFFER_S = 3
HERE = {"localhost", "127.0.0.1", "::1"}

__all__ = ["FAILED", "MISUSED", "TIMEOUT_S", "UNREACHABLE", "ClientError", "Connection"]


class Connection:
    """A proxy at an address.

    Args:
        url: ``http(s)://host[:port]``.
        ca_bundle: a PEM file of certificate authorities for https; else the system's are used.
        timeout_s: how long the proxy may be silent.
        origin: where the secret comes from, to be told when it is refused.

    Attributes:
        ahead_s: how far the proxy's clock was ahead of this machine's in its last answer; None
            where it did not say.

    Raises:
        ClientError: the URL is something else, or the file cannot be read.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: str,
        *,
        ca_bundle: str = "",
        timeout_s: float = TIMEOUT_S,
        origin: str = "",
    ) -> None:
        self.ahead_s: float | None = None
        self._origin = origin
        self.url = url
        self._client_id = client_id
        self._secret = secret
        self._timeout_s = timeout_s
        try:
            parts = urlsplit(url)
            self._name, port = parts.hostname or "", parts.port
        except ValueError:
            self._name, port = "", None
        if not self._name or parts.scheme not in {"http", "https"} or parts.path not in {"", "/"}:
            raise ClientError(f"The URL must be http(s)://host:port, not '{url}'.", MISUSED)
        self._port = port or {"http": 80, "https": 443}[parts.scheme]
        shown = f"[{self._name}]" if ":" in self._name else self._name
        # What is signed, and what is sent: the port unless it is 80.
        self._host = shown if self._port == 80 else f"{shown}:{self._port}"
        self._tls = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca_bundle or None)
            except OSError as error:
                raise ClientError(
                    f"Cannot use the CA bundle {ca_bundle}: {error}.", MISUSED
                ) from None

    def get(
        self, path: str, pairs: Sequence[Pair] = (), *, also: Collection[int] = ()
    ) -> dict[str, Any]:
        """Ask for a page; raises as ``post`` does.

        Args:
            also: statuses that are answers here, and no refusals.
        """
        return self._ask("GET", path, pairs, also)

    def post(self, path: str, pairs: Sequence[Pair] = ()) -> dict[str, Any]:
        """Ask for states or an action.

        Raises:
            ClientError: the proxy cannot be reached, or refuses, in its own words.
        """
        return self._ask("POST", path, pairs)

    def blocks(self, path: str, position: int, size_bytes: int) -> Iterator[bytes]:
        """Ask for a file from ``position`` on, and give it in blocks of at most ``size_bytes``.

        Raises:
            ClientError: the proxy refuses, in its own words.
            OSError, HTTPException: it broke off.
        """
        form = self._signed("GET", path, ())
        connection = self._connected()
        headers = {"Host": self._host, "Connection": "close", "Range": f"bytes={position}-"}
        try:
            connection.request("GET", f"{path}?{form}", headers=headers)
            response = connection.getresponse()
            if response.status not in ({206} if position else {200, 206}):
                content = json.loads(response.read(ANSWER_LIMIT_BYTES) or b"{}")
                message = content.get("error-message") if isinstance(content, dict) else ""
                raise ClientError(str(message or f"The proxy answered {response.status}."))
            while block := response.read(size_bytes):
                yield block
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except ValueError:
            raise ClientError(
                f"What answers at {self.url} is no image store proxy.", UNREACHABLE
            ) from None
        finally:
            connection.close()

    def _signed(self, method: str, path: str, pairs: Sequence[Pair]) -> str:
        return urlencode(
            signed_pairs(
                self._secret,
                self._client_id,
                method,
                self._host,
                path,
                [(_characters(name), _characters(value)) for name, value in pairs],
                now_s=time.time(),
                nonce=str(secrets.randbits(63)),
            )
        )

    def _ask(
        self, method: str, path: str, pairs: Sequence[Pair], also: Collection[int] = ()
    ) -> dict[str, Any]:
        form = self._signed(method, path, pairs)
        status, body = self._send(method, path, form)
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ClientError(
                f"What answers at {self.url} is no image store proxy (status {status}, no JSON).",
                UNREACHABLE,
            )
        if status >= 400 and status not in also:
            message = str(content.get("error-message") or f"The proxy answered status {status}.")
            if message == NOWHERE:
                message = f"The proxy at {self.url} has no page {path}: it is older than this."
            if status in {401, 403}:
                raise ClientError("\n".join([message, *self._used()]), UNREACHABLE)
            raise ClientError(message, FAILED)
        return content

    def _used(self) -> list[str]:
        """Say what was signed with, and what the clocks said."""
        lines = [f"It was signed with {self._origin}."] if self._origin else []
        if self.ahead_s is not None and abs(self.ahead_s) >= CLOCKS_DIFFER_S:
            side = "behind" if self.ahead_s > 0 else "ahead of"
            lines.append(
                f"This machine's clock is {abs(self.ahead_s):.0f} seconds {side} the proxy's."
            )
        elif self.ahead_s is not None:
            lines.append("This machine's clock and the proxy's agree.")
        return lines

    def _send(self, method: str, path: str, form: str) -> tuple[int, bytes]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._send_once(method, path, form)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                # The same bytes again are safe: the proxy acts once for a nonce.
                if attempt == ATTEMPTS:
                    raise self._unreachable(error) from None
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                raise self._unreachable(error) from None
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._name, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._name, self._port, timeout=self._timeout_s, context=self._tls
        )

    def _send_once(self, method: str, path: str, form: str) -> tuple[int, bytes]:
        connection = self._connected()
        headers = {"Host": self._host, "Connection": "close"}
        try:
            if method == "GET":
                connection.request(method, f"{path}?{form}", headers=headers)
            else:
                headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
                connection.request(method, path, body=form, headers=headers)
            response = connection.getresponse()
            self.ahead_s = _ahead_s(response.getheader("Date"))
            body = response.read(ANSWER_LIMIT_BYTES + 1)
        finally:
            connection.close()
        if len(body) > ANSWER_LIMIT_BYTES:
            raise ClientError(
                f"The answer of {self.url} is larger than {ANSWER_LIMIT_BYTES} bytes."
            )
        return response.status, body

    def _unreachable(self, error: Exception) -> ClientError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ClientError(
                f"The certificate of {self.url} is not trusted (certificate verify failed: "
                f"{error.verify_message}). Name its authority with --ca-bundle FILE.",
                UNREACHABLE,
            )
        if isinstance(error, TimeoutError):
            cause = f"no answer within {self._timeout_s:.0f} seconds"
        elif isinstance(error, OSError) and error.strerror:
            cause = error.strerror
        else:
            cause = str(error) or type(error).__name__
        return ClientError(
            f"The proxy at {self.url} cannot be reached: {cause}. "
            "Is it running, and is --url (or IMAGE_STORE_URL) right?",
            UNREACHABLE,
            hints=["image-store-proxy --help"] if self._name in HERE else (),
        )


def _ahead_s(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None


def _characters(text: str) -> str:
    # A lone surrogate is "?" on the wire and in the signed text.
    return text.encode("utf-8", "replace").decode()

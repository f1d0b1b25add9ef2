"""Signed requests to the proxy, as the Store tab makes them."""

from __future__ import annotations

import json
import secrets
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from imagestoreproxy.model.signing import LIFETIME_S, Pair, signed_pairs

LONGEST_S = 14 * 60


class RefusedError(Exception):
    """The proxy's own words."""


class Proxy:
    """A running proxy, asked with a key pair of the cloud."""

    def __init__(self, url: str, access_key: str, secret_key: str) -> None:
        self.url = url
        self._access_key = access_key
        self._secret_key = secret_key

    def get(self, path: str, pairs: Iterable[Pair] = ()) -> dict[str, Any]:
        """Ask for a page of the UI API."""
        url = f"{self.url}{path}"
        return _answer(urllib.request.Request(f"{url}?{self._signed('GET', url, pairs)}"))

    def post(self, url: str, pairs: Iterable[Pair] = ()) -> dict[str, Any]:
        """Post to a URL, such as one of an answer's actions."""
        return _answer(urllib.request.Request(url, self._signed("POST", url, pairs).encode()))

    def curl_line(self, path: str) -> str:
        """Give a command that asks for a page; its signature holds for a quarter of an hour."""
        url = f"{self.url}{path}"
        signed = self._signed("GET", url, (), lifetime_s=LONGEST_S)
        return f"curl {shlex.quote(f'{url}?{signed}')}"

    def _signed(
        self, method: str, url: str, pairs: Iterable[Pair], lifetime_s: int = LIFETIME_S
    ) -> str:
        parts = urlsplit(url)
        complete = signed_pairs(
            self._secret_key,
            self._access_key,
            method,
            parts.netloc,
            parts.path,
            pairs,
            now_s=time.time() + lifetime_s - LIFETIME_S,
            nonce=str(secrets.randbits(63)),
        )
        return urlencode(complete)


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    content = json.loads(body)
    if message := content.get("error-message"):
        raise RefusedError(message)
    return dict(content)

"""The page of numbers for Prometheus, and who may read it."""

# mypy: allow-untyped-calls

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.internet.address import UNIXAddress

from imagestoreproxy.model.errors import SignatureError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.shop import Metrics
from imagestoreproxy.web.answers import Answer, JsonResource, StoreRequest
from imagestoreproxy.web.entry.auth import host_of

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# What a proxy in front adds: then it is somebody else who asks.
_PASSED_ON = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")


class MetricsPage(JsonResource):
    """``GET /metrics``: unsigned for who asks from this machine.

    Args:
        for_all: whoever asks may read it.
    """

    def __init__(self, metrics: Metrics, *, for_all: bool) -> None:
        super().__init__()
        self._metrics = metrics
        self._for_all = for_all

    async def whole(self, request: StoreRequest) -> Answer:
        """Give the text, or say who may read it."""
        if not (request.signed or self._for_all or _is_from_here(request)):
            request.refused_for = Reason.UNSIGNED
            raise SignatureError(
                "Only who asks from the proxy's own machine, as localhost or 127.0.0.1, may read "
                "this unsigned: sign the request, or start the proxy with --share-metrics."
            )
        text = await self._metrics.text()
        return Answer(200, text, headers={b"content-type": CONTENT_TYPE})


def _is_from_here(request: StoreRequest) -> bool:
    """Tell whether a program of this machine asks, and for itself.

    A browser of this machine may have been sent here by a page of others under a name of theirs,
    and what hands connections on, such as ``ssh -L``, says nothing of others: by ``localhost`` or
    its address neither comes.
    """
    if any(request.requestHeaders.hasHeader(name) for name in _PASSED_ON):
        return False
    peer = cast(Any, request.channel).transport.getPeer()
    if not isinstance(peer, UNIXAddress) and not _is_loopback(str(getattr(peer, "host", ""))):
        return False
    name = urlsplit(f"//{host_of(request)}").hostname or ""
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return found.is_loopback or bool(mapped and mapped.is_loopback)

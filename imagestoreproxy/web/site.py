"""The HTTP server: bounds on what comes in, and JSON for whatever goes out."""

# ruff: noqa: N802 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Any, cast

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site

from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.ports import Clock
from imagestoreproxy.shop import Shop
from imagestoreproxy.web.answers import StoreRequest, refusal
from imagestoreproxy.web.connections import Connections, client_of
from imagestoreproxy.web.entry.auth import SignedTree
from imagestoreproxy.web.entry.browser import Browsers
from imagestoreproxy.web.entry.nonces import Nonces
from imagestoreproxy.web.entry.sessions import Sessions
from imagestoreproxy.web.measures import Measures
from imagestoreproxy.web.pages.api import STATES_AT_ONCE, make_tree
from imagestoreproxy.web.pages.carrying import SharedCache
from imagestoreproxy.web.present import checked_external_url
from imagestoreproxy.web.ready import ReadyStates
from imagestoreproxy.web.routes import Routes
from imagestoreproxy.web.sending import Sendings
from imagestoreproxy.web.streams import Streams

log = Logger()

TELL_S = 60.0
# What the process has open beside connections: downloads, parts of bundles, the database, programs.
OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the server.

    Args:
        idle_s: how long a connection may be idle, and how long a request may take to come in.
        linger_s: how long a client may go on sending what is refused, so that it reads why.
        body_bytes: of one request.
        parameters: of one request; the Store tab asks for as many images as it has seen.
        connections, connections_of_one: open at a time, in all and of one client address; streams
            not counted.
        streams: pages that listen at a time.
        remembered_requests: signed, and not expired yet.
        remembered_bytes: of the answers kept for repeats.
    """

    idle_s: float = 30.0
    linger_s: float = 2.0
    body_bytes: int = 1024 * 1024
    parameters: int = STATES_AT_ONCE + 100
    connections: int = 512
    connections_of_one: int = 256
    streams: int = 1200
    remembered_requests: int = 65_536
    remembered_bytes: int = 4 * 1024 * 1024

    @classmethod
    def within(cls, open_files: int) -> Limits:
        """Give bounds that fit into the files that the process may have open."""
        usual = cls()
        room = open_files - usual.connections - OTHER_FILES
        return replace(usual, streams=max(0, min(usual.streams, room)))


class StoreChannel(HTTPChannel):
    """One connection.

    Attributes:
        client: whose it is, as ``client_of`` names it.
    """

    site: StoreSite
    client = ""
    _receiving = False
    _refused = False
    _is_stream = False
    _body_bytes = 0

    def connectionMade(self) -> None:
        self.site.connections.opened(self, self.client)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections.closed(self)
        super().connectionLost(reason)

    def is_busy(self) -> None:
        """Stay, whoever else comes: a signed request is being answered."""
        self.site.connections.is_busy(self)

    def is_stream(self, buffer_bytes: int) -> None:
        """Stay for as long as the client likes, and leave the place to others."""
        self._is_stream = True
        self.site.connections.closed(self)
        transport = cast(Any, self.transport)
        transport.bufferSize = buffer_bytes
        if (connected := getattr(transport, "socket", None)) is not None:
            # The kernel would let it grow to megabytes for a client that does not read.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)

    def give_way(self) -> None:
        """End at once: somebody else needs the room."""
        cast(Any, self.transport).abortConnection()

    def dataReceived(self, data: bytes) -> None:
        # Not at each piece, as Twisted does: a client could then trickle for hours.
        if self._refused or self._is_stream:
            return
        if not self._receiving:
            self._receiving = True
            self.resetTimeout()
        LineReceiver.dataReceived(self, data)

    def requestDone(self, request: StoreRequest) -> None:
        self._receiving = False
        self._body_bytes = 0
        self.site.connections.waits(self)
        super().requestDone(request)
        if not self.persistent:
            # Twisted waits for ever until the other side has taken the answer.
            self._abortingCall = self.callLater(self.site.limits.idle_s, self.forceAbortClient)

    def lineReceived(self, line: bytes) -> None:
        if not self._refused:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._handlingRequest:
            # Also what chunks cost beside their content.
            self._body_bytes += len(data)
            if self._body_bytes > self.site.limits.body_bytes:
                self._refuse_body()
                return
        super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        try:
            return cast(bool, super().headerReceived(line))
        except ValueError:  # a Content-Length of thousands of digits
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        if self._refused:
            return
        if self.length is not None and self.length > self.site.limits.body_bytes:
            self._refuse_body()
            return
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if not self._refused:
            super().allContentReceived()

    def lineLengthExceeded(self, line: bytes) -> None:
        self._respondToBadRequestAndDisconnect()

    def timeoutConnection(self) -> None:
        # Twisted logs each; but the real client leaves every connection open.
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)
        self.loseConnection()

    def _refuse_body(self) -> None:
        limit = self.site.limits.body_bytes
        self.site.measures.refused(Reason.TOO_LARGE)
        self._refuse(413, "Content Too Large", f"The request body has more than {limit} bytes.")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.site.measures.refused(Reason.MALFORMED)
        self._refuse(
            400, "Bad Request", "This is not a valid HTTP request, or its head is too long."
        )

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer what cannot be read on; what still comes is thrown away, then it is closed.

        Closing at once would reset the connection, and the client might never read why.
        """
        if self._refused:
            return
        self._refused = True
        body = refusal(status, message).body
        cast(Any, self.transport).write(
            f"HTTP/1.1 {status} {reason}\r\nServer: image-store-proxy\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode("ascii")
            + body
        )
        self.setRawMode()
        self.setTimeout(self.site.limits.linger_s)


class StoreSite(Site):
    """Makes a channel for each connection.

    Attributes:
        connections: those that are open now.

    Args:
        streams: those that end with it.
    """

    protocol = StoreChannel  # type: ignore[assignment]

    def __init__(
        self,
        resource: Resource,
        clock: Clock,
        reactor: IReactorTime,
        limits: Limits,
        streams: Streams,
        measures: Measures,
    ) -> None:
        super().__init__(resource, StoreRequest, timeout=limits.idle_s, reactor=reactor)
        self.clock = clock
        self.limits = limits
        self._streams = streams
        self.measures = measures
        self.connections = Connections(
            most=limits.connections, most_of_one=limits.connections_of_one
        )
        self._told_at_s = -TELL_S

    def buildProtocol(self, addr: IAddress | None) -> StoreChannel | None:  # type: ignore[override]
        client = client_of(addr)
        if not self.connections.make_room(client):
            self.measures.refused(Reason.NO_ROOM)
            self._tell(client)
            return None
        channel = cast(StoreChannel, super().buildProtocol(addr))
        channel.client = client
        return channel

    def _tell(self, client: str) -> None:
        now_s = self.clock.monotonic_s()
        if now_s >= self._told_at_s + TELL_S:
            self._told_at_s = now_s
            log.warn(
                "{count} connections are open and busy: a new one of {client} is closed",
                count=len(self.connections),
                client=client or "a local socket",
            )

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Open no access log: Twisted's would hold signatures, and wake up every second."""

    def stopFactory(self) -> None:
        """Close no access log, but all streams: nobody listens any more."""
        self._streams.close()

    def measure(self, request: StoreRequest) -> None:
        """Count a request that is answered, or whose stream has begun."""
        self.measures.answered(request, self.clock.monotonic_s() - request.came_s)

    def log(self, request: StoreRequest) -> None:  # type: ignore[override]
        if not request.is_stream:
            self.measure(request)
        log.debug(
            "{method} {path}: {status}, {size} bytes",
            method=request.method.decode("ascii", "backslashreplace"),
            path=request.raw_path.decode("ascii", "backslashreplace"),
            status=request.code,
            size=request.sentLength,
        )


def make_site(
    shop: Shop,
    clock: Clock,
    *,
    reactor: IReactorTime,
    external_url: str = "",
    limits: Limits | None = None,
    share_cache: bool = False,
    share_metrics: bool = False,
    sessions: Sessions | None = None,
) -> StoreSite:
    """Build the whole server, to be given to a listening endpoint.

    Args:
        external_url: ``http(s)://host[:port]`` as clients reach this proxy, when that is not what
            their ``Host`` header says; action URIs begin with it.
        share_cache: give it to everybody who asks, unsigned, below ``/cache/``.
        share_metrics: give them to everybody who asks, unsigned.
        sessions: of browsers; None: nobody can log in.

    Raises:
        SettingsError: ``external_url`` is something else.
    """
    bounds = limits or Limits()
    ready = ReadyStates(shop.store)
    streams = Streams(shop.store, ready, reactor, most=bounds.streams)
    # Strangers take no places from those who have signed.
    cache, shared = (
        SharedCache(shop.lending, Sendings(reactor)) if shop.lending and is_there else None
        for is_there in (True, share_cache)
    )
    url = checked_external_url(external_url)
    browsers = Browsers(sessions, url) if sessions is not None else None
    tree = make_tree(
        shop,
        url,
        ready,
        streams,
        cache=cache,
        shared_cache=shared,
        share_metrics=share_metrics,
        browsers=browsers,
    )
    nonces = Nonces(max_entries=bounds.remembered_requests, max_bytes=bounds.remembered_bytes)
    guard = SignedTree(
        tree, shop.keys, clock, nonces, max_parameters=bounds.parameters, browsers=browsers
    )
    site = StoreSite(guard, clock, reactor, bounds, streams, Measures(shop.metrics, Routes(tree)))
    if shop.metrics is not None:
        shop.metrics.watch(
            lambda: {
                "image_store_connections": {(): len(site.connections)},
                "image_store_event_streams": {(): len(streams)},
            }
        )
    return site

"""Answers, and the one place where a coroutine becomes one: every answer is a JSON object."""

# ruff: noqa: N802, N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Protocol, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import NOT_MODIFIED, datetimeToString
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from imagestoreproxy.model.errors import CallerError, Cancelled, InstallError, StoreProxyError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.model.signing import Pair
from imagestoreproxy.ports import Clock
from imagestoreproxy.web.packing import FROM_BYTES, names_gzip, packed

log = Logger()

_encoded = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON object, or whatever ``headers`` say that it is.

    Args:
        body: ASCII only: the Store tab decodes it in pieces of 1024 bytes.
        acted: something was done for it, so that asking again must not do it again.
        allow: for 405: the methods that are possible.
        headers: beside or instead of the usual ones; by their names in lower case.
        packed: the same body as gzip, for who takes that; or empty.
        is_for_all: it was made before anybody asked; the connection of a stranger may stay.
    """

    status: int
    body: bytes
    acted: bool = False
    allow: str = ""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    packed: bytes = b""
    is_for_all: bool = False


def encode(content: Mapping[str, Any]) -> bytes:
    """Make ASCII-only JSON."""
    return _encoded(content).encode("ascii")


def refusal(status: int, message: str, *, acted: bool = False, allow: str = "") -> Answer:
    """Make the answer that says in plain words why there is no other."""
    return Answer(status, encode({"error-message": message}), acted, allow)


def _always() -> bool:
    return True


class Home(Protocol):
    """What a request needs of the site that it came to."""

    clock: Clock
    resource: Resource

    def measure(self, request: StoreRequest) -> None:
        """Count a request that is answered."""


class StoreRequest(Request):
    """A request whose form Twisted leaves alone: only what is signed is parsed, once.

    Attributes:
        raw_path, raw_query, body: as they came.
        pairs: the decoded parameters, once the signature was found right; else empty.
        on_answer: called with the answer before it is sent, also when the client has gone.
        signed: its signature was found right, or it is of a session.
        client_id: who has signed it, or has logged in; else empty.
        session: of the browser that sent it, unless it was signed.
        may_go_on: tells whether a stream that was begun for it may go on.
        expires_s: until when it is signed; Unix seconds.
        is_sending: a file is being sent, and is all of the answer.
        refused_for: why it was kept from the pages.
        is_stream: what is written has no end.
        came_s: when all of it had come; monotonic seconds.
    """

    site: Home  # type: ignore[assignment]
    raw_path = b""
    raw_query = b""
    body = b""
    pairs: list[Pair] = []  # noqa: RUF012 - replaced as a whole, never changed
    on_answer: Callable[[Answer], None] | None = None
    signed = False
    client_id = ""
    session: Session | None = None
    may_go_on: Callable[[], bool] = staticmethod(_always)
    expires_s = 0
    gone = False
    is_sending = False
    refused_for: Reason | None = None
    came_s = 0.0
    is_stream = False

    def was_signed(self) -> None:
        """Note that it may be answered, and keep the connection until it is."""
        self.signed = True
        cast(Any, self.channel).is_busy()

    def gotLength(self, length: int | None) -> None:
        # Twisted would put a long body into a file; ours are bounded by the channel.
        self.content = BytesIO()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = command, path, version
        self.raw_path, _, self.raw_query = path.partition(b"?")
        self.path = self.raw_path
        self.args = {}
        self.body = cast(BytesIO, self.content).getvalue()
        self.process()

    def process(self) -> None:
        self.site = cast(Any, self.channel).site
        self.came_s = self.site.clock.monotonic_s()
        self.setHeader(b"server", b"image-store-proxy")
        self.setHeader(b"date", datetimeToString(self.site.clock.now_s()))
        try:
            self.site.resource.render(self)
        except Exception:
            self.processingFailed(Failure())

    def processingFailed(self, reason: Failure) -> Failure:
        self.respond(unexpected(reason, self))
        return reason

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        super().connectionLost(reason)

    def respond(self, answer: Answer) -> None:
        """Send the whole answer; a client that has gone is no error."""
        if self.is_sending:
            return
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            # Who repeats the request may not take the packed one.
            on_answer(replace(answer, packed=b""))
        if self.gone:
            return
        self.setResponseCode(answer.status)
        headers = self.responseHeaders
        body = answer.packed or answer.body
        headers.setRawHeaders(b"content-type", [b"application/json"])
        if answer.status != NOT_MODIFIED:
            headers.setRawHeaders(b"content-length", [b"%d" % len(body)])
        if answer.packed:
            headers.setRawHeaders(b"content-encoding", [b"gzip"])
            headers.setRawHeaders(b"vary", [b"accept-encoding"])
        headers.setRawHeaders(b"cache-control", [b"no-store"])
        headers.setRawHeaders(b"x-content-type-options", [b"nosniff"])
        if self.session is not None:
            headers.setRawHeaders(b"cross-origin-resource-policy", [b"same-origin"])
        if not self.signed and not (answer.is_for_all and self._is_alone()):
            # Strangers get one answer for a connection: what they send behind it costs nothing.
            headers.setRawHeaders(b"connection", [b"close"])
            cast(Any, self.channel).persistent = False
        if answer.allow:
            headers.setRawHeaders(b"allow", [answer.allow.encode("ascii")])
        for name, value in answer.headers.items():
            headers.setRawHeaders(name, [value])
        self.write(body)
        self.finish()

    def _is_alone(self) -> bool:
        """Tell whether nothing came with it or behind it; else a few bytes would ask for much."""
        has_body = any(
            map(self.requestHeaders.hasHeader, (b"content-length", b"transfer-encoding"))
        )
        return not has_body and not cast(Any, self.channel).clearLineBuffer()

    def takes_gzip(self) -> bool:
        """Tell whether the other side has said that it can read gzip."""
        return names_gzip(self.requestHeaders.getRawHeaders(b"accept-encoding", []))

    def begin_stream(self, content_type: bytes, buffer_bytes: int) -> None:
        """Begin an answer without an end: what is written follows its head as it is.

        Who repeats the request does not get it, but a refusal.

        Args:
            buffer_bytes: what may wait to be sent before a producer is told to pause.
        """
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            on_answer(_ONLY_ONE_STREAM)
        channel = cast(Any, self.channel)
        channel.is_stream(buffer_bytes)
        channel.persistent = False
        self.startedWriting = 1
        self.is_stream = True
        headers = self.responseHeaders
        headers.setRawHeaders(b"content-type", [content_type])
        headers.setRawHeaders(b"cache-control", [b"no-store"])
        headers.setRawHeaders(b"x-content-type-options", [b"nosniff"])
        headers.setRawHeaders(b"connection", [b"close"])
        channel.writeHeaders(self.clientproto, b"200", b"OK", headers)
        self.site.measure(self)

    def begin_file(self, status: int, size_bytes: int, headers: Mapping[bytes, bytes]) -> None:
        """Begin an answer of so many bytes, which are then written by a producer.

        The connection stays until they are sent, and ends with them. Who repeats a signed request
        does not get them, but a refusal.
        """
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            on_answer(_ONLY_ONE_STREAM)
        self.is_sending = True
        channel = cast(Any, self.channel)
        channel.is_busy()
        channel.persistent = False
        self.setResponseCode(status)
        for name, value in headers.items():
            self.responseHeaders.setRawHeaders(name, [value])
        set_header = self.responseHeaders.setRawHeaders
        set_header(b"content-type", [b"application/octet-stream"])
        set_header(b"content-length", [b"%d" % size_bytes])
        set_header(b"x-content-type-options", [b"nosniff"])
        set_header(b"connection", [b"close"])


# Small, and kept like that of something done: no repeat may find that nothing is known of it.
_ONLY_ONE_STREAM = refusal(
    403,
    "This request has opened a stream already: sign one with a new Nonce to listen again.",
    acted=True,
)


def unexpected(reason: Failure, request: StoreRequest, *, acted: bool = False) -> Answer:
    """Log a failure that nobody foresaw, once and with its traceback, and say so plainly."""
    log.failure(
        "{method} {path} failed unexpectedly",
        failure=reason,
        method=request.method.decode("ascii", "backslashreplace"),
        path=request.raw_path.decode("ascii", "backslashreplace"),
    )
    return refusal(500, "The proxy failed unexpectedly; its log has the details.", acted=acted)


class JsonResource(Resource):
    """A page that answers one method with a JSON object.

    Attributes:
        method: the only one it answers.
        acts: answering it changes something.
    """

    method = "GET"
    acts = False

    def answer(self, request: StoreRequest) -> Awaitable[Mapping[str, Any]]:
        """Give the JSON object; raise ``CallerError`` or ``InstallError`` for a refusal."""
        raise CallerError("There is nothing here.", 404)

    def getChild(self, path: bytes, request: IRequest) -> Resource:
        return NOWHERE

    def render(self, request: IRequest) -> int:
        """Start the answer."""
        asked = cast(StoreRequest, request)
        if asked.method != self.method.encode("ascii"):
            message = f"Only {self.method} is possible here."
            asked.respond(refusal(405, message, allow=self.method))
            return NOT_DONE_YET
        # The only place where a coroutine becomes a Deferred.
        Deferred.fromCoroutine(self._shortened(asked)).addErrback(self._refused, asked).addCallback(
            asked.respond
        ).addErrback(_not_sent)
        return NOT_DONE_YET

    def status_of(self, content: Mapping[str, Any]) -> int:
        """Give the HTTP status that goes with what ``answer`` gave."""
        return 200

    async def whole(self, request: StoreRequest) -> Answer:
        """Give the answer as it is sent."""
        content = await self.answer(request)
        return Answer(self.status_of(content), encode(content), self.acts)

    async def _shortened(self, request: StoreRequest) -> Answer:
        answer = await self.whole(request)
        if len(answer.body) < FROM_BYTES or not request.takes_gzip():
            return answer
        return replace(answer, packed=await packed(answer.body, request.site.clock))

    def _refused(self, reason: Failure, request: StoreRequest) -> Answer:
        error = reason.value
        if isinstance(error, CallerError):
            return refusal(error.status, error.message, acted=self.acts)
        if isinstance(error, InstallError):
            # 503 invites to ask again, 502 says that the store or the cloud is at fault.
            return refusal(503 if error.retry_helps else 502, error.message, acted=self.acts)
        if isinstance(error, Cancelled | CancelledError):
            return refusal(503, "The proxy is being stopped; ask again soon.", acted=self.acts)
        if isinstance(error, StoreProxyError):
            log.failure("The proxy's own state is at fault", failure=reason)
            return refusal(503, error.message, acted=self.acts)
        return unexpected(reason, request, acted=self.acts)


def _not_sent(reason: Failure) -> None:
    log.failure("An answer could not be sent", failure=reason)


class Nowhere(JsonResource):
    """Where nothing is, whatever the method and however far below."""

    isLeaf = True

    def render(self, request: IRequest) -> int:
        """Answer 404."""
        cast(StoreRequest, request).respond(refusal(404, "There is nothing at this address."))
        return NOT_DONE_YET


NOWHERE = Nowhere()

"""One wrapper round the whole tree: nothing is reachable unsigned but a written list."""

# ruff: noqa: N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv6Address
from itertools import chain
from typing import cast
from urllib.parse import unquote_to_bytes

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET

from imagestoreproxy.model import signing
from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.signing import Parameter
from imagestoreproxy.ports import Clock
from imagestoreproxy.shop import Keys
from imagestoreproxy.web.answers import StoreRequest, refusal
from imagestoreproxy.web.entry import claims, form
from imagestoreproxy.web.entry.browser import Browsers
from imagestoreproxy.web.entry.form import Beginning, Beginnings
from imagestoreproxy.web.entry.nonces import Nonces, Seen
from imagestoreproxy.web.pagefiles import UNSIGNED_PAGE

# Signed all the same, they may tell more.
UNSIGNED_PATHS = frozenset({b"/healthz", b"/readyz", b"/metrics", b"/api/openapi.json"})
# What is behind them is signed by others, and there with --share-cache alone.
UNSIGNED_CACHE = re.compile(
    rb"/cache/(?:images\.json|documents/[0-9a-f]{64}|files/[0-9a-f]{64}(?:[0-9a-f]{64})?)"
)

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?")


class SignedTree(Resource):
    """Lets through to ``tree`` what is signed as the Store tab signs, and answers all else.

    A request without a signature may instead be of a browser that has logged in.

    Args:
        tree: what is being guarded.
        max_parameters: of one request.
        nonces: what was used before; one for each site.
        browsers: that have logged in; None: none can.

    Attributes:
        beginnings: of the forms that came, decoded.
    """

    isLeaf = True

    def __init__(
        self,
        tree: Resource,
        keys: Keys,
        clock: Clock,
        nonces: Nonces,
        *,
        max_parameters: int,
        browsers: Browsers | None = None,
    ) -> None:
        super().__init__()
        self._tree = tree
        self._keys = keys
        self._clock = clock
        self._nonces = nonces
        self._max_parameters = max_parameters
        self._browsers = browsers
        self.beginnings = Beginnings(claims.OF_SIGNING)
        self._started_at_s = int(clock.now_s())
        self._all_new_at_s = clock.monotonic_s() + signing.LIFETIME_S

    def render(self, request: IRequest) -> int:
        """Answer the request, or hand it on to the tree."""
        asked = cast(StoreRequest, request)
        if asked.method not in {b"GET", b"POST"} and not _is_head_of_page(asked):
            message = "Only GET and POST are possible here."
            asked.respond(refusal(405, message, allow="GET, POST"))
            return NOT_DONE_YET
        try:
            host = host_of(asked)
            if not asked.raw_path.startswith(b"/"):
                raise CallerError("The request line must name a path that starts with '/'.")
            seen = None
            if self._keys.absence and self._needs_keys(asked, host):
                raise CallerError(self._keys.absence, 503, reason=Reason.NO_KEYS)
            if _is_signed(asked):
                seen = self._admit(asked, host)
            elif not self._is_of_session(asked, host) and not _is_open(asked.raw_path):
                raise SignatureError("The request is not signed: Signature is missing.")
        except CallerError as error:
            asked.refused_for = error.reason
            asked.respond(refusal(error.status, error.message))
            return NOT_DONE_YET
        if seen is not None:
            asked.was_signed()
            if seen.under_way:
                seen.wait(asked.respond)
                return NOT_DONE_YET
            if seen.answer is not None:
                asked.respond(seen.answer)
                return NOT_DONE_YET
            seen.under_way = True
            asked.on_answer = partial(self._nonces.settle, seen)
        return self._inside(asked)

    def _needs_keys(self, request: StoreRequest, host: str) -> bool:
        if _is_signed(request):
            return True
        has_cookie = self._browsers is not None and self._browsers.has_cookie(request, host)
        return has_cookie and not _is_open(request.raw_path)

    def _is_of_session(self, request: StoreRequest, host: str) -> bool:
        """Let through what is of a browser that has logged in.

        What everybody may see is never refused, but answered as to a stranger.

        Raises:
            CallerError: it claims to be, but must not be let through.
        """
        browsers = self._browsers
        if browsers is None or not browsers.has_cookie(request, host):
            return False
        try:
            session = browsers.admit(request, host)
            raw = request.body if request.method == b"POST" else request.raw_query
            form.check_count(raw, self._max_parameters)
            charset = _charsets(request)[0]
            pairs = [(p.name, p.value) for p in form.parse(raw, charset)]
        except CallerError:
            if _is_open(request.raw_path):
                return False
            raise
        request.pairs = pairs
        request.session = session
        request.client_id = session.client_id
        request.may_go_on = partial(browsers.sessions.goes_on, session)
        request.was_signed()
        return True

    def _inside(self, request: StoreRequest) -> int:
        request.prepath = []
        request.postpath = [unquote_to_bytes(part) for part in request.raw_path[1:].split(b"/")]
        page = getChildForRequest(self._tree, request)
        acts = getattr(page, "acts", False) and request.session is None
        if acts and self._may_be_from_before(request):
            message = (
                "This was signed before the proxy was started, so it may have been done already. "
                "Look at the image's state, and ask again if it is not what you want."
            )
            request.refused_for = Reason.FROM_BEFORE
            request.respond(refusal(403, message))
        else:
            page.render(request)
        return NOT_DONE_YET

    def _may_be_from_before(self, request: StoreRequest) -> bool:
        """Tell whether an earlier process, whose nonces are forgotten, may have done this.

        A client signs for ``LIFETIME_S``, so a request whose time was set before the start is one
        of that process, or a replay of one; after as many seconds all of those have expired. By
        the monotonic clock: where the time of day is set back, this ends all the same.
        """
        return (
            self._clock.monotonic_s() < self._all_new_at_s
            and request.expires_s - signing.LIFETIME_S < self._started_at_s
        )

    def _admit(self, request: StoreRequest, host: str) -> Seen:
        method = request.method.decode("ascii")
        path = request.raw_path.decode("iso-8859-1")
        raw = request.raw_query if method == "GET" else request.body
        self._glance(raw)
        for charset, beginning, variant in self._variants(raw, _charsets(request)):
            parameters, signature = signing.split_signature(variant)
            if signature is None:
                raise SignatureError("The request is not signed: Signature is missing.")
            added = claims.added(parameters)
            secret = self._keys.secret_for(added["ClientId"])
            canonical = signing.canonical(chain(beginning.ordered, parameters))
            right = signing.verifies(secret or "", signature, method, host, path, canonical)
            if right and secret:
                if not beginning.pairs:
                    self.beginnings.keep(raw, charset)
                break
        else:
            raise SignatureError(
                f"The signature of {method} {path[:200]} for host {host} is not right: the secret "
                "key is not the one of this access key (ClientId), or the request was changed on "
                "its way.",
                reason=Reason.SIGNATURE,
            )
        now_s = self._clock.now_s()
        request.expires_s = claims.check_expiry(added["Expires"], now_s)
        request.client_id = added["ClientId"]
        request.pairs = [*beginning.pairs, *((p.name, p.value) for p in parameters)]
        return self._nonces.admit(
            # Of a name that stands there twice the order is not signed: take all of them.
            (added["ClientId"], " ".join(claims.sorted_values(parameters, "Nonce"))),
            signature,
            claims.latest(parameters, request.expires_s, now_s),
            now_s,
        )

    def _glance(self, raw: bytes) -> None:
        """Refuse what cannot be right before all of it is read: that could be very much."""
        form.check_count(raw, self._max_parameters)
        claimed = claims.glance(raw)
        claims.check_expiry(claimed["Expires"], self._clock.now_s())
        if not self._keys.secret_for(claimed["ClientId"]):
            raise SignatureError(
                f"The ClientId '{claimed['ClientId']}' is not known here.",
                reason=Reason.UNKNOWN_CLIENT,
            )

    def _variants(
        self, raw: bytes, charsets: Sequence[str]
    ) -> Iterator[tuple[str, Beginning, list[Parameter]]]:
        """Decode the parameters, in each charset that they may be in; the first is likeliest."""
        for charset in charsets:
            beginning, rest = self.beginnings.split(raw, charset)
            try:
                parameters = form.parse(rest, charset)
            except CallerError:
                if charset == charsets[-1]:
                    raise
                continue
            yield charset, beginning, parameters
            if beginning.is_ascii and form.plain(parameters):
                return


def _is_open(raw_path: bytes) -> bool:
    matches = (UNSIGNED_CACHE.fullmatch(raw_path), UNSIGNED_PAGE.fullmatch(raw_path))
    return raw_path in UNSIGNED_PATHS or any(matches)


def _is_head_of_page(request: StoreRequest) -> bool:
    return request.method == b"HEAD" and UNSIGNED_PAGE.fullmatch(request.raw_path) is not None


def _is_signed(request: StoreRequest) -> bool:
    raw = request.body if request.method == b"POST" else request.raw_query
    return b"&Signature=" in b"&" + raw


def _charsets(request: StoreRequest) -> Sequence[str]:
    if request.method != b"POST":
        return ["utf-8"]
    # As bytes: Twisted would decode it as UTF-8, which it may not be.
    came = request.requestHeaders.getRawHeaders(b"content-type", [b""])
    charset = form.body_charset(came[-1].decode("iso-8859-1"))
    return ["utf-8", "iso8859-1"] if charset is None else [charset]


def _is_name_or_address(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        return bool(IPv6Address(host[1:].partition("]")[0]))
    except ValueError:
        return False


def host_of(request: StoreRequest) -> str:
    """Give the request's own ``Host``.

    Raises:
        CallerError: 400, unless there is exactly one and it is ``host`` or ``host:port``.
    """
    came = request.requestHeaders.getRawHeaders(b"host", [])
    if len(came) != 1:
        raise CallerError(f"The request must have one Host header; {len(came)} came.")
    host = came[0].decode("iso-8859-1")
    match = _HOST.fullmatch(host)
    if match is None or int(match[1] or 1) > 65535 or not _is_name_or_address(host):
        raise CallerError("The Host header is malformed: it must be 'name' or 'name:port'.")
    return host

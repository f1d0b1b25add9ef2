"""One wrapper round the whole tree: nothing is reachable unsigned but a written list."""

# ruff: noqa: N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast
from urllib.parse import unquote_to_bytes

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET

from imagestoreproxy.model import signing
from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.model.signing import Parameter
from imagestoreproxy.ports import Clock
from imagestoreproxy.shop import Keys
from imagestoreproxy.web import form
from imagestoreproxy.web.answers import StoreRequest, refusal
from imagestoreproxy.web.nonces import Nonces, Seen

UNSIGNED_PATHS = frozenset({b"/healthz"})
MAX_FUTURE_S = 15 * 60

_FIXED = {
    "SignatureMethod": signing.METHOD,
    "SignatureVersion": signing.SIGNATURE_VERSION,
    "Version": signing.API_VERSION,
}
_ADDED = frozenset({*_FIXED, "ClientId", "Expires", "Nonce"})
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?")
_MAX_VALUE_CHARS = 256


class SignedTree(Resource):
    """Lets through to ``tree`` what is signed as the Store tab signs, and answers all else.

    Args:
        tree: what is being guarded.
        max_parameters: of one request.
        nonces: what was used before; one for each site.
    """

    isLeaf = True

    def __init__(
        self, tree: Resource, keys: Keys, clock: Clock, nonces: Nonces, *, max_parameters: int
    ) -> None:
        super().__init__()
        self._tree = tree
        self._keys = keys
        self._clock = clock
        self._nonces = nonces
        self._max_parameters = max_parameters

    def render(self, request: IRequest) -> int:
        """Answer the request, or hand it on to the tree."""
        asked = cast(StoreRequest, request)
        if asked.method not in {b"GET", b"POST"}:
            message = "Only GET and POST are possible here."
            asked.respond(refusal(405, message, allow="GET, POST"))
            return NOT_DONE_YET
        try:
            host = host_of(asked)
            if not asked.raw_path.startswith(b"/"):
                raise CallerError("The request line must name a path that starts with '/'.")
            seen = None
            if asked.raw_path not in UNSIGNED_PATHS:
                seen = self._admit(asked, host)
        except CallerError as error:
            asked.respond(refusal(error.status, error.message))
            return NOT_DONE_YET
        if seen is not None:
            if seen.under_way:
                seen.waiting.append(asked.respond)
                return NOT_DONE_YET
            if seen.answer is not None:
                asked.respond(seen.answer)
                return NOT_DONE_YET
            seen.under_way = True
            asked.on_answer = partial(self._nonces.settle, seen)
        return self._inside(asked)

    def _inside(self, request: StoreRequest) -> int:
        request.prepath = []
        request.postpath = [unquote_to_bytes(part) for part in request.raw_path[1:].split(b"/")]
        getChildForRequest(self._tree, request).render(request)
        return NOT_DONE_YET

    def _admit(self, request: StoreRequest, host: str) -> Seen:
        method = request.method.decode("ascii")
        path = request.raw_path.decode("iso-8859-1")
        for variant in self._variants(request):
            parameters, signature = signing.split_signature(variant)
            if signature is None:
                raise SignatureError("The request is not signed: Signature is missing.")
            added = _added(parameters)
            secret = self._keys.secret_for(added["ClientId"])
            # Computed for an unknown client too, so that the time it takes tells nothing.
            right = signing.verifies(
                secret or "", signature, method, host, path, signing.canonical(parameters)
            )
            if right and secret:
                break
        else:
            raise SignatureError(
                f"The signature of {method} {path[:200]} for host {host} is not right: the secret "
                "key is not the one of this ClientId, or the request was changed on its way."
                if secret
                else f"The ClientId '{added['ClientId']}' is not known here."
            )
        now_s = self._clock.now_s()
        expires_s = _check_expiry(added["Expires"], now_s)
        request.pairs = [(p.name, p.value) for p in parameters]
        return self._nonces.admit(
            # Of a name that stands there twice the order is not signed: take all of them.
            (added["ClientId"], " ".join(_sorted_values(parameters, "Nonce"))),
            signature,
            _latest(parameters, expires_s, now_s),
            now_s,
        )

    def _variants(self, request: StoreRequest) -> list[list[Parameter]]:
        """Decode the parameters, in each charset that they may be in; the first is likeliest."""
        limit = self._max_parameters
        if request.method == b"GET":
            return [form.parse(request.raw_query, "utf-8", max_parameters=limit)]
        charset = form.body_charset(request.getHeader("content-type") or "")
        if charset is not None:
            return [form.parse(request.body, charset, max_parameters=limit)]
        latin1 = partial(form.parse, request.body, "iso8859-1", max_parameters=limit)
        try:
            utf8 = form.parse(request.body, "utf-8", max_parameters=limit)
        except CallerError as error:
            if error.status != 400:
                raise
            return [latin1()]
        if all(p.name.isascii() and p.value.isascii() for p in utf8):
            return [utf8]
        return [utf8, latin1()]


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
    if match is None or int(match[1] or 1) > 65535:
        raise CallerError("The Host header is malformed: it must be 'name' or 'name:port'.")
    return host


def _added(parameters: Sequence[Parameter]) -> dict[str, str]:
    """Give the six parameters that signing adds; of a name that is there twice, the last."""
    named = [p for p in parameters if p.name in _ADDED]
    if len(named) > 2 * len(_ADDED):
        raise SignatureError("The parameters that signing adds stand there more than twice.")
    found = {p.name: p.value for p in named}
    if missing := sorted(_ADDED - found.keys()):
        raise SignatureError(f"The request is not signed as it must be: {_and(missing)} missing.")
    for p in named:
        if len(p.value) > _MAX_VALUE_CHARS:
            raise SignatureError(f"{p.name} has more than {_MAX_VALUE_CHARS} characters.")
    for name, expected in _FIXED.items():
        if found[name] != expected:
            raise SignatureError(f"{name} must be {expected}, not '{found[name]}'.")
    return found


def _and(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names)} are"


def _sorted_values(parameters: Sequence[Parameter], name: str) -> list[str]:
    return sorted(p.value for p in parameters if p.name == name)


def _check_expiry(text: str, now_s: float) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise SignatureError(f"Expires must be Unix seconds in digits, not '{text}'.")
    expires_s = int(text)
    difference_s = expires_s - now_s
    clock = f"this proxy's clock says {int(now_s)} ({_utc(now_s)})"
    advice = "Set the clocks of both machines (the Store tab signs for 30 seconds)."
    if difference_s < 0:
        raise SignatureError(
            f"The request expired {-difference_s:.0f} seconds ago: it says Expires={text}, "
            f"{clock}. {advice}"
        )
    if difference_s > MAX_FUTURE_S:
        raise SignatureError(
            f"The request expires {difference_s:.0f} seconds from now, more than {MAX_FUTURE_S}: "
            f"it says Expires={text}, {clock}. {advice}"
        )
    return expires_s


def _latest(parameters: Sequence[Parameter], expires_s: int, now_s: float) -> int:
    """Give the time until which the request, with its values in any order, could be repeated."""
    values = _sorted_values(parameters, "Expires")
    if len(values) == 1:
        return expires_s
    times = [int(text) for text in values if re.fullmatch(r"[0-9]{1,12}", text)]
    return max(expires_s, *(t for t in times if t <= now_s + MAX_FUTURE_S))


def _utc(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"

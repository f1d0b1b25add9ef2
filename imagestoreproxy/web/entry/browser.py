"""What a request of a browser that has logged in must show, in the place of a signature."""

# mypy: allow-untyped-calls

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from imagestoreproxy.model.errors import SignatureError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.web.answers import StoreRequest
from imagestoreproxy.web.entry import cookies
from imagestoreproxy.web.entry.sessions import Sessions

CSRF_HEADER = "X-CSRF-Token"

_PORTS = {"http": 80, "https": 443}
# Those of the page itself, and those that the user typed.
_OWN_FETCHES = frozenset({"same-origin", "none"})


class Browsers:
    """Finds the session of a request.

    Args:
        external_url: of the proxy, where that is not what the ``Host`` header says; or empty.
    """

    def __init__(self, sessions: Sessions, external_url: str) -> None:
        self.sessions = sessions
        self._external_url = external_url

    def cookie_name(self, request: StoreRequest, host: str) -> str:
        """Give the name of the cookie that goes with this request."""
        by_tls = _origin(f"https://{host}")
        is_by_tls = request.isSecure() or (by_tls and by_tls == _origin(self._external_url))
        return cookies.cookie_name(host, over_tls=bool(is_by_tls))

    def only_tls(self, request: StoreRequest) -> bool:
        """Tell whether the cookie must never be sent in the clear."""
        return bool(request.isSecure()) or self._external_url.startswith("https:")

    def has_cookie(self, request: StoreRequest, host: str) -> bool:
        """Tell whether it claims to be of a session."""
        return self.cookie_name(request, host).encode("ascii") + b"=" in b";".join(
            _all(request, "Cookie")
        )

    def admit(self, request: StoreRequest, host: str) -> Session:
        """Give the session of a request.

        Raises:
            SignatureError: 401, it has none, or one that has ended; 403, it is not from a page of
                ours, or does not say so as it must.
        """
        token = cookies.token_in(_all(request, "Cookie"), self.cookie_name(request, host))
        session = self.sessions.find(token) if token is not None else None
        if session is None:
            raise SignatureError("Your session has ended. Log in again.", reason=Reason.SESSION)
        self.check_is_private(request, host)
        self.check_origin(request, host)
        if request.method not in {b"GET", b"HEAD"}:
            self._check_csrf_token(request, session)
        return session

    def check_origin(self, request: StoreRequest, host: str) -> None:
        """See that no page of another site has sent it, as far as the browser says.

        Raises:
            SignatureError: 403.
        """
        for came in _all(request, "Sec-Fetch-Site"):
            if came.decode("iso-8859-1") not in _OWN_FETCHES:
                raise SignatureError(
                    "A page of another site has sent this: it is refused.", 403, reason=Reason.CSRF
                )
        own = {_origin(f"{'https' if request.isSecure() else 'http'}://{host}")}
        if self._external_url:
            own.add(_origin(self._external_url))
        for came in _all(request, "Origin"):
            origin = _origin(came.decode("iso-8859-1"))
            # Some Host headers make no origin, and "null" does not either.
            if origin is None or origin not in own:
                raise SignatureError(
                    "A page of another address has sent this: it is refused. If it is the proxy's "
                    "own page, give the proxy --external-url with the address that you see.",
                    403,
                    reason=Reason.CSRF,
                )

    def check_is_private(self, request: StoreRequest, host: str) -> None:
        """See that nobody on the way can read the cookie that comes, or is to be given.

        Who reads a signed request can do nothing with it; who reads a cookie has the session.
        Browsers draw the same line: elsewhere a page cannot sign.

        Raises:
            SignatureError: 403.
        """
        if not self.only_tls(request) and not _is_this_machine(host):
            raise SignatureError(
                "Over plain HTTP anybody on the way could take the session: log in by https, or on "
                "this machine as localhost. If something before the proxy speaks TLS, give the "
                "proxy --external-url=https://NAME.",
                403,
                reason=Reason.SESSION,
            )

    def _check_csrf_token(self, request: StoreRequest, session: Session) -> None:
        came = _all(request, CSRF_HEADER)
        right = self.sessions.csrf_token(session).encode("ascii")
        if len(came) != 1 or not hmac.compare_digest(came[0], right):
            raise SignatureError(
                f"The header {CSRF_HEADER} is missing or wrong: it must hold the csrf-token of "
                "this session. Load the page again.",
                403,
                reason=Reason.CSRF,
            )


def _all(request: StoreRequest, header: str) -> list[bytes]:
    return list(request.requestHeaders.getRawHeaders(header.encode("ascii"), []))


def _is_this_machine(host: str) -> bool:
    name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str, int] | None:
    """Give scheme, host and port; None for what has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]

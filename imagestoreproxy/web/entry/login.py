"""The pages where a browser logs in and out."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.web.answers import Answer, JsonResource, StoreRequest, encode, refusal
from imagestoreproxy.web.entry import cookies
from imagestoreproxy.web.entry.auth import host_of
from imagestoreproxy.web.entry.browser import Browsers
from imagestoreproxy.web.plain import iso

log = Logger()

# Who has only seen the request must not be given the session by sending it again.
_ONLY_ONE_LOGIN = refusal(
    403, "This request has logged in already: sign one with a new Nonce.", acted=True
)


class SessionPage(JsonResource):
    """``/api/session``: ``POST``, signed, logs in; ``GET`` tells of the session it is asked in."""

    # Of the two it is the login; a session is never asked whether it is from before the start.
    acts = True

    def __init__(self, browsers: Browsers) -> None:
        super().__init__()
        self._browsers = browsers
        self.putChild(b"end", cast(IResource, EndPage(browsers)))
        self._login = _LoginPage(browsers)

    def render(self, request: IRequest) -> int:
        """Answer as the method wants."""
        if cast(StoreRequest, request).method == b"POST":
            return self._login.render(request)
        return super().render(request)

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        if request.session is None:
            raise SignatureError("There is no session: log in.")
        return _session_json(self._browsers, request.session)


class _LoginPage(JsonResource):
    method = "POST"
    acts = True

    def __init__(self, browsers: Browsers) -> None:
        super().__init__()
        self._browsers = browsers

    async def whole(self, request: StoreRequest) -> Answer:
        if request.session is not None:
            raise SignatureError("Sign the request to log in.")
        host = host_of(request)
        self._browsers.check_origin(request, host)
        self._browsers.check_is_private(request, host)
        if (settle := request.on_answer) is not None:
            request.on_answer = lambda _answer: settle(_ONLY_ONE_LOGIN)
        session, token = await self._browsers.sessions.begin(request.client_id)
        log.info("{client} has logged in", client=session.client_id)
        cookie = cookies.keep(
            self._browsers.cookie_name(request, host),
            token,
            session.expires_at_s - session.begun_at_s,
            only_tls=self._browsers.only_tls(request),
        )
        content = encode(_session_json(self._browsers, session))
        return Answer(200, content, acted=True, headers={b"set-cookie": cookie})


class EndPage(JsonResource):
    """``POST /api/session/end``: log out; all other sessions of the same client stay."""

    method = "POST"

    def __init__(self, browsers: Browsers) -> None:
        super().__init__()
        self._browsers = browsers

    async def whole(self, request: StoreRequest) -> Answer:
        if request.session is None:
            raise CallerError("There is no session to end: this request was signed.")
        await self._browsers.sessions.end(request.session)
        log.info("{client} has logged out", client=request.session.client_id)
        cookie = cookies.keep(
            self._browsers.cookie_name(request, host_of(request)),
            "",
            0,
            only_tls=self._browsers.only_tls(request),
        )
        return Answer(200, encode({"ended": True}), headers={b"set-cookie": cookie})


def _session_json(browsers: Browsers, session: Session) -> Mapping[str, Any]:
    content = {
        "client-id": session.client_id,
        "expires-at": iso(session.expires_at_s),
        "csrf-token": browsers.sessions.csrf_token(session),
    }
    return {"session": content}

"""One HTTP request and its answer, as a job of the transfer thread. Redirects are not followed."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pycurl

from imagestoreproxy import __version__
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.outside.addresses import is_local
from imagestoreproxy.outside.bodies import Body
from imagestoreproxy.outside.pace import Pace
from imagestoreproxy.outside.transfers import TransferThread

_USELESS_BYTES = 64 * 1024  # of an error page; reading it keeps the connection
_RECEIVE_BYTES = 256 * 1024
SMALL_BYTES = 4 * 2**20
# All header lines of one exchange: of interim answers and of the trailer as well, which could go
# on for ever without being slow.
_HEADER_BYTES = 128 * 1024
_CA_CACHE_TIMEOUT = 321  # CURLOPT_CA_CACHE_TIMEOUT, which pycurl has no name for


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every exchange.

    Args:
        connect_s: for name lookup, connection, HTTP proxy and TLS together.
        stall_bytes_per_s, stall_s: a transfer slower than that for so long has stalled.
        hasty_bytes_per_s: the same where another server may be asked instead, see ``patience_s``.
        get_s: for the whole of a small answer, redirects included; see ``get_within_s``.
        redirects: how many are followed.
        block_bytes: what is handed to a sink at once.
        queued_blocks: how many blocks may wait for a sink.
        ca_cache_s: how long a changed CA bundle may go unseen; libcurl would keep it for a day.
    """

    connect_s: float = 15.0
    stall_bytes_per_s: int = 100
    stall_s: int = 60
    hasty_bytes_per_s: int = 1000
    get_s: float = 30.0
    redirects: int = 5
    block_bytes: int = 1 << 18
    queued_blocks: int = 4
    ca_cache_s: int = 10

    def get_within_s(self, limit_bytes: int) -> float:
        """Give how long an answer of at most so many bytes may take as a whole.

        A catalogue of 15 MB would not come in 30 s over a line of 2 Mbit/s, and so never.
        """
        return self.get_s * max(1.0, limit_bytes / SMALL_BYTES)

    def stall(self, patience_s: float) -> tuple[int, float]:
        """Give the bytes a second, and for how long, below which a transfer has stalled.

        Args:
            patience_s: of whoever asks; 0 for the usual, more than that makes no difference.
        """
        if 0 < patience_s < self.stall_s:
            return self.hasty_bytes_per_s, patience_s
        return self.stall_bytes_per_s, self.stall_s


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and how.

    Args:
        url: http or https, ASCII.
        proxy: URL of the HTTP proxy, or empty for none.
        headers: whole lines.
        total_s: limit for the whole exchange; 0 for none.
        take_gzip: let the server compress, and decompress.
        only_certificate: connect without trusting anybody, send nothing, read the certificate.
        is_capped: what comes counts against the bandwidth cap.
        patience_s: how long it may be slow; 0 for the usual, see ``Limits.stall``.
    """

    url: str
    proxy: str
    allow_local: bool
    ca: Path | None = None
    headers: tuple[str, ...] = ()
    total_s: float = 0.0
    take_gzip: bool = False
    only_certificate: bool = False
    is_capped: bool = False
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How an exchange ended.

    Args:
        code, text: libcurl's error (0: none) and its words.
        problem: what the body's taker raised.
        address: of the server, or of the HTTP proxy; or the one that was tried last; or empty.
        refused: a local address that was not connected to.
        os_errno: of the operating system, when a connection failed; or 0.
        connect_status: the HTTP proxy's answer to CONNECT, or 0.
        looked_up: whether the name of the host, or of the HTTP proxy, had an address.
        connected: whether the connection, with TLS where it is wanted, stood.
        redirect_url: where the answer points to, absolute.
        certificate: fields of the server's own certificate, where they were asked for.
    """

    code: int = 0
    text: str = ""
    problem: Exception | None = None
    cancelled: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    refused: str = ""
    os_errno: int = 0
    connect_status: int = 0
    looked_up: bool = False
    connected: bool = False
    redirect_url: str = ""
    certificate: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """A job of the transfer thread, see ``transfers.Job``, and a flow, see ``bodies.Flow``.

    Args:
        settled: called once with the answer, in any thread, when the body has been left as well.

    Raises:
        pycurl.error: libcurl does not take an option.
    """

    def __init__(
        self,
        thread: TransferThread,
        request: Request,
        body: Body,
        limits: Limits,
        settled: Callable[[Answer], None],
    ) -> None:
        self._thread = thread
        self._request = request
        self._body = body
        self._settled = settled
        self._status = 0
        self._headers: dict[str, str] = {}
        self._begun = self._useful = self._enough = False
        self._useless_bytes = self._header_bytes = 0
        self._problem: Exception | None = None
        self._tried = self._refused = ""
        self._answer: Answer | None = None
        self._told = False
        self._is_connected = False
        self._pace = Pace(*limits.stall(request.patience_s))
        self._pace.restart(time.monotonic())
        self._curl = self._prepared(request, limits)

    @property
    def curl(self) -> pycurl.Curl:
        """The easy handle."""
        return self._curl

    def start(self) -> bool:
        """Begin; False if the transfer thread has ended. From any thread."""
        return self._thread.call(lambda: self._thread.add(self))

    def resume(self) -> None:
        """Go on after a pause. From any thread."""
        self._thread.call(lambda: self._thread.unpause(self))

    def abort(self) -> None:
        """End the transfer and drop what waits to be written. From any thread."""
        self._thread.call(self._abort)

    def ended(self, code: int, text: str) -> None:
        """libcurl is done."""
        if code == 0 and not self._request.only_certificate:
            self._begin()  # an empty body has begun nothing yet
        if code == pycurl.E_WRITE_ERROR and (self._enough or self._problem):
            code, text = 0, ""
        self._answer = self._described(code, text)
        self._curl.close()
        self._body.finish(keep=True, finished=self._tell)

    def cancelled(self) -> None:
        """The transfer was taken away."""
        self._answer = Answer(cancelled=True)
        self._curl.close()
        self._body.finish(keep=False, finished=self._tell)

    def goes_on(self) -> None:
        """The pause ends."""
        self._pace.resume(time.monotonic())

    def has_stalled(self) -> bool:
        """Tell whether too little came for too long; pauses and connecting do not count."""
        if not self._is_connected:
            self._is_connected = float(self._curl.getinfo(pycurl.PRETRANSFER_TIME)) > 0
            self._pace.restart(time.monotonic())
            return False
        return self._pace.has_stalled(time.monotonic())

    def _abort(self) -> None:
        self._thread.cancel(self)
        if self._answer is not None and not self._told:
            self._body.finish(keep=False, finished=self._tell)

    def _tell(self, problem: Exception | None) -> None:
        if self._told or self._answer is None:
            return
        self._told = True
        self._settled(replace(self._answer, problem=self._problem or problem))

    def _prepared(self, request: Request, limits: Limits) -> pycurl.Curl:
        curl = pycurl.Curl()
        options: dict[int, Any] = {
            pycurl.URL: request.url,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.FOLLOWLOCATION: 0,
            # Both empty texts are said on purpose: libcurl would look into the environment.
            pycurl.PROXY: request.proxy,
            pycurl.NOPROXY: "",
            pycurl.NOSIGNAL: 1,
            # A paused transfer would hold up all others of an HTTP/2 connection.
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.USERAGENT: f"image-store-proxy/{__version__}",
            pycurl.CONNECTTIMEOUT_MS: int(limits.connect_s * 1000),
            pycurl.TIMEOUT_MS: int(request.total_s * 1000),
            pycurl.BUFFERSIZE: _RECEIVE_BYTES,
            # A connection that may be local is never left for a transfer that may not.
            pycurl.FORBID_REUSE: int(request.allow_local),
            # A resumed session is not checked again: not by a CA bundle that has changed either.
            pycurl.SSL_SESSIONID_CACHE: 0,
            pycurl.HTTPHEADER: list(request.headers),
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_data,
            pycurl.OPENSOCKETFUNCTION: self._on_open,
        }
        if "@" in request.proxy:
            options[pycurl.PROXYAUTH] = pycurl.HTTPAUTH_ANY
        if request.take_gzip:
            options[pycurl.ACCEPT_ENCODING] = "gzip"
        if request.ca is not None and request.ca.is_dir():
            options |= {pycurl.CAPATH: str(request.ca), pycurl.PROXY_CAPATH: str(request.ca)}
        elif request.ca is not None:
            options |= {pycurl.CAINFO: str(request.ca), pycurl.PROXY_CAINFO: str(request.ca)}
        if request.only_certificate:
            options |= {
                pycurl.CONNECT_ONLY: 1,
                pycurl.OPT_CERTINFO: 1,
                pycurl.SSL_VERIFYPEER: 0,
                pycurl.SSL_VERIFYHOST: 0,
                pycurl.FORBID_REUSE: 1,
            }
        for option, value in options.items():
            curl.setopt(option, value)
        with contextlib.suppress(pycurl.error):  # libcurl before 7.87 keeps nothing
            curl.setopt(_CA_CACHE_TIMEOUT, limits.ca_cache_s)
        return curl

    def _on_open(self, _purpose: int, address: Any) -> socket.socket | int:
        family, kind, protocol, target = address
        self._tried = str(target[0])
        if not (self._request.allow_local or self._request.proxy) and is_local(self._tried):
            self._refused = self._tried
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)

    def _on_header(self, raw: bytes) -> int | None:
        self._header_bytes += len(raw)
        self._pace.came(len(raw))
        if self._header_bytes > _HEADER_BYTES:
            self._problem = FetchError(
                f"more than {_HEADER_BYTES} bytes of header lines came", retry_helps=False
            )
            return -1
        line = raw.decode("latin-1").strip()
        if line.startswith("HTTP/"):
            # Also the first line after a CONNECT, a 100 or a 407 that was answered.
            words = line.split(None, 2)
            self._status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            self._headers.clear()
        elif ":" in line:
            name, _, value = line.partition(":")
            self._headers[name.strip().lower()] = value.strip()
        return None

    def _on_data(self, data: bytes) -> int | None:
        self._begin()
        if self._problem is not None:
            return -1
        if not self._useful:
            self._useless_bytes += len(data)
            self._enough = self._useless_bytes > _USELESS_BYTES
            return -1 if self._enough else None
        if self._request.is_capped and not self._thread.may_take(self):
            return self._paused()
        try:
            if not self._body.take(data):
                return self._paused()
        except Exception as error:
            self._problem = error
            return -1
        self._pace.came(len(data))
        if self._request.is_capped:
            self._thread.took(self, len(data))
        return None

    def _paused(self) -> int:
        self._pace.pause(time.monotonic())
        return pycurl.WRITEFUNC_PAUSE

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            try:
                self._useful = self._body.begin(self._status, self._headers, self)
            except Exception as error:
                self._problem = error

    def _described(self, code: int, text: str) -> Answer:
        curl = self._curl
        certificate: dict[str, str] = {}
        if self._request.only_certificate:
            with contextlib.suppress(pycurl.error, UnicodeError, IndexError, ValueError):
                certificate = dict(curl.getinfo(pycurl.INFO_CERTINFO)[0])
        return Answer(
            code=code,
            text=text,
            status=self._status,
            headers=dict(self._headers),
            address=_text(curl, pycurl.PRIMARY_IP) or self._tried,
            refused=self._refused,
            os_errno=int(curl.getinfo(pycurl.OS_ERRNO)),
            connect_status=int(curl.getinfo(pycurl.HTTP_CONNECTCODE)),
            looked_up=bool(self._tried) or float(curl.getinfo(pycurl.NAMELOOKUP_TIME)) > 0,
            connected=float(curl.getinfo(pycurl.PRETRANSFER_TIME)) > 0,
            redirect_url=_text(curl, pycurl.REDIRECT_URL),
            certificate=certificate,
        )


def _text(curl: pycurl.Curl, name: int) -> str:
    raw: bytes | None = curl.getinfo_raw(name)
    return (raw or b"").decode("utf-8", "replace")

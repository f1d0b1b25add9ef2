"""An HTTP server before another one that passes requests on, or misbehaves as a test says."""

from __future__ import annotations

import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

RESET_AFTER_BYTES = 100_000
MOTO_PREFIXES = (
    "/services/Eucalyptus",
    "/services/Walrus",
    "/services/compute",
    "/services/objectstorage",
)


@dataclass
class Answer:
    """What to say instead of the other server.

    Args:
        body: after the status line and headers.
    """

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What came. ``body`` is not read before it is asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: Callable[[], bytes]


class Close(Exception):  # noqa: N818
    """Raised by a rule: close the connection without an answer."""


class Reset(Exception):  # noqa: N818
    """Raised by a rule: read a little of the body, then reset the connection."""


class Lost(Exception):  # noqa: N818
    """Raised by a rule: pass the request on, then close without handing its answer back."""


class Endless(Exception):  # noqa: N818
    """Raised by a rule: answer 200 with a body that does not end by itself."""


class Altered(Exception):  # noqa: N818
    """Raised by a rule: pass the request on with another body."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


Rule = Callable[[Request], Answer | None]


class Interceptor:
    """Passes to ``upstream`` all that ``rule`` gives no answer to; both may change.

    Attributes:
        headers: added to each answer that is passed on.
        rewrite: changes the body of each answer that is passed on.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.headers: dict[str, str] = {}
        self.rewrite: Callable[[Request, bytes], bytes] = lambda request, body: body
        self.rule: Rule = lambda request: None
        self.seen: list[Request] = []
        self.released = threading.Event()
        self.url = ""


@contextmanager
def interceptor(
    upstream: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[Interceptor]:
    """Run one on a free port; with a certificate and its key it speaks TLS."""
    state = Interceptor(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self) -> None:
            with suppress(ConnectionError):  # a client that has had enough
                _answer(self, state)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    state.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def _answer(handler: BaseHTTPRequestHandler, state: Interceptor) -> None:
    length = int(handler.headers.get("content-length") or 0)
    read: list[bytes] = []
    reading = threading.Lock()

    def body() -> bytes:
        # A test that looks through what was seen may ask for it at the same time.
        with reading:
            if not read:
                read.append(handler.rfile.read(length))
            return read[0]

    headers = {name.lower(): value for name, value in handler.headers.items()}
    request = Request(handler.command, handler.path, headers, body)
    # Who sees it may change the rule: for those that come after it.
    rule = state.rule
    state.seen.append(request)
    lost = False
    try:
        told = rule(request)
    except Close:
        handler.close_connection = True
        return
    except Reset:
        if not read:
            handler.rfile.read(min(length, RESET_AFTER_BYTES))
        # Closed with what came unread and without lingering, the system sends a reset.
        handler.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True
        return
    except Endless:
        _send_endlessly(handler, state)
        return
    except Altered as altered:
        request = replace(request, body=partial(bytes, altered.body))
        request.headers.pop("content-md5", None)
        told = None
    except Lost:
        told, lost = None, True
    body()
    if told is not None:
        _send(handler, told.status, told.headers, told.body.encode())
        return
    status, passed, content = _passed_on(request, state.upstream)
    if lost:
        state.rewrite(request, content)  # what it remembers has happened all the same
        handler.close_connection = True
        return
    if handler.command != "HEAD":
        content = state.rewrite(request, content)
        passed["content-length"] = str(len(content))
    _send(handler, status, passed | state.headers, content)


def _send_endlessly(handler: BaseHTTPRequestHandler, state: Interceptor) -> None:
    handler.close_connection = True
    handler.send_response_only(200)
    handler.end_headers()
    while not state.released.is_set():
        handler.wfile.write(b"<a>" * 20_000)


def _passed_on(request: Request, upstream: str) -> tuple[int, dict[str, str], bytes]:
    path = request.path
    for prefix in MOTO_PREFIXES:
        if path.startswith(prefix):
            path = path.removeprefix(prefix) or "/"
    connection = HTTPConnection(urlsplit(upstream).netloc, timeout=30)
    drop = ("host", "expect", "connection", "content-length")
    headers = {name: value for name, value in request.headers.items() if name not in drop}
    connection.request(request.method, path, request.body(), headers)
    response = connection.getresponse()
    content = response.read()
    keep = {
        name.lower(): value
        for name, value in response.getheaders()
        if name.lower() not in ("connection", "transfer-encoding", "date", "server")
    }
    connection.close()
    return response.status, keep, content


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    handler.send_response_only(status)
    told = {"content-length": str(len(body))} | {k.lower(): v for k, v in headers.items()}
    for name, value in told.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)

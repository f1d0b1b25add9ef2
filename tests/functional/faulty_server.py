"""A real HTTP server with real faults, on a port of its own at 127.0.0.1.

``FaultyServer({"/image": Page(b"...")})`` is a context manager; ``url("/image")`` gives the URL,
``requests`` what was asked, ``most_answering`` how many answers went on at a time. A ``Page`` says
how its answer goes wrong.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Page:
    """What a path answers. May be changed between requests.

    Args:
        body: the whole file.
        status: other than 200 sends the body with that status, without looking at ranges.
        knows: answers 304 to who knows what it is by ``If-None-Match`` or ``If-Modified-Since``.
        headers: added to the answer.
        etag: with its quotes; empty for none.
        ranges: False ignores ``Range``.
        cut_after_bytes: closes the connection after so many bytes of the body.
        silent_after_bytes: sends nothing more after so many bytes, but keeps the connection.
        pause_s: waited between blocks of 64 KiB, of each connection.
        claims_range: sent as Content-Range instead of the true one.
        length: False leaves out Content-Length.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = '"v1"'
    knows: bool = False
    ranges: bool = True
    cut_after_bytes: int | None = None
    silent_after_bytes: int | None = None
    pause_s: float = 0.0
    claims_range: str = ""
    length: bool = True


@dataclass(frozen=True)
class Asked:
    """A request that came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class FaultyServer:
    """Serves ``pages`` until the context is left.

    Args:
        pages: by path; others are 404.
        tls: makes it an https server.
        proxy: makes it an HTTP proxy that knows every host: CONNECT leads to ``connect_to``.
        proxy_user: ``USER:PW`` base64, without which it answers 407.
    """

    def __init__(
        self,
        pages: Mapping[str, Page] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        connect_to: tuple[str, int] | None = None,
        proxy_user: str = "",
        clear_text_after_connect: bool = False,
    ) -> None:
        self.pages = dict(pages or {})
        self.requests: list[Asked] = []
        self.answering = self.most_answering = 0
        self.connect_to = connect_to
        self.proxy_user = proxy_user
        self.clear_text_after_connect = clear_text_after_connect
        self.ending = threading.Event()
        self.counting = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Answer)
        self._server.owner = self
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.tls = tls
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Give the URL of a path."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: FaultyServer
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            request.settimeout(10)
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break on purpose here."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    @property
    def owner(self) -> FaultyServer:
        server = self.server
        assert isinstance(server, _Server)
        return server.owner

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._note()
        if self._unpaid():
            return
        path = re.sub(r"^http://[^/]+", "", self.path)  # as an HTTP proxy is asked
        page = self.owner.pages.get(path.partition("?")[0], Page(b"nothing here", status=404))
        body, status, headers = page.body, page.status, dict(page.headers)
        if page.etag:
            headers.setdefault("ETag", page.etag)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, page.etag)
        if status == 200 and asked and page.ranges and same:
            start, size = int(asked[1]), len(body)
            end = min(int(asked[2] or size) + bool(asked[2]), size)
            status, body = (206, body[start:end]) if start < size else (416, b"")
            told = f"bytes {start}-{end - 1}/{size}" if status == 206 else f"bytes */{size}"
            headers["Content-Range"] = page.claims_range or told
        elif status == 200 and page.knows and self._is_known(headers):
            status, body = 304, b""
        if page.length and status != 304:
            headers.setdefault("Content-Length", str(len(body)))
        elif status != 304:
            self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        owner = self.owner
        with owner.counting:
            owner.answering += 1
            owner.most_answering = max(owner.most_answering, owner.answering)
        try:
            self._send(page, body)
        finally:
            with owner.counting:
                owner.answering -= 1

    def do_CONNECT(self) -> None:
        self._note()
        if self._unpaid():
            return
        self.close_connection = True
        if self.owner.connect_to is None and not self.owner.clear_text_after_connect:
            self.send_error(403)
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        if self.owner.clear_text_after_connect:
            self.connection.recv(1000)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            return
        assert self.owner.connect_to is not None
        with socket.create_connection(self.owner.connect_to, timeout=10) as far:
            back = threading.Thread(target=_copy, args=(far, self.connection), daemon=True)
            back.start()
            _copy(self.connection, far)
            back.join(5)

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        tag = self.headers.get("If-None-Match")
        date = self.headers.get("If-Modified-Since")
        return tag == headers.get("ETag") if tag else date == headers.get("Last-Modified", "-")

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.requests.append(Asked(self.command, self.path, headers))

    def _unpaid(self) -> bool:
        wanted = self.owner.proxy_user
        if not wanted or self.headers.get("Proxy-Authorization") == f"Basic {wanted}":
            return False
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _send(self, page: Page, body: bytes) -> None:
        if page.cut_after_bytes is not None:
            self.wfile.write(body[: page.cut_after_bytes])
            self.close_connection = True
            return
        if page.silent_after_bytes is not None:
            self.wfile.write(body[: page.silent_after_bytes])
            self.owner.ending.wait(20)
            self.close_connection = True
            return
        step = 65536 if page.pause_s else max(1, len(body))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if page.pause_s and start + step < len(body) and self.owner.ending.wait(page.pause_s):
                return


class RawServer:
    """Takes each connection, reads what comes first, and answers with bytes that nobody checks.

    Args:
        answer: the pieces to send; an endless iterator sends until the client has gone.
        pause_s: waited before each piece.
    """

    def __init__(self, answer: Callable[[], Iterable[bytes]], *, pause_s: float = 0.0) -> None:
        self._answer = answer
        self._pause_s = pause_s
        self._ending = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def url(self, path: str = "/") -> str:
        """Give the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        # A close alone leaves accept() where it is.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            connection.recv(65536)
            for piece in self._answer():
                if self._ending.wait(self._pause_s):
                    return
                connection.sendall(piece)


class SilentServer:
    """Takes connections and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Authority:
    """A certificate authority for one test; ``ca_file`` is what a client has to trust."""

    directory: Path
    name: str = "Test Authority"

    @property
    def ca_file(self) -> Path:
        """The certificate, PEM."""
        return self.directory / f"{self.name}.pem"

    def server(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """Make a server's context; ``days`` below 0 makes a certificate that has expired."""
        key, certificate = self._own()
        server_key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(names[0], days)
            .issuer_name(certificate.subject)
            .public_key(server_key.public_key())
            .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
            .sign(key, hashes.SHA256())
        )
        file = self.directory / f"server-{time.monotonic_ns()}.pem"
        file.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _own(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(self.name, 30)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .sign(key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return key, certificate


def _builder(name: str, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - datetime.timedelta(days=2))
        .not_valid_after(ends)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

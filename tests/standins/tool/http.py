"""One HTTP request on a connection of its own, and the words of URLs.

``http.client`` and ``urllib`` take longer to load than all else that a run does.
"""

from __future__ import annotations

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TIMEOUT_S = 60
BLOCK_BYTES = 1 << 16
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")


class Location:
    """A URL in pieces; ``host`` has the port behind it, where one is given."""

    def __init__(self, scheme: str, host: str, path: str) -> None:
        self.scheme, self.host, self.path = scheme, host, path

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        name, _, port = self.host.rpartition("@")[2].partition(":")
        return name, int(port or {"https": 443}.get(self.scheme, 80))


class Answer:
    """What came back."""

    def __init__(self, status: int, reason: str, body: bytes) -> None:
        self.status, self.reason, self.body = status, reason, body


def location_of(url: str) -> Location:
    """Take a URL to pieces."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return Location(scheme.lower(), host, slash + path)


def quote(text: str, safe: str = "/") -> str:
    """Encode for a URL, as ``urllib.parse.quote`` does."""
    kept = _LETTERS.union(safe.encode())
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in text.encode())


def exchange(
    url: str, method: str, path: str, content: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send a request and read the whole answer.

    Raises:
        OSError: there was none, or not all of it.
    """
    location = location_of(url)
    connection = _connection(location)
    try:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {location.host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if content:
            connection.sendall(content)
        blocks = []
        while block := connection.recv(BLOCK_BYTES):
            blocks.append(block)
    finally:
        connection.close()
    return _read(method, b"".join(blocks))


def _connection(location: Location) -> Any:
    if location.scheme != "https":
        connection = _socket.socket()
        connection.settimeout(TIMEOUT_S)
        connection.connect(location.address)
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return connection
    import socket
    import ssl

    # None of them verifies the server unless told to by a configuration file.
    context = ssl._create_unverified_context()
    plain = socket.create_connection(location.address, TIMEOUT_S)
    return context.wrap_socket(plain, server_hostname=location.address[0])


def _read(method: str, told: bytes) -> Answer:
    head, _, body = told.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, words = first.partition(" ")
    status, _, reason = words.partition(" ")
    if not told:
        raise ConnectionError("Remote end closed connection without response")
    if not version.startswith("HTTP/") or not status.isdigit():
        raise ConnectionError(first or "no HTTP")
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip().lower()
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    elif method != "HEAD" and len(body) < int(headers.get("content-length") or 0):
        raise ConnectionError("IncompleteRead")
    return Answer(int(status), reason, body)


def _joined(body: bytes) -> bytes:
    """What came in chunks, without their sizes."""
    whole = b""
    while True:
        size, found, rest = body.partition(b"\r\n")
        count = int(size.partition(b";")[0] or b"0", 16) if found else 0
        if count == 0 or len(rest) < count:
            if found and count == 0:
                return whole
            raise ConnectionError("IncompleteRead")
        whole += rest[:count]
        body = rest[count + 2 :]

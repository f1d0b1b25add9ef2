"""A published tree over HTTP: read only, in ranges, for whoever asks.

It is shown by a symbolic link that changes with each publication; so every path is looked up anew,
and a file that is being sent stays the one that was opened.
"""

# ruff: noqa: N802, N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import File

from imagestoreproxy.regular import only_regular
from imagestoreproxy.web.connections import Connections, client_of

CONNECTIONS = 512
CONNECTIONS_OF_ONE = 64
IDLE_S = 60

_NAME = re.compile(rb"[A-Za-z0-9_+~-][A-Za-z0-9._:+~-]{0,254}")
# No list of ranges: each costs a head, and a proxy asks for one.
_RANGE = re.compile(rb"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_TYPES = {
    ".json": "application/json",
    ".sjson": "text/plain; charset=utf-8",
    ".gpg": "application/pgp-signature",
    ".asc": "application/pgp-keys",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_TYPES_OF = {
    "api/dashboard": "application/json",
    "api/search": "application/json",
    "SHA256SUMS": "text/plain; charset=utf-8",
    "keyring.gpg": "application/pgp-keys",
}


class PublishedTree(Resource):
    """The tree; each file below it is opened when it is asked for.

    Args:
        root: the link, or a directory.
    """

    isLeaf = True

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def render_GET(self, request: Request) -> int | bytes:
        names = cast(list[bytes], request.postpath)
        if not names or not all(map(_NAME.fullmatch, names)):
            return _not_found(request)
        path = "/".join(name.decode("ascii") for name in names)
        file = self._opened(path)
        if file is None:
            return _not_found(request)
        return PublishedFile(file, path).render_GET(request)

    render_HEAD = render_GET

    def _opened(self, path: str) -> BinaryIO | None:
        """Open a file; None where there is none, or a link leads out of the tree."""
        try:
            root = self._root.resolve(strict=True)
            found = (root / path).resolve(strict=True)
            if found != root / path or not found.is_relative_to(root):
                return None
            descriptor = only_regular(str(found), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        return os.fdopen(descriptor, "rb", buffering=0)


class PublishedFile(File):
    """One open file; ranges and the sending of them are Twisted's.

    It has its own ETag, and If-Range, which Twisted does not know.
    """

    isLeaf = True

    def __init__(self, file: BinaryIO, path: str) -> None:
        super().__init__(path)
        self._file = file
        self._status = os.fstat(file.fileno())
        self._tree_path = path
        self.type = _TYPES_OF.get(path) or _type(path)
        self.encoding = None  # a .gz is what was asked for, and not a way of sending it

    def getFileSize(self) -> int:
        return self._status.st_size

    def render_GET(self, request: Request) -> int | bytes:
        """Answer; whatever happens, the file is closed in the end."""
        request.setHeader(b"accept-ranges", b"bytes")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-security-policy", b"default-src 'none'; sandbox")
        if self._is_for_ever():
            request.setHeader(b"cache-control", b"public, max-age=31536000, immutable")
        else:
            request.setHeader(b"cache-control", b"no-cache")
        etag = self._etag()
        is_known = request.setETag(etag) is http.CACHED
        modified_s = int(self._status.st_mtime)
        if not is_known and request.getHeader(b"if-none-match"):
            # Then If-Modified-Since does not count (RFC 9110, 13.1.3).
            request.requestHeaders.removeHeader(b"if-modified-since")
        if is_known or request.setLastModified(modified_s) is http.CACHED:
            self._file.close()
            return b""
        self._check_range(request, etag, modified_s)
        if request.method == b"HEAD":
            self._setContentHeaders(request)
            self._file.close()
            return b""
        self.makeProducer(request, self._file).start()
        return NOT_DONE_YET

    def _is_for_ever(self) -> bool:
        return self._tree_path.startswith("files/") and self._tree_path.count("/") == 2

    def _etag(self) -> bytes:
        if self._is_for_ever():
            return f'"{self._tree_path.split("/")[1]}"'.encode()
        found = self._status
        return b'"%x-%x-%x"' % (found.st_ino, found.st_mtime_ns, found.st_size)

    def _check_range(self, request: Request, etag: bytes, modified_s: int) -> None:
        """Leave out a Range that does not count: then the whole file is the answer."""
        headers = request.requestHeaders
        found = _RANGE.fullmatch((request.getHeader(b"range") or b"").strip())
        condition = request.getHeader(b"if-range")
        is_same = condition in (None, etag) or condition == http.datetimeToString(modified_s)
        # Twisted would count a tail that is longer than the file from before its beginning.
        is_long_tail = found and found[3] and int(found[3]) >= self.getFileSize()
        if not found or not is_same or is_long_tail:
            headers.removeHeader(b"range")


def _not_found(request: Request) -> bytes:
    request.setResponseCode(http.NOT_FOUND)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return b"There is nothing here.\n"


def _type(path: str) -> str:
    if path.startswith("api/images/"):
        return "text/plain; charset=utf-8"
    return _TYPES.get(os.path.splitext(path)[1].lower(), "application/octet-stream")  # noqa: PTH122


class PublishedChannel(HTTPChannel):
    """One connection; it takes no bodies.

    Whoever took bytes last stays when there is no room for a new one: so neither those that wait,
    nor those that ask and do not read, keep anybody out.
    """

    site: PublishedSite
    client = ""

    def connectionMade(self) -> None:
        self.site.connections.opened(self, self.client)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections.closed(self)
        super().connectionLost(reason)

    def resumeProducing(self) -> None:
        self._moves()
        super().resumeProducing()

    def allHeadersReceived(self) -> None:
        if self.length != 0:
            self._respondToBadRequestAndDisconnect()
            return
        self._moves()
        super().allHeadersReceived()

    def give_way(self) -> None:
        """End at once: somebody else needs the room."""
        cast(Any, self.transport).abortConnection()

    def timeoutConnection(self) -> None:
        # Twisted logs each.
        self.loseConnection()

    def _moves(self) -> None:
        self.site.connections.is_busy(self)
        self.site.connections.waits(self)


class PublishedSite(Site):
    """The server.

    Args:
        root: the published tree, or a link to it.
        tell: takes a line for each request; None: nobody wants to know.
    """

    protocol = PublishedChannel  # type: ignore[assignment]

    def __init__(
        self, root: Path, reactor: IReactorTime, *, tell: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(cast(IResource, PublishedTree(root)), timeout=IDLE_S, reactor=reactor)
        self._tell = tell
        self.connections = Connections(most=CONNECTIONS, most_of_one=CONNECTIONS_OF_ONE)

    def buildProtocol(self, addr: IAddress | None) -> PublishedChannel | None:  # type: ignore[override]
        client = client_of(addr)
        if not self.connections.make_room(client):
            return None
        channel = cast(PublishedChannel, super().buildProtocol(addr))
        channel.client = client
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Open no access log."""

    def stopFactory(self) -> None:
        """Close no access log."""

    def log(self, request: Request) -> None:  # type: ignore[override]
        if self._tell:
            path = request.uri[:500].decode("ascii", "backslashreplace")
            method = request.method[:20].decode("ascii", "backslashreplace")
            shown = f"{method} {path}".encode("unicode_escape").decode("ascii")
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            client = getattr(request.getClientAddress(), "host", "-")
            self._tell(f"{at} {client} {shown}: {request.code}, {request.sentLength} bytes")

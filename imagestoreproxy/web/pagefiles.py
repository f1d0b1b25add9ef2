"""The web page: files of this package, read once, and served to everybody who asks."""

# ruff: noqa: N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import cast

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET

from imagestoreproxy.web.answers import (
    NOWHERE,
    Answer,
    JsonResource,
    Nowhere,
    StoreRequest,
    refusal,
)

INDEX = "index.html"
# Nothing is secret behind these addresses, and nothing but the files of the page.
UNSIGNED_PAGE = re.compile(rb"/(?:page/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?")

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".ico": b"image/vnd.microsoft.icon",
    ".webmanifest": b"application/manifest+json",
}
_PACKED_ALREADY = frozenset({".png", ".ico"})
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Mapping[bytes, bytes] = {
    b"cache-control": b"no-cache",
    b"content-security-policy": _POLICY,
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"vary": b"accept-encoding",
}


class PageFile(JsonResource):
    """One file: ``GET`` and ``HEAD``, also whether it has changed."""

    def __init__(self, content: bytes, suffix: str) -> None:
        super().__init__()
        # The same for both encodings, so a weak one.
        self._etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'.encode("ascii")
        self._headers = {**_HEADERS, b"content-type": _TYPES[suffix], b"etag": self._etag}
        self._content = content
        as_gzip = content if suffix in _PACKED_ALREADY else gzip.compress(content, mtime=0)
        self._as_gzip = as_gzip if len(as_gzip) < len(content) else b""

    def render(self, request: IRequest) -> int:
        """Answer; a client that signs reads JSON alone, and finds nothing here."""
        asked = cast(StoreRequest, request)
        if asked.signed and asked.session is None:
            return NOWHERE.render(request)
        asked.respond(self._answer(asked))
        return NOT_DONE_YET

    def _answer(self, request: StoreRequest) -> Answer:
        if request.method not in {b"GET", b"HEAD"}:
            return refusal(405, "Only GET and HEAD are possible here.", allow="GET, HEAD")
        if self._is_known(request):
            return Answer(304, b"", headers=self._headers, is_for_all=True)
        packed = self._as_gzip if request.takes_gzip() else b""
        return Answer(200, self._content, headers=self._headers, packed=packed, is_for_all=True)

    def _is_known(self, request: StoreRequest) -> bool:
        came = b",".join(request.requestHeaders.getRawHeaders(b"if-none-match", []))
        known = {tag.strip().removeprefix(b"W/") for tag in came.split(b",")}
        return self._etag.removeprefix(b"W/") in known


class PageFolder(Nowhere):
    """``/page/``: nothing but the files that were there at the start."""

    isLeaf = False

    def __init__(self, files: Mapping[str, PageFile]) -> None:
        super().__init__()
        for name, file in files.items():
            self.putChild(name.encode("ascii"), cast(IResource, file))


def read_page() -> Mapping[str, PageFile]:
    """Read the files of the page, by their names; those of other kinds are passed over."""
    folder = resources.files("imagestoreproxy.web").joinpath("page")
    found = {file.name: file for file in folder.iterdir() if file.is_file()}
    return {
        name: PageFile(found[name].read_bytes(), _suffix(found[name]))
        for name in sorted(found)
        if _suffix(found[name]) in _TYPES and UNSIGNED_PAGE.fullmatch(b"/page/" + name.encode())
    }


def _suffix(file: Traversable) -> str:
    return "." + file.name.rpartition(".")[2]

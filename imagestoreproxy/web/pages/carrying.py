"""The pages for carrying images away: fetching them, and the cache of verified files."""

# ruff: noqa: N802, N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET

from imagestoreproxy.model.carrying import (
    DOCUMENTS,
    FILES,
    INDEX,
    Fetch,
    image_json,
    is_digest,
    is_sha256,
)
from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.shop import Lending, Store
from imagestoreproxy.web.answers import Answer, JsonResource, Nowhere, StoreRequest, refusal
from imagestoreproxy.web.present import image_uri_of, progress_json
from imagestoreproxy.web.sending import Sendings

Json = Mapping[str, Any]


class Fetching(JsonResource):
    """``POST /api/images/ID/fetch``: bring an image into the cache, or tell how far that is."""

    method = "POST"
    acts = True

    def __init__(self, store: Store, name: bytes) -> None:
        super().__init__()
        self._store = store
        self._name = name

    async def answer(self, request: StoreRequest) -> Json:
        return {"fetch": fetch_json(self._store.fetch(image_uri_of(self._name)))}


class Releasing(Fetching):
    """``POST /api/images/ID/release``: it has been carried away, or nobody waits for it."""

    async def answer(self, request: StoreRequest) -> Json:
        await self._store.release(image_uri_of(self._name))
        return {}


CARRYING = {b"fetch": Fetching, b"release": Releasing}


class SharedCache(Nowhere):
    """``images.json``, ``documents/SHA256`` and ``files/DIGEST``; only to be read."""

    isLeaf = False

    def __init__(self, lending: Lending, sendings: Sendings) -> None:
        super().__init__()
        for name, child in {
            INDEX: _Index(lending, sendings),
            DOCUMENTS: _Files(sendings, lending.document, is_sha256),
            FILES: _Files(sendings, lending.file, is_digest),
        }.items():
            self.putChild(name.encode("ascii"), cast(IResource, child))


class _Index(JsonResource):
    def __init__(self, lending: Lending, sendings: Sendings) -> None:
        super().__init__()
        self._lending = lending
        self._sendings = sendings

    async def whole(self, request: StoreRequest) -> Answer:
        body = await self._lending.index()
        # One copy for all who ask, however many and however slow they are.
        self._sendings.begin(request, BytesIO(body), hashlib.sha256(body).hexdigest())
        return Answer(200, b"")


class _Files(Nowhere):
    """One child for each file."""

    isLeaf = False

    def __init__(
        self,
        sendings: Sendings,
        find: Callable[[str], Path | None],
        is_name: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self._sendings = sendings
        self._find = find
        self._is_name = is_name

    def getChild(self, path: bytes, request: IRequest) -> JsonResource:
        name = path.decode("ascii", "replace")
        found = self._find(name) if self._is_name(name) else None
        return _File(self._sendings, found, name)


class _File(JsonResource):
    isLeaf = True

    def __init__(self, sendings: Sendings, path: Path | None, name: str) -> None:
        super().__init__()
        self._sendings = sendings
        self._path = path
        self._name = name

    def render(self, request: IRequest) -> int:
        """Begin to send it; anything else is answered as on other pages."""
        asked = cast(StoreRequest, request)
        if asked.method != b"GET":
            return super().render(request)
        path = None if asked.postpath else self._path
        try:
            self._sendings.begin_path(asked, path, self._name)
        except CallerError as error:
            asked.respond(refusal(error.status, error.message))
        return NOT_DONE_YET


def fetch_json(fetch: Fetch) -> Json:
    """Give ``status``, with ``progress``, ``image`` or ``error-message`` that go with it."""
    if fetch.error:
        return {"status": "failed", "error-message": fetch.error}
    if fetch.image:
        return {"status": "fetched", "image": image_json(fetch.image)}
    progress = progress_json(fetch.progress) if fetch.progress else {}
    return {"status": "downloading", **progress}

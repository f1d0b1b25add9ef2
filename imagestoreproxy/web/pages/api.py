"""The pages of the UI API, on top of the store."""

# ruff: noqa: N802, N815 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.installs import Action, ImageState
from imagestoreproxy.shop import Checks, Shelf, Shop, Store
from imagestoreproxy.web.answers import (
    Answer,
    JsonResource,
    Nowhere,
    StoreRequest,
    refusal,
)
from imagestoreproxy.web.entry.auth import host_of
from imagestoreproxy.web.entry.browser import Browsers
from imagestoreproxy.web.entry.login import SessionPage
from imagestoreproxy.web.pagefiles import INDEX, PageFolder, read_page
from imagestoreproxy.web.pages.about import about_json
from imagestoreproxy.web.pages.apidocument import ApiDocument
from imagestoreproxy.web.pages.carrying import CARRYING, SharedCache
from imagestoreproxy.web.pages.following import FollowsPage, follow_page
from imagestoreproxy.web.pages.history import HistoryPage, ImageHistoryPage
from imagestoreproxy.web.pages.logbook import LogPage
from imagestoreproxy.web.pages.metrics import MetricsPage
from imagestoreproxy.web.pages.overview import OverviewPage
from imagestoreproxy.web.pages.planning import PlanPage
from imagestoreproxy.web.pages.supply import BandwidthPage, RefreshPage, SourcesPage
from imagestoreproxy.web.pieces import Piece, installed_body, piece_body, piece_of
from imagestoreproxy.web.present import (
    NO_BASE,
    base_url,
    findings_json,
    image_json,
    image_uri_of,
    reconciliation_json,
    state_json,
    versions_json,
)
from imagestoreproxy.web.ready import ReadyStates
from imagestoreproxy.web.shelves import shelf_body
from imagestoreproxy.web.streams import Streams

QUERY_CHARS = 500
STATES_AT_ONCE = 5000

Json = Mapping[str, Any]
Act = Callable[[str], Awaitable[ImageState]]


class StorePage(JsonResource):
    """A page that asks the store."""

    def __init__(self, store: Store, external_url: str) -> None:
        super().__init__()
        self.store = store
        self.external_url = external_url

    def base(self, request: StoreRequest) -> str:
        """Give what the action URIs of this answer begin with."""
        return self.external_url or base_url(host_of(request), secure=bool(request.isSecure()))

    async def shown(self, shelf: Shelf, request: StoreRequest) -> Answer:
        """Give the answer that shows a shelf."""
        return Answer(200, await shelf_body(shelf, self.base(request), request.site.clock))

    async def piece(self, text: str | None, piece: Piece, request: StoreRequest) -> Answer:
        """Give the answer that shows a part of everything on offer, or of what matches a text."""
        offered = await self.store.offered(text)
        clock = request.site.clock
        return Answer(200, await piece_body(offered, piece, self.store, self.base(request), clock))


class Dashboard(StorePage):
    """``GET /api/dashboard``, all of it or in pieces."""

    async def whole(self, request: StoreRequest) -> Answer:
        if piece := piece_of(request.pairs):
            return await self.piece(None, piece, request)
        return await self.shown(await self.store.dashboard(), request)


class Search(StorePage):
    """``GET /api/search?q=TEXT``; no text finds what an empty one does; also in pieces."""

    async def whole(self, request: StoreRequest) -> Answer:
        text = next((value for name, value in reversed(request.pairs) if name == "q"), "")
        if len(text) > QUERY_CHARS:
            raise CallerError(f"The search text has more than {QUERY_CHARS} characters.")
        if piece := piece_of(request.pairs):
            return await self.piece(text, piece, request)
        return await self.shown(await self.store.search(text), request)


class Installed(StorePage):
    """``GET /api/installed?from=&count=``: newest first."""

    async def whole(self, request: StoreRequest) -> Answer:
        piece = piece_of(request.pairs) or Piece()
        return Answer(200, installed_body(self.store, piece, self.base(request)))


class States(StorePage):
    """``POST /api/states`` with any number of ``image-uri``.

    What cannot be the URI of an image is passed over, so that one odd URI does not end every poll.
    """

    method = "POST"

    def __init__(self, store: Store, external_url: str, ready: ReadyStates) -> None:
        super().__init__(store, external_url)
        self._ready = ready

    async def whole(self, request: StoreRequest) -> Answer:
        return Answer(200, self._ready.body(_asked_for(request), self.base(request)))


def _asked_for(request: StoreRequest) -> Collection[str]:
    asked = dict.fromkeys([value for name, value in request.pairs if name == "image-uri"])
    if len(asked) > STATES_AT_ONCE:
        raise CallerError(f"More than {STATES_AT_ONCE} images were asked for at once.", 413)
    return asked


class Events(StorePage):
    """``GET /api/events``: changes of state as they happen, as server-sent events.

    It may name images by ``image-uri``, whose states it is told at the beginning.
    """

    def __init__(self, store: Store, external_url: str, streams: Streams) -> None:
        super().__init__(store, external_url)
        self._streams = streams

    def render(self, request: IRequest) -> int:
        """Begin the stream; anything else is answered as on other pages."""
        asked = cast(StoreRequest, request)
        if asked.method != b"GET":
            return super().render(request)
        try:
            self._streams.begin(asked, _asked_for(asked), self.base(asked))
        except CallerError as error:
            asked.respond(refusal(error.status, error.message))
        return NOT_DONE_YET


class Image(StorePage):
    """``GET /api/images/ID``, and below it the actions."""

    def __init__(self, shop: Shop, external_url: str, name: bytes) -> None:
        super().__init__(shop.store, external_url)
        self._name = name
        self._shop = shop

    def getChild(self, path: bytes, request: IRequest) -> JsonResource:
        """Give the action of this name."""
        if path in CARRYING:
            return CARRYING[path](self.store, self._name)
        if path == b"plan" and self._shop.planning is not None:
            return PlanPage(self._shop.planning, self._name)
        if path == b"history" and self._shop.history is not None:
            return ImageHistoryPage(self._shop.history, self._name)
        try:
            action = Action(path.decode("ascii", "replace"))
        except ValueError:
            return follow_page(self._shop.following, self._name, path)
        return ImageAction(self.store, self.external_url, self._name, action)

    async def answer(self, request: StoreRequest) -> Json:
        uri = image_uri_of(self._name)
        shelf = self.store.image(uri)
        content: dict[str, Any] = {}
        for info in shelf.listing.images:
            if info.uri == uri:
                content["image"] = image_json(info)
        for state in shelf.states:
            if state.image_uri == uri:
                content["state"] = state_json(state, self.base(request))
        if not content:
            raise CallerError(f"No store offers an image {uri}, and none is installed.", 404)
        content["versions"] = versions_json(self.store.versions(uri))
        content.update(about_json(self._shop, uri, shelf.listing.images))
        if not self.base(request):
            content["error-message"] = NO_BASE
        return content


class ImageAction(StorePage):
    """``POST /api/images/ID/ACTION``."""

    method = "POST"
    acts = True

    def __init__(self, store: Store, external_url: str, name: bytes, action: Action) -> None:
        super().__init__(store, external_url)
        self._name = name
        self._act: Act = {
            Action.INSTALL: store.install,
            Action.RETRY: store.retry,
            Action.PAUSE: store.pause,
            Action.RESUME: store.resume,
            Action.CANCEL: store.cancel,
            Action.CLEAR_ERROR: store.clear_error,
            Action.UNINSTALL: store.uninstall,
            Action.FORGET: store.uninstall,
        }[action]

    async def answer(self, request: StoreRequest) -> Json:
        state = await self._act(image_uri_of(self._name))
        return {"state": state_json(state, self.base(request))}


class Images(Nowhere):
    """``/api/images``: one child for each image."""

    isLeaf = False

    def __init__(self, shop: Shop, external_url: str) -> None:
        super().__init__()
        self._shop = shop
        self._external_url = external_url

    def getChild(self, path: bytes, request: IRequest) -> JsonResource:
        return Image(self._shop, self._external_url, path)


class Reconcile(StorePage):
    """``POST /api/reconcile``: compare with the cloud, now."""

    method = "POST"
    acts = True

    async def answer(self, request: StoreRequest) -> Json:
        return {"reconciliation": reconciliation_json(await self.store.reconcile())}


class Ready(JsonResource):
    """``GET /readyz``: whether an install would find what it needs; details if signed."""

    def __init__(self, checks: Checks | None) -> None:
        super().__init__()
        self._checks = checks

    async def answer(self, request: StoreRequest) -> Json:
        findings = await self._checks.findings() if self._checks else ()
        return findings_json(findings, details=request.signed)

    def status_of(self, content: Json) -> int:
        return 200 if content["ready"] else 503


class Health(JsonResource):
    """``GET /healthz``: the daemon answers."""

    async def answer(self, request: StoreRequest) -> Json:
        return {"status": "ok"}


class Folder(Nowhere):
    """An address that has only others below it."""

    isLeaf = False

    def __init__(self, **children: JsonResource) -> None:
        super().__init__()
        for name, child in children.items():
            self.putChild(name.encode("ascii"), cast(IResource, child))


def make_tree(
    shop: Shop,
    external_url: str,
    ready: ReadyStates,
    streams: Streams,
    *,
    cache: SharedCache | None = None,
    shared_cache: SharedCache | None = None,
    share_metrics: bool = False,
    browsers: Browsers | None = None,
) -> Folder:
    """Build the pages; ``web/auth.py`` puts its guard round all of them."""
    store = shop.store
    api = Folder(
        dashboard=Dashboard(store, external_url),
        search=Search(store, external_url),
        states=States(store, external_url, ready),
        events=Events(store, external_url, streams),
        images=Images(shop, external_url),
        reconcile=Reconcile(store, external_url),
        installed=Installed(store, external_url),
        **({"cache": cache} if cache else {}),
    )
    api.putChild(b"openapi.json", cast(IResource, ApiDocument()))
    if shop.supply is not None:
        sources = SourcesPage(shop.supply)
        sources.putChild(b"refresh", cast(IResource, RefreshPage(shop.supply)))
        api.putChild(b"sources", cast(IResource, sources))
        api.putChild(b"bandwidth", cast(IResource, BandwidthPage(shop.supply)))
    if shop.glancing is not None:
        api.putChild(b"overview", cast(IResource, OverviewPage(shop.glancing)))
    if shop.history is not None:
        api.putChild(b"history", cast(IResource, HistoryPage(shop.history)))
    if shop.following is not None:
        api.putChild(b"follows", cast(IResource, FollowsPage(shop.following)))
    if browsers is not None:
        api.putChild(b"session", cast(IResource, SessionPage(browsers)))
    files = read_page()
    if shop.logbook is not None:
        api.putChild(b"log", cast(IResource, LogPage(shop.logbook)))
    shared = {"cache": shared_cache} if shared_cache else {}
    root = Folder(
        api=api, healthz=Health(), readyz=Ready(shop.checks), page=PageFolder(files), **shared
    )
    root.putChild(b"", cast(IResource, files[INDEX]))
    if shop.metrics is not None:
        page = MetricsPage(shop.metrics, for_all=share_metrics)
        root.putChild(b"metrics", cast(IResource, page))
    return root

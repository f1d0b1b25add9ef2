"""A store in memory, and the real site in front of it without sockets."""

# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote_plus

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imagestoreproxy.model.carrying import Fetch
from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.follows import Follow, Followed
from imagestoreproxy.model.images import ImageInfo, Listing, Provider, Section
from imagestoreproxy.model.installs import (
    Action,
    ImageState,
    Installation,
    Progress,
    Reconciliation,
    Status,
    Step,
)
from imagestoreproxy.model.running import Place
from imagestoreproxy.model.signing import Pair, signed_pairs
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.outside.logbook import Ring
from imagestoreproxy.outside.metrics import Metrics
from imagestoreproxy.shop import Glancing, History, Lending, Planning, Shelf, Shop
from imagestoreproxy.web.entry.sessions import Sessions
from imagestoreproxy.web.site import Limits, StoreChannel, StoreSite, make_site
from tests.unit.memory import InlineBackground, MemoryJournal, MemoryRecords, result

NOW_S = 1_795_000_000.0
SECRET = "Wbh3dvZwRiqYiX6VtOeBycxGjJhShWORy6r0ng"
CLIENT = "WKy3rMzOWPouVOxK1p3Ar1C2uRBwa2FBXnCw"
KARMIC = "http://store.example/api/images/karmic"
LUCID = "http://store.example/api/images/lucid?v=2"


def info(uri: str, title: str = "", **fields: Any) -> ImageInfo:
    """Make display data of an image."""
    return ImageInfo(uri=uri, title=title or uri.rpartition("/")[2], size_mb=300, **fields)


class MemoryStore:
    """Two images that install at once, or when told.

    Attributes:
        acted: every action that was really done.
        gate: when set, answers wait for it.
        trouble: when set, is raised by every call.
        found: by a comparison with the cloud.
    """

    def __init__(self, images: Sequence[ImageInfo] = ()) -> None:
        self.images = {
            image.uri: image
            for image in images
            or (
                info(KARMIC, "Ubuntu 9.10", summary="The Karmic Koala", version="1.0"),
                info(LUCID, "Ubuntu 10.04", provider=Provider("Canonical", "http://example.com/")),
            )
        }
        self.state_of = {
            uri: ImageState(uri, Status.UNINSTALLED, (Action.INSTALL,)) for uri in self.images
        }
        self.acted: list[tuple[str, str]] = []
        self.asked: list[object] = []
        self.gate: Deferred[None] | None = None
        self.trouble: BaseException | None = None
        self.found = Reconciliation(checked=len(self.images))
        self.fetched = Fetch(error="No net.")
        self.sections: tuple[Section, ...] = ()
        self.older: dict[str, Sequence[ImageInfo]] = {}
        self.installations: dict[str, Installation] = {}
        self._settled: dict[str, ImageState] = {}
        self._revision = 0

    @property
    def revision(self) -> int:
        moving = self.under_way()
        settled = {uri: state for uri, state in self.state_of.items() if uri not in moving}
        if settled != self._settled:
            self._settled = settled
            self._revision += 1
        return self._revision

    def under_way(self) -> Collection[str]:
        return {uri for uri, state in self.state_of.items() if state.progress}

    def installed(self) -> Collection[str]:
        return [uri for uri, state in self.state_of.items() if state.status is Status.INSTALLED]

    def installed_newest_first(self) -> Sequence[str]:
        return sorted(self.installed(), key=lambda uri: -self.state_of[uri].updated_at_s)

    async def offered(self, text: str | None) -> Shelf:
        whole = await self.dashboard()
        found = whole if text is None else await self.search(text)
        return Shelf(Listing(found.listing.images, self.sections or whole.listing.sections), [])

    async def _ready(self) -> None:
        if self.gate is not None:
            waiting: Deferred[None] = Deferred()
            self.gate.addBoth(lambda result: waiting.callback(None))
            await waiting
        if self.trouble is not None:
            raise self.trouble

    def _shelf(self, images: Sequence[ImageInfo]) -> Shelf:
        uris = tuple(image.uri for image in images)
        listing = Listing(tuple(images), (Section("All", "Everything", uris),))
        return Shelf(listing, [self.state_of[uri] for uri in uris])

    async def dashboard(self) -> Shelf:
        await self._ready()
        return self._shelf(list(self.images.values()))

    async def search(self, text: str) -> Shelf:
        self.asked.append(text)
        await self._ready()
        return self._shelf([i for i in self.images.values() if text.lower() in i.title.lower()])

    def states(self, image_uris: Sequence[str]) -> Shelf:
        self.asked.append(list(image_uris))
        if self.trouble is not None:
            raise self.trouble
        others = [
            uri
            for uri, state in self.state_of.items()
            if uri not in image_uris and (state.progress or state.error_message)
        ]
        return Shelf(
            Listing(tuple(self.images.get(uri) or info(uri) for uri in others)),
            [
                self.state_of.get(uri) or ImageState(uri, Status.UNINSTALLED)
                for uri in (*image_uris, *others)
            ],
        )

    def image(self, image_uri: str) -> Shelf:
        if image_uri not in self.images:
            return Shelf(Listing(), [])
        return self._shelf([self.images[image_uri]])

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        return self.older.get(image_uri, ())

    def installation(self, image_uri: str) -> Installation | None:
        return self.installations.get(image_uri)

    async def _act(self, name: str, image_uri: str, state: ImageState) -> ImageState:
        self.acted.append((name, image_uri))
        await self._ready()
        if image_uri not in self.images:
            raise CallerError(f"No store offers {image_uri}.", 404)
        self.state_of[image_uri] = state
        return state

    def install(self, image_uri: str) -> Awaitable[ImageState]:
        progress = Progress(Step.DOWNLOADING, 40, 40, 100, 8.0, 7.5)
        return self._act(
            "install",
            image_uri,
            ImageState(image_uri, Status.DOWNLOADING, (Action.CANCEL,), progress),
        )

    def retry(self, image_uri: str) -> Awaitable[ImageState]:
        progress = Progress(Step.WAITING, 40, queue_position=2)
        state = ImageState(image_uri, Status.DOWNLOADING, (Action.CANCEL, Action.PAUSE), progress)
        return self._act("retry", image_uri, state)

    def pause(self, image_uri: str) -> Awaitable[ImageState]:
        progress = Progress(Step.PAUSED, 40, 40, 100)
        state = ImageState(image_uri, Status.DOWNLOADING, (Action.CANCEL, Action.RESUME), progress)
        return self._act("pause", image_uri, state)

    def resume(self, image_uri: str) -> Awaitable[ImageState]:
        progress = Progress(Step.WAITING, 40, queue_position=1)
        state = ImageState(image_uri, Status.DOWNLOADING, (Action.CANCEL, Action.PAUSE), progress)
        return self._act("resume", image_uri, state)

    def cancel(self, image_uri: str) -> Awaitable[ImageState]:
        return self._act(
            "cancel", image_uri, ImageState(image_uri, Status.UNINSTALLED, (Action.INSTALL,))
        )

    def clear_error(self, image_uri: str) -> Awaitable[ImageState]:
        return self._act(
            "clear-error", image_uri, ImageState(image_uri, Status.UNINSTALLED, (Action.INSTALL,))
        )

    def uninstall(self, image_uri: str) -> Awaitable[ImageState]:
        return self._act(
            "uninstall", image_uri, ImageState(image_uri, Status.UNINSTALLED, (Action.INSTALL,))
        )

    def fetch(self, image_uri: str) -> Fetch:
        self.acted.append(("fetch", image_uri))
        if image_uri not in self.images:
            raise CallerError(f"No store offers {image_uri}.", 404)
        return self.fetched

    async def release(self, image_uri: str) -> None:
        self.acted.append(("release", image_uri))

    async def reconcile(self) -> Reconciliation:
        self.acted.append(("reconcile", ""))
        await self._ready()
        return self.found


class MemorySupply:
    """Sources that are as they are told to be."""

    def __init__(self) -> None:
        self.told: list[SourceStatus] = []
        self.limit_bytes_per_s = 0
        self.refreshed = 0

    def statuses(self) -> Sequence[SourceStatus]:
        return self.told

    async def refresh(self) -> None:
        self.refreshed += 1


class MemoryFollowing:
    """Follows what it is told to; there is no other image than those of ``known``."""

    def __init__(self) -> None:
        self.known = {KARMIC, LUCID}
        self.followed: dict[str, Followed] = {}

    def follows(self) -> Sequence[Followed]:
        return list(self.followed.values())

    async def follow(self, image_uri: str, *, keep: int, even_if_used: bool) -> Followed:
        if image_uri not in self.known:
            raise CallerError("No image store offers this image.", 404)
        follow = Follow(image_uri, keep, even_if_used, NOW_S)
        told = Followed(follow, "Ubuntu", "1.0", "2.0", NOW_S + 60, ("install 2.0 at 02:00",))
        self.followed[image_uri] = told
        return told

    async def unfollow(self, image_uri: str) -> None:
        if self.followed.pop(image_uri, None) is None:
            raise CallerError("This image is not followed.", 409)


class MemoryChecks(list[Finding]):
    """Findings that are there already."""

    async def findings(self) -> Sequence[Finding]:
        return self


class MemorySigners(dict[str, str]):
    """Names of keys, by fingerprint."""

    def name_of(self, fingerprint: str) -> str:
        return self.get(fingerprint, "")


class MemoryKeys(dict[str, str]):
    """Secrets by ClientId."""

    absence = ""

    def secret_for(self, client_id: str) -> str | None:
        return self.get(client_id)


class FixedClock:
    """A clock that is set by hand; ``set_back_s`` is what the time of day alone was set back."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.time_s = now_s
        self.set_back_s = 0.0

    def now_s(self) -> float:
        return self.time_s - self.set_back_s

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the web part has no reason to sleep")


@dataclass(frozen=True)
class Reply:
    """One answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content = json.loads(self.body.decode("ascii"))
        assert isinstance(content, dict)
        return content

    @property
    def error(self) -> str:
        return str(self.json["error-message"])


class Transport(StringTransport):
    """Says when it was aborted.

    Attributes:
        is_slow: whoever writes has to pause after each large block.
    """

    aborted = False
    is_slow = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.is_slow and len(data) > 10_000 and self.producer is not None:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True


class Wire:
    """One connection to a site."""

    def __init__(self, site: StoreSite, host: str = "") -> None:
        channel = site.buildProtocol(cast(Any, IPv4Address("TCP", host, 1) if host else None))
        assert channel is not None
        self.channel: StoreChannel = channel
        self.transport = Transport()
        self.channel.makeConnection(self.transport)

    def send(self, raw: bytes) -> None:
        self.channel.dataReceived(raw)

    def replies(self) -> list[Reply]:
        """Take apart all that was answered so far."""
        found, rest = [], cast(bytes, self.transport.value())
        while rest:
            head, separator, rest = rest.partition(b"\r\n\r\n")
            assert separator, head
            if head == b"HTTP/1.1 100 Continue":
                continue
            lines = head.decode("ascii").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = int(headers["content-length"])
            found.append(Reply(int(lines[0].split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return found

    def reply(self) -> Reply:
        (only,) = self.replies()
        return only

    def lose(self) -> None:
        """The client goes away."""
        self.channel.connectionLost(Failure(ConnectionError("gone")))


class MemorySite:
    """The real site with a memory store behind it."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        external_url: str = "",
        limits: Limits | None = None,
        findings: Sequence[Finding] = (),
        clock: FixedClock | None = None,
        lending: Lending | None = None,
        planning: Planning | None = None,
        history: History | None = None,
        glancing: Glancing | None = None,
        share_cache: bool = False,
        share_metrics: bool = False,
        records: MemoryRecords | None = None,
        session_limits: dict[str, int] | None = None,
    ) -> None:
        self.store = store or MemoryStore()
        self.supply = MemorySupply()
        self.following = MemoryFollowing()
        self.logbook = Ring()
        self.metrics = Metrics(InlineBackground(MemoryJournal()))
        self.keys = MemoryKeys({CLIENT: SECRET})
        self.signers = MemorySigners()
        self.clock = clock or FixedClock()
        self.reactor = ReactorClock()
        self.records = records or MemoryRecords()
        self.sessions = Sessions(self.records, self.keys, self.clock, **(session_limits or {}))
        result(self.sessions.load())
        self.site = make_site(
            Shop(
                store=self.store,
                keys=self.keys,
                checks=MemoryChecks(findings),
                supply=self.supply,
                following=self.following,
                lending=lending,
                signers=self.signers,
                place=lambda: Place(ec2_url="http://cloud.example:8773/services/Eucalyptus"),
                logbook=self.logbook,
                metrics=self.metrics,
                planning=planning,
                history=history,
                glancing=glancing,
            ),
            self.clock,
            reactor=cast(IReactorTime, self.reactor),
            external_url=external_url,
            limits=limits,
            share_cache=share_cache,
            share_metrics=share_metrics,
            sessions=self.sessions,
        )
        self._nonce = 0

    def wire(self, host: str = "") -> Wire:
        """Open a connection, from an address or from a local socket."""
        return Wire(self.site, host)

    def ask(self, raw: bytes) -> Reply:
        """Send on a connection of its own and give the only answer."""
        wire = self.wire()
        wire.send(raw)
        reply = wire.reply()
        wire.lose()
        return reply

    def signed(
        self, method: str, path: str, pairs: Sequence[Pair] = (), *, nonce: str = "", **changes: Any
    ) -> bytes:
        """Make a signed request; a new nonce unless one is given."""
        self._nonce += 1
        values: dict[str, Any] = {
            "secret": SECRET,
            "client_id": CLIENT,
            "host": "localhost:52780",
            "now_s": self.clock.now_s(),
            **changes,
        }
        complete = signed_pairs(
            method=method, path=path, pairs=pairs, nonce=nonce or str(self._nonce), **values
        )
        return raw_request(method, path, complete, host=values["host"])

    def get(self, path: str, **fields: Any) -> Reply:
        return self.ask(self.signed("GET", path, **fields))

    def post(self, path: str, **fields: Any) -> Reply:
        return self.ask(self.signed("POST", path, **fields))


def raw_request(
    method: str, path: str, pairs: Sequence[Pair], *, host: str = "localhost:52780"
) -> bytes:
    """Make the bytes of a request as the Store tab sends it."""
    form = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    if method != "POST":
        return f"{method} {path}?{form} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(form)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
    ).encode()


def action_path(uri: str, action: str = "") -> str:
    """Give the path of an image, or of an action on it."""
    name = base64.urlsafe_b64encode(uri.encode()).decode().rstrip("=")
    return f"/api/images/{name}/{action}".rstrip("/")

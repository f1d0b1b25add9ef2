"""Pages that listen: one look at the store for all of them, and the same bytes to each."""

# ruff: noqa: N802 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.installs import ImageState
from imagestoreproxy.shop import Store
from imagestoreproxy.web.answers import StoreRequest, encode
from imagestoreproxy.web.changes import Changes
from imagestoreproxy.web.present import is_image_uri, state_json
from imagestoreproxy.web.ready import ReadyStates

log = Logger()

LOOK_S = 0.25
LOOKS_FOR_PROGRESS = 2
LOOKS_FOR_HEARTBEAT = 60
RETRY_MS = 2000
# What waits for one slow reader in the process, and about as much again in the kernel.
BUFFER_BYTES = 16 * 1024

HEARTBEAT = b": still here\n\n"


def event(name: str, content: bytes) -> bytes:
    """Make one server-sent event; encoded JSON has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), content)


@implementer(IPushProducer)
class Stream:
    """One page that listens.

    Attributes:
        base: of the action URIs that it is told.
        is_slow: it has not taken what was sent; nothing more is, until it has.
        missed: the images whose state has changed meanwhile.
    """

    def __init__(self, request: StoreRequest, base: str, streams: Streams) -> None:
        self.base = base
        self.is_slow = False
        self.missed: set[str] = set()
        self.was_slow = False
        self._request = request
        self._streams = streams

    def begin(self, first: bytes) -> None:
        """Send the head and the first events."""
        self._request.begin_stream(b"text/event-stream", BUFFER_BYTES)
        self._request.notifyFinish().addBoth(self._over)
        self._request.registerProducer(self, streaming=True)
        self._request.write(first)

    def send(self, data: bytes) -> None:
        """Send bytes, unless it is slow."""
        if not self.is_slow:
            self._request.write(data)

    def end(self) -> None:
        """End the answer, and with it the connection; at once if it does not read."""
        if self.is_slow:
            cast(Any, self._request.channel).give_way()
            return
        self._request.unregisterProducer()
        self._request.finish()

    def is_over(self) -> bool:
        """Tell whether the session that it was begun in has ended."""
        return not self._request.may_go_on()

    def pauseProducing(self) -> None:
        self.is_slow = True

    def resumeProducing(self) -> None:
        self.is_slow = self.was_slow = False
        self._streams.catch_up(self)

    def stopProducing(self) -> None:
        """The connection is lost: ``notifyFinish`` says so, too."""

    def _over(self, _result: object) -> None:
        self._streams.left(self)


class Streams:
    """All pages that listen. Looks at the store only while there are any.

    Changes of status are told after ``LOOK_S`` at most, those of progress half as often. A page
    that reads too slowly misses what is between, and is told how things are when it reads again;
    one that does not read for a whole heartbeat has to come again.

    Args:
        most: that may listen at a time.
    """

    def __init__(self, store: Store, ready: ReadyStates, reactor: Any, *, most: int) -> None:
        self._store = store
        self._ready = ready
        self._reactor = reactor
        self._most = most
        self._open: dict[Stream, None] = {}
        self._changes = Changes(store)
        self._looks = 0
        self._next_look: Any = None

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, request: StoreRequest, image_uris: Iterable[str], base: str) -> None:
        """Answer a request with a stream.

        Args:
            image_uris: whose states it wants to know, beside those in progress or in error.

        Raises:
            CallerError: 503, when there is no room.
        """
        if len(self._open) >= self._most:
            raise CallerError(
                f"{len(self._open)} pages listen already, and there is room for no more: ask for "
                "the states every few seconds instead, or try again later.",
                503,
            )
        first = b"retry: %d\n\n" % RETRY_MS + event("states", self._ready.body(image_uris, base))
        if self._next_look is None:
            # So that what is told from now on are changes from this moment.
            self._changes = Changes(self._store)
            self._changes.since(progress=True)
            self._next_look = self._reactor.callLater(LOOK_S, self._look)
        stream = Stream(request, base, self)
        self._open[stream] = None
        stream.begin(first)

    def left(self, stream: Stream) -> None:
        """Forget a page that is gone; with the last one the looking ends."""
        self._open.pop(stream, None)
        if not self._open and self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def catch_up(self, stream: Stream) -> None:
        """Tell a page that reads again what it has missed."""
        missed, stream.missed = stream.missed, set()
        if missed:
            states = self._ready.of(sorted(missed), stream.base).states
            stream.send(b"".join([event("state", state) for state in states]))

    def close(self) -> None:
        """End all streams."""
        for stream in list(self._open):
            stream.end()

    def _look(self) -> None:
        self._next_look = self._reactor.callLater(LOOK_S, self._look)
        self._looks += 1
        for stream in list(self._open):
            if stream.is_over():
                stream.end()
        try:
            changed = self._changes.since(progress=self._looks % LOOKS_FOR_PROGRESS == 0)
        except Exception:
            # The streams stay: the next look may be a better one.
            log.failure("The states could not be looked at")
            return
        shown = [state for state in changed if is_image_uri(state.image_uri)]
        if shown:
            self._tell(shown)
        if self._looks % LOOKS_FOR_HEARTBEAT == 0:
            self._show_life()

    def _tell(self, changed: list[ImageState]) -> None:
        encoded: dict[str, bytes] = {}
        uris = [state.image_uri for state in changed]
        for stream in list(self._open):
            if stream.is_slow:
                stream.missed.update(uris)
                continue
            base = stream.base
            if base not in encoded:
                events = [event("state", encode(state_json(state, base))) for state in changed]
                encoded[base] = b"".join(events)
            stream.send(encoded[base])

    def _show_life(self) -> None:
        for stream in list(self._open):
            if stream.was_slow:
                stream.end()
                continue
            stream.was_slow = stream.is_slow
            stream.send(HEARTBEAT)

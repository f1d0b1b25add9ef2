"""What has happened to images: one run for each install or uninstall, with its events in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

EVENTS_MOST = 100
TEXT_CHARS = 1000


class What(StrEnum):
    """What an event is. The same words are in the database, in the JSON and in the docs."""

    ACCEPTED = "accepted"
    STARTED = "started"
    CHECKED = "checked"
    PLANNED = "planned"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    BUNDLING = "bundling"
    REGISTERING = "registering"
    REGISTERED = "registered"
    INSTALLED = "installed"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNDONE = "undone"
    RETRIED = "retried"
    REMOVING = "removing"
    UNINSTALLED = "uninstalled"
    GONE = "gone"
    BACK = "back"
    RESTARTED = "restarted"


class RunKind(StrEnum):
    """What was asked for."""

    INSTALL = "install"
    UNINSTALL = "uninstall"


class Outcome(StrEnum):
    """How a run has ended, or that it has not."""

    GOING_ON = "going-on"
    INSTALLED = "installed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNINSTALLED = "uninstalled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event.

    Args:
        at_s: Unix seconds.
        text: a plain sentence.
        seconds: how long it took; None where nothing was waited for.
        size_bytes: that were moved; None where none were.
    """

    at_s: float
    what: What
    text: str
    seconds: float | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One install or uninstall of one image, over all its tries and restarts.

    Args:
        token: of the install; also names its files and buckets.
        ended_at_s: 0 while it goes on.
        error: as it was told, of the last try.
        fetched_bytes: that really came from servers.
        events: oldest first; of too many the oldest are dropped.
    """

    token: str
    image_uri: str
    title: str
    version: str
    kind: RunKind
    began_at_s: float
    outcome: Outcome = Outcome.GOING_ON
    ended_at_s: float = 0.0
    error: str = ""
    emi: str = ""
    fetched_bytes: int = 0
    events: tuple[Happening, ...] = ()

    def last(self, *whats: What) -> Happening | None:
        """Give the last event of one of these kinds, or None."""
        return next((event for event in reversed(self.events) if event.what in whats), None)

    def with_event(self, event: Happening) -> Run:
        """Add an event."""
        if len(event.text) > TEXT_CHARS:
            event = replace(event, text=f"{event.text[: TEXT_CHARS - 1]}…")
        return replace(self, events=(*self.events, event)[-EVENTS_MOST:])

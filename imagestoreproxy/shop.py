"""What ``web/`` asks of the inside, as protocols: the ports on the other side of the house."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagestoreproxy.model.carrying import Fetch
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.follows import Followed
from imagestoreproxy.model.history import Run
from imagestoreproxy.model.images import ImageInfo, Listing
from imagestoreproxy.model.installs import ImageState, Installation, Reconciliation
from imagestoreproxy.model.logbook import Entry, Level
from imagestoreproxy.model.overview import Overview
from imagestoreproxy.model.previews import Preview
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.running import Place
from imagestoreproxy.model.upstreams import SourceStatus


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a page shows: images, their sections, their states, and what went wrong."""

    listing: Listing
    states: Sequence[ImageState]
    error_message: str = ""


class Store(Protocol):
    """What ``web/`` asks of the inside. All raise ``CallerError`` for senseless requests."""

    @property
    def revision(self) -> int:
        """Another number whenever a state may have changed of an image that is not under way."""

    def under_way(self) -> Collection[str]:
        """Name the images whose state may change at any moment: work goes on, or has failed."""

    def installed(self) -> Collection[str]:
        """Name the images that are installed, also those that are gone from the cloud."""

    def installed_newest_first(self) -> Sequence[str]:
        """Name the same images, that which was installed last at first."""

    def offered(self, text: str | None) -> Awaitable[Shelf]:
        """Everything on offer, or what matches a text, without states.

        Its sections are those of everything on offer in any case.
        """

    def dashboard(self) -> Awaitable[Shelf]:
        """Everything on offer, and everything in progress."""

    def search(self, text: str) -> Awaitable[Shelf]:
        """What matches, and everything in progress."""

    def states(self, image_uris: Sequence[str]) -> Shelf:
        """The states asked for, and those of every other image in progress or in error.

        ``listing.images`` has the others; no sections. In memory: never waits.
        """

    def image(self, image_uri: str) -> Shelf:
        """One image, as far as it is known."""

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        """Give the versions of an image that can be installed by name, newest first."""

    def installation(self, image_uri: str) -> Installation | None:
        """Give what the cloud has of an image; None if that is nothing, or is being removed."""

    def install(self, image_uri: str) -> Awaitable[ImageState]:
        """Start an install, or join the one that is going on; one that is paused goes on."""

    def retry(self, image_uri: str) -> Awaitable[ImageState]:
        """Install an image whose last try has failed; goes on from what that has kept."""

    def pause(self, image_uri: str) -> Awaitable[ImageState]:
        """Stop an install where it is, and keep what it did."""

    def resume(self, image_uri: str) -> Awaitable[ImageState]:
        """Let a paused install go on."""

    def cancel(self, image_uri: str) -> Awaitable[ImageState]:
        """Stop an install and take back what it did."""

    def clear_error(self, image_uri: str) -> Awaitable[ImageState]:
        """Forget the error of a failed install, and the files kept for another try."""

    def uninstall(self, image_uri: str) -> Awaitable[ImageState]:
        """Take an installed image out of the cloud; also what is left of one that is gone."""

    def reconcile(self) -> Awaitable[Reconciliation]:
        """Compare what is installed with what the cloud has."""

    def fetch(self, image_uri: str) -> Fetch:
        """Bring an image into the cache, or tell how far that is; never waits."""

    def release(self, image_uri: str) -> Awaitable[None]:
        """Nobody waits for ``fetch`` any more: stop it, or keep the image no longer than others."""


class Lending(Protocol):
    """The verified files that are here. Asked in the reactor's thread, by many."""

    def index(self) -> Awaitable[bytes]:
        """Give ``images.json`` of all of it; see ``model/carrying.py``."""

    def document(self, sha256: str) -> Path | None:
        """Give where a signed message is, or None."""

    def file(self, digest: str) -> Path | None:
        """Give where a file is, or None."""


class Following(Protocol):
    """Images that are kept up to date. All raise ``CallerError`` for senseless requests."""

    def follows(self) -> Sequence[Followed]:
        """Tell of each image that is followed. In memory: never waits."""

    def follow(self, image_uri: str, *, keep: int, even_if_used: bool) -> Awaitable[Followed]:
        """Follow an image, or follow it differently; one that is not installed is installed.

        Args:
            keep: how many installations stay, 0 for all.
            even_if_used: an older one goes even where an instance was started from it.
        """

    def unfollow(self, image_uri: str) -> Awaitable[None]:
        """Follow an image no longer; it stays as it is."""


class Planning(Protocol):
    """What an install would do."""

    def plan(self, image_uri: str) -> Awaitable[Preview]:
        """Tell what an install of an image would do now; nothing is changed.

        Raises:
            CallerError: it cannot be installed (404, 409), or too many ask (503).
            InstallError: what is signed could not be had, or is refused.
        """


class History(Protocol):
    """What has happened to images. All raise ``OwnStateError`` when it cannot be read."""

    def history_of(self, image_uri: str) -> Awaitable[Sequence[Run]]:
        """Give the runs of one image, newest first; none for one that is not known."""

    def history(self, first: int, count: int) -> Awaitable[tuple[Sequence[Run], int]]:
        """Give ``count`` runs of all, newest first, without their events; and how many there are.

        Args:
            first: how many newer ones are left out.
        """


class Glancing(Protocol):
    """How the proxy is, at a glance."""

    def overview(self) -> Awaitable[Overview]:
        """Tell how it is now; the disk as some seconds ago.

        Raises:
            DiskError: the disk cannot be looked at.
        """


class Supply(Protocol):
    """What comes in from the sources, and how fast it may."""

    def statuses(self) -> Sequence[SourceStatus]:
        """Tell how each source is, in the order in which they are configured."""

    def refresh(self) -> Awaitable[None]:
        """Ask all sources now; returns when they have answered, or after some seconds."""

    @property
    def limit_bytes_per_s(self) -> int:
        """Of all downloads together; 0: none."""

    @limit_bytes_per_s.setter
    def limit_bytes_per_s(self, limit: int) -> None:
        """Change it until the next start, or until the configuration is read again."""


class Keys(Protocol):
    """Who may ask. In memory: never waits."""

    @property
    def absence(self) -> str:
        """Why nobody's key is known, in words that anybody may read; empty when there are some."""

    def secret_for(self, client_id: str) -> str | None:
        """Give the secret key that goes with a query id, or None."""


class Signers(Protocol):
    """Whose keys are believed."""

    def name_of(self, fingerprint: str) -> str:
        """Give the name in a key, or empty. In memory: never waits."""


class Checks(Protocol):
    """Whether all is there that an install needs."""

    def findings(self) -> Awaitable[Sequence[Finding]]:
        """Give what was found just now, or some seconds ago. Never raises."""


class Logbook(Protocol):
    """The newest events of the log. In memory: never waits."""

    def entries(
        self, since: int | None, count: int, level: Level = Level.DEBUG
    ) -> tuple[Sequence[Entry], int]:
        """Give entries, oldest first, and the number after which the next ones are to be asked for.

        Args:
            since: what comes after this number, beginning there; None: the newest.
            count: at most so many.
            level: only what matters as much as this, or more.
        """


class Metrics(Protocol):
    """The numbers for Prometheus, and what ``web/`` counts for them."""

    def text(self) -> Awaitable[bytes]:
        """Give all of them in Prometheus' text format."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; there are only so many routes and methods."""

    def refused(self, reason: Reason) -> None:
        """A request was kept from the pages."""

    def watch(self, read: Callable[[], Mapping[str, Mapping[tuple[str, ...], float]]]) -> None:
        """Read numbers whenever somebody asks: by name and labels, in the reactor's thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Everything that ``web/`` asks; of what is None there are no pages.

    Args:
        checks: what ``/readyz`` tells; without any it is always ready.
        lending: the cache of verified files.
        place: tells where installed images are run.
    """

    store: Store
    keys: Keys
    checks: Checks | None = None
    supply: Supply | None = None
    following: Following | None = None
    lending: Lending | None = None
    signers: Signers | None = None
    place: Callable[[], Place] | None = None
    logbook: Logbook | None = None
    metrics: Metrics | None = None
    planning: Planning | None = None
    history: History | None = None
    glancing: Glancing | None = None

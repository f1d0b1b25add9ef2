"""The port to what is remembered; a part of ``ports``."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.history import Happening, Run
from imagestoreproxy.model.installs import Bundle, Install, Installation
from imagestoreproxy.model.sessions import Session

RUNS_OF_ONE = 50
RUNS = 5000


class HistoryRecords(Protocol):
    """One row for each run; they are written by ``Records``, beside the row that has changed.

    A line that cannot be written is lost, and nothing else. Of one image only the newest
    ``RUNS_OF_ONE`` stay, and ``RUNS`` of all.
    """

    def history_of(self, image_uri: str) -> Awaitable[Sequence[Run]]:
        """Give the runs of one image, newest first."""

    def history(self, first: int, count: int) -> Awaitable[tuple[Sequence[Run], int]]:
        """Give ``count`` runs of all, newest first, without their events; and how many there are.

        Args:
            first: how many newer ones are left out.
        """


class FollowRecords(Protocol):
    """One row for each image that is followed."""

    def follows(self) -> Awaitable[Sequence[Follow]]:
        """Give all of them, ordered by image URI."""

    def follow(self, follow: Follow) -> Awaitable[None]:
        """Insert or replace the row of ``follow.image_uri``."""

    def unfollow(self, image_uri: str) -> Awaitable[None]:
        """Remove a row; none is fine."""


class SessionRecords(Protocol):
    """One row for each browser that has logged in."""

    def sessions(self) -> Awaitable[Sequence[Session]]:
        """Give all of them, those that were begun first at first."""

    def begin_session(self, session: Session, ended: Collection[str]) -> Awaitable[None]:
        """Add a row, and remove those of these digests; all or none."""

    def end_sessions(self, digests: Collection[str]) -> Awaitable[None]:
        """Remove rows; those that are not there are fine."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """All that the daemon starts from."""

    installs: Sequence[Install] = ()
    bundles: Sequence[Bundle] = ()
    installations: Sequence[Installation] = ()
    runs: Sequence[Run] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of a source as it came.

    Args:
        validator: for the next ``Fetcher.get``.
        fetched_at_s: Unix seconds.
    """

    url: str
    body: bytes = field(repr=False)
    validator: str
    fetched_at_s: float


class Records(FollowRecords, HistoryRecords, SessionRecords, Protocol):
    """What is remembered. Each call is one short transaction, on disk when it returns.

    An install's row has an owner and a lease that ends by itself unless it is renewed. Its history
    rides along as ``run``, where that has changed.
    """

    def load(self) -> Awaitable[Remembered]:
        """Give what is ours or whose lease has ended; ``installations`` oldest first.

        ``runs`` are those of the installs.
        """

    def save_install(self, install: Install, run: Run | None = None) -> Awaitable[None]:
        """Insert or replace the row of ``install.image_uri``."""

    def renew(
        self, image_uri: str, progress_percent: int, run: Run | None = None
    ) -> Awaitable[None]:
        """Renew the lease of an install that goes on, and its progress."""

    def remove_install(self, image_uri: str, run: Run | None = None) -> Awaitable[None]:
        """Remove the row and the bundles of an install that was undone."""

    def save_bundle(self, bundle: Bundle) -> Awaitable[None]:
        """Insert or replace the ledger's row of (``image_uri``, ``kind``)."""

    def remove_bundle(self, bundle: Bundle) -> Awaitable[None]:
        """Remove a ledger row: nothing of it is left in the cloud."""

    def complete(self, installation: Installation, run: Run | None = None) -> Awaitable[int]:
        """Add an installation and end its install, in one transaction; give its number.

        The ledger of the install becomes the bundles of the installation.
        """

    def mark_gone(self, number: int, why: str, told: Happening | None = None) -> Awaitable[None]:
        """Say why an installation is no longer in the cloud; empty: it is.

        Args:
            told: is added to the run that has installed it.
        """

    def remove_installation(self, number: int) -> Awaitable[None]:
        """Forget an installation: nothing of it is left in the cloud."""

    def highest_serial(self, source: str, image_uri: str) -> Awaitable[int]:
        """Give the highest serial ever seen for this URI, or -1."""

    def remember_serial(self, source: str, image_uri: str, serial: int) -> Awaitable[None]:
        """Remember a serial; a lower one than before changes nothing."""

    def kept(self, source: str) -> Awaitable[Sequence[Kept]]:
        """Give the last good answers of a source, by URL."""

    def keep(self, source: str, *kept: Kept) -> Awaitable[None]:
        """Keep good answers, in the place of earlier ones from the same URLs; all or none."""

    def seen_again(self, source: str, url: str, fetched_at_s: float) -> Awaitable[None]:
        """Note that an answer which is kept is still what the source says."""

    def drop(self, source: str, url: str) -> Awaitable[None]:
        """Forget an answer that the source no longer has."""

    def keep_evidence(self, sha256: str, message: bytes) -> Awaitable[None]:
        """Keep a large signed text that documents of installs name by its digest.

        It stays as long as an install or an installation names it, and for a day in any case.
        """

    def evidence(self, sha256: str) -> Awaitable[bytes | None]:
        """Give a text that was kept, or None."""

    def keep_copy(self) -> Awaitable[None]:
        """Keep a copy of everything, for the day the original is damaged."""

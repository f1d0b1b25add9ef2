"""What the inside needs from the outside, as protocols.

``sources/`` and ``install/`` see the world only through these; ``clouds/``, ``outside/``,
``storage/`` and ``web/`` stand behind them; ``service.py`` puts the two together.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from imagestoreproxy.fetching import WHOLE as WHOLE
from imagestoreproxy.fetching import Bandwidth as Bandwidth
from imagestoreproxy.fetching import Fetched as Fetched
from imagestoreproxy.fetching import Fetcher as Fetcher
from imagestoreproxy.fetching import Sink as Sink
from imagestoreproxy.fetching import Span as Span
from imagestoreproxy.model.bundles import Stored, Stream, Upload
from imagestoreproxy.model.images import (
    ImageDocument,
    ImageInfo,
    Listing,
)
from imagestoreproxy.model.installs import (
    Bundle,
    Install,
    Installation,
)
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.model.upstreams import SourceStatus

T = TypeVar("T")


class Clock(Protocol):
    """Time, and waiting for it."""

    def now_s(self) -> float:
        """Give Unix seconds."""

    def monotonic_s(self) -> float:
        """Give seconds that never jump; only differences mean anything."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait; cancelling ends the wait with ``Cancelled``."""


class Stop(Protocol):
    """Handed to work in a thread, so that it can be stopped."""

    def check(self) -> None:
        """Raise ``Cancelled`` once the work is to end; call it at least every 100 ms or MiB."""

    def wait(self, seconds: float) -> None:
        """Sleep, but raise ``Cancelled`` as soon as the work is to end."""


class Journal(Protocol):
    """The log, as the inside sees it. Fields are plain values, never secrets."""

    def info(self, text: str, **fields: object) -> None:
        """Note what happened; ``{field}`` in ``text`` is filled in."""

    def failure(self, text: str, error: BaseException, **fields: object) -> None:
        """Note what failed, with the details of ``error``."""


class Task(Protocol):
    """A coroutine that was started."""

    def cancel(self) -> None:
        """Stop it: what it awaits raises ``Cancelled``. Does nothing when it has ended."""

    def ended(self) -> Awaitable[None]:
        """Wait until it has ended, however it did; never raises."""


class Background(Protocol):
    """Work beside the reactor."""

    def run(self, work: Callable[[Stop], T]) -> Awaitable[T]:
        """Run ``work`` in a worker thread.

        Cancelling asks the work to stop; the wait ends, with ``Cancelled``, when the thread has
        really left ``work``, so that what follows may undo what it did.
        """

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Start a coroutine of its own. An exception that leaves it is logged under ``name``."""

    def ahead(
        self, items: Callable[[Stop], Iterable[T]], stop: Stop
    ) -> AbstractContextManager[Iterator[T]]:
        """Draw ``items`` in a thread of its own, a few ahead of who takes them.

        To be called in a worker thread, whose ``stop`` ends both. What ``items`` raises is raised
        to who takes; when the context has been left, the thread has left ``items``.
        """


@dataclass(frozen=True, slots=True)
class Signed:
    """What GnuPG says was signed, by whom.

    Args:
        payload: the signed bytes as GnuPG gave them out.
        fingerprint: of the primary key, 40 hex digits.
    """

    payload: bytes
    fingerprint: str


class Verifier(Protocol):
    """The keyring of one source."""

    def verify(self, message: bytes) -> Awaitable[Signed]:
        """Check an OpenPGP clear-signed message.

        Raises:
            DocumentError: unless exactly one good signature of a valid key covers the whole.
        """

    def verify_detached(self, content: bytes, signature: bytes) -> Awaitable[Signed]:
        """Check a detached OpenPGP signature, armored or not; ``payload`` is then ``content``.

        Raises:
            DocumentError: unless it is exactly one good signature of a valid key over the content.
        """


class Partial(Sink, Protocol):
    """A file that is being downloaded; what it holds survives a restart."""

    def digest_hex(self) -> str:
        """Give the digest of all bytes held."""

    def discard(self) -> None:
        """Drop what it holds."""


class Disk(Protocol):
    """The data directory. All calls block: run them in the background."""

    def free_bytes(self) -> int:
        """Give what may still be written."""

    def partial(
        self, token: str, name: str, limit_bytes: int, stop: Stop, algorithm: str = "sha256"
    ) -> Partial:
        """Open (and re-read, for its digest) a download; more than ``limit_bytes`` is refused.

        Args:
            algorithm: of the digest, a word of ``hashlib``.

        Raises:
            DiskError: it cannot be opened or read.
        """

    def path(self, token: str, name: str) -> Path:
        """Give the path of a file of the install ``token``; its directory is made (0700)."""

    def remove(self, token: str) -> None:
        """Remove all files of the install ``token``; none is fine."""

    def tokens(self) -> list[str]:
        """List the tokens that have files."""


class DiskImages(Protocol):
    """Conversion of bootable disks."""

    def to_raw(self, source: Path, target: Path, limit_bytes: int) -> Awaitable[int]:
        """Convert a qcow2 file to a sparse raw one and give its size in bytes.

        Raises:
            UnpackError: broken, larger than ``limit_bytes``, or naming other files of the host.
        """


Streams = Callable[[Stop], Generator[Stream, None, None]]
"""Opens files, one after the other; called, and drawn from, in a worker thread.

Each stream is to be read to its end before the next is asked for; closing the generator
gives back what it holds.
"""


class Cloud(Protocol):
    """Takes streams of bytes and gives back ids. All calls raise ``CloudError`` in plain words."""

    @property
    def name(self) -> str:
        """``ec2`` or ``fake``."""

    @property
    def taking(self) -> Taking:
        """What it can run."""

    def check(self) -> Awaitable[None]:
        """Raise unless storage and registration can be reached and the credentials are taken."""

    def store(self, streams: Streams) -> Awaitable[Sequence[Stored]]:
        """Bundle and store each stream, but for its manifest: nobody can use it yet.

        Parts that an earlier, broken-off call for the same bundle (same ``secret``) left, and that
        are right, are not sent again.

        Raises:
            UnpackError: a stream is not as large as it says.
            NotHeldError: the cloud holds something else than was sent; doing it again helps.
        """

    def seal(self, upload: Upload, stored: Stored) -> Awaitable[str]:
        """Store the manifest, and so complete the bundle; give its location, ``BUCKET/KEY``."""

    def register(self, upload: Upload, location: str) -> Awaitable[str]:
        """Register what was sealed; give its id, which the cloud has confirmed."""

    def find(self, bundle: Bundle, location: str) -> Awaitable[str]:
        """Give the id of a bundle registered earlier (its answer may be lost), or empty."""

    def registered_ids(self) -> Awaitable[frozenset[str]]:
        """Name the ids that the cloud lists as ours: what is missing is to be asked for singly."""

    def is_registered(self, image_id: str) -> Awaitable[bool]:
        """Tell whether the cloud still knows the id."""

    def is_stored(self, location: str) -> Awaitable[bool]:
        """Tell whether the manifest at ``BUCKET/KEY`` is still there."""

    def buckets(self) -> Awaitable[Sequence[str]]:
        """Name all buckets of the account."""

    def deregister(self, image_id: str) -> Awaitable[None]:
        """Take a registration back; one that is gone is fine."""

    def remove(self, bundle: Bundle) -> Awaitable[None]:
        """Delete the bundle's objects and its bucket; absent ones are fine."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the sources offer.

    Args:
        problem: what could not be asked just now, and why; empty when all is well.
    """

    listing: Listing
    problem: str = ""


class Sources(Protocol):
    """All stores together, as an install sees them."""

    @property
    def revision(self) -> int:
        """Grows whenever ``info`` or ``source_of`` may give something else."""

    def dashboard(self) -> Awaitable[Offer]:
        """Give all that is offered, as last seen: this waits for no source."""

    def search(self, text: str) -> Awaitable[Offer]:
        """Give what matches."""

    def info(self, image_uri: str) -> ImageInfo | None:
        """Give what was last shown of an image, or None. In memory: never waits."""

    def source_of(self, image_uri: str) -> str:
        """Give the name of the source that answers for this URI, or empty."""

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        """Give the versions of an image that can be installed by name, newest first."""

    def statuses(self) -> Sequence[SourceStatus]:
        """Tell how each source is, in the order in which they are configured."""

    def document(self, source: str, image_uri: str) -> Awaitable[ImageDocument]:
        """Fetch and verify the signed document of an image.

        Raises:
            FetchError: it could not be had.
            DocumentError: it is not to be believed.
        """

    def reread(self, source: str, image_uri: str, signed_text: bytes) -> Awaitable[ImageDocument]:
        """Verify a document again that was kept; raises ``DocumentError`` when it has expired."""

    def fetcher(self, source: str) -> Fetcher:
        """Give what the files of this source are fetched with: its own HTTP proxy, its own CAs.

        Raises:
            FetchError: there is no such source any more.
        """

    def may_be_local(self, source: str, url: str) -> Awaitable[bool]:
        """Tell whether a file of this source may come from a local address."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """All that the daemon starts from."""

    installs: Sequence[Install] = ()
    bundles: Sequence[Bundle] = ()
    installations: Sequence[Installation] = ()


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


class Records(Protocol):
    """What is remembered. Each call is one short transaction, on disk when it returns.

    An install's row has an owner and a lease that ends by itself unless it is renewed.
    """

    def load(self) -> Awaitable[Remembered]:
        """Give what is ours or whose lease has ended; ``installations`` oldest first."""

    def save_install(self, install: Install) -> Awaitable[None]:
        """Insert or replace the row of ``install.image_uri``."""

    def renew(self, image_uri: str, progress_percent: int) -> Awaitable[None]:
        """Renew the lease of an install that goes on, and its progress."""

    def remove_install(self, image_uri: str) -> Awaitable[None]:
        """Remove the row and the bundles of an install that was undone."""

    def save_bundle(self, bundle: Bundle) -> Awaitable[None]:
        """Insert or replace the ledger's row of (``image_uri``, ``kind``)."""

    def remove_bundle(self, bundle: Bundle) -> Awaitable[None]:
        """Remove a ledger row: nothing of it is left in the cloud."""

    def complete(self, installation: Installation) -> Awaitable[int]:
        """Add an installation and end its install, in one transaction; give its number.

        The ledger of the install becomes the bundles of the installation.
        """

    def mark_gone(self, number: int, why: str) -> Awaitable[None]:
        """Say why an installation is no longer in the cloud; empty: it is."""

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

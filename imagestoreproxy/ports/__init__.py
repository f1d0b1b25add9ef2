"""What the inside needs from the outside, as protocols.

``sources/`` and ``install/`` see the world only through these; ``clouds/``, ``outside/``,
``storage/`` and ``web/`` stand behind them; ``service.py`` puts the two together.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from imagestoreproxy.model.bundles import Stored, Stream, Upload
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Listing
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.ports.fetching import WHOLE as WHOLE
from imagestoreproxy.ports.fetching import Bandwidth as Bandwidth
from imagestoreproxy.ports.fetching import Fetched as Fetched
from imagestoreproxy.ports.fetching import Fetcher as Fetcher
from imagestoreproxy.ports.fetching import Sink as Sink
from imagestoreproxy.ports.fetching import Span as Span
from imagestoreproxy.ports.remembering import FollowRecords as FollowRecords
from imagestoreproxy.ports.remembering import HistoryRecords as HistoryRecords
from imagestoreproxy.ports.remembering import Kept as Kept
from imagestoreproxy.ports.remembering import Records as Records
from imagestoreproxy.ports.remembering import Remembered as Remembered
from imagestoreproxy.ports.remembering import SessionRecords as SessionRecords

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

    def adopt(self, token: str, name: str, source: Path) -> bool:
        """Take a file that lies elsewhere for a complete download; False where that cannot be."""

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


def unheeded(_done: float) -> None:
    """Take what nobody wants to know."""


Streams = Callable[[Stop], Generator[Stream, None, None]]
"""Opens files, one after the other; called, and drawn from, in a worker thread.

Each stream is to be read to its end before the next is asked for; closing the generator
gives back what it holds.
"""


class Cloud(Protocol):
    """Takes streams of bytes and gives back ids. All calls raise ``CloudError`` in plain words."""

    @property
    def name(self) -> str:
        """``ec2``, ``euca2ools`` or ``fake``."""

    @property
    def taking(self) -> Taking:
        """What it can run."""

    @property
    def bundles_on_disk(self) -> bool:
        """Tell whether ``store`` only lays files down on the disk, and ``seal`` does all the rest.

        That takes their time, and the room of each file twice more.
        """

    def laid_down_bytes(self, bucket: str) -> int:
        """Give what lies on the disk for the bundle of a bucket. Blocks."""

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

    def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> Awaitable[str]:
        """Store the manifest, and so complete the bundle; give its location, ``BUCKET/KEY``.

        Args:
            done: told how much of it is done, from 0 to 1, where it takes its time; from any
                thread.
        """

    def register(self, upload: Upload, location: str) -> Awaitable[str]:
        """Register what was sealed; give its id, which the cloud has confirmed."""

    def find(self, bundle: Bundle, location: str) -> Awaitable[str]:
        """Give the id of a bundle registered earlier (its answer may be lost), or empty."""

    def registered_ids(self) -> Awaitable[frozenset[str]]:
        """Name the ids that the cloud lists as ours: what is missing is to be asked for singly."""

    def is_registered(self, image_id: str) -> Awaitable[bool]:
        """Tell whether the cloud still knows the id."""

    def used_ids(self, image_ids: Collection[str]) -> Awaitable[Mapping[str, str]]:
        """Give those of these ids that instances were started from, each with one such instance."""

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

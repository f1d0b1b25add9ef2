"""What the inside needs from the net, as protocols; a part of ``ports``, to be imported from there.

Behind them stands ``outside/curl.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fetched:
    """A small answer, whole in memory.

    Args:
        headers: names in lower case.
        from_local: whether the server that answered has a loopback, link-local or private address.
        is_unchanged: it is still what the caller knows; ``body`` is empty.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    from_local: bool = False
    is_unchanged: bool = False

    @property
    def validator(self) -> str:
        """``ETag`` or ``Last-Modified`` of the body, for the next ``get``; or empty."""
        return self.headers.get("etag") or self.headers.get("last-modified", "")


class Sink(Protocol):
    """Where a download goes. Called from one worker thread of the fetcher at a time."""

    @property
    def position(self) -> int:
        """Bytes held already; the transfer asks for what follows."""

    @property
    def validator(self) -> str:
        """``ETag`` (strong) or ``Last-Modified`` of the bytes held, for ``If-Range``; or empty."""

    def begin(self, *, resumed: bool, validator: str) -> None:
        """The server has answered: ``resumed``, or from the first byte (drop the rest)."""

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            InstallError: ends the transfer, and is what the download raises (too much, disk full).
        """


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a file a download is to bring, and how strictly.

    Args:
        end: bytes of the file before which to stop; 0 for its end. A server that does not give
            exactly this part is refused with ``RangesFailedError``.
        size_bytes: of the whole file, where another size is another file; 0 for any.
        any_version: ask for the rest by range without naming a version, too: whoever asks checks
            the bytes, or has some of them from elsewhere.
    """

    end: int = 0
    size_bytes: int = 0
    any_version: bool = False


WHOLE = Span()


class Fetcher(Protocol):
    """HTTP. Both calls raise ``FetchError`` with URL, address, HTTP proxy and cause in the text.

    Redirects are followed at most five times, only to http and https, and never to a loopback,
    link-local or private address unless ``allow_local``.
    """

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Fetched]:
        """Fetch a small body; more than ``limit_bytes`` is an error, as is any status but 200.

        Args:
            known: validator of what the caller has: when that is still so, nothing is fetched.
        """

    def download(
        self,
        url: str,
        sink: Sink,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: Span = WHOLE,
    ) -> Awaitable[None]:
        """Fetch what ``sink`` lacks, by range where the server can; ends when the server is done.

        The bytes are handed over as they come; size and digest are the caller's business.

        Args:
            patience_s: how long the server may be slow; 0 for as long as any server may.
            span: the part that is wanted, when it is not all that the sink lacks.

        Raises:
            RangesFailedError: the server does not give the part that ends where ``span`` says.
        """


class Bandwidth(Protocol):
    """How fast all downloads together may be. To be used in the reactor's thread, at any time.

    Attributes:
        limit_bytes_per_s: 0 for as fast as they can.
    """

    limit_bytes_per_s: int

"""Where the body of an answer goes: into memory, or block by block into a sink.

The methods are called in the transfer thread; a sink only in a thread of its own.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

from imagestoreproxy import ports
from imagestoreproxy.model.errors import Cancelled, FetchError, RangesFailedError

_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)\s*", re.IGNORECASE)
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,1000}")

Finished = Callable[[Exception | None], None]


class Flow(Protocol):
    """The transfer a body belongs to. May be called from any thread."""

    def resume(self) -> None:
        """Go on after ``take`` gave False."""

    def abort(self) -> None:
        """End the transfer."""


class Body(Protocol):
    """What an exchange does with the bytes that come."""

    def begin(self, status: int, headers: Mapping[str, str], flow: Flow) -> bool:
        """The answer has begun; False if its body is of no use.

        Raises:
            Exception: ends the transfer.
        """

    def take(self, data: bytes) -> bool:
        """Take bytes of a body that is of use; False to be asked again after ``resume``.

        Raises:
            Exception: ends the transfer.
        """

    def finish(self, *, keep: bool, finished: Finished) -> None:
        """No more bytes will come. Later, in any thread, calls ``finished`` with an error or None.

        Args:
            keep: False drops what waits to be written.
        """


class Gathered:
    """A body in memory.

    Args:
        limit_bytes: more raises ``FetchError``.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.content = bytearray()
        self._limit_bytes = limit_bytes

    def begin(self, status: int, headers: Mapping[str, str], flow: Flow) -> bool:
        """Only the body of a 200 is of use."""
        return status == 200

    def take(self, data: bytes) -> bool:
        """Take bytes, within the limit."""
        if len(self.content) + len(data) > self._limit_bytes:
            raise FetchError(
                f"the answer is larger than the {self._limit_bytes} bytes that are taken",
                retry_helps=False,
            )
        self.content += data
        return True

    def finish(self, *, keep: bool, finished: Finished) -> None:
        """Nothing waits."""
        finished(None)


class Nothing:
    """For an exchange that has no body."""

    def begin(self, status: int, headers: Mapping[str, str], flow: Flow) -> bool:
        """No body is of use."""
        return False

    def take(self, data: bytes) -> bool:
        """Is never called."""
        return True

    def finish(self, *, keep: bool, finished: Finished) -> None:
        """Nothing waits."""
        finished(None)


class Poured:
    """A body that goes to a ``ports.Sink``, in a thread of its own.

    Args:
        sink: called only in that thread, which begins with the body and ends with it.
        position: bytes the sink holds and that were not asked for; 0 if all was asked for.
        span: where the range that was asked for ends, and what is known of the whole.
        block_bytes: how much is gathered before the sink is called.
        queued_blocks: how many blocks may wait for the sink before the transfer is paused.
    """

    def __init__(
        self,
        sink: ports.Sink,
        position: int,
        span: ports.Span,
        *,
        block_bytes: int,
        queued_blocks: int,
    ) -> None:
        self._sink = sink
        self._position = position
        self._span = span
        self._block_bytes = block_bytes
        self._queued_blocks = queued_blocks
        self._gathered = bytearray()
        self._changed = threading.Condition()  # over all that follows
        self._blocks: deque[bytes] = deque()
        self._paused = False
        self._started = False
        self._dropped = False
        self._finished: Finished | None = None

    def begin(self, status: int, headers: Mapping[str, str], flow: Flow) -> bool:
        """A 200 is the file from its start, a 206 what was asked for if it says so."""
        if status not in (200, 206):
            return False
        resumed = status == 206
        if resumed or self._span.end:
            told = headers.get("content-range", "")
            found = _RANGE.fullmatch(told)
            if not resumed or not found or not self._is_asked(found):
                raise RangesFailedError(
                    f"the server was asked for {self._asked()} and answered with others "
                    f"({told[:100] or 'no Content-Range'})"
                )
        threading.Thread(
            target=self._pour, args=(flow, resumed, validator(headers)), name="sink", daemon=True
        ).start()
        self._started = True
        return True

    def _is_asked(self, found: re.Match[str]) -> bool:
        start, last, size = int(found[1]), int(found[2]), found[3]
        if self._span.size_bytes and size not in ("*", str(self._span.size_bytes)):
            return False
        if self._span.end:
            return (start, last + 1) == (self._position, self._span.end)
        return 0 < self._position == start

    def _asked(self) -> str:
        if self._span.end:
            return f"bytes {self._position} to {self._span.end - 1}"
        return f"bytes from {self._position} on" if self._position else "the whole file"

    def take(self, data: bytes) -> bool:
        """Gather bytes; False when the sink is behind."""
        with self._changed:
            if len(self._blocks) >= self._queued_blocks:
                self._paused = True
                return False
        self._gathered += data
        if len(self._gathered) >= self._block_bytes:
            self._hand_over()
        return True

    def finish(self, *, keep: bool, finished: Finished) -> None:
        """Hand over what was gathered; ``finished`` is called when the sink has been left."""
        if not self._started:
            finished(None)
            return
        if keep and self._gathered:
            self._hand_over()
        with self._changed:
            if not keep:
                self._dropped = True
                self._blocks.clear()
            self._finished = finished
            self._changed.notify()

    def _hand_over(self) -> None:
        block = bytes(self._gathered)
        self._gathered.clear()
        with self._changed:
            self._blocks.append(block)
            self._changed.notify()

    def _pour(self, flow: Flow, resumed: bool, name: str) -> None:
        problem: Exception | None = None
        try:
            self._sink.begin(resumed=resumed, validator=name or self._old_name(resumed))
            while (block := self._next(flow)) is not None:
                self._sink.write(block)
        except Exception as error:
            problem = error
            flow.abort()
        with self._changed:
            while self._finished is None:
                self._changed.wait()
            finished = self._finished
            dropped = self._dropped
        finished(Cancelled() if dropped and problem is None else problem)

    def _old_name(self, resumed: bool) -> str:
        return self._sink.validator if resumed else ""

    def _next(self, flow: Flow) -> bytes | None:
        with self._changed:
            while not self._blocks and self._finished is None:
                self._changed.wait()
            block = self._blocks.popleft() if self._blocks else None
            resume = self._paused and len(self._blocks) < self._queued_blocks
            if resume:
                self._paused = False
        if resume:
            flow.resume()
        return block


def validator(headers: Mapping[str, str]) -> str:
    """Give what names the version of a file for ``If-Range``: strong ``ETag``, else the date.

    RFC 9110, 13.1.5. A date is no strong validator within the same second; the digest of the file
    settles what it cannot.
    """
    tag = headers.get("etag", "")
    name = tag if tag.startswith('"') else headers.get("last-modified", "")
    return name if is_validator(name) else ""


def is_validator(name: str) -> bool:
    """Tell whether a text may stand in a header line."""
    return _PRINTABLE.fullmatch(name) is not None


def unless_known(known: str) -> tuple[str, ...]:
    """Give the header line that asks for a body only if it is no longer what is known.

    RFC 9110, 13.1.2 and 13.1.3. A weak ``ETag`` is good enough for that: it promises that the
    meaning is the same, and the server gets back exactly what it said.

    Args:
        known: an ``ETag`` or a date, as the server gave it; what is neither gives no line.
    """
    if not is_validator(known):
        return ()
    if known.startswith(('"', 'W/"')):
        return (f"If-None-Match: {known}",)
    try:
        parsedate_to_datetime(known)
    except (ValueError, TypeError, IndexError, OverflowError):
        return ()
    return (f"If-Modified-Since: {known}",)

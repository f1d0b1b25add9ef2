"""One request to a cloud: bounded, cancelled at once, retried where that helps, told plainly."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from imagestoreproxy.clouds.clouderrors import Endpoint, cloud_error, may_pass, retry_after_s
from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.ports import Stop

T = TypeVar("T")

POLL_S = 0.1
LEAVE_S = 0.5


class Calls:
    """The way to one endpoint, for one piece of work.

    Args:
        stop: ends a call, also one that waits for a silent server or a name lookup.
        tries: how often a request is sent at most.
        first_pause_s: before the second try; doubled for each further one, give or take a half.
    """

    def __init__(
        self, endpoint: Endpoint, stop: Stop, *, tries: int = 4, first_pause_s: float = 0.5
    ) -> None:
        self.endpoint = endpoint
        self._stop = stop
        self._tries = tries
        self._first_pause_s = first_pause_s

    def call(
        self,
        what: str,
        request: Callable[[], T],
        *,
        allowed: tuple[str, ...] = (),
        leave_s: float = LEAVE_S,
    ) -> T:
        """Send a request.

        Args:
            what: what it asks for, after "could not".
            request: sends it once; called again for each try.
            allowed: names of ``ClientError`` codes that the caller wants raised as they are.
            leave_s: how long a cancel waits for a request under way before it leaves it behind.

        Raises:
            CloudError: it failed for good.
            ClientError: with a code in ``allowed``.
        """
        # Loaded long before by the client that answers; at the top it would cost an idle daemon.
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        for attempt in range(self._tries):
            try:
                return interruptible(self._stop, request, leave_s)
            except ClientError as error:
                failure: Exception = error
                if error.response.get("Error", {}).get("Code") in allowed:
                    raise
            except (BotoCoreError, ResponseParserError) as error:
                failure = error
            # What reads a request's body raises Cancelled, and botocore wraps it.
            self._stop.check()
            if not may_pass(failure) or attempt == self._tries - 1:
                break
            pause_s = self._first_pause_s * 2**attempt * random.uniform(0.5, 1.5)
            self._stop.wait(max(pause_s, retry_after_s(failure)))
        raise cloud_error(failure, self.endpoint, what, time.time()) from None

    def body(self, content: memoryview | bytes) -> Body:
        """Give the body of an upload, which a cancel breaks off."""
        return Body(content, self._stop)


def interruptible(stop: Stop, request: Callable[[], T], leave_s: float = LEAVE_S) -> T:
    """Run a blocking request in a thread of its own and leave it behind on a cancel.

    A name lookup or a silent server cannot be interrupted. What is left behind ends with the
    socket's time limit, and cannot complete an upload: its body refuses to be read (``Body``).
    """
    outcome: list[tuple[T | None, BaseException | None]] = []
    done = threading.Event()

    def run() -> None:
        try:
            outcome.append((request(), None))
        except BaseException as error:
            outcome.append((None, error))
        finally:
            done.set()

    # A daemon: the end of the program does not wait for a silent server.
    threading.Thread(target=run, name="cloud request", daemon=True).start()
    try:
        while not done.wait(POLL_S):
            stop.check()
    except Cancelled:
        done.wait(leave_s)
        raise
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


class Body:
    """A file-like view of a part in memory, without a copy; it cannot be read after a cancel."""

    def __init__(self, content: memoryview | bytes, stop: Stop) -> None:
        self._content = memoryview(content)
        self._stop = stop
        self._position = 0

    def read(self, size: int | None = -1) -> bytes:
        """Give the next ``size`` bytes."""
        self._stop.check()
        end = len(self._content) if size is None or size < 0 else self._position + size
        chunk = self._content[self._position : end]
        self._position += len(chunk)
        return bytes(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as files do."""
        self._position = offset + (0, self._position, len(self._content))[whence]
        return self._position

    def tell(self) -> int:
        """Give the position, as files do."""
        return self._position

    def __len__(self) -> int:
        return len(self._content)

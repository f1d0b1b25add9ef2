"""One request to a cloud: bounded, cancelled at once, retried where that helps, told plainly."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from imagestoreproxy.clouds.clouderrors import (
    Endpoint,
    cloud_error,
    code_of,
    has_reason,
    may_pass,
    no_service,
    refuses_keys,
    retry_after_s,
)
from imagestoreproxy.clouds.manners import Manners
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.model.retry import CLOUD, Retry
from imagestoreproxy.ports import Stop

T = TypeVar("T")

POLL_S = 0.1
LEAVE_S = 0.5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a cloud is waited for.

    Args:
        retry: of one request.
        connect_s, silence_s: for a connection, and for the next byte of an answer.
        stall_s: for the end of a request, counted from the last byte that was sent.
        check_s: for a whole check.
    """

    retry: Retry = CLOUD
    connect_s: float = 10.0
    silence_s: float = 60.0
    stall_s: float = 120.0
    check_s: float = 20.0


def unheeded() -> None:
    """Nobody wants to know."""


class OutOfTimeError(TimeoutError):
    """A request, or the work that it belongs to, took too long."""


class Calls:
    """The way to one endpoint, for one piece of work.

    Args:
        stop: ends a call, also one that waits for a silent server or a name lookup.
        manners: in which requests are signed; another is looked for once one is refused.
        refused: told when the service does not take the keys.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        stop: Stop,
        patience: Patience,
        manners: Manners,
        refused: Callable[[], None] = unheeded,
    ) -> None:
        self.endpoint = endpoint
        self.manners = manners
        self._stop = stop
        self._patience = patience
        self._refused = refused
        self._alive_at_s = 0.0

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

        failures = 0
        try:
            while True:
                signed = self.manners.manner
                try:
                    value = self._interruptible(request, leave_s)
                except ClientError as error:
                    failure: Exception = error
                    if code_of(error) in allowed:
                        # Of HEAD there is only a status, which any web server gives.
                        if has_reason(error):
                            self.manners.taken()
                        raise
                    other = self.manners.another(signed, error, self._once)
                    if other is None:
                        continue
                    failure = other
                except (BotoCoreError, ResponseParserError) as error:
                    failure = error
                else:
                    self.manners.taken()
                    return value
                # What reads a request's body raises Cancelled, and botocore wraps it.
                self._stop.check()
                failures += 1
                if not may_pass(failure) or self._patience.retry.is_over(failures):
                    break
                self.pause(failures, retry_after_s(failure))
        except OutOfTimeError as error:
            failure = error
        now_s = time.time()
        if refuses_keys(failure, now_s):
            self._refused()
        raise cloud_error(failure, self.endpoint, what, now_s) from None

    def pause(self, failures: int, asked_s: float = 0.0) -> None:
        """Wait before something is tried again that failed ``failures`` times; a cancel ends it."""
        pause_s = self._patience.retry.pause_s(failures, random.random(), asked_s)
        try:
            self._stop.wait(pause_s)
        except OutOfTimeError as error:
            raise cloud_error(error, self.endpoint, "wait any longer", time.time()) from None

    def body(self, content: memoryview | bytes) -> Body:
        """Give the body of an upload, which a cancel breaks off."""
        return Body(content, self.going_on)

    def is_no_service(self) -> CloudError:
        """Give the error to raise when an answer is well-formed and yet none of this service."""
        return no_service(self.endpoint)

    def going_on(self) -> None:
        """Note that bytes flow, which a request may do for as long as it takes."""
        self._stop.check()
        self._alive_at_s = time.monotonic()

    def _once(self, request: Callable[[], bool]) -> bool:
        return self._interruptible(request, LEAVE_S)

    def _interruptible(self, request: Callable[[], T], leave_s: float) -> T:
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

        self._alive_at_s = time.monotonic()
        limit_s = max(self._patience.stall_s, leave_s)
        # A daemon: the end of the program does not wait for a silent server.
        threading.Thread(target=run, name="cloud request", daemon=True).start()
        try:
            while not done.wait(POLL_S):
                self._stop.check()
                if time.monotonic() - self._alive_at_s > limit_s:
                    raise OutOfTimeError
        except Cancelled:
            done.wait(leave_s)
            raise
        value, error = outcome[0]
        if error is not None:
            raise error
        return value  # type: ignore[return-value]


class Deadline:
    """A ``Stop`` that also ends the work when its time is over, with ``OutOfTimeError``."""

    def __init__(self, stop: Stop, limit_s: float) -> None:
        self._stop = stop
        self._end_s = time.monotonic() + limit_s

    def check(self) -> None:
        """Raise when the work is to end."""
        self._stop.check()
        if time.monotonic() > self._end_s:
            raise OutOfTimeError

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        self._stop.wait(min(seconds, max(0.0, self._end_s - time.monotonic())))
        self.check()


class Body:
    """A file-like view of a part in memory, without a copy; it cannot be read after a cancel.

    Args:
        going_on: called before each read; raises when the work is to end.
    """

    def __init__(self, content: memoryview | bytes, going_on: Callable[[], None]) -> None:
        self._content = memoryview(content)
        self._going_on = going_on
        self._position = 0

    def read(self, size: int | None = -1) -> bytes:
        """Give the next ``size`` bytes."""
        self._going_on()
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

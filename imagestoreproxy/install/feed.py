"""A download while it comes in: a sink for the transfer, and a stream for who follows it."""

from __future__ import annotations

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from imagestoreproxy.model.errors import DigestError, DiskError
from imagestoreproxy.ports import Partial, Sink, Stop

BLOCK_BYTES = 2**18
POLL_S = 0.1
# Who follows may have waited so long, in all, before it has to make room for others.
STARVED_S = 5.0
PIPE_BLOCKS = 4


class AgainError(Exception):
    """Who follows has to begin again; not a failure."""


class RestartedError(AgainError):
    """The download has begun anew: what came before was wrong, or is no longer what is there."""


class StarvedError(AgainError):
    """It comes slowly, and others wait: follow again when all of it is there."""


class ClosedError(AgainError):
    """Nothing more will come; the download itself says why."""


class WrongGuessError(AgainError):
    """What the file was thought to hold is not what it holds."""


class Feed(Sink, Protocol):
    """The file that is being fetched.

    Attributes:
        came_from: the address whose version ``validator`` names; empty where nobody knows.
    """

    came_from: str

    @property
    def beginning(self) -> int:
        """How often the download has begun anew."""

    def digest_hex(self) -> str:
        """Give the digest of all bytes that came."""

    def discard(self) -> None:
        """Drop what came; the download begins anew."""

    def close(self) -> None:
        """Let go of whoever writes or follows."""

    def start(self, stop: Stop) -> bytes:
        """Give some of the first bytes, without taking them from who follows. As ``follow``."""

    def end(self, size_bytes: int) -> bytes:
        """Give the last bytes, if all are kept here; else nothing. May block."""

    def follow(self, stop: Stop) -> Iterator[bytes]:
        """Give the bytes from the first on as they come, in blocks of at most 1 MiB.

        Called in a worker thread. They are not verified before the download has ended well.

        Raises:
            AgainError: see there.
            Cancelled: ``stop`` was set.
        """


class _Feed(ABC):
    """What both kinds share: who waits for whom.

    Args:
        size_bytes: of the whole file.
        count: told how many bytes are there, after each change.
    """

    def __init__(self, size_bytes: int, count: Callable[[int], None]) -> None:
        self.came_from = ""
        self._size_bytes = size_bytes
        self._count = count
        self._changed = threading.Condition()  # over the two that follow
        self._beginning = 0
        self._closed = False

    @property
    def beginning(self) -> int:
        return self._beginning

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self) -> None:
        with self._changed:
            # Both at once: who begins to follow must not take what goes for what comes.
            self._beginning += 1
            self.came_from = ""
            self._drop()
            self._changed.notify_all()
        self._count(0)

    @abstractmethod
    def _drop(self) -> None:
        """Drop all bytes; the lock is held."""

    def _check(self, beginning: int) -> None:
        if self._closed:
            raise ClosedError
        if beginning != self._beginning:
            raise RestartedError


class FileFeed(_Feed):
    """On the disk: a restart goes on from there, and who falls behind reads it later.

    Args:
        partial: takes the bytes, and keeps them.
        path: gives the file that they are in.
        is_wanted: whether others wait for the place of who follows.
    """

    def __init__(
        self,
        partial: Partial,
        path: Callable[[], Path],
        size_bytes: int,
        count: Callable[[int], None],
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(size_bytes, count)
        self._partial = partial
        self._path = path
        self._is_wanted = is_wanted
        count(partial.position)

    @property
    def position(self) -> int:
        return self._partial.position

    @property
    def validator(self) -> str:
        return self._partial.validator

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed and self._partial.position:
            self.discard()
        self._partial.begin(resumed=resumed, validator=validator)
        self._count(self._partial.position)

    def write(self, block: bytes) -> None:
        self._partial.write(block)
        with self._changed:
            self._changed.notify_all()
        self._count(self._partial.position)

    def digest_hex(self) -> str:
        return self._partial.digest_hex()

    def _drop(self) -> None:
        self._partial.discard()

    def follow(self, stop: Stop) -> Iterator[bytes]:
        beginning = self._beginning
        given, (held, waited_s) = 0, self._wait(0, beginning, stop, 0.0)
        path = self._path()
        try:
            with path.open("rb", buffering=0) as file:
                while given < self._size_bytes:
                    if given == held:
                        held, waited_s = self._wait(given, beginning, stop, waited_s)
                    block = file.read(min(BLOCK_BYTES, held - given))
                    self._check(beginning)
                    if not block:
                        raise DiskError(f"{path} was cut off while it was read.")
                    given += len(block)
                    yield block
        except OSError as error:
            self._check(beginning)  # discarded just now
            raise DiskError(f"{path} cannot be read: {error.strerror}.") from error

    def start(self, stop: Stop) -> bytes:
        return next(self.follow(stop), b"")

    def end(self, size_bytes: int) -> bytes:
        try:
            with self._path().open("rb") as file:
                file.seek(max(0, self._size_bytes - size_bytes))
                return file.read(size_bytes)
        except OSError:
            return b""

    def _wait(self, given: int, beginning: int, stop: Stop, waited_s: float) -> tuple[int, float]:
        """Wait for more than ``given`` bytes; give how many there are, and ``waited_s`` in all."""
        with self._changed:
            while True:
                stop.check()
                self._check(beginning)
                if self._partial.position > given or given >= self._size_bytes:
                    return self._partial.position, waited_s
                if waited_s >= STARVED_S and self._is_wanted():
                    raise StarvedError
                began_s = time.monotonic()
                self._changed.wait(POLL_S)
                waited_s += time.monotonic() - began_s


class PipeFeed(_Feed):
    """In memory, a few blocks of it: the transfer waits for who follows, and nothing is kept.

    What has been followed cannot be followed again; a download that then begins anew is ended.

    Args:
        algorithm: of the digest, a word of ``hashlib``.
    """

    def __init__(
        self, size_bytes: int, count: Callable[[int], None], algorithm: str = "sha256"
    ) -> None:
        super().__init__(size_bytes, count)
        self._algorithm = algorithm
        self._blocks: deque[bytes] = deque()
        self._is_followed = False
        self._position = 0
        self._validator = ""
        self._digest = hashlib.new(self._algorithm)

    @property
    def position(self) -> int:
        return self._position

    @property
    def validator(self) -> str:
        return self._validator

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed and self._position:
            self.discard()
        self._validator = validator

    def write(self, block: bytes) -> None:
        if self._position + len(block) > self._size_bytes:
            raise DigestError(f"More than the signed {self._size_bytes} bytes came.")
        self._digest.update(block)
        with self._changed:
            while len(self._blocks) >= PIPE_BLOCKS and not self._closed:
                self._changed.wait(POLL_S)
            if self._closed:
                raise ClosedError
            self._blocks.append(block)
            self._position += len(block)
            self._changed.notify_all()
        self._count(self._position)

    def digest_hex(self) -> str:
        return self._digest.hexdigest()

    def _drop(self) -> None:
        self._closed = self._closed or self._is_followed
        self._blocks.clear()
        self._position = 0
        self._digest = hashlib.new(self._algorithm)

    def follow(self, stop: Stop) -> Iterator[bytes]:
        beginning = self._beginning
        given = 0
        while given < self._size_bytes:
            with self._changed:
                self._wait(beginning, stop)
                self._is_followed = True
                block = self._blocks.popleft()
                self._changed.notify_all()
            given += len(block)
            yield block

    def start(self, stop: Stop) -> bytes:
        with self._changed:
            self._wait(self._beginning, stop)
            return self._blocks[0]

    def end(self, size_bytes: int) -> bytes:
        return b""

    def _wait(self, beginning: int, stop: Stop) -> None:
        while True:
            stop.check()
            self._check(beginning)
            if self._blocks:
                return
            self._changed.wait(POLL_S)

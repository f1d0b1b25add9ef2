"""A ``Stop`` for work within work: it ends with the whole, or by itself before."""

from __future__ import annotations

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.ports import Stop

POLL_S = 0.1


class Within:
    """``ports.Stop``: ends when ``stop`` does, after ``end``, or with a context that fails."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._ended = False

    def end(self) -> None:
        """Ask the inner work to end. From any thread."""
        self._ended = True

    def __enter__(self) -> Within:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.end()

    def check(self) -> None:
        """Raise ``Cancelled`` once the inner work is to end."""
        if self._ended:
            raise Cancelled
        self._stop.check()

    def wait(self, seconds: float) -> None:
        """Sleep, but raise ``Cancelled`` soon after the inner work is to end."""
        while seconds > 0:
            self.check()
            self._stop.wait(min(seconds, POLL_S))
            seconds -= POLL_S

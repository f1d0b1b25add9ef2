"""Coroutines side by side: what one gives is kept, and the failure of one ends the others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from imagestoreproxy.model.errors import Cancelled
from imagestoreproxy.ports import Background, Clock, Task

POLL_S = 0.05

T = TypeVar("T")


class Beside(Generic[T]):
    """A coroutine that runs beside the one that has started it.

    Args:
        failed: called when it has failed, or was cancelled.

    Attributes:
        is_over: it has ended, however it did.
    """

    def __init__(
        self,
        background: Background,
        name: str,
        coroutine: Coroutine[Any, Any, T],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_over = self._is_asked = False
        self.error: Exception | None = None
        self._failed = failed
        self._values: list[T] = []
        self._task: Task = background.start(name, self._run(coroutine))

    async def outcome(self) -> T:
        """Wait for its end; give what it gave, or raise what it raised."""
        await self.ended()
        if self.error is not None:
            raise self.error
        return self._values[0]

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.cancel()
        await self.ended()

    async def ended(self) -> None:
        """Wait until it has ended, however it did."""
        await self._task.ended()

    async def ends_within(self, limit_s: float, clock: Clock) -> bool:
        """Tell whether it ends so soon; if it does not, it is cancelled, and left behind."""
        ends_s = clock.monotonic_s() + limit_s
        try:
            while not self.is_over and clock.monotonic_s() < ends_s:
                await clock.sleep(POLL_S)
            return self.is_over
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Ask it to end, once: a second time would break off how it ends."""
        if not self.is_over and not self._is_asked:
            self._is_asked = True
            self._task.cancel()

    async def _run(self, coroutine: Coroutine[Any, Any, T]) -> None:
        try:
            self._values.append(await coroutine)
        except Exception as error:  # kept for whoever asks for the outcome
            self.error = error
            self._failed()
        finally:
            self.is_over = True


async def together(
    background: Background, coroutines: Mapping[str, Coroutine[Any, Any, T]]
) -> list[T]:
    """Run all of them at once; give what they gave, in their order.

    Raises:
        Exception: the first one that one of them raised, when all have ended.
    """
    running: list[Beside[T]] = []

    def give_up() -> None:
        for one in running:
            one.cancel()

    try:
        for name, coroutine in coroutines.items():
            if any(one.error for one in running):
                coroutine.close()
                continue
            running.append(Beside(background, name, coroutine, give_up))
        for one in running:
            await one.ended()
    finally:
        give_up()
        for one in running:
            await one.ended()
    problems = [one.error for one in running if one.error is not None]
    for problem in problems:
        if not isinstance(problem, Cancelled):
            raise problem
    if problems:
        raise problems[0]
    return [await one.outcome() for one in running]

"""Looking at everything an install needs, before there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from imagestoreproxy.model.errors import StoreProxyError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.ports import Background, Clock

Check = Callable[[], Awaitable[Iterable[Finding]]]

KEEP_S = 30.0
LIMIT_S = 60.0


class Preflight:
    """``shop.Checks``: runs named checks side by side; each error becomes a finding.

    What was found is kept for ``keep_s``, and who asks meanwhile shares one run: a stranger who
    asks for ``/readyz`` again and again must not be able to load the cloud.

    Args:
        checks: what is looked at, in the order in which it is shown; the name stands for the check
            where it fails as a whole.
        limit_s: after which a check is given up.
    """

    def __init__(
        self,
        checks: Sequence[tuple[str, Check]],
        *,
        background: Background,
        clock: Clock,
        keep_s: float = KEEP_S,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._checks = checks
        self._background = background
        self._clock = clock
        self._keep_s = keep_s
        self._limit_s = limit_s
        self._found: tuple[Finding, ...] = ()
        self._found_at_s: float | None = None
        self._is_running = False

    async def findings(self) -> Sequence[Finding]:
        """Give what was found in the last seconds, or look now."""
        while self._is_running:
            await self._clock.sleep(0.05)
        at_s = self._found_at_s
        if at_s is None or self._clock.monotonic_s() >= at_s + self._keep_s:
            self._is_running = True
            try:
                self._found = await self._look()
                self._found_at_s = self._clock.monotonic_s()
            finally:
                self._is_running = False
        return self._found

    async def _look(self) -> tuple[Finding, ...]:
        found: list[list[Finding]] = [[] for _ in self._checks]
        tasks = [
            self._background.start(f"check of {name}", self._bounded(name, check, into))
            for (name, check), into in zip(self._checks, found, strict=True)
        ]
        for task in tasks:
            await task.ended()
        for (name, _), into in zip(self._checks, found, strict=True):
            if not into:
                into.append(
                    Finding(name, "The check failed unexpectedly; the log has the details.")
                )
        return tuple(finding for into in found for finding in into)

    async def _bounded(self, name: str, check: Check, into: list[Finding]) -> None:
        async def look() -> None:
            try:
                into.extend(await check())
            except StoreProxyError as error:
                into.append(Finding(name, error.message))

        async def ring() -> None:
            await self._clock.sleep(self._limit_s)
            into.append(Finding(name, f"There was no answer within {self._limit_s:.0f} seconds."))
            looking.cancel()

        looking = self._background.start(f"check of {name}", look())
        ringing = self._background.start(f"time limit of the check of {name}", ring())
        await looking.ended()
        ringing.cancel()

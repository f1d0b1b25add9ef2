"""Looking at everything an install needs, before there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from imagestoreproxy.install.together import Beside
from imagestoreproxy.model.errors import CallerError, StoreProxyError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.ports import Background, Clock, Task

Check = Callable[[], Awaitable[Iterable[Finding]]]


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at.

    Args:
        what: stands for the check where it fails as a whole; says nothing of addresses or paths.
        whose: begins what is said of it, for whoever may see that; empty where there is but one.
    """

    what: str
    check: Check
    whose: str = ""

    def told(self, finding: Finding) -> Finding:
        """Say whose it is."""
        if not self.whose:
            return finding
        said = {"problem": finding.problem, "note": finding.note}
        return replace(
            finding, **{name: f"{self.whose}: {text}" for name, text in said.items() if text}
        )


KEEP_S = 30.0
LIMIT_S = 60.0
WAITING = 100


class Preflight:
    """``shop.Checks``: runs named checks side by side; each error becomes a finding.

    What was found is kept for ``keep_s``, and who asks meanwhile shares one run: a stranger who
    asks for ``/readyz`` again and again must not be able to load the cloud.

    Args:
        checks: asked each time what is to be looked at, in the order in which it is shown.
        limit_s: after which a check is given up.

    Attributes:
        not_now: why nothing is looked at, and nothing is ready: a sentence; or empty.
    """

    def __init__(
        self,
        checks: Callable[[], Sequence[Look]],
        *,
        background: Background,
        clock: Clock,
        keep_s: float = KEEP_S,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.not_now = ""
        self._checks = checks
        self._background = background
        self._clock = clock
        self._keep_s = keep_s
        self._limit_s = limit_s
        self._found: tuple[Finding, ...] = ()
        self._found_at_s: float | None = None
        self._looking: Task | None = None
        self._waiting = 0

    async def findings(self) -> Sequence[Finding]:
        """Give what was found in the last seconds, or look now.

        Raises:
            CallerError: 503, when too many wait for it already.
        """
        if self.not_now:
            return [Finding("daemon", self.not_now)]
        at_s = self._found_at_s
        if self._looking is None:
            if at_s is not None and self._clock.monotonic_s() < at_s + self._keep_s:
                return self._found
            self._looking = self._background.start("preflight", self._look())
        if self._waiting >= WAITING:
            raise CallerError("Too many wait for the checks already: ask again in a minute.", 503)
        # The look goes on whoever leaves; a run that ended at once has nobody to wait for.
        self._waiting += 1
        try:
            if self._looking is not None:
                await self._looking.ended()
        finally:
            self._waiting -= 1
        return self._found

    async def _look(self) -> None:
        try:
            looks = self._checks()
            found: list[list[Finding]] = [[] for _ in looks]
            tasks = [
                self._background.start(f"check of {look.what}", self._bounded(look, into))
                for look, into in zip(looks, found, strict=True)
            ]
            for task in tasks:
                await task.ended()
            self._found = tuple(finding for into in found for finding in into)
            self._found_at_s = self._clock.monotonic_s()
        finally:
            self._looking = None

    async def _bounded(self, one: Look, into: list[Finding]) -> None:
        """Run one check; one that does not even hear that it is cancelled is left behind."""

        async def look() -> Iterable[Finding]:
            return await one.check()

        looking = Beside(self._background, f"check of {one.what}", look())
        problem = "The check failed unexpectedly; the log has the details."
        found: Iterable[Finding] = ()
        try:
            if await looking.ends_within(self._limit_s, self._clock):
                found, problem = await looking.outcome(), ""
            else:
                problem = f"There was no answer within {self._limit_s:.0f} seconds."
        except StoreProxyError as error:
            problem = error.message
        finally:
            found = [Finding(one.what, problem)] if problem else found
            into.extend(one.told(finding) for finding in found)

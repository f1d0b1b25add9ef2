"""The credentials as they are now: looked for when needed, kept while nothing changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.frontend.search import Search
from imagestoreproxy.model.errors import CloudError, SettingsError
from imagestoreproxy.ports import Stop
from imagestoreproxy.stops import one_at_a_time

# After a look in vain; who asks meanwhile is told the same.
FAILED_S = 10.0


class FoundWallet:
    """``Wallet``; may be used from several threads at once.

    Args:
        monotonic_s: the clock of its waits.

    Attributes:
        known: what was found last, without looking again; None when there never was anything.
        problem: why the last look found nothing that can be used; or empty.
    """

    def __init__(self, search: Search, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.known: Credentials | None = None
        self.problem = ""
        self._search = search
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] = ()
        self._failed_until_s = -FAILED_S
        self._refused: Credentials | None = None

    def credentials(self, stop: Stop) -> Credentials:
        """Give those that are there now; where they could be read once, these are kept.

        Blocks: reads files, and runs programs where credentials have to be fetched.

        Raises:
            CloudError: there are none; says why, and what to do.
        """
        with one_at_a_time(self._lock, stop):
            return self._current(stop)

    def refused(self, credentials: Credentials) -> None:
        """The cloud does not take these: fetched ones are fetched again, at most in ten minutes."""
        self._refused = credentials

    def again(self) -> None:
        """Somebody says that things have changed: what was refused or incomplete is fetched."""
        self._failed_until_s = -FAILED_S
        if (front_end := self._search.front_end) is not None:
            front_end.hurry()

    def _current(self, stop: Stop) -> Credentials:
        state = self._search.state()
        is_changed = state != self._seen
        has_waited = self._monotonic_s() >= self._failed_until_s
        anew = has_waited and self._is_due()
        if self.known is not None and not (is_changed or anew or (self.problem and has_waited)):
            return self.known
        if self.known is None and not (is_changed or has_waited):
            raise CloudError(self.problem, retry_helps=False)
        self._seen = state
        try:
            found = self._search.find(stop, anew=anew)
        except (CloudError, SettingsError, OSError) as error:
            self.problem = (
                f"Credentials could not be looked for: {error}."
                if isinstance(error, OSError)
                else error.message
            )
            self._failed_until_s = self._monotonic_s() + FAILED_S
            if self.known is None:
                raise CloudError(self.problem, retry_helps=False) from None
            return self.known
        self.problem = ""
        self.known = found
        if (lender := self._search.lender) is not None and lender.is_new:
            self._seen = self._search.state()
        return found

    def _is_due(self) -> bool:
        """Tell whether what programs gave is worth nothing, and they may be asked again."""
        lender = self._search.lender
        if self.known is None or lender is None:
            return False
        is_worthless = self._refused == self.known or bool(self.known.missing())
        return is_worthless and lender.wait_s() <= 0

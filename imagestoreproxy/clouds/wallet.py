"""Where a cloud's credentials are kept, for those who sign with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.ports import Stop


class Wallet(Protocol):
    """The credentials as they are now; from any thread."""

    def credentials(self, stop: Stop) -> Credentials:
        """Give them. Cheap when nothing has changed; else it may read files or run a program.

        Raises:
            CloudError: there are none, or they are not complete; says what to do.
        """

    def refused(self, credentials: Credentials) -> None:
        """The cloud did not take these: they are to be got anew, where that can be done."""


@dataclass(frozen=True, slots=True)
class FixedWallet:
    """Credentials that never change."""

    held: Credentials

    def credentials(self, stop: Stop) -> Credentials:
        """Give them."""
        return self.held

    def refused(self, credentials: Credentials) -> None:
        """Nothing better is known."""

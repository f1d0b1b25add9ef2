"""What is remembered of mirrors: which have failed lately. In memory; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

FIRST_S = 30.0
LONGEST_S = 3600.0
# Several transfers that one outage ends are one failure.
SAME_S = 5.0
MIRRORS = 1000


@dataclass(frozen=True, slots=True)
class _Failed:
    times: int
    at_s: float
    until_s: float


class Mirrors:
    """Puts mirrors (scheme, host and port) in the order in which they are worth a try."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}

    def ordered(self, urls: Iterable[str], now_s: float) -> list[str]:
        """Give ``urls``, those of mirrors that have failed lately after the others.

        Of those, the one that is soonest forgiven comes first.
        """
        return sorted(dict.fromkeys(urls), key=lambda url: self._until_s(url, now_s))

    def failed(self, url: str, now_s: float) -> None:
        """Remember a failure: for 30 s times 2 to the power of how many there were, up to 1 h."""
        mirror = _mirror(url)
        before = self._failed.pop(mirror, None)
        times = 1
        if before is not None and now_s < before.until_s + LONGEST_S:
            times = before.times + (now_s >= before.at_s + SAME_S)
        lasts_s = min(FIRST_S * 2.0 ** min(times, 20), LONGEST_S)
        self._failed[mirror] = _Failed(times, now_s, now_s + lasts_s)
        while len(self._failed) > MIRRORS:
            del self._failed[next(iter(self._failed))]

    def worked(self, url: str) -> None:
        """Forget what was."""
        self._failed.pop(_mirror(url), None)

    def _until_s(self, url: str, now_s: float) -> float:
        known = self._failed.get(_mirror(url))
        return known.until_s if known is not None and known.until_s > now_s else now_s


def _mirror(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()

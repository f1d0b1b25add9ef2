"""What the cloud lists, and which images have to be looked at one by one all the same.

Pure rules over what is on record; ten thousand images take some 20 ms, so call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from imagestoreproxy.model.installs import Bundle, Installation

TURNS = 24
# So few are all looked at each time.
FEW = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """Two answers of the cloud; what could not be listed is empty, and so proves nothing.

    Args:
        ids: of what is registered.
        buckets: each of ours holds one bundle.
    """

    ids: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()

    def has(self, bundle: Bundle) -> bool:
        """Tell whether nothing speaks against a bundle's being there."""
        return bundle.image_id in self.ids and self.has_bucket(bundle.location)

    def has_bucket(self, location: str) -> bool:
        """Tell whether the bucket of ``BUCKET/KEY`` is there; no location needs none."""
        return not location or location.partition("/")[0] in self.buckets


@dataclass(frozen=True, slots=True)
class Turns:
    """Whose turn it is: each image has an hour of the day, the same after a restart.

    Args:
        since_hour: counted from the epoch; the last one that had its turn.
        hour: the present one.
    """

    since_hour: int
    hour: int

    @classmethod
    def of_all(cls, hour: int) -> Turns:
        """Give the turns by which all are due."""
        return cls(hour - TURNS, hour)

    def is_due(self, image_uri: str) -> bool:
        """Tell whether the image's hour has come since the last time."""
        return self.wait_hours(image_uri) > self._at_most_hours

    def wait_hours(self, image_uri: str) -> int:
        """Give how long it is until the turn of an image: 0 to 23, highest just after it."""
        return (crc32(image_uri.encode()) - self.hour - 1) % TURNS

    @property
    def _at_most_hours(self) -> int:
        return TURNS - 1 - min(TURNS, self.hour - self.since_hour)


@dataclass(frozen=True, slots=True)
class Look:
    """An image to be looked at.

    Args:
        closely: by asking for each manifest, also where its bucket is there.
    """

    one: Installation
    closely: bool


def to_look_at(installations: Sequence[Installation], listed: Listed, turns: Turns) -> list[Look]:
    """Name what has to be looked at: first what the listings do not show, then whose turn it is.

    One that is gone and still not listed waits for its turn; if it is back, it is listed.
    """
    if len(installations) <= FEW:
        turns = Turns.of_all(turns.hour)
    missing, returned, due = [], [], []
    for one in installations:
        is_listed = all(listed.has(bundle) for bundle in one.bundles)
        is_due = turns.is_due(one.image_uri)
        if not is_listed and not one.gone:
            missing.append(Look(one, closely=is_due))
        elif is_listed and one.gone:
            returned.append(Look(one, closely=True))
        elif is_due:
            due.append(Look(one, closely=True))
    due.sort(key=lambda look: -turns.wait_hours(look.one.image_uri))
    return [*missing, *returned, *due]


def of_nobody(buckets: Iterable[str], bundles: Iterable[Bundle]) -> tuple[str, ...]:
    """Give those buckets that no bundle is in."""
    ours = {bundle.bucket for bundle in bundles}
    return tuple(sorted(name for name in buckets if name not in ours))

"""Which images are followed, in memory and on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.model.errors import CallerError, DiskError, OwnStateError
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.ports import Clock, FollowRecords

MOST = 1_000
# As after many failures: a version that somebody has cancelled comes again after a day.
CANCELLED_TRIES = 9


class Follows:
    """All images that are followed. What changes them raises ``OwnStateError`` or ``DiskError``.

    Attributes:
        revision: grows with every change.
    """

    def __init__(self, records: FollowRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._all: dict[str, Follow] = {}
        self.revision = 0

    async def load(self) -> None:
        """Take up what an earlier run of the daemon left."""
        self._all = {follow.image_uri: follow for follow in await self._records.follows()}
        self.revision += 1

    def all(self) -> Sequence[Follow]:
        """Give all of them."""
        return list(self._all.values())

    def find(self, image_uri: str) -> Follow | None:
        """Give how an image is followed, or None."""
        return self._all.get(image_uri)

    def check_room(self, image_uri: str) -> None:
        """Raise ``CallerError`` if too many are followed for this one as well."""
        if image_uri not in self._all and len(self._all) >= MOST:
            raise CallerError(f"{MOST:,} images are followed, which is as many as can be.", 409)

    async def put(self, image_uri: str, *, keep: int, even_if_used: bool) -> Follow:
        """Follow an image, or follow it differently.

        Raises:
            CallerError: too many are followed.
        """
        self.check_room(image_uri)
        follow = replace(
            self._all.get(image_uri) or Follow(image_uri, since_s=self._clock.now_s()),
            keep=keep,
            even_if_used=even_if_used,
        )
        await self._records.follow(follow)
        self._all[image_uri] = follow
        self.revision += 1
        return follow

    async def update(self, old: Follow, new: Follow) -> bool:
        """Write down how a try went; False if the image is no longer followed as in ``old``."""
        if self._all.get(old.image_uri) is not old:
            return False
        # In memory first: what is dropped meanwhile must be dropped after it, also on record.
        self._all[old.image_uri] = new
        self.revision += 1
        await self._records.follow(new)
        return self._all.get(old.image_uri) is new

    async def drop(self, image_uri: str) -> bool:
        """Follow an image no longer; False if it was not followed."""
        known = self._all.pop(image_uri, None)
        if known is None:
            return False
        self.revision += 1
        try:
            await self._records.unfollow(image_uri)
        except (OwnStateError, DiskError):
            self._all.setdefault(image_uri, known)
            raise
        return True

    async def was_cancelled(self, image_uri: str, version: str, *, is_installed: bool) -> None:
        """Note that somebody has cancelled an install: it must not come back by itself.

        An image of which nothing is installed is no longer followed; an update waits for a day.
        """
        known = self._all.get(image_uri)
        if known and not is_installed:
            await self.drop(image_uri)
        elif known:
            tried = replace(
                known,
                tried_version=version,
                tries=CANCELLED_TRIES,
                tried_at_s=self._clock.now_s(),
                problem="It was cancelled.",
            )
            await self.update(known, tried)

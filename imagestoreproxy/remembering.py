"""What is remembered of images that are followed: a part of ``ports.Records``."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from imagestoreproxy.model.follows import Follow


class FollowRecords(Protocol):
    """One row for each image that is followed."""

    def follows(self) -> Awaitable[Sequence[Follow]]:
        """Give all of them, ordered by image URI."""

    def follow(self, follow: Follow) -> Awaitable[None]:
        """Insert or replace the row of ``follow.image_uri``."""

    def unfollow(self, image_uri: str) -> Awaitable[None]:
        """Remove a row; none is fine."""

"""The pages about images that are followed."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.follows import KEEP_MOST
from imagestoreproxy.shop import Following
from imagestoreproxy.web.answers import NOWHERE, JsonResource, StoreRequest
from imagestoreproxy.web.present import followed_json, image_uri_of

_YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}

Json = Mapping[str, Any]


class FollowsPage(JsonResource):
    """``GET /api/follows``: what is followed, when the next check is, and what it will do."""

    def __init__(self, following: Following) -> None:
        super().__init__()
        self._following = following

    async def answer(self, request: StoreRequest) -> Json:
        return {"follows": [followed_json(one) for one in self._following.follows()]}


class _Follow(JsonResource):
    """``POST /api/images/ID/follow`` with ``keep`` and ``even-if-used``, both may be absent."""

    method = "POST"
    acts = True

    def __init__(self, following: Following, name: bytes) -> None:
        super().__init__()
        self._following = following
        self._name = name

    async def answer(self, request: StoreRequest) -> Json:
        given = dict(request.pairs)
        keep, even_if_used = given.get("keep", "0"), given.get("even-if-used", "")
        if not (keep.isascii() and keep.isdecimal() and len(keep) <= len(str(KEEP_MOST))):
            raise CallerError(f"Give keep as a number from 1 to {KEEP_MOST}, or 0 for all.")
        if even_if_used not in _YES:
            raise CallerError("Give even-if-used as 1 or 0.")
        uri = image_uri_of(self._name)
        followed = await self._following.follow(
            uri, keep=int(keep), even_if_used=_YES[even_if_used]
        )
        return {"follow": followed_json(followed)}


class _Unfollow(JsonResource):
    """``POST /api/images/ID/unfollow``."""

    method = "POST"
    acts = True

    def __init__(self, following: Following, name: bytes) -> None:
        super().__init__()
        self._following = following
        self._name = name

    async def answer(self, request: StoreRequest) -> Json:
        uri = image_uri_of(self._name)
        await self._following.unfollow(uri)
        return {"unfollowed": uri}


def follow_page(following: Following | None, name: bytes, path: bytes) -> JsonResource:
    """Give what is below the address of an image: ``follow``, ``unfollow``, or nothing."""
    if following is None:
        return NOWHERE
    if path == b"follow":
        return _Follow(following, name)
    return _Unfollow(following, name) if path == b"unfollow" else NOWHERE

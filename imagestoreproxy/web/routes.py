"""Which page a request was for: the addresses of all images are one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from twisted.web.resource import Resource

from imagestoreproxy.model.installs import Action
from imagestoreproxy.web.answers import StoreRequest
from imagestoreproxy.web.pages.carrying import CARRYING

# Below the address of an image.
OF_IMAGES = frozenset({"follow", "unfollow", "plan", "history"})
# Refused before anybody looked for a page.
NO_ROUTE = "none"


class Routes:
    """Gives each request a route: words that are known, and ``*`` for everything else.

    As many as there are pages, whatever is asked for.
    """

    def __init__(self, tree: Resource) -> None:
        self._words = {*_words(tree), *Action, *OF_IMAGES, *(one.decode() for one in CARRYING)}

    def of(self, request: StoreRequest) -> str:
        """Give the route of a request that was answered."""
        parts = getattr(request, "prepath", None)
        if parts is None:
            return NO_ROUTE
        named = [part.decode("ascii", "replace") for part in parts]
        return "/" + "/".join(part if part in self._words else "*" for part in named)


def _words(resource: Resource) -> Iterator[str]:
    for name, child in cast(dict[bytes, Resource], resource.children).items():
        yield name.decode("ascii")
        yield from _words(child)

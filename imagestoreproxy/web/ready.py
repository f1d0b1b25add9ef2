"""States as encoded JSON, ready in memory: made anew only when they may have changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.shop import Store
from imagestoreproxy.web.answers import encode
from imagestoreproxy.web.present import images_json, is_image_uri, problems_json, state_json

MAX_BYTES = 8 * 1024 * 1024
# What one entry costs beside its JSON: the URI, two objects, and its place in the dictionary.
_ENTRY_BYTES = 300


@dataclass(frozen=True, slots=True)
class Encoded:
    """States as JSON objects, those asked for first, in the order of the request.

    Args:
        infos: of the states that were not asked for.
        error_message: what went wrong, or empty.
    """

    states: Sequence[bytes]
    infos: Sequence[ImageInfo]
    error_message: str = ""


class ReadyStates:
    """Asks the store only for states that are under way, or that it does not have yet.

    Args:
        max_bytes: what is kept, over all bases; beyond that it begins anew.
    """

    def __init__(self, store: Store, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._revision = store.revision
        self._kept: dict[str, dict[str, bytes]] = {}
        self.kept_bytes = 0

    def of(self, image_uris: Iterable[str], base: str) -> Encoded:
        """Give the states of these images, and those of every other in progress or in error.

        Args:
            image_uris: each once; what cannot be the URI of an image is passed over.
            base: of action URIs, as ``base_url`` gives it.
        """
        asked = list(image_uris)
        kept = self._kept_for(base)
        moving = self._store.under_way()
        missing = [uri for uri in asked if (uri not in kept or uri in moving) and is_image_uri(uri)]
        shelf = self._store.states(missing)
        fresh: dict[str, bytes] = {}
        for state in shelf.states:
            uri = state.image_uri
            if not is_image_uri(uri):
                continue
            fresh[uri] = encode(state_json(state, base))
            # With an error it is shown to those, too, who did not ask for it: not from here.
            if uri not in moving and not state.error_message:
                self._keep(kept, uri, fresh[uri])
        states = [fresh.pop(uri, None) or kept.get(uri) for uri in asked]
        others = fresh.values()
        return Encoded([*filter(None, states), *others], shelf.listing.images, shelf.error_message)

    def body(self, image_uris: Iterable[str], base: str) -> bytes:
        """Give the same as one JSON object: ``states``, and what else the answer has to say."""
        found = self.of(image_uris, base)
        content = problems_json(found.error_message, base)
        if found.infos:
            content["images"] = images_json(found.infos)
        states = b'{"states":[' + b",".join(found.states) + b"]"
        # What else there is follows as the rest of the same object.
        return states + (b"," + encode(content)[1:] if content else b"}")

    def _kept_for(self, base: str) -> dict[str, bytes]:
        revision = self._store.revision
        if revision != self._revision or self.kept_bytes > self._max_bytes:
            self._revision = revision
            self._kept.clear()
            self.kept_bytes = 0
        if base not in self._kept:
            self._kept[base] = {}
            self.kept_bytes += len(base) + _ENTRY_BYTES
        return self._kept[base]

    def _keep(self, kept: dict[str, bytes], uri: str, content: bytes) -> None:
        kept[uri] = content
        self.kept_bytes += len(uri) + len(content) + _ENTRY_BYTES

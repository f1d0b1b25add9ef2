"""A shelf as JSON, however large: encoded piece by piece, with turns of the reactor in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TypeVar

from imagestoreproxy.model.images import Section
from imagestoreproxy.ports import Clock
from imagestoreproxy.shop import Shelf
from imagestoreproxy.web.answers import encode
from imagestoreproxy.web.present import (
    image_json,
    is_image_uri,
    problems_json,
    section_json,
    state_json,
)

T = TypeVar("T")

# Entries between two turns of the reactor: some 5 ms.
AT_A_STRETCH = 250


async def shelf_body(shelf: Shelf, base: str, clock: Clock) -> bytes:
    """Give ``images``, ``states`` and ``sections``, and ``error-message`` where there is one.

    What the Store tab could not take is left out.

    Args:
        base: of action URIs, as ``base_url`` gives it.
        clock: whose turns let others have theirs.
    """
    writer = Writer(clock)
    images = (info for info in shelf.listing.images if is_image_uri(info.uri))
    await writer.put(b'{"images":[', images, lambda info: encode(image_json(info)))
    states = (state for state in shelf.states if is_image_uri(state.image_uri))
    await writer.put(b'],"states":[', states, lambda state: encode(state_json(state, base)))
    await writer.sections(shelf.listing.sections)
    rest = problems_json(shelf.error_message, base)
    return writer.content(b"]," + encode(rest)[1:] if rest else b"]}")


class Writer:
    """Writes a JSON object, and lets others have their turn now and then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Gives out what was written without a copy of it, unlike a bytearray.
        self._content = BytesIO()
        self._count = 0

    async def put(self, opening: bytes, items: Iterable[T], encoded: Callable[[T], bytes]) -> None:
        """Write what opens a list, and its entries."""
        write, separator = self._content.write, opening
        for item in items:
            write(separator)
            write(encoded(item))
            separator = b","
            self._count += 1
            if self._count % AT_A_STRETCH == 0:
                await self._clock.sleep(0)
        if separator is opening:
            write(opening)

    async def sections(self, sections: Iterable[Section]) -> None:
        """Write all sections."""
        opening = b'],"sections":['
        for section in sections:
            self._content.write(opening)
            uris = (uri for uri in section.image_uris if is_image_uri(uri))
            head = encode(section_json(section))[:-1]
            await self.put(head + b',"image-uris":[', uris, _quoted)
            self._content.write(b"]}")
            opening = b","
        if opening != b",":
            self._content.write(opening)

    def content(self, closing: bytes) -> bytes:
        """Write the end; give everything."""
        self._content.write(closing)
        return self._content.getvalue()


def _quoted(uri: str) -> bytes:
    return json.dumps(uri).encode("ascii")

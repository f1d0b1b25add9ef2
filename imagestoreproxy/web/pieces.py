"""Listings in pieces: as much of a catalogue as a page shows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.images import ImageInfo, Section
from imagestoreproxy.model.signing import Pair
from imagestoreproxy.ports import Clock
from imagestoreproxy.shop import Shelf, Store
from imagestoreproxy.web.answers import encode
from imagestoreproxy.web.asked import whole
from imagestoreproxy.web.present import (
    image_json,
    is_image_uri,
    problems_json,
    section_json,
    state_json,
)
from imagestoreproxy.web.shelves import Writer

MOST = 500
MOST_FROM = 10_000_000

_NAMES = frozenset({"brief", "from", "count", "section"})


@dataclass(frozen=True, slots=True)
class Piece:
    """Which part of a listing is wanted.

    Args:
        first: how many images come before it.
        count: of images, at most.
        section: only of this title; None: of all.
        is_brief: without descriptions.
    """

    first: int = 0
    count: int = MOST
    section: str | None = None
    is_brief: bool = False


def piece_of(pairs: Iterable[Pair]) -> Piece | None:
    """Read which part is wanted; None where no parameter speaks of parts.

    Raises:
        CallerError: 400, one of them makes no sense.
    """
    given = {name: value for name, value in pairs if name in _NAMES}
    if not given:
        return None
    if given.get("brief", "0") not in {"0", "1"}:
        raise CallerError("Give brief as 1 or 0.")
    return Piece(
        whole(given, "from", 0, MOST_FROM) or 0,
        whole(given, "count", 1, MOST) or MOST,
        given.get("section"),
        given.get("brief") == "1",
    )


async def piece_body(offered: Shelf, piece: Piece, store: Store, base: str, clock: Clock) -> bytes:
    """Give one part of what is on offer, its states, and all that is in progress or in error.

    Args:
        offered: without states; all sections that there are.
        base: of action URIs, as ``base_url`` gives it.
        clock: whose turns let others have theirs.
    """
    images = _of_section(offered, piece.section)
    shown = images[piece.first : piece.first + piece.count]
    # What is not asked for is given all the same, if it is under way or has an error.
    found = store.states([info.uri for info in shown])
    rest = {
        "images-total": len(images),
        "sections": [_section_json(section) for section in offered.listing.sections],
        **problems_json(offered.error_message, base),
    }
    writer = Writer(clock)
    also = [info for info in found.listing.images if is_image_uri(info.uri)]
    states = [state for state in found.states if is_image_uri(state.image_uri)]
    is_brief = piece.is_brief
    await writer.put(
        b'{"images":[', (*shown, *also), lambda info: encode(image_json(info, is_brief=is_brief))
    )
    await writer.put(b'],"states":[', states, lambda state: encode(state_json(state, base)))
    return writer.content(b"]," + encode(rest)[1:])


def _of_section(offered: Shelf, title: str | None) -> Sequence[ImageInfo]:
    images = [info for info in offered.listing.images if is_image_uri(info.uri)]
    if title is None:
        return images
    by_uri = {info.uri: info for info in images}
    sections = offered.listing.sections
    uris = [
        uri for one in sections if _title(one) == title for uri in one.image_uris if uri in by_uri
    ]
    return [by_uri[uri] for uri in dict.fromkeys(uris)]


def _title(section: Section) -> str:
    return str(section_json(section)["title"])


def _section_json(section: Section) -> Mapping[str, Any]:
    return {**section_json(section), "image-count": sum(map(is_image_uri, section.image_uris))}


def installed_body(store: Store, piece: Piece, base: str) -> bytes:
    """Give one part of what is installed, newest first, and its states; images are brief ones.

    Also of what no source lists any more, and of what is gone from the cloud.
    """
    uris = [uri for uri in store.installed_newest_first() if is_image_uri(uri)]
    shelves = [store.image(uri) for uri in uris[piece.first : piece.first + piece.count]]
    infos = [info for shelf in shelves for info in shelf.listing.images]
    states = [state for shelf in shelves for state in shelf.states]
    content = {
        "images": [image_json(info, is_brief=True) for info in infos],
        "states": [state_json(state, base) for state in states],
        "images-total": len(uris),
        **problems_json("", base),
    }
    return encode(content)

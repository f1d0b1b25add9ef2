"""Which image a person means."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagestoreproxy.client.requests import FAILED, MISUSED, ClientError, Connection
from imagestoreproxy.client.text import number, plain
from imagestoreproxy.model.signing import Pair
from imagestoreproxy.web.present import image_id

NEAR_MATCHES = 10
PIECE = 500

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """An image as the proxy describes it; ``info`` is empty when only the URI is known.

    Args:
        problem: what the proxy said beside it; may be why there is nothing to do.
        called: what it was called by.
    """

    uri: str
    info: Json
    state: Json
    problem: str = ""
    called: str = ""

    @property
    def title(self) -> str:
        """Its title, or its URI where that is not known."""
        return plain(self.info.get("title") or self.uri)


class Finder:
    """Finds images by what people call them; asks for all that is offered at most once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dashboard: Json | None = None

    def find(self, name: str) -> Found:
        """Find an image by its URI, or by a part of its title or URI that only it has.

        Raises:
            ClientError: none or several are meant; the near ones are listed.
        """
        content = self._all()
        matches = _matches(content, name)
        if not matches and "://" in name:
            known = self._connection.post("/api/states", [("image-uri", name)])
            return Found(name, {}, state_of(known, name), _problem(known), name)
        if not matches:
            content = listing(self._connection, "/api/search", [("q", name)])
            matches = _matches(content, name)
        if len(matches) == 1:
            uri = str(matches[0]["uri"])
            return Found(uri, matches[0], state_of(content, uri), _problem(content), name)
        if matches:
            raise ClientError(
                f"'{plain(name)}' may mean {len(matches)} images; name one by its URI:\n"
                + _listed(matches),
                MISUSED,
            )
        near = _near(self._all(), name)
        said = f"No image has '{plain(name)}' in its title or URI."
        if near:
            raise ClientError(f"{said} Did you mean:\n{_listed(near)}", FAILED)
        raise ClientError(said, FAILED, hints=["image-store list"])

    def _all(self) -> Json:
        if self._dashboard is None:
            self._dashboard = listing(self._connection, "/api/dashboard")
        return self._dashboard


def listing(connection: Connection, path: str, pairs: Sequence[Pair] = ()) -> Json:
    """Give a whole listing in pieces, without the descriptions, which nobody looks for here."""
    images: dict[str, Json] = {}
    beside: dict[str, Json] = {}
    states: dict[object, Json] = {}
    first = 0
    while True:
        piece = [("brief", "1"), ("from", str(first)), ("count", str(PIECE))]
        content = connection.get(path, [*pairs, *piece])
        given = objects(content, "images")
        # What is under way comes with each piece, behind it. An older proxy gives all at once.
        total = number(content.get("images-total", len(given)))
        count = min(PIECE, int(total) - first) if "images-total" in content else len(given)
        images |= {str(one.get("uri")): one for one in given[:count]}
        beside |= {str(one.get("uri")): one for one in given[count:]}
        states |= {one.get("image-uri"): one for one in objects(content, "states")}
        first += count
        if first >= total or count < 1:
            break
    whole = {**images, **{uri: one for uri, one in beside.items() if uri not in images}}
    return {**content, "images": list(whole.values()), "states": list(states.values())}


def find_image(connection: Connection, name: str) -> Found:
    """Find one image; see ``Finder.find``."""
    return Finder(connection).find(name)


def find_images(connection: Connection, names: Iterable[str]) -> list[Found]:
    """Find several images, each once; see ``Finder.find``."""
    finder = Finder(connection)
    found = {one.uri: one for one in map(finder.find, names)}
    return list(found.values())


def about(connection: Connection, found: Found) -> Json:
    """Give all that the proxy says of one image; may be nothing."""
    return connection.get(f"/api/images/{image_id(found.uri)}", also={404})


def versions_of(answer: Json) -> list[dict[str, Any]]:
    """Give the versions that can be installed by name, newest first, in what ``about`` gave."""
    return [one for one in objects(answer, "versions") if isinstance(one.get("uri"), str)]


def in_version(connection: Connection, found: Found, version: str) -> Found:
    """Give one version of an image.

    Raises:
        ClientError: there is none of this name; those that there are are listed.
    """
    versions = versions_of(about(connection, found))
    uris = [one["uri"] for one in versions if str(one.get("version")) == version]
    if not uris and str(found.info.get("version")) == version:
        return found
    if not uris:
        names = [plain(one.get("version", "")) for one in versions]
        there = ", ".join(names or [plain(found.info.get("version") or "none that has a name")])
        raise ClientError(f"{found.uri} has no version '{plain(version)}'. There are: {there}.")
    known = connection.post("/api/states", [("image-uri", uris[0])])
    return Found(uris[0], found.info, state_of(known, uris[0]), _problem(known), uris[0])


def state_of(content: Json, uri: str) -> Json:
    """Give the state of an image in an answer; empty when there is none."""
    return next((s for s in objects(content, "states") if s.get("image-uri") == uri), {})


def objects(content: Json, name: str) -> list[dict[str, Any]]:
    """Give the objects of a list in an answer."""
    found = content.get(name)
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def told_apart(titles: Mapping[str, str]) -> dict[str, str]:
    """Give each image, by its URI, a name that no other of them has."""
    often = Counter(titles.values())
    return {
        uri: title if often[title] == 1 or title == uri else f"{title} {uri}"
        for uri, title in titles.items()
    }


def _problem(content: Json) -> str:
    return str(content.get("error-message") or "")


def _images(content: Json) -> list[dict[str, Any]]:
    return [image for image in objects(content, "images") if isinstance(image.get("uri"), str)]


def _matches(content: Json, name: str) -> list[dict[str, Any]]:
    images = _images(content)
    part = name.casefold()
    for same in (
        lambda image: image["uri"] == name,
        lambda image: str(image.get("title", "")).casefold() == part,
        lambda image: (
            part in str(image.get("title", "")).casefold() or part in image["uri"].lower()
        ),
    ):
        if found := [image for image in images if same(image)]:
            return found
    return []


def _near(content: Json, name: str) -> list[dict[str, Any]]:
    """Give images with a title, or a word of one, that is spelt nearly so."""
    by_title = {str(image.get("title", "")).casefold(): image for image in _images(content)}
    wanted = name.casefold()
    titles = difflib.get_close_matches(wanted, by_title, NEAR_MATCHES, 0.5)
    words = {word for title in by_title for word in title.split()}
    near_words = set(difflib.get_close_matches(wanted, words, NEAR_MATCHES, 0.75))
    titles += [t for t in by_title if t not in titles and not near_words.isdisjoint(t.split())]
    return [by_title[title] for title in titles[:NEAR_MATCHES]]


def _listed(images: Iterable[Json]) -> str:
    shown = list(images)
    lines = [f"  {plain(i.get('title', ''))}  {plain(i['uri'])}" for i in shown[:NEAR_MATCHES]]
    if len(shown) > NEAR_MATCHES:
        lines.append(f"  and {len(shown) - NEAR_MATCHES} more")
    return "\n".join(lines)

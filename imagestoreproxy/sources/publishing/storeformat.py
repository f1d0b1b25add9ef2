"""A ``store`` source as files: dashboard, search index and image documents (``image:1``)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from html import escape
from typing import Any

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.sources.publishing.history import PublishedFile
from imagestoreproxy.sources.publishing.offers import Offer, members_of
from imagestoreproxy.sources.publishing.words import StoreWords

MIB = 2**20
# GnuPG cuts longer ones when it signs a text.
LONGEST_LINE_BYTES = 19_000


def listing(offers: Sequence[Offer], store: StoreWords, url: str, *, is_index: bool) -> bytes:
    """Give the dashboard, or the search index: static files cannot search.

    Args:
        url: under which the published tree is reached.
        is_index: says so in it, for the proxy to look through it by itself.
    """
    content: dict[str, Any] = {
        "images": [_listed(offer, url) for offer in offers],
        "sections": _sections(offers, store, url),
    }
    if is_index:
        content["search-index"] = True
    return _json(content)


def image_document(offer: Offer, url: str, *, serial: int, now_s: float, expires_s: float) -> bytes:
    """Give the text of an image document, to be clear-signed.

    Raises:
        SettingsError: a text of it is too long to be signed.
    """
    content = {
        "format": "image:1",
        **_shown(offer, url),
        "serial": serial,
        "published": _iso(now_s),
        "expires": _iso(expires_s),
        "virtualization": offer.virtualization.value,
        "files": [_file(one, url) for one in offer.version.files],
    }
    document = _json(content)
    if max(map(len, document.split(b"\n"))) > LONGEST_LINE_BYTES:
        raise SettingsError(
            f"A text about the image '{offer.name}' is longer than can be signed; shorten it."
        )
    return document


def image_uri(offer: Offer, url: str) -> str:
    """Give the address of an image's document, which stands for the image."""
    return f"{url}/api/images/{offer.id}"


def _sections(offers: Sequence[Offer], store: StoreWords, url: str) -> list[dict[str, Any]]:
    uris = {offer.name: image_uri(offer, url) for offer in offers}
    placed = {name for section in store.sections for name in section.images}
    sections = [
        _section(one.title, one.summary, [uris[name] for name in one.images])
        for one in store.sections
    ]
    rest = [uri for name, uri in uris.items() if name not in placed]
    if rest:
        # What nobody placed comes under the store's own title.
        sections.append(_section(store.title, store.summary, rest))
    return sections


def _section(title: str, summary: str, uris: list[str]) -> dict[str, Any]:
    return {"title": title, "summary": summary, "image-uris": uris}


def _shown(offer: Offer, url: str) -> dict[str, Any]:
    icon = offer.icon_uri
    words = offer.words
    content = {
        "uri": image_uri(offer, url),
        "title": offer.title,
        "summary": words.summary,
        "description-html": words.description_html + _run_notes(offer),
        "version": offer.version.name,
        "tags": list(words.tags),
        "provider": _filled({"title": offer.provider.title, "uri": offer.provider.uri}),
        "architecture": offer.architecture.value,
        "icon-uri": f"{url}/{icon}" if icon.startswith("files/") else icon,
        "login-user": words.login_user,
        "ports": list(words.ports),
    }
    return _filled(content)


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody said."""
    return {name: value for name, value in content.items() if value not in ("", [], {})}


def _listed(offer: Offer, url: str) -> dict[str, Any]:
    words = offer.words
    releases = dict.fromkeys(filter(None, (words.release, *words.aliases)))
    content: dict[str, Any] = {
        **_shown(offer, url),
        "size-in-mb": max(1, -(-offer.size_bytes // MIB)),
    }
    if releases:
        content["releases"] = list(releases)
    if words.support_ends:
        content["support-ends"] = words.support_ends
    return content


def _run_notes(offer: Offer) -> str:
    """Say it in the description as well: every page shows that."""
    notes = ""
    if offer.words.login_user:
        notes += f"<p>Log in as <code>{escape(offer.words.login_user)}</code>.</p>"
    if offer.words.ports:
        ports = ", ".join(map(str, offer.words.ports))
        notes += f"<p>It needs these ports open: {ports}.</p>"
    return notes


def _file(file: PublishedFile, url: str) -> dict[str, Any]:
    facts = file.facts
    content: dict[str, Any] = {
        "kind": file.kind.value,
        "url": f"{url}/{file.path}",
        "sha256": facts.sha256,
        "size-in-bytes": facts.size_bytes,
        "compression": facts.compression.value,
        "format": facts.format.value,
    }
    if facts.members:
        content["members"] = members_of(facts)
    return content


def _json(content: Any) -> bytes:
    # Indented, as long lines cannot be signed.
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _iso(time_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))

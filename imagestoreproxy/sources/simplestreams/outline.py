"""The outline of a ``products:1.0``: its own tags, and where each product lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.sources.simplestreams import walk
from imagestoreproxy.sources.simplestreams.tags import TABLE, Tags, expanded

FORMAT = "products:1.0"
PAYLOAD_BYTES = 64 * 2**20
PRODUCTS = 20_000
TAG_BYTES = 10_000
TABLE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Outline:
    """What stands around the products.

    Args:
        tags: of the top level, texts and numbers alone, with what the table adds to them.
        table: what ``_aliases`` says.
        spans: where each product begins and ends in the payload.
    """

    tags: Tags
    table: Tags
    spans: Mapping[str, tuple[int, int]]


def outline_of(payload: bytes) -> Outline:
    """Find the products and read what stands around them, whichever comes first.

    Raises:
        DocumentError: too large, no JSON object, of another format, or without products.
    """
    if len(payload) > PAYLOAD_BYTES:
        raise DocumentError(f"The catalogue has more than {PAYLOAD_BYTES // 2**20} MiB.")
    tags: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    seen: list[str] = []

    def product(name: str, at: int) -> int:
        end = walk.end_of_value(payload, at)
        spans[name] = (at, end)
        if len(spans) > PRODUCTS:
            raise DocumentError(f"The catalogue has more than {PRODUCTS} products.")
        return end

    def member(name: str, at: int) -> int:
        seen.append(name)
        if name == "products":
            return walk.walk(payload, at, product)
        end = walk.end_of_value(payload, at)
        if name == TABLE:
            tags[name] = walk.parse(payload, at, end, limit_bytes=TABLE_BYTES)
        elif payload[at : at + 1] not in (b"{", b"["):
            tags[name] = walk.parse(payload, at, end, limit_bytes=TAG_BYTES)
        return end

    walk.check_end(payload, walk.walk(payload, 0, member))
    check_format(tags, FORMAT)
    if "products" not in seen:
        raise DocumentError("The catalogue has no 'products'.")
    table = tags.pop(TABLE, None) or {}
    if not isinstance(table, dict):
        raise DocumentError(f"'{TABLE}' of the catalogue must be an object.")
    return Outline(expanded(tags, table), table, spans)


def check_format(tags: Tags, wanted: str) -> None:
    """Refuse a catalogue of another format.

    Raises:
        DocumentError: says what it is instead.
    """
    told = tags.get("format")
    if told == wanted:
        return
    old = ""
    if told in ("stream:1.0", "stream-collection:1.0"):
        old = " It is of a form that was given up in 2013."
    shown = f'"{told:.50}"' if isinstance(told, str) else "not said"
    raise DocumentError(f'The format of the catalogue must be "{wanted}"; it is {shown}.{old}')

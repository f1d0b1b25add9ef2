"""Reading JSON that somebody else wrote: strict about shape, bounded in size.

Each function names the field it did not like, so that a store's owner can mend it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.errors import DocumentError

Json = Mapping[str, Any]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# A value of two bytes takes up to a hundred in memory: 8 MiB of "[],[],[]" would be 200 MiB.
CONTAINERS = 100_000
VALUES = 500_000
PIECE_BYTES = 2**20


def parse_object(
    text: bytes, what: str, *, containers: int = CONTAINERS, values: int = VALUES
) -> Json:
    """Parse JSON text that must be one object.

    Args:
        what: names it in errors.
        containers, values: how many objects and lists, and how many values, it may have.

    Raises:
        DocumentError: not UTF-8, not JSON, a name twice in one object, NaN, too deep, too many
            values, no object.
    """
    check_count(text, what, containers=containers, values=values)
    try:
        parsed = STRICT.decode(text.decode("utf-8"))
    except RecursionError as error:
        raise DocumentError(f"{what} is not valid JSON: it is nested too deeply.") from error
    except ValueError as error:
        raise DocumentError(f"{what} is not valid JSON: {error}.") from error
    if not isinstance(parsed, dict):
        raise DocumentError(f"{what} is not a JSON object.")
    return parsed


def check_count(
    text: bytes, what: str, *, containers: int = CONTAINERS, values: int = VALUES
) -> None:
    """Refuse what would fill the memory, before it is parsed."""
    # Those within texts count as well, and hardly any text has them.
    if _count(text, b"{") + _count(text, b"[") > containers or _count(text, b",") > values:
        raise DocumentError(f"{what} has more values in it than any store needs.")


def _count(text: bytes, byte: bytes) -> int:
    # In pieces: one count of 64 MiB would keep all other threads waiting, the reactor's as well.
    return sum(text.count(byte, at, at + PIECE_BYTES) for at in range(0, len(text), PIECE_BYTES))


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


STRICT = json.JSONDecoder(object_pairs_hook=_no_name_twice, parse_constant=_no_constant)
"""Refuses a name twice in one object, and NaN."""


def text(source: Json, name: str, *, limit: int, required: bool = False) -> str:
    """Give a text field of at most ``limit`` characters; absent or null is empty."""
    value = source.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > limit or (required and not value):
        raise DocumentError(f"'{name}' must be a text of at most {limit} characters.")
    return _printable(value, name)


def _printable(value: str, name: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DocumentError(f"'{name}' holds half a character (a lone surrogate).") from None
    # What moves a cursor or rings a bell is no text; some clouds choke on their own echo of it.
    return _CONTROLS.sub("", value)


def whole(source: Json, name: str, *, lowest: int = 0, highest: int) -> int:
    """Give a whole number from ``lowest`` to ``highest``."""
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise DocumentError(f"'{name}' must be a whole number from {lowest} to {highest}.")
    return value


def number(source: Json, name: str, *, highest: float) -> float:
    """Give a number from 0 to ``highest``; absent is 0."""
    value = source.get(name, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= highest:
        raise DocumentError(f"'{name}' must be a number from 0 to {highest}.")
    return value


def items(source: Json, name: str, *, limit: int) -> list[Any]:
    """Give a list field of at most ``limit`` entries; absent is empty."""
    value = source.get(name, [])
    if not isinstance(value, list) or len(value) > limit:
        raise DocumentError(f"'{name}' must be a list of at most {limit} entries.")
    return value


def objects(source: Json, name: str, *, limit: int) -> list[Json]:
    """Give a list of objects."""
    value = items(source, name, limit=limit)
    if not all(isinstance(entry, dict) for entry in value):
        raise DocumentError(f"'{name}' must be a list of objects.")
    return value


def mapping(source: Json, name: str) -> Json:
    """Give an object field; absent is empty."""
    value = source.get(name, {})
    if not isinstance(value, dict):
        raise DocumentError(f"'{name}' must be an object.")
    return value


def texts(source: Json, name: str, *, limit: int, length: int) -> tuple[str, ...]:
    """Give a list of texts of at most ``length`` characters each."""
    value = items(source, name, limit=limit)
    if not all(isinstance(entry, str) and len(entry) <= length for entry in value):
        raise DocumentError(f"'{name}' must be a list of texts of at most {length} characters.")
    return tuple(_printable(entry, name) for entry in value)


def uri(value: object, name: str) -> str:
    """Check a URI: ``http`` or ``https``, ASCII without spaces, at most 2,000 characters."""
    if (
        not isinstance(value, str)
        or not value.startswith(("http://", "https://"))
        or len(value) > 2000
        or not all("!" <= character <= "~" for character in value)
    ):
        raise DocumentError(f"'{name}' must be an http or https URI in plain ASCII.")
    return value

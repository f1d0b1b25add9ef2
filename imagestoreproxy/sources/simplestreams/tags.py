"""The tags of a product, a version or an item: replaced by ``_aliases``, then inherited.

Both as ``expand_tree`` and ``products_exdata`` of lp:simplestreams do it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.errors import DocumentError

Tags = Mapping[str, Any]

TABLE = "_aliases"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class MissingAliasError(DocumentError):
    """A tag has a value that the catalogue's own table does not know: the file is damaged."""


def expanded(tags: Tags, table: Tags) -> Tags:
    """Take up what the table says for the values of ``tags``.

    Args:
        table: ``{tag: {value: {tag: value}}}``.

    Raises:
        MissingAliasError: a value is not in the table.
    """
    concerned = [name for name in table if name in tags]
    if not concerned:
        return tags
    result = dict(tags)
    for name in list(tags):
        values, value = table.get(name), result[name]
        if not values or name == TABLE or not value or not isinstance(value, str):
            continue
        more = values.get(value) if isinstance(values, dict) else None
        if not isinstance(more, dict):
            raise MissingAliasError(
                f"The catalogue's table '{TABLE}' lacks a value that its tag '{name:.50}' has."
            )
        result.update(more)
    return result


def inherited(outer: Tags, inner: Tags) -> dict[str, Any]:
    """Give the tags of an inner level: its own, and those of the outer ones that it lacks.

    Only texts and numbers are handed down; true and false become the texts ``True`` and ``False``.
    """
    result = dict(outer)
    for name, value in inner.items():
        if isinstance(value, bool):
            result[name] = str(value)
        elif isinstance(value, str | int | float):
            result[name] = value
    return result


def word(tags: Tags, name: str, limit: int = 100) -> str:
    """Give a tag as text for people: one line, cut at ``limit`` characters; absent is empty."""
    value = tags.get(name, "")
    if not isinstance(value, str):
        value = str(value) if isinstance(value, int | float) else ""
    value = _CONTROLS.sub(" ", value[: 2 * limit]).encode("utf-8", "replace").decode("utf-8")
    return value.strip()[:limit]

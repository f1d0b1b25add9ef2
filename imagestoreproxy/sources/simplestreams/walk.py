"""Where the parts of a large JSON object lie, without reading all of it into memory.

A catalogue of 20 MB would take 50 MiB as Python objects, and nearly all of it is thrown away. So
its outline is found first, by brackets alone; then one part at a time is parsed and judged.
Every step is short, so that other threads get their turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.sources.fields import STRICT, check_count

DEPTH = 20
NAME_CHARS = 1000

# Possessive (the + after a count): nothing is kept for going back, however long a text is.
_TEXT = rb'"[^"\\]{0,65536}+(?:\\.[^"\\]{0,65536}+){0,65536}+"'
_SPACE = rb"[ \t\r\n]*+"
_STEP = re.compile(rb'(?:[^"{}\[\]]{1,65536}+|' + _TEXT + rb"){0,8192}+[{}\[\]]", re.DOTALL)
_VALUE = re.compile(_TEXT + rb"|[-+.0-9A-Za-z]{1,100}+", re.DOTALL)
_OPENED = re.compile(_SPACE + rb"\{" + _SPACE + rb"(\}?)")
_NAME = re.compile(rb"(" + _TEXT + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_NEXT = re.compile(_SPACE + rb"([,}])" + _SPACE)
_END = re.compile(_SPACE + rb"\Z")
_OPENING = frozenset(b"{[")

Visit = Callable[[str, int], int]


def walk(payload: bytes, at: int, visit: Visit) -> int:
    """Visit the members of the object that begins at ``at``.

    Args:
        visit: gets a member's name and where its value begins, and gives where that ends.

    Returns:
        the place behind the object.

    Raises:
        DocumentError: no object, or a name stands twice in it.
    """
    opened = _OPENED.match(payload, at)
    if opened is None:
        raise _invalid(at, "an object should begin here")
    at = opened.end()
    seen: set[str] = set()
    more = not opened[1]
    while more:
        named = _NAME.match(payload, at)
        if named is None:
            raise _invalid(at, "a name should stand here")
        name = str(_parsed(named[1], at))
        if name in seen or len(name) > NAME_CHARS:
            raise _invalid(at, "a name stands twice in one object, or is too long")
        seen.add(name)
        following = _NEXT.match(payload, visit(name, named.end()))
        if following is None:
            raise _invalid(named.end(), "a comma or a brace is missing behind this")
        more = following[1] == b","
        at = following.end() if more else following.end(1)
    return at


def end_of_value(payload: bytes, at: int) -> int:
    """Find where the value ends that begins at ``at``; brackets are counted, no more."""
    if payload[at : at + 1] not in (b"{", b"["):
        value = _VALUE.match(payload, at)
        if value is None:
            raise _invalid(at, "a value should stand here")
        return value.end()
    depth = 0
    while True:
        step = _STEP.match(payload, at)
        if step is None:
            raise _invalid(at, "a bracket is missing behind this, or a text is too long")
        at = step.end()
        depth += 1 if payload[at - 1] in _OPENING else -1
        if not depth:
            return at
        if depth > DEPTH:
            raise _invalid(at, "it is nested too deeply")


def check_end(payload: bytes, at: int) -> None:
    """Refuse what stands behind the outermost object."""
    if not _END.match(payload, at):
        raise _invalid(at, "something stands behind the end")


def parse(payload: bytes, start: int, end: int, *, limit_bytes: int) -> object:
    """Parse one part.

    Raises:
        DocumentError: not JSON, a name twice in one object, NaN, or larger than a part may be.
    """
    if end - start > limit_bytes:
        raise DocumentError(f"A part of the catalogue has more than {limit_bytes} bytes.")
    part = payload[start:end]
    check_count(part, "A part of the catalogue")
    return _parsed(part, start)


def _parsed(part: bytes, at: int) -> object:
    try:
        return STRICT.decode(part.decode("utf-8"))
    except RecursionError:
        raise _invalid(at, "it is nested too deeply") from None
    except ValueError as error:
        raise _invalid(at, str(error)) from error


def _invalid(at: int, why: str) -> DocumentError:
    return DocumentError(f"The catalogue is not valid JSON: near byte {at}, {why}.")

"""Form data as it comes over the wire, made ready for the signature."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.signing import Parameter, parameter

CHARSETS = frozenset({"utf-8", "iso8859-1", "ascii"})
FORM = "application/x-www-form-urlencoded"

# The client sends the same image URIs every five seconds. Long pairs stay out, so that a stranger
# cannot fill the memory: 4096 pairs are at most about 16 MB.
_CACHED_PAIRS = 4096
_CACHED_PAIR_BYTES = 512


def check_count(raw: bytes, max_parameters: int) -> None:
    """Refuse a form with too many pairs before any is decoded.

    Raises:
        CallerError: 413.
    """
    if raw.count(b"&") >= max_parameters:
        raise CallerError(
            f"The request has more than {max_parameters} parameters; send fewer at a time.", 413
        )


def parse(raw: bytes, charset: str) -> list[Parameter]:
    """Decode a query string or a form body.

    Args:
        raw: ``name=value`` pairs joined by ``&``; ``+`` is a space, ``%XX`` a byte.
        charset: a name that Python knows, of ``CHARSETS``.

    Raises:
        CallerError: 400, for bytes that the charset does not have.
    """
    try:
        return [
            _cached(pair, charset) if len(pair) <= _CACHED_PAIR_BYTES else _decoded(pair, charset)
            for pair in raw.split(b"&")
            if pair
        ]
    except UnicodeDecodeError:
        raise CallerError(
            f"The parameters are not {charset.upper()} text; a query string must be UTF-8."
        ) from None


def _decoded(pair: bytes, charset: str) -> Parameter:
    name, _, value = pair.replace(b"+", b" ").partition(b"=")
    return parameter(
        unquote_to_bytes(name).decode(charset), unquote_to_bytes(value).decode(charset)
    )


_cached = lru_cache(_CACHED_PAIRS)(_decoded)


def body_charset(content_type: str) -> str | None:
    """Give the charset that a ``Content-Type`` names, as Python calls it, or None for none.

    Raises:
        CallerError: 400, for another type than a form, or a charset that is not supported.
    """
    kind, _, options = content_type.partition(";")
    if kind.strip().lower() not in {"", FORM}:
        raise CallerError(f"The body must be {FORM}, not '{kind.strip()[:100]}'.")
    named = re.search(r"""(?i)(?:^|;)\s*charset\s*=\s*"?([^";\s]*)""", options)
    if named is None:
        return None
    try:
        charset = codecs.lookup(named[1]).name
    except (LookupError, ValueError):
        charset = ""
    if charset not in CHARSETS:
        raise CallerError(
            f"The charset '{named[1][:100]}' is not supported: use UTF-8, ISO-8859-1 or US-ASCII."
        )
    return charset

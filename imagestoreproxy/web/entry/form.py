"""Form data as it comes over the wire, made ready for the signature."""

from __future__ import annotations

import codecs
import re
from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.signing import Pair, Parameter, parameter

CHARSETS = frozenset({"utf-8", "iso8859-1", "ascii"})
FORM = "application/x-www-form-urlencoded"

# The client sends the same image URIs every five seconds. Long pairs stay out, so that a stranger
# cannot fill the memory: 4096 pairs are at most about 16 MB.
_CACHED_PAIRS = 4096
_CACHED_PAIR_BYTES = 512

# Beginnings of forms; all of them are at most about 20 MB.
_KEPT_BEGINNINGS = 16
_KEPT_BEGINNING_PAIRS = 1000
_KEPT_BEGINNING_BYTES = 64 * 1024
# With this begins what signing adds, and it is new each time.
_ADDED_FROM = b"&SignatureMethod="


def check_count(raw: bytes, max_parameters: int) -> None:
    """Refuse a form with too many pairs before any is decoded.

    Raises:
        CallerError: 413.
    """
    if raw.count(b"&") >= max_parameters:
        raise CallerError(
            f"The request has more than {max_parameters} parameters; send fewer at a time.",
            413,
            reason=Reason.TOO_LARGE,
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


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first parameters of a form, decoded.

    Args:
        ordered: as they are signed.
        pairs: as they came.
    """

    ordered: tuple[Parameter, ...] = ()
    pairs: tuple[Pair, ...] = ()
    is_ascii: bool = True


class Beginnings:
    """What is the same in each form of a client, up to what signing adds to it.

    Each page asks for the same hundreds of images again and again. Only what was signed rightly is
    kept, so that a stranger can neither fill it nor push out what others use.

    Args:
        never: names of parameters that must not be in a beginning.
    """

    def __init__(self, never: Container[str]) -> None:
        self._never = never
        self._kept: OrderedDict[tuple[bytes, str], Beginning] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def split(self, raw: bytes, charset: str) -> tuple[Beginning, bytes]:
        """Give the beginning of a form, if it is known, and the bytes that follow it."""
        at = raw.rfind(_ADDED_FROM)
        key = (raw[:at], charset)
        if not 0 < at <= _KEPT_BEGINNING_BYTES or key not in self._kept:
            return Beginning(), raw
        self._kept.move_to_end(key)
        return self._kept[key], raw[at + 1 :]

    def keep(self, raw: bytes, charset: str) -> None:
        """Keep the beginning of a form that was signed rightly and decoded in this charset."""
        at = raw.rfind(_ADDED_FROM)
        if not 0 < at <= _KEPT_BEGINNING_BYTES:
            return
        parameters = parse(raw[:at], charset)
        if len(parameters) > _KEPT_BEGINNING_PAIRS or any(
            p.name in self._never for p in parameters
        ):
            return
        pairs = tuple((p.name, p.value) for p in parameters)
        known = Beginning(tuple(sorted(parameters)), pairs, plain(parameters))
        self._kept[raw[:at], charset] = known
        if len(self._kept) > _KEPT_BEGINNINGS:
            self._kept.popitem(last=False)


def plain(parameters: Iterable[Parameter]) -> bool:
    """Tell whether all is ASCII, and so the same in every charset."""
    return all(p.name.isascii() and p.value.isascii() for p in parameters)


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

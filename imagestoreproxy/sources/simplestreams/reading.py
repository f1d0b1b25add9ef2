"""Catalogues in the simplestreams format, read in little memory and without long pauses.

Format: ``doc/README`` and ``simplestreams/util.py`` of lp:simplestreams.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources import fields
from imagestoreproxy.sources.simplestreams.outline import check_format, outline_of
from imagestoreproxy.sources.simplestreams.paths import safe_path
from imagestoreproxy.sources.simplestreams.products import Products
from imagestoreproxy.sources.simplestreams.stream import Entry, Index, Origin, Stream, counted
from imagestoreproxy.sources.simplestreams.tags import Tags, word
from imagestoreproxy.sources.simplestreams.wanted import Wanted

INDEX_FORMAT = "index:1.0"
INDEX_BYTES = 8 * 2**20
ENTRIES = 1_000
CONTENT_ID_CHARS = 200
# The end of the year 9999 in UTC; with the time zone of the text it may lie behind that.
LATEST_S = 253_402_300_799


def read_index(payload: bytes) -> Index:
    """Read an index; entries that make no sense are left out, and counted.

    An entry of format ``index:1.0`` points at a further index: the caller bounds how far it goes.

    Args:
        payload: what was signed, and no more.

    Raises:
        DocumentError: too large, no JSON object, or of another format.
    """
    if len(payload) > INDEX_BYTES:
        raise DocumentError(f"The index has more than {INDEX_BYTES // 2**20} MiB.")
    source = fields.parse_object(payload, "The index")
    check_format(source, INDEX_FORMAT)
    entries, dropped = [], 0
    listed = fields.mapping(source, "index")
    if len(listed) > ENTRIES:
        raise DocumentError(f"The index has more than {ENTRIES} entries.")
    for content_id, entry in listed.items():
        try:
            entries.append(_entry(content_id, entry))
        except DocumentError:
            dropped += 1
    return Index(updated_s(source), tuple(entries), dropped)


def _entry(content_id: str, entry: object) -> Entry:
    if not isinstance(entry, dict) or not _is_name(content_id):
        raise DocumentError("An entry of the index must be an object with a name.")
    return Entry(
        content_id,
        safe_path(entry.get("path")),
        word(entry, "format"),
        word(entry, "datatype"),
        updated_s(entry),
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= CONTENT_ID_CHARS and text.isprintable()


def read_products(
    payload: bytes,
    *,
    root: str,
    taking: Taking,
    now_s: float,
    mirrors: tuple[str, ...] = (),
    wanted: Wanted | None = None,
    is_unsigned: bool = False,
    source_title: str = "",
    source_name: str = "",
    only: str = "",
) -> Stream:
    """Read a ``products:1.0`` as this cloud sees it.

    Beside the payload it takes up little more than what it gives: products are parsed one at a
    time. It runs for about a second with 20 MB, in many short steps: give it a thread.

    Args:
        payload: what was signed, and no more.
        root: of the mirror it came from, with a slash at its end.
        taking: what the cloud takes.
        now_s: Unix seconds; tells what is still supported.
        mirrors: further roots that hold the same files.
        is_unsigned: nobody vouches for the payload.
        source_title: the provider's name for people; by default the system's and the mirror's.
        source_name: of the source.
        only: the name of one product: the others are not looked at, and not counted.

    Raises:
        DocumentError: too large, no JSON object, of another format, or a tag whose value the
            table of aliases lacks. Whatever else is wrong with a product, a version or an item
            keeps that one alone from being offered.
    """
    outline = outline_of(payload)
    content_id = outline.tags.get("content_id")
    if not isinstance(content_id, str) or not _is_name(content_id):
        raise DocumentError("'content_id' of the catalogue must be a short text.")
    origin = Origin(root, mirrors, source_title, is_unsigned, source_name)
    products = Products(
        outline, content_id, origin, taking=taking, wanted=wanted or Wanted(), now_s=now_s
    )
    for name in outline.spans:
        if not only or name == only:
            products.read(payload, name)
    return Stream(
        origin=origin,
        content_id=content_id,
        datatype=word(outline.tags, "datatype"),
        updated_s=updated_s(outline.tags),
        products=tuple(products.shown),
        filtered=products.filtered,
        dropped=counted(products.dropped),
        passed_over=counted(products.passed_over),
    )


def updated_s(tags: Tags) -> int:
    """Give when a file was written, in Unix seconds; 0 where it is not said as RFC 2822 has it."""
    value = tags.get("updated")
    if not isinstance(value, str) or len(value) > 100:
        return 0
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(0, int(moment.timestamp())), LATEST_S)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0

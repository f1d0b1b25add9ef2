"""What may be believed of a signed image document (``image:1`` of the Store API).

Pure rules: the caller fetched the message, had it verified, and says what time it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    ImageDocument,
    ImageFile,
    ImageInfo,
    Provider,
    Virtualization,
)
from imagestoreproxy.model.running import login_user_of, ports_of
from imagestoreproxy.ports import Signed
from imagestoreproxy.sources import fields
from imagestoreproxy.sources.fields import Json

FORMAT = "image:1"
HIGHEST_SERIAL = 2**53
LARGEST_FILE_BYTES = 2**40
MIRRORS = 20
MIB = 2**20
# How far a store's clock may be ahead of ours.
AHEAD_S = 86400

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)


def read_document(signed: Signed, message: bytes, image_uri: str, now_s: float) -> ImageDocument:
    """Read a verified document.

    Args:
        signed: what GnuPG gave out as signed.
        message: the whole OpenPGP message, to be kept.
        image_uri: the URI that was asked for.
        now_s: Unix seconds.

    Raises:
        DocumentError: another image's, expired, from the future, or not of the format.
    """
    source = fields.parse_object(signed.payload, "The signed text")
    if source.get("format") != FORMAT:
        raise DocumentError(f"'format' must be \"{FORMAT}\".")
    if source.get("uri") != image_uri:
        raise DocumentError("it is the document of another image ('uri' differs).")
    published_s = _time(source, "published")
    expires_s = _time(source, "expires")
    if expires_s <= now_s:
        raise DocumentError(
            f"it expired on {source['expires']}; the proxy's clock says {_at(now_s)}. Either the"
            " store has stopped publishing, or a clock is wrong."
        )
    if published_s > now_s + AHEAD_S:
        raise DocumentError(
            f"it was published on {source['published']}, but the proxy's clock says {_at(now_s)}."
            " One of the two clocks is wrong; check this machine's."
        )
    files = tuple(_file(entry) for entry in fields.objects(source, "files", limit=3))
    virtualization = _word(Virtualization, source, "virtualization")
    _check_files(files, virtualization)
    return ImageDocument(
        info=read_info(source, image_uri, size_mb=_size_mb(files)),
        serial=fields.whole(source, "serial", highest=HIGHEST_SERIAL),
        published_s=published_s,
        expires_s=expires_s,
        architecture=_word(Architecture, source, "architecture"),
        virtualization=virtualization,
        files=files,
        signed_text=message,
        fingerprint=signed.fingerprint,
    )


def check_serial(document: ImageDocument, highest_seen: int) -> None:
    """Refuse a document older than one seen before (rollback).

    Another document of the same serial is taken: a store signs one anew before it expires, and
    whoever could make up another holds the store's key and would use a higher serial.

    Args:
        highest_seen: the highest serial ever seen for this URI, or -1.
    """
    if document.serial < highest_seen:
        raise DocumentError(
            f"The image document of {document.uri} is refused: its serial is {document.serial}, but"
            f" {highest_seen} was seen before. The store, or somebody before it, offers an older"
            " publication."
        )


class Same:
    """Values that many images of a listing have in common, kept once."""

    def __init__(self) -> None:
        self._seen: dict[Any, Any] = {}

    def __call__(self, value: T) -> T:
        """Give an equal value that was seen before, or this one."""
        seen: T = self._seen.setdefault(value, value)
        return seen


def read_info(
    source: Json, image_uri: str, size_mb: int, same: Same | None = None, *, name: str = ""
) -> ImageInfo:
    """Read the fields for people; the same in documents and in listings.

    ``icon-uri`` and the provider's ``uri`` are dropped when they are not plain http(s), and
    ``login-user`` and ``ports`` when they cannot be what they are said to be.

    Args:
        same: of the listing that it is an entry of.
        name: of the source that has listed it.
    """
    same = same or Same()
    provider = fields.mapping(source, "provider")
    return ImageInfo(
        uri=image_uri,
        title=fields.text(source, "title", limit=300),
        summary=fields.text(source, "summary", limit=2000),
        description_html=fields.text(source, "description-html", limit=50_000),
        version=fields.text(source, "version", limit=100),
        size_mb=size_mb,
        icon_uri=same(_uri_or_nothing(source, "icon-uri")),
        tags=same(tuple(map(same, fields.texts(source, "tags", limit=50, length=100)))),
        provider=same(
            Provider(
                title=fields.text(provider, "title", limit=300),
                uri=_uri_or_nothing(provider, "uri"),
            )
        ),
        architecture=same(_architecture(source)),
        login_user=same(login_user_of(source.get("login-user"))),
        ports=same(ports_of(source.get("ports"))),
        source=name,
    )


def _architecture(source: Json) -> str:
    value = source.get("architecture")
    return value if isinstance(value, str) and value in set(Architecture) else ""


def _uri_or_nothing(source: Json, name: str) -> str:
    try:
        return fields.uri(source.get(name), name)
    except DocumentError:
        return ""


def _file(source: Json) -> ImageFile:
    digest = source.get("sha256")
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise DocumentError("'sha256' must be 64 lower-case hex digits.")
    members = fields.mapping(source, "members")
    return ImageFile(
        kind=_word(FileKind, source, "kind"),
        url=fields.uri(source.get("url"), "url"),
        mirrors=tuple(
            fields.uri(mirror, "mirrors")
            for mirror in fields.items(source, "mirrors", limit=MIRRORS)
        ),
        sha256=digest,
        size_bytes=fields.whole(source, "size-in-bytes", lowest=1, highest=LARGEST_FILE_BYTES),
        compression=_word(Compression, source, "compression", "none"),
        format=_word(FileFormat, source, "format", "raw"),
        members=tuple(
            (FileKind(kind), fields.text(members, kind, limit=200, required=True))
            for kind in FileKind
            if kind in members
        ),
    )


def _check_files(files: tuple[ImageFile, ...], virtualization: Virtualization) -> None:
    kinds = [kind for file in files for kind in (dict(file.members) or {file.kind: ""})]
    if len(set(kinds)) != len(kinds):
        raise DocumentError("'files' names a kind twice.")
    if FileKind.IMAGE not in kinds:
        raise DocumentError("'files' names no image.")
    if virtualization is Virtualization.HVM and len(kinds) > 1:
        raise DocumentError("an hvm image boots by itself and has no kernel or ramdisk.")
    for file in files:
        if bool(file.members) != (file.format is FileFormat.TAR):
            raise DocumentError("'members' belongs to files of format tar, and to each of them.")
        if file.format is FileFormat.QCOW2 and file.kind is not FileKind.IMAGE:
            raise DocumentError("only an image can be qcow2.")


def _size_mb(files: tuple[ImageFile, ...]) -> int:
    return -(-sum(file.size_bytes for file in files) // MIB)


def _word(words: type[Word], source: Json, name: str, default: str | None = None) -> Word:
    value = source.get(name, default)
    try:
        return words(value)
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise DocumentError(f"'{name}' must be one of: {known}.") from None


def _time(source: Json, name: str) -> int:
    value = source.get(name)
    try:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return int(moment.timestamp())
    except (ValueError, OverflowError):
        raise DocumentError(f"'{name}' must be a time like 2026-11-20T12:00:00Z.") from None


def _at(now_s: float) -> str:
    return f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%dT%H:%M:%SZ}"

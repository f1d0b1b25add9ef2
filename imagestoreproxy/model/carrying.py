"""What is carried from site to site, and how it lies there.

One layout, for archives, for directories, and below the address of a proxy that shares its cache:

* ``images.json``: what is there; for people and for finding things, nobody has signed it;
* ``documents/SHA256``: the original signed messages, word for word;
* ``files/DIGEST``: the files of images, named by the strongest digest that is signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import ImageDocument, ImageInfo, Provider
from imagestoreproxy.model.installs import Progress
from imagestoreproxy.model.running import login_user_of, ports_of

FORMAT = "carried:1"
INDEX, DOCUMENTS, FILES = "images.json", "documents", "files"
STORE, SIMPLESTREAMS = "store", "simplestreams"

INDEX_LIMIT_BYTES = 16 * 2**20
# A catalogue in the simplestreams format can be a whole one; the message of a store is 1 MiB.
DOCUMENT_LIMIT_BYTES = 64 * 2**20
LARGEST_FILE_BYTES = 2**40
IMAGES = 10_000
DOCUMENTS_OF_ONE = 2
FILES_OF_ONE = 3
REFERENCE_CHARS = 65_536
VALUES = 500_000
TITLE_CHARS, TEXT_CHARS, DESCRIPTION_CHARS, WORD_CHARS, WORDS = 300, 2000, 8000, 100, 50

_REFERENCE = "simplestreams:1"
_SHA256 = re.compile("[0-9a-f]{64}")
_DIGEST = re.compile("[0-9a-f]{64}(?:[0-9a-f]{64})?")
_URI = re.compile("https?://[!-~]{1,1993}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CarriedFile:
    """One file: the digest that names it, and its size."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CarriedImage:
    """One image, as ``images.json`` lists it: nothing of it is to be believed.

    Args:
        kind: of the source that has signed it: ``store`` or ``simplestreams``.
        root: where that source is: the URL of its API, or the root of its mirror.
        documents: SHA-256 of each of its signed messages.
        reference: what its source remembers of it beside them, if it is more than the message.
    """

    info: ImageInfo
    kind: str
    root: str
    documents: tuple[str, ...]
    files: tuple[CarriedFile, ...]
    reference: str = ""

    @property
    def uri(self) -> str:
        return self.info.uri

    def signed_text(self, messages: Mapping[str, bytes]) -> bytes:
        """Give what ``Source.reread`` takes.

        Args:
            messages: by SHA-256.
        """
        return self.reference.encode() if self.reference else messages[self.documents[0]]


@dataclass(frozen=True, slots=True)
class Fetch:
    """How far an image is that is brought here to be carried away.

    Args:
        progress: while it is being fetched.
        image: once all of it is here.
        error: why it did not come, one plain sentence.
    """

    progress: Progress | None = None
    image: CarriedImage | None = None
    error: str = ""


def carried_image(document: ImageDocument, message_sha256: str) -> CarriedImage:
    """List an image by its verified document.

    Args:
        message_sha256: of ``signed_text``, for sources that keep the message itself there.
    """
    reference = referred(document.signed_text)
    return CarriedImage(
        info=replace(document.info, source=""),
        kind=SIMPLESTREAMS if reference else STORE,
        root=str(reference.get("root", "")) if reference else _api_of(document.uri),
        documents=_documents(reference) if reference else (message_sha256,),
        files=tuple(
            dict.fromkeys(CarriedFile(file.digest, file.size_bytes) for file in document.files)
        ),
        reference=document.signed_text.decode() if reference else "",
    )


def referred(signed_text: bytes) -> Json:
    """Read what names signed messages instead of being one; empty for a message itself."""
    if not signed_text.startswith(b"{") or len(signed_text) > REFERENCE_CHARS:
        return {}
    found = _parsed(signed_text, "What was kept of the catalogue")
    return found if found.get("format") == _REFERENCE else {}


def is_sha256(name: str) -> bool:
    """Tell whether this may name a document."""
    return _SHA256.fullmatch(name) is not None


def is_digest(name: str) -> bool:
    """Tell whether this may name a file."""
    return _DIGEST.fullmatch(name) is not None


def index_text(images: Iterable[CarriedImage]) -> bytes:
    """Write ``images.json``."""
    content = {"format": FORMAT, "images": [image_json(image) for image in images]}
    return json.dumps(content, indent=1).encode() + b"\n"


def image_json(image: CarriedImage) -> dict[str, Any]:
    """Give one image of ``images.json``; what is longer than people read is cut."""
    info = image.info
    return {
        "uri": info.uri,
        "type": image.kind,
        "root": image.root,
        "title": info.title[:TITLE_CHARS],
        "summary": info.summary[:TEXT_CHARS],
        "description-html": info.description_html[:DESCRIPTION_CHARS],
        "version": info.version[:WORD_CHARS],
        "size-in-mb": info.size_mb,
        "icon-uri": info.icon_uri,
        "tags": [word[:WORD_CHARS] for word in info.tags[:WORDS]],
        "provider": {"title": info.provider.title[:TITLE_CHARS], "uri": info.provider.uri},
        "architecture": info.architecture[:WORD_CHARS],
        "releases": [word[:WORD_CHARS] for word in info.releases[:WORDS]],
        "support-ends": info.support_ends[:WORD_CHARS],
        "login-user": info.login_user,
        "ports": list(info.ports),
        "documents": list(image.documents),
        "files": [{"digest": one.digest, "size-in-bytes": one.size_bytes} for one in image.files],
        "reference": image.reference,
    }


def read_index(content: bytes) -> tuple[CarriedImage, ...]:
    """Read ``images.json``, strictly: who writes one knows how.

    Raises:
        DocumentError: it is something else, or out of bounds; names what is wrong.
    """
    if len(content) > INDEX_LIMIT_BYTES:
        raise DocumentError(f"{INDEX} has more than {INDEX_LIMIT_BYTES} bytes.")
    source = _parsed(content, INDEX)
    if source.get("format") != FORMAT:
        raise DocumentError(f"{INDEX}: 'format' must be \"{FORMAT}\".")
    images = tuple(read_image(entry) for entry in _list(source, "images", IMAGES))
    if len({image.uri for image in images}) != len(images):
        raise DocumentError(f"{INDEX} lists an image twice.")
    return images


def read_image(entry: object) -> CarriedImage:
    """Read one image of ``images.json``.

    Raises:
        DocumentError: see ``read_index``.
    """
    if not isinstance(entry, dict):
        raise _wrong("images", "a list of objects")
    kind = entry.get("type")
    if kind not in (STORE, SIMPLESTREAMS):
        raise _wrong("type", f"'{STORE}' or '{SIMPLESTREAMS}'")
    documents = _list(entry, "documents", DOCUMENTS_OF_ONE)
    if not documents or not all(isinstance(one, str) and is_sha256(one) for one in documents):
        raise _wrong("documents", "SHA-256 digests")
    files = tuple(_file(one) for one in _list(entry, "files", FILES_OF_ONE))
    if not files or len({file.digest for file in files}) != len(files):
        raise _wrong("files", "at least one file, and none twice")
    reference = entry.get("reference", "")
    if not isinstance(reference, str) or len(reference) > REFERENCE_CHARS:
        raise _wrong("reference", "a text")
    expected = _documents(referred(reference.encode("utf-8", "replace"))) if reference else ()
    if (kind == SIMPLESTREAMS) != bool(reference) or (reference and expected != tuple(documents)):
        raise _wrong("reference", "what names the documents of a simplestreams image")
    if kind == STORE and len(documents) != 1:
        raise _wrong("documents", "one for an image of a store")
    return CarriedImage(
        info=_info(entry),
        kind=kind,
        root=_text(entry, "root", TEXT_CHARS),
        documents=tuple(documents),
        files=files,
        reference=reference,
    )


def _info(entry: Json) -> ImageInfo:
    uri = entry.get("uri")
    if not isinstance(uri, str) or not _URI.fullmatch(uri):
        raise _wrong("uri", "an http or https URI in plain ASCII")
    provider = entry.get("provider", {})
    if not isinstance(provider, dict):
        raise _wrong("provider", "an object")
    return ImageInfo(
        uri=uri,
        title=_text(entry, "title", TITLE_CHARS),
        summary=_text(entry, "summary", TEXT_CHARS),
        description_html=_text(entry, "description-html", DESCRIPTION_CHARS),
        version=_text(entry, "version", WORD_CHARS),
        size_mb=_whole(entry, "size-in-mb", 0, 2**40),
        icon_uri=_link(entry, "icon-uri"),
        tags=_texts(entry, "tags"),
        provider=Provider(_text(provider, "title", TITLE_CHARS), _link(provider, "uri")),
        architecture=_text(entry, "architecture", WORD_CHARS),
        releases=_texts(entry, "releases"),
        support_ends=_text(entry, "support-ends", WORD_CHARS),
        login_user=login_user_of(entry.get("login-user")),
        ports=ports_of(entry.get("ports")),
    )


def _file(entry: object) -> CarriedFile:
    digest = entry.get("digest") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(digest, str) or not is_digest(digest):
        raise _wrong("files", "objects with a SHA-256 or SHA-512 'digest'")
    return CarriedFile(digest, _whole(entry, "size-in-bytes", 1, LARGEST_FILE_BYTES))


def _api_of(image_uri: str) -> str:
    return image_uri.rpartition("/images/")[0]


def _documents(reference: Json) -> tuple[str, ...]:
    found = reference.get("documents")
    names = tuple(found) if isinstance(found, list) and len(found) <= DOCUMENTS_OF_ONE else ()
    return names if all(isinstance(name, str) and is_sha256(name) for name in names) else ()


def _parsed(content: bytes, what: str) -> Json:
    # Those within texts count as well, and hardly any text has them.
    if content.count(b"{") + content.count(b"[") + content.count(b",") > VALUES:
        raise DocumentError(f"{what} has more values in it than there can be.")
    try:
        parsed = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise DocumentError(f"{what} is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise DocumentError(f"{what} is not a JSON object.")
    return parsed


def _wrong(name: str, expected: str) -> DocumentError:
    return DocumentError(f"{INDEX}: '{name}' must be {expected}.")


def _list(source: Json, name: str, limit: int) -> list[Any]:
    value = source.get(name, [])
    if not isinstance(value, list) or len(value) > limit:
        raise _wrong(name, f"a list of at most {limit} entries")
    return value


def _text(source: Json, name: str, limit: int) -> str:
    value = source.get(name, "")
    if not isinstance(value, str) or len(value) > limit:
        raise _wrong(name, f"a text of at most {limit} characters")
    return _CONTROLS.sub("", value).encode("utf-8", "replace").decode()


def _texts(source: Json, name: str) -> tuple[str, ...]:
    return tuple(_text({name: one}, name, WORD_CHARS) for one in _list(source, name, WORDS))


def _whole(source: Json, name: str, lowest: int, highest: int) -> int:
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise _wrong(name, f"a whole number from {lowest} to {highest}")
    return value


def _link(source: Json, name: str) -> str:
    value = _text(source, name, TEXT_CHARS)
    return value if _URI.fullmatch(value) else ""

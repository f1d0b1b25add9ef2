"""The addresses of catalogues and the names that their products go by as images."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from imagestoreproxy.model.errors import SettingsError

BELOW = "streams/v1/"
INDEX = BELOW + "index.sjson"
URI_CHARS = 2000

# As bin/sstream-mirror of lp:simplestreams does it.
_INITIAL = re.compile(r"streams/v1/.*[.](sjson|json)$")
_ROOT = re.compile(r"https?://[!-~]+")
# What stays readable; "#", "@", "%" and all that a link must not hold are encoded.
_PLAIN = ":,+=!$&'()*;~"


def mirror_root(url: str) -> tuple[str, str]:
    """Split a configured address into the mirror root and the path of the first file.

    ``https://host/releases/`` begins at its signed index, and
    ``https://host/releases/streams/v1/index.json`` at the file that is named.

    Returns:
        the root, with a slash at its end, and the path relative to it.

    Raises:
        SettingsError: no http(s) address, or one with a query, a fragment or a password.
    """
    if not _ROOT.fullmatch(url) or set(url) & set('?#@"<>\\^`{|}') or len(url) > URI_CHARS // 2:
        raise SettingsError(
            "The address of a simplestreams source must be like https://host/releases/, in plain"
            " ASCII, without user, query or fragment."
        )
    found = _INITIAL.search(url)
    if found is None:
        return url if url.endswith("/") else url + "/", INDEX
    return url[: found.start()], url[found.start() :]


def image_uri(root: str, content_id: str, product: str, version: str = "") -> str:
    """Give the URI of a product as an image, or of one version of it.

    ``content_id`` is not unique across mirrors, so the root is a part of the name. The result is
    printable ASCII and means nothing to a web server: what follows ``#`` is never sent.

    Args:
        root: of the mirror, with a slash at its end.
        version: a particular version; empty for whichever is the newest.

    Raises:
        UnicodeEncodeError: a name holds half a character (a lone surrogate).
    """
    uri = f"{root}{BELOW}{quote(content_id, safe=_PLAIN)}#{quote(product, safe=_PLAIN)}"
    return f"{uri}@{quote(version, safe=_PLAIN)}" if version else uri


def split_uri(root: str, uri: str) -> tuple[str, str, str] | None:
    """Undo ``image_uri``: content_id, product and version (empty where none is named).

    ``None`` for every text that ``image_uri`` does not give for this root.
    """
    if not uri.startswith(root + BELOW):
        return None
    content, mark, rest = uri[len(root + BELOW) :].partition("#")
    product, _, version = rest.partition("@")
    if not (content and mark and product):
        return None
    try:
        pieces = tuple(unquote(piece, errors="strict") for piece in (content, product, version))
    except UnicodeDecodeError:
        return None
    content_id, product, version = pieces
    return (content_id, product, version) if image_uri(root, *pieces) == uri else None

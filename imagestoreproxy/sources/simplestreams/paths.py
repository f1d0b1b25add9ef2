"""The paths that catalogues name: relative to the mirror root, and never out of it."""

from __future__ import annotations

import re

from imagestoreproxy.model.errors import DocumentError

PATH_CHARS = 1000

# Printable ASCII without what a link must not hold, what begins a query or a fragment, and the
# percent sign: what a server makes of "%2e%2e" is its own affair.
_PLAIN = re.compile(r"[A-Za-z0-9._~:/@!$&'()*+,;=-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS = re.compile(r"\.+")

UNSAFE = "A path must be plain, relative to the mirror, and lead nowhere but below it."


def safe_path(path: object) -> str:
    """Check a path of an index or of an item; stricter than ``assert_safe_path`` of simplestreams.

    Raises:
        DocumentError: no text, too long, absolute, with a scheme, with an empty step or one of
            dots alone, or with characters other than those of plain file names.
    """
    if (
        not isinstance(path, str)
        or len(path) > PATH_CHARS
        or not _PLAIN.fullmatch(path)
        or _SCHEME.match(path)
        or any(not step or _DOTS.fullmatch(step) for step in path.split("/"))
    ):
        raise DocumentError(UNSAFE)
    return path


def file_url(root: str, path: object) -> str:
    """Give the address of a path below a mirror root, which ends in a slash.

    Raises:
        DocumentError: the path is not safe.
    """
    return root + safe_path(path)

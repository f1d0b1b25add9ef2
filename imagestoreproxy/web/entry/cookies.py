"""The cookie of a session: its name, how it is read, and how a browser is told to keep it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagestoreproxy.model.errors import SignatureError
from imagestoreproxy.model.refusals import Reason

COOKIE_BYTES = 16 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name(host: str, *, over_tls: bool) -> str:
    """Give the name that tells apart the proxies of one host: cookies know no ports.

    Over TLS it has the prefix that browsers let nobody set but this very host over TLS.

    Args:
        host: a checked ``Host`` header.
    """
    _, colon, port = host.rpartition("]")[2].partition(":")
    prefix, usual = ("__Host-", "443") if over_tls else ("", "80")
    return f"{prefix}image-store-{port if colon else usual}"


def token_in(headers: Sequence[bytes], name: str) -> str | None:
    """Find the token in the ``Cookie`` headers of a request; None where it has none.

    Raises:
        SignatureError: there are two, or there is something else in its place.
    """
    if sum(map(len, headers)) > COOKIE_BYTES:
        raise SignatureError(
            f"The cookies have more than {COOKIE_BYTES} bytes.", reason=Reason.SESSION
        )
    text = ";".join(header.decode("iso-8859-1") for header in headers)
    pairs = (pair.strip(" \t").partition("=") for pair in text.split(";"))
    found = [value for key, _, value in pairs if key == name]
    if not found:
        return None
    if len(found) > 1:
        raise SignatureError(
            f"Two cookies came that are called {name}: remove the cookies of this address, and log "
            "in again.",
            reason=Reason.SESSION,
        )
    if not _TOKEN.fullmatch(found[0]):
        raise SignatureError(
            "The cookie of the session is malformed. Log in again.", reason=Reason.SESSION
        )
    return found[0]


def keep(name: str, token: str, lifetime_s: int, *, only_tls: bool) -> bytes:
    """Give the ``Set-Cookie`` that has a browser keep a token; of no lifetime, forget it."""
    attributes = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={lifetime_s}"
    return f"{name}={token}; {attributes}{'; Secure' if only_tls else ''}".encode("ascii")

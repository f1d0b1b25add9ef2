"""The request signature of the Store tab: version 2, HmacSHA256.

Follows the AWS query signature of 2009 with the quirks of the client that exists. Pure functions;
``web/auth.py`` checks requests with them, ``client/requests.py`` signs them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote

Pair = tuple[str, str]

METHOD = "HmacSHA256"
SIGNATURE_VERSION = "2"
API_VERSION = "2009-10-01"
LIFETIME_S = 30


def _utf16(text: str) -> bytes:
    # Big-endian UTF-16 bytes sort as UTF-16 code units do: U+1F600 before U+FF5E.
    return text.encode("utf-16-be", "surrogatepass")


@lru_cache(maxsize=8192)
def _encoded(text: str) -> str:
    # A lone surrogate is "?" in the client, on the wire and in the signed text.
    return quote(text.encode("utf-8", "replace"), safe="-_.~")


@lru_cache(maxsize=8192)
def _sort_key(pair: Pair) -> tuple[bytes, bytes]:
    return _utf16(pair[0]), _utf16(pair[1])


def canonical_parameters(pairs: Iterable[Pair]) -> str:
    """Sort raw names and values by UTF-16 code units, then percent-encode and join them."""
    ordered = sorted(pairs, key=_sort_key)
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in ordered)


def string_to_sign(method: str, host: str, path: str, pairs: Iterable[Pair]) -> str:
    """Build the text that is signed.

    Args:
        method: ``GET`` or ``POST``.
        host: with ``:port`` unless the port is 80; lowered here.
        path: as it stands in the URL; may be empty.
        pairs: all parameters but the signature itself.
    """
    return "\n".join((method.upper(), host.lower(), path, canonical_parameters(pairs)))


def sign(secret: str, text: str) -> str:
    """Give the Base64 signature of ``text`` with a secret key."""
    digest = hmac.new(secret.encode(), text.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def split_signature(pairs: Sequence[Pair]) -> tuple[list[Pair], str | None]:
    """Take the last ``Signature`` out; an earlier one is a parameter like any other."""
    for index in range(len(pairs) - 1, -1, -1):
        if pairs[index][0] == "Signature":
            return [*pairs[:index], *pairs[index + 1 :]], pairs[index][1]
    return list(pairs), None


def candidate_hosts(host_header: str) -> Iterator[str]:
    """Give the host forms a client may have signed for this ``Host`` header."""
    host = host_header.lower()
    yield host
    if host.endswith(":80"):
        yield host[:-3]
    if not _names_port(host):
        yield f"{host}:-1"


def candidate_paths(path: str) -> Iterator[str]:
    """Give the path forms a client may have signed for this request path."""
    yield path
    if path == "/":
        yield ""


def _names_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def verifies(
    secret: str, signature: str, method: str, host_header: str, path: str, pairs: Sequence[Pair]
) -> bool:
    """Tell whether ``signature`` is right for any form the real client may have signed."""
    right = False
    for host in candidate_hosts(host_header):
        for signed_path in candidate_paths(path):
            expected = sign(secret, string_to_sign(method, host, signed_path, pairs))
            right |= hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
    return right


def signed_pairs(
    secret: str,
    client_id: str,
    method: str,
    host: str,
    path: str,
    pairs: Iterable[Pair],
    *,
    now_s: float,
    nonce: str,
) -> list[Pair]:
    """Add the six parameters and the signature to ``pairs``, in the order of the real client."""
    complete = [
        *pairs,
        ("SignatureMethod", METHOD),
        ("SignatureVersion", SIGNATURE_VERSION),
        ("Version", API_VERSION),
        ("ClientId", client_id),
        ("Expires", str(int(now_s) + LIFETIME_S)),
        ("Nonce", nonce),
    ]
    signature = sign(secret, string_to_sign(method, host, path, complete))
    return [*complete, ("Signature", signature)]

"""The request signature of the Store tab: version 2, HmacSHA256.

Follows the AWS query signature of 2009 with the quirks of the client that exists. Pure functions;
``web/auth.py`` checks requests with them, ``client/requests.py`` signs them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

Pair = tuple[str, str]

METHOD = "HmacSHA256"
SIGNATURE_VERSION = "2"
API_VERSION = "2009-10-01"
LIFETIME_S = 30


class Parameter(NamedTuple):
    """A name and a value with all that the signature needs of them; sorts as they are signed.

    Args:
        name_order, value_order: big-endian UTF-16, whose bytes sort as UTF-16 code units do:
            U+1F600 comes before U+FF5E.
        encoded: ``name=value``, percent-encoded.
    """

    name_order: bytes
    value_order: bytes
    encoded: str
    name: str
    value: str


def parameter(name: str, value: str) -> Parameter:
    """Prepare one parameter for signing."""
    return Parameter(
        name.encode("utf-16-be", "surrogatepass"),
        value.encode("utf-16-be", "surrogatepass"),
        f"{_encoded(name)}={_encoded(value)}",
        name,
        value,
    )


def _encoded(text: str) -> str:
    # A lone surrogate is "?" in the client, on the wire and in the signed text.
    return quote(text.encode("utf-8", "replace"), safe="-_.~")


def canonical(parameters: Iterable[Parameter]) -> str:
    """Sort by name, then value, and join."""
    return "&".join([ready.encoded for ready in sorted(parameters)])


def string_to_sign(method: str, host: str, path: str, canonical_parameters: str) -> str:
    """Build the text that is signed.

    Args:
        method: ``GET`` or ``POST``.
        host: with ``:port`` unless the port is 80; lowered here.
        path: as it stands in the URL; may be empty.
        canonical_parameters: of all parameters but the signature itself.
    """
    return "\n".join((method.upper(), host.lower(), path, canonical_parameters))


def sign(secret: str, text: str) -> str:
    """Give the Base64 signature of ``text`` with a secret key."""
    key = secret.encode("utf-8", "surrogateescape")
    digest = hmac.digest(key, text.encode("utf-8", "replace"), hashlib.sha256)
    return base64.b64encode(digest).decode("ascii")


def split_signature(parameters: Sequence[Parameter]) -> tuple[list[Parameter], str | None]:
    """Take the last ``Signature`` out; an earlier one is a parameter like any other."""
    for index in range(len(parameters) - 1, -1, -1):
        if parameters[index].name == "Signature":
            return [*parameters[:index], *parameters[index + 1 :]], parameters[index].value
    return list(parameters), None


def candidate_hosts(host_header: str) -> Iterator[str]:
    """Give the host forms a client may have signed for this ``Host`` header."""
    host = host_header.lower()
    yield host
    if host.endswith(":80"):
        yield host[:-3]
    if not _names_port(host):
        yield f"{host}:-1"
        # Over TLS the client leaves its default port out of the header, but signs it.
        yield f"{host}:443"


def candidate_paths(path: str) -> Iterator[str]:
    """Give the path forms a client may have signed for this request path."""
    yield path
    if path == "/":
        yield ""


def _names_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def verifies(
    secret: str, signature: str, method: str, host_header: str, path: str, canonical_parameters: str
) -> bool:
    """Tell whether ``signature`` is right for any form the real client may have signed."""
    came = signature.encode("utf-8", "replace")
    right = False
    for host in candidate_hosts(host_header):
        for signed_path in candidate_paths(path):
            text = string_to_sign(method, host, signed_path, canonical_parameters)
            right |= hmac.compare_digest(sign(secret, text).encode(), came)
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
    ready = canonical(parameter(name, value) for name, value in complete)
    signature = sign(secret, string_to_sign(method, host, path, ready))
    return [*complete, ("Signature", signature)]

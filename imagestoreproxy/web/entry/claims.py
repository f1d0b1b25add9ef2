"""What a signed request says of itself, checked before and after its signature is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from imagestoreproxy.model import signing
from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.model.signing import Parameter
from imagestoreproxy.web.entry import form

MAX_FUTURE_S = 15 * 60

_FIXED = {
    "SignatureMethod": signing.METHOD,
    "SignatureVersion": signing.SIGNATURE_VERSION,
    "Version": signing.API_VERSION,
}
_ADDED = frozenset({*_FIXED, "ClientId", "Expires", "Nonce"})
_SOUGHT = [b"&%s=" % name.encode("ascii") for name in sorted(_ADDED)]
# What may stand there twice, so that all of them have to be looked at.
OF_SIGNING = _ADDED | {"Signature"}
_MAX_VALUE_CHARS = 256


def glance(raw: bytes) -> dict[str, str]:
    """Give the six parameters that signing adds, without reading the others.

    What is not signed is so refused in a fraction of a millisecond, however long it is. Names must
    be spelled plainly, as every client does: one with ``%XX`` in it is not found.

    Raises:
        SignatureError: one of them, or the signature, is missing or cannot be right.
    """
    text = b"&" + raw
    found = []
    for name in _SOUGHT:
        at = text.rfind(name)
        if at >= 0:
            end = text.find(b"&", at + 1)
            found.append(text[at + 1 : end if end >= 0 else len(text)])
    if b"&Signature=" not in text:
        raise SignatureError("The request is not signed: Signature is missing.")
    pairs = b"&".join(found)
    try:
        return added(form.parse(pairs, "utf-8"))
    except CallerError as error:
        if isinstance(error, SignatureError):
            raise
        return added(form.parse(pairs, "iso8859-1"))


def added(parameters: Sequence[Parameter]) -> dict[str, str]:
    """Give the six parameters that signing adds; of a name that is there twice, the last."""
    named = [p for p in parameters if p.name in _ADDED]
    if len(named) > 2 * len(_ADDED):
        raise SignatureError("The parameters that signing adds stand there more than twice.")
    found = {p.name: p.value for p in named}
    if missing := sorted(_ADDED - found.keys()):
        raise SignatureError(f"The request is not signed as it must be: {_and(missing)} missing.")
    for p in named:
        if len(p.value) > _MAX_VALUE_CHARS:
            raise SignatureError(f"{p.name} has more than {_MAX_VALUE_CHARS} characters.")
    for name, expected in _FIXED.items():
        if found[name] != expected:
            raise SignatureError(f"{name} must be {expected}, not '{found[name]}'.")
    return found


def _and(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names)} are"


def sorted_values(parameters: Sequence[Parameter], name: str) -> list[str]:
    """Give all values of a name: of one that stands there twice, the order is not signed."""
    return sorted(p.value for p in parameters if p.name == name)


def check_expiry(text: str, now_s: float) -> int:
    """Give ``Expires`` in Unix seconds.

    Raises:
        SignatureError: it is none, has passed, or is too far off; tells both clocks.
    """
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise SignatureError(f"Expires must be Unix seconds in digits, not '{text}'.")
    expires_s = int(text)
    difference_s = expires_s - now_s
    if 0 <= difference_s <= MAX_FUTURE_S:
        return expires_s
    clock = f"this proxy's clock says {int(now_s)} ({_utc(now_s)})"
    advice = "Set the clocks of both machines (the Store tab signs for 30 seconds)."
    if difference_s < 0:
        raise SignatureError(
            f"The request expired {-difference_s:.0f} seconds ago: it says Expires={text}, "
            f"{clock}. {advice}",
            reason=Reason.EXPIRED,
        )
    raise SignatureError(
        f"The request expires {difference_s:.0f} seconds from now, more than {MAX_FUTURE_S}: "
        f"it says Expires={text}, {clock}. {advice}",
        reason=Reason.EXPIRED,
    )


def latest(parameters: Sequence[Parameter], expires_s: int, now_s: float) -> int:
    """Give the time until which the request, with its values in any order, could be repeated."""
    values = sorted_values(parameters, "Expires")
    if len(values) == 1:
        return expires_s
    times = [int(text) for text in values if re.fullmatch(r"[0-9]{1,12}", text)]
    return max(expires_s, *(t for t in times if t <= now_s + MAX_FUTURE_S))


def _utc(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"

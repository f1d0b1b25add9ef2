"""URLs as they may be shown and logged."""

from __future__ import annotations

import re

_USER = re.compile(
    r"(?<=//)[^/?#\s]*@|^[^/?#\s]*@"
    # A password with "/", "?" or "#" in it makes no URL, but is one all the same: what follows the
    # colon is no port.
    r"|(?<=//)[^/?#\s:@\[]*:(?![0-9]*(?:[/?#\s]|$))\S{0,200}@"
)
_SECRET = re.compile(
    r"([?&;][^=&;#]*(?:sig|token|secret|pass|pwd|key|credential|auth(?!or)|hmac)[^=&;#]*=)[^&;#\s]*",
    re.IGNORECASE,
)
_LONGEST = 300
_LONGEST_READ = 5000


def masked(text: str) -> str:
    """Give a URL, or a text with one, fit to be shown.

    Without user, password and secret parameters, on one line, and cut after 300 characters.
    """
    text = "".join(one if one.isprintable() else "?" for one in text[:_LONGEST_READ])
    shown = _SECRET.sub(r"\1***", _USER.sub("***@", text))
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."

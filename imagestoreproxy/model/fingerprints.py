"""Names of OpenPGP keys."""

from __future__ import annotations

import re

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked


def normal_fingerprint(text: str) -> str:
    """Give a fingerprint as GnuPG writes it: 40 hex digits, no spaces, upper case.

    Raises:
        SettingsError: it is not the whole fingerprint of an OpenPGP key of version 4.
    """
    found = "".join(text.split()).upper().removeprefix("0X")
    if re.fullmatch(r"[0-9A-F]{64}", found):
        raise SettingsError(
            f"{text!r} is the fingerprint of a key of version 5 or 6, which is not supported here; "
            "a fingerprint of 40 hex digits is."
        )
    if not re.fullmatch(r"[0-9A-F]{40}", found):
        raise SettingsError(
            f"{masked(text[:100])!r} is not the fingerprint of a key: it must have 40 hex digits,"
            " as gpg --fingerprint shows them."
        )
    return found

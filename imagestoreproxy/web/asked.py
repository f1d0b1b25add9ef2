"""What the parameters of a request say."""

from __future__ import annotations

from collections.abc import Mapping

from imagestoreproxy.model.errors import CallerError


def whole(given: Mapping[str, str], name: str, lowest: int, highest: int) -> int | None:
    """Give a whole number, or None where there is none.

    Raises:
        CallerError: 400, it is something else, or out of bounds.
    """
    text = given.get(name)
    if text is None:
        return None
    # Python refuses to read thousands of digits.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(highest))
    if not is_number or not lowest <= int(text) <= highest:
        raise CallerError(f"Give {name} as a whole number from {lowest} to {highest}.")
    return int(text)

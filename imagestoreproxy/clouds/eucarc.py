"""Reads the ``eucarc`` file of a cloud's credentials archive. It is parsed, never sourced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from imagestoreproxy.model.errors import SettingsError

# What is believed of it; elsewhere in the file a shell's more curious words do no harm.
USED = frozenset(
    {
        "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_IAM_URL", "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "EC2_ACCESS_KEY", "EC2_ACCOUNT_NUMBER", "EC2_CERT",
        "EC2_PRIVATE_KEY", "EC2_SECRET_KEY", "EC2_URL", "EC2_USER_ID", "EUARE_URL",
        "EUCALYPTUS_CERT", "S3_URL",
    }
)  # fmt: skip

_EXPORT = re.compile(r"\s*export\s+(?=[A-Za-z_])(.*)")
_ASSIGNED = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=")
_UNSET = re.compile(r"\s*unset\s+([A-Za-z_][A-Za-z0-9_]*)")
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ALIAS_USER = re.compile(r"\s*alias\s+ec2-bundle-image=.*--user\s+([0-9]+)")
# What a text editor or a web page makes of quotes; to a shell they are letters.
_CURLY = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"


def parse_eucarc(text: str, directory: Path, origin: str = "") -> dict[str, str]:
    """Give the exported variables.

    Each line is ``export NAME=value``, the value in single, double or no quotes; ``${NAME}`` stands
    for ``EUCA_KEY_DIR`` (the directory of the file) or a variable above. All other lines are passed
    over, but for ``unset`` and for an alias of 1.5, the only place where that version tells the
    user's number.

    Args:
        text: of the file.
        directory: where the file lies.
        origin: the file's name, for messages; empty: ``eucarc`` there.

    Raises:
        SettingsError: the quotes around something that counts are not closed, or are none.
    """
    values: dict[str, str] = {}
    user = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _EXPORT.match(line):
            known = {**values, "EUCA_KEY_DIR": str(directory)}
            place = f"Line {number} of {origin or directory / 'eucarc'}"
            values.update(_exported(found[1], known, place))
        elif found := _UNSET.match(line):
            values.pop(found[1], None)
        elif found := _ALIAS_USER.match(line):
            user = found[1]
    values.setdefault("EC2_USER_ID", user)
    return values


def _exported(written: str, known: Mapping[str, str], place: str) -> dict[str, str]:
    """Read what follows ``export``: one assignment, rarely more."""
    found: dict[str, str] = {}
    while assigned := _ASSIGNED.match(written):
        name = assigned[1]
        try:
            value, written = _word(written[assigned.end() :], known)
        except ValueError as error:
            if name in USED:
                raise SettingsError(
                    f"{place} cannot be read: {error} {name}; download the credentials again, or "
                    f"write {name}='...'."
                ) from None
            return found
        found[name] = value
    return found


def _word(written: str, known: Mapping[str, str]) -> tuple[str, str]:
    """Read one word of a shell; give it, and what comes after it.

    Raises:
        ValueError: a quote is not closed, or not one of a shell's; says so, up to the name.
    """
    word, at = "", 0
    if written[:1] and written[0] in _CURLY:
        raise ValueError("typographic quotes, which a shell does not know, stand around")
    while at < len(written) and not (written[at].isspace() or written[at] == ";"):
        sign = written[at]
        if sign in "'\"":
            end = _end_of_quote(written, at)
            inside = written[at + 1 : end]
            word += (
                inside if sign == "'" else _expanded(re.sub(r'\\(["\\$`])', r"\1", inside), known)
            )
            at = end + 1
        elif sign == "\\":
            word += written[at + 1 : at + 2]
            at += 2
        else:
            bare = re.match(r"[^\s;'\"\\]+", written[at:])
            assert bare is not None  # noqa: S101 - the cases above have all other signs
            word += _expanded(bare[0], known)
            at += bare.end()
    return word, written[at:]


def _end_of_quote(written: str, start: int) -> int:
    at = start + 1
    while at < len(written) and written[at] != written[start]:
        at += 2 if written[at] == "\\" and written[start] == '"' else 1
    if at >= len(written):
        raise ValueError("there is no second quote for the one at the value of")
    return at


def _expanded(text: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: known.get(found[1] or found[2], ""), text)

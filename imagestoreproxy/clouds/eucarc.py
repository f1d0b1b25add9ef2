"""Reads the ``eucarc`` file of a cloud's credentials archive. It is parsed, never sourced."""

from __future__ import annotations

import re
from pathlib import Path

_EXPORT = re.compile(r"\s*export\s+([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_LITERAL = re.compile(r"'([^']*)'")
_VALUE = re.compile(r'"([^"]*)"|([^\s;"]+)')
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ALIAS_USER = re.compile(r"\s*alias\s+ec2-bundle-image=.*--user\s+([0-9]+)")


def parse_eucarc(text: str, directory: Path) -> dict[str, str]:
    """Give the exported variables.

    Each line is ``export NAME=value``, the value in single, double or no quotes; ``${NAME}`` stands
    for ``EUCA_KEY_DIR`` (the directory of the file) or a variable above. All other lines are passed
    over, but for an alias of 1.5, the only place where that version tells the user's number.

    Args:
        text: of the file.
        directory: where the file lies.
    """
    values: dict[str, str] = {}
    user = ""
    for line in text.splitlines():
        if found := _EXPORT.match(line):
            values[found[1]] = _expanded(found[2], {**values, "EUCA_KEY_DIR": str(directory)})
        elif found := _ALIAS_USER.match(line):
            user = found[1]
    values.setdefault("EC2_USER_ID", user)
    return values


def _expanded(written: str, known: dict[str, str]) -> str:
    written = written.strip()
    if literal := _LITERAL.match(written):
        return literal[1]
    found = _VALUE.match(written)
    value = (found[1] or found[2] or "") if found else ""
    return _REFERENCE.sub(lambda name: known.get(name[1], ""), value)

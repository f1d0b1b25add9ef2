"""Lengths of time in words."""

from __future__ import annotations


def age(seconds: float) -> str:
    """Give ``3 days``, ``1 hour``, ``20 minutes`` or ``less than a minute``."""
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length_s)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"

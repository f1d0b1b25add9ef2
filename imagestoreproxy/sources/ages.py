"""Lengths of time in words."""

from __future__ import annotations

from datetime import UTC, datetime


def age(seconds: float) -> str:
    """Give ``3 days``, ``1 hour``, ``20 minutes`` or ``less than a minute``."""
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length_s)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def day(now_s: float) -> str:
    """Give the day of a moment in Unix seconds: ``2026-11-20``, in UTC."""
    return datetime.fromtimestamp(now_s, UTC).date().isoformat()

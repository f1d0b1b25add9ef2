"""Times and texts as they stand in JSON: whatever a store wrote, each reader can take them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(at_s: float) -> str:
    """Write Unix seconds as ``2026-11-29T13:00:00Z``."""
    # A store may say any time at all; years of more than four digits are none of these.
    bounded_s = min(max(int(at_s), 0), 253_402_300_799)
    return datetime.fromtimestamp(bounded_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(said: str, limit_chars: int) -> str:
    """Cut, and take out what is no character: strict readers of JSON refuse lone surrogates."""
    if len(said) > limit_chars:
        said = said[: limit_chars - 1] + "…"
    return said if said.isascii() else said.encode("utf-8", "replace").decode()

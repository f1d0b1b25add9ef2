"""Digests of files: which algorithm made one is told by its length."""

from __future__ import annotations

_NAMES = {"sha256": "SHA-256", "sha512": "SHA-512"}


def algorithm_of(digest: str) -> str:
    """Give the word of ``hashlib`` for what made a digest.

    Args:
        digest: hex digits: 64 of SHA-256, 128 of SHA-512.
    """
    return "sha512" if len(digest) == 128 else "sha256"


def algorithm_name(digest: str) -> str:
    """Give the same for people."""
    return _NAMES[algorithm_of(digest)]

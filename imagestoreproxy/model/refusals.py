"""Why a request was refused before it was looked at, in words that are counted."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A closed list: each is a number in ``/metrics``."""

    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    UNKNOWN_CLIENT = "unknown-client"
    # Nobody's key is known yet: the cloud's credentials are still to be had.
    NO_KEYS = "no-keys"
    EXPIRED = "expired"
    REPLAY = "replay"
    # Signed before this process began, so that it may be a replay of what an earlier one has done.
    FROM_BEFORE = "from-before"
    SESSION = "session"
    CSRF = "csrf"
    TOO_LARGE = "too-large"
    TOO_MANY = "too-many"
    # Not a request, or not one that is possible here.
    MALFORMED = "malformed"
    # All connections are open and busy, so a new one was closed.
    NO_ROOM = "no-room"

"""Images that are followed: kept up to date without a click."""

from __future__ import annotations

from dataclasses import dataclass

KEEP_MOST = 1000


@dataclass(frozen=True, slots=True)
class Follow:
    """That an image is followed, and how its last try went: the row that survives a restart.

    A try is written down before it begins. It is over when the version is installed; whatever else
    became of it, also a crash, the next one waits.

    Args:
        keep: how many installations stay; 0: all.
        even_if_used: an older one goes even where an instance was started from it.
        since_s: Unix seconds.
        tried_version: that was tried last; empty: none, or it is installed.
        tries: of that version, in a row.
        tried_at_s: when the last began, Unix seconds.
        problem: why it could not even begin, or was ended, in one sentence; may be empty.
    """

    image_uri: str
    keep: int = 0
    even_if_used: bool = False
    since_s: float = 0.0
    tried_version: str = ""
    tries: int = 0
    tried_at_s: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """What is told of an image that is followed.

    Args:
        installed_version, offered_version: empty where there is none.
        next_check_at_s: when something may happen next, Unix seconds.
        will: what that is, as far as is known now: words for people, one step each.
    """

    follow: Follow
    title: str
    installed_version: str
    offered_version: str
    next_check_at_s: float
    will: tuple[str, ...]

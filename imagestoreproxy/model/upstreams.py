"""What is told about the sources themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source, as an operator sees it.

    Args:
        kind: ``store``, ``simplestreams`` or ``carried``.
        place: URL or path, fit to be shown.
        images: on offer now.
        refused: shown with the reason why they cannot run on this cloud.
        fetched_at_s: when its catalogue last came, Unix seconds; None if never.
        published_s: when it was published, as it says itself; 0 if it does not.
        next_at_s: when it will be asked next, Unix seconds.
        problem: why it cannot be asked, or not be believed, just now; empty when all is well.
        remark: what one should know all the same; empty if nothing.
        is_unsigned: nobody vouches for what it shows.
    """

    name: str
    title: str
    kind: str
    place: str
    images: int = 0
    refused: int = 0
    fetched_at_s: float | None = None
    published_s: int = 0
    next_at_s: float = 0.0
    problem: str = ""
    remark: str = ""
    is_unsigned: bool = False

"""Answers made shorter for those who say that they can read them so."""

# mypy: allow-untyped-calls

from __future__ import annotations

import re

from imagestoreproxy.web.answers import StoreRequest

_GZIP = re.compile(rb"\s*gzip\s*(?:;\s*q\s*=\s*([0-9.]{1,5})\s*)?", re.IGNORECASE)


def takes_gzip(request: StoreRequest) -> bool:
    """Tell whether ``Accept-Encoding`` names gzip; the Store tab sends no such header."""
    came = b",".join(request.requestHeaders.getRawHeaders(b"accept-encoding", []))
    for one in came.split(b","):
        if match := _GZIP.fullmatch(one):
            return match[1] is None or match[1].strip(b"0.") != b""
    return False

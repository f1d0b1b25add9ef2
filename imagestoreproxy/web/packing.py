"""Answers made shorter for those who say that they can read them so."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imagestoreproxy.codecs import GzipFrame, deflate_piece
from imagestoreproxy.ports import Clock

# Shorter ones fit into one packet anyway.
FROM_BYTES = 1024
# Packed between two turns of the reactor: a millisecond or two.
PIECE_BYTES = 256 * 1024

_GZIP = re.compile(rb"\s*gzip\s*(?:;\s*q\s*=\s*([0-9.]{1,5})\s*)?", re.IGNORECASE)


def names_gzip(accepted: Iterable[bytes]) -> bool:
    """Tell whether ``Accept-Encoding`` names gzip; the Store tab sends no such header."""
    for one in b",".join(accepted).split(b","):
        if match := _GZIP.fullmatch(one):
            return match[1] is None or match[1].strip(b"0.") != b""
    return False


async def packed(body: bytes, clock: Clock) -> bytes:
    """Make a gzip of an answer.

    Args:
        clock: whose turns let others have theirs.
    """
    frame = GzipFrame()
    pieces = [GzipFrame.HEAD]
    for start in range(0, len(body), PIECE_BYTES):
        if start:
            await clock.sleep(0)
        piece = body[start : start + PIECE_BYTES]
        frame.add(piece)
        pieces.append(deflate_piece(piece))
    return b"".join((*pieces, GzipFrame.LAST, frame.trailer))

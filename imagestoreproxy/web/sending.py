"""A file as an answer, in pieces as the client takes them: nothing waits in memory."""

# ruff: noqa: N802 - Twisted's names
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.web.answers import StoreRequest

BLOCK_BYTES = 64 * 1024
# How long a client may take nothing.
STALL_S = 60.0
MOST = 64

_RANGE = re.compile(rb"bytes=([0-9]{1,15})-([0-9]{0,15})")


class Sendings:
    """All files that are being sent.

    Args:
        reactor: for the turns between two pieces.
        most: at a time.
    """

    def __init__(self, reactor: Any, *, most: int = MOST) -> None:
        self.reactor = reactor
        self._most = most
        self._open: set[_Sending] = set()

    def __len__(self) -> int:
        return len(self._open)

    def begin_path(self, request: StoreRequest, path: Path | None, name: str) -> None:
        """Answer a request with what lies there; as ``begin``.

        Raises:
            CallerError: 404, it is not here; and as ``begin``.
        """
        try:
            if path is None:
                raise FileNotFoundError
            file = path.open("rb", buffering=0)
        except OSError:
            raise CallerError("There is no such file here.", 404) from None
        self.begin(request, cast(BinaryIO, file), name)

    def begin(self, request: StoreRequest, file: BinaryIO, name: str) -> None:
        """Answer a request with a file, or the range of it that is asked for.

        Args:
            file: is closed, whatever comes of it.
            name: of its content: another content has another one.

        Raises:
            CallerError: 416, that range of it is not there; 503, there is no room.
        """
        try:
            if len(self._open) >= self._most:
                raise CallerError(
                    f"{self._most} files are being sent already; try again later.", 503
                )
            size_bytes = file.seek(0, os.SEEK_END)
            first, last = _asked_for(request, size_bytes, name)
            file.seek(first)
        except BaseException:
            file.close()
            raise
        headers = {b"accept-ranges": b"bytes", b"etag": _etag(name)}
        is_part = last - first + 1 != size_bytes
        if is_part:
            headers[b"content-range"] = b"bytes %d-%d/%d" % (first, last, size_bytes)
        sending = _Sending(request, file, last - first + 1, self)
        self._open.add(sending)
        request.begin_file(206 if is_part else 200, last - first + 1, headers)
        request.notifyFinish().addBoth(sending.over)
        request.registerProducer(sending, streaming=True)
        sending.resumeProducing()

    def left(self, sending: _Sending) -> None:
        """Forget one that is over."""
        self._open.discard(sending)


@implementer(IPushProducer)
class _Sending:
    """One file on its way."""

    def __init__(
        self, request: StoreRequest, file: BinaryIO, left_bytes: int, sendings: Sendings
    ) -> None:
        self._request = request
        self._file = file
        self._left_bytes = left_bytes
        self._sendings = sendings
        self._next: Any = None
        self._stall: Any = None

    def pauseProducing(self) -> None:
        self._cancel()
        self._stall = self._sendings.reactor.callLater(STALL_S, self._give_up)

    def resumeProducing(self) -> None:
        self._cancel()
        self._next = self._sendings.reactor.callLater(0, self._more)

    def stopProducing(self) -> None:
        """The connection is lost: ``notifyFinish`` says so, too."""

    def over(self, _result: object) -> None:
        """It was sent, or the client has gone."""
        self._cancel()
        self._file.close()
        self._sendings.left(self)

    def _more(self) -> None:
        self._next = None
        block = self._file.read(min(BLOCK_BYTES, self._left_bytes))
        if not block and self._left_bytes:
            self._give_up()  # cut off under our hands: the client must not take it for whole
            return
        self._left_bytes -= len(block)
        if self._left_bytes:
            self._next = self._sendings.reactor.callLater(0, self._more)
        self._request.write(block)  # which may pause
        if not self._left_bytes:
            self._request.unregisterProducer()
            self._request.finish()

    def _give_up(self) -> None:
        self._stall = None
        cast(Any, self._request.channel).give_way()

    def _cancel(self) -> None:
        for call in (self._next, self._stall):
            if call is not None:
                call.cancel()
        self._next = self._stall = None


def _etag(name: str) -> bytes:
    return b'"%s"' % name.encode("ascii")


def _asked_for(request: StoreRequest, size_bytes: int, name: str) -> tuple[int, int]:
    """Give the first and the last byte; what is no range of ours is as if it were not there."""
    asked = _RANGE.fullmatch((request.getHeader(b"range") or b"").strip())
    only_of = request.getHeader(b"if-range")
    if asked is None or (only_of is not None and only_of.strip() != _etag(name)):
        return 0, size_bytes - 1
    first = int(asked[1])
    last = min(int(asked[2] or size_bytes), size_bytes - 1)
    if asked[2] and int(asked[2]) < first:
        return 0, size_bytes - 1
    if first >= size_bytes:
        raise CallerError(f"The file has {size_bytes} bytes; the range is behind its end.", 416)
    return first, last

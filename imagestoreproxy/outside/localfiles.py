"""Files of a directory, as if they came from the net: ``ports.Fetcher`` for what was carried."""

from __future__ import annotations

import os
from pathlib import Path

from imagestoreproxy import ports
from imagestoreproxy.model.carrying import FILES, is_digest
from imagestoreproxy.model.errors import FetchError, RangesFailedError
from imagestoreproxy.regular import NotRegularError, only_regular

BLOCK_BYTES = 2**18


def _no_links(path: str, flags: int) -> int:
    """Open a file itself, and no link."""
    return only_regular(path, flags | os.O_NOFOLLOW)


class DirectoryFetcher:
    """Reads the files of one directory in the layout of ``model/carrying.py``, and nothing else.

    Args:
        background: where they are read.
        directory: absolute.
    """

    def __init__(self, background: ports.Background, directory: Path) -> None:
        self._background = background
        self._files = directory / FILES
        self.base_url = f"{self._files.as_uri()}/"

    async def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> ports.Fetched:
        """Refuse: nothing but files is had this way."""
        raise FetchError(f"{url} is no address of a small answer.", retry_helps=False)

    async def download(
        self,
        url: str,
        sink: ports.Sink,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: ports.Span = ports.WHOLE,
    ) -> None:
        """Read what ``sink`` lacks; see ``ports.Fetcher``."""
        name = url.removeprefix(self.base_url)
        if not url.startswith(self.base_url) or not is_digest(name):
            raise FetchError(f"{url[:200]} is not in {self._files}.", retry_helps=False)
        await self._background.run(lambda stop: self._read(name, sink, span, stop))

    def _read(self, digest: str, sink: ports.Sink, span: ports.Span, stop: ports.Stop) -> None:
        path = self._files / digest
        try:
            # The name says what is in it: whatever a sink holds of it is the beginning.
            with open(path, "rb", buffering=0, opener=_no_links) as file:
                position = sink.position
                size_bytes = file.seek(0, 2)
                if span.end and (span.size_bytes not in (0, size_bytes) or span.end > size_bytes):
                    raise RangesFailedError(f"{path} has {size_bytes} bytes.")
                end = span.end or size_bytes
                file.seek(position)
                sink.begin(resumed=position > 0 or span.end > 0, validator=f'"{digest}"')
                while position < end:
                    stop.check()
                    block = file.read(min(BLOCK_BYTES, end - position))
                    if not block:
                        break
                    sink.write(block)
                    position += len(block)
        except OSError as error:
            helps = not isinstance(error, FileNotFoundError | NotRegularError)
            raise FetchError(
                f"{path} cannot be read: {error.strerror}.", retry_helps=helps
            ) from error

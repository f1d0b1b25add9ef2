"""Getting one file: by range from where it broke off, from its URL and then its mirrors."""

from __future__ import annotations

import random
from collections import deque

from imagestoreproxy.install.feed import Feed
from imagestoreproxy.install.places import Places
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DigestError, FetchError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.retry import DOWNLOAD, WRONG_DIGESTS
from imagestoreproxy.ports import Background, Clock, Journal, Sources

# A try that brings less than this has brought nothing.
PROGRESS_BYTES = 4096


class Downloader:
    """Fetches files of installs, verified.

    Args:
        max_downloads: transfers at a time, of all installs together; more wait.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        background: Background,
        clock: Clock,
        journal: Journal,
        max_downloads: int,
    ) -> None:
        self._sources = sources
        self._background = background
        self._clock = clock
        self._journal = journal
        self._places = Places(max_downloads, clock)

    async def fetch(self, work: Work, file: ImageFile, feed: Feed) -> None:
        """Fetch one file; what is there already is kept.

        Raises:
            FetchError: no URL gave the whole file.
            DigestError: what came is not what was signed.
            DiskError: it cannot be written.
        """
        if not _is_right(feed, file):
            await self._fill(work, file, feed)

    async def _fill(self, work: Work, file: ImageFile, feed: Feed) -> None:
        """Try each address; what one address gave wrongly is tried once more from the next."""
        problems: list[FetchError | DigestError] = []
        urls = deque([file.url, *file.mirrors])
        is_resumed = feed.position > 0
        while urls:
            url = urls.popleft()
            try:
                await self._from(work, url, file, feed)
            except (FetchError, DigestError) as error:
                problems.append(error)
                self._journal.failure(
                    "{url} did not give the {kind} of {image}",
                    error,
                    url=masked(url),
                    kind=file.kind.value,
                    image=work.install.image_uri,
                )
            else:
                if _is_right(feed, file):
                    return
                problems.append(_wrong(url, feed, file))
            if isinstance(problems[-1], DigestError):
                await self._background.run(lambda _stop: feed.discard())
                if is_resumed:
                    # What lay here may be at fault (a power cut), and not the store.
                    is_resumed = False
                    urls.appendleft(url)
                    problems.pop()
                wrong = sum(isinstance(problem, DigestError) for problem in problems)
                if wrong >= WRONG_DIGESTS:
                    break
        raise problems[-1]

    async def _from(self, work: Work, url: str, file: ImageFile, feed: Feed) -> None:
        """Fetch from one address; a try that brought the file further does not count."""
        failures = 0
        farthest_bytes = feed.position
        while True:
            try:
                allow_local = await self._sources.may_be_local(work.install.source, url)
                fetcher = self._sources.fetcher(work.install.source)
                async with self._places.one():
                    await fetcher.download(url, feed, allow_local=allow_local)
                return
            except DigestError:
                raise DigestError(
                    f"{masked(url)} gave more than the {file.size_bytes} bytes that are signed"
                    f" for the {file.kind}."
                ) from None
            except FetchError as error:
                if feed.position >= file.size_bytes:
                    return  # all that is signed is here, whatever else the server had to say
                # Against the farthest ever: a file that changes from try to try starts over and
                # over, and one that comes byte by byte would be tried for years.
                if feed.position >= farthest_bytes + PROGRESS_BYTES:
                    failures = 0
                    farthest_bytes = feed.position
                failures += 1
                if not error.retry_helps or DOWNLOAD.is_over(failures):
                    raise
                pause_s = DOWNLOAD.pause_s(failures, random.random(), error.retry_after_s)
            await self._clock.sleep(pause_s)


def _is_right(feed: Feed, file: ImageFile) -> bool:
    return feed.position == file.size_bytes and feed.sha256_hex() == file.sha256


def _wrong(url: str, feed: Feed, file: ImageFile) -> DigestError:
    if feed.position != file.size_bytes:
        return DigestError(
            f"{masked(url)} gave {feed.position} bytes for the {file.kind}, but"
            f" {file.size_bytes} bytes are signed."
        )
    return DigestError(
        f"{masked(url)} gave a {file.kind} with another content than was signed (SHA-256"
        f" {feed.sha256_hex()[:16]}…, signed {file.sha256[:16]}…)."
    )

"""Getting one file: by range from where it broke off, from its URL and then its mirrors."""

from __future__ import annotations

import random

from imagestoreproxy.install.meter import Meter
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DigestError, FetchError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import download_name
from imagestoreproxy.model.retry import DOWNLOAD, WRONG_DIGESTS
from imagestoreproxy.ports import Background, Clock, Disk, Fetcher, Journal, Partial, Sources

# A try that brings less than this has brought nothing.
PROGRESS_BYTES = 4096


class _Counted:
    """A sink that tells the meter how much the file holds."""

    def __init__(self, partial: Partial, meter: Meter, before_bytes: int) -> None:
        self._partial = partial
        self._meter = meter
        self._before_bytes = before_bytes

    @property
    def position(self) -> int:
        return self._partial.position

    @property
    def validator(self) -> str:
        return self._partial.validator

    def begin(self, *, resumed: bool, validator: str) -> None:
        self._partial.begin(resumed=resumed, validator=validator)
        self.count()

    def write(self, block: bytes) -> None:
        self._partial.write(block)
        self.count()

    def count(self) -> None:
        self._meter.set_done(Step.DOWNLOADING, self._before_bytes + self._partial.position)


class Downloader:
    """Fetches files of an install into the data directory, verified."""

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        disk: Disk,
        sources: Sources,
        background: Background,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._fetcher = fetcher
        self._disk = disk
        self._sources = sources
        self._background = background
        self._clock = clock
        self._journal = journal

    async def fetch(self, work: Work, file: ImageFile, before_bytes: int) -> None:
        """Fetch one file; what is there already is kept.

        Args:
            before_bytes: of the install's other files that are done, for the meter.

        Raises:
            FetchError: no URL gave the whole file.
            DigestError: what came is not what was signed.
            DiskError: it cannot be written.
        """
        token, name = work.install.token, download_name(file)
        partial = await self._background.run(
            lambda stop: self._disk.partial(token, name, file.size_bytes, stop)
        )
        sink = _Counted(partial, work.meter, before_bytes)
        sink.count()
        if partial.position < file.size_bytes or not _is_right(partial, file):
            await self._fill(work, file, partial, sink)
        await self._background.run(lambda _stop: partial.sync())

    async def _fill(self, work: Work, file: ImageFile, partial: Partial, sink: _Counted) -> None:
        """Try each address; what one address gave wrongly is tried once more from the next."""
        problems: list[FetchError | DigestError] = []
        for url in (file.url, *file.mirrors):
            try:
                await self._from(work, url, file, sink)
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
                if _is_right(partial, file):
                    return
                problems.append(_wrong(url, partial, file))
            if isinstance(problems[-1], DigestError):
                await self._background.run(lambda _stop: partial.discard())
                wrong = sum(isinstance(problem, DigestError) for problem in problems)
                if wrong >= WRONG_DIGESTS:
                    break
        raise problems[-1]

    async def _from(self, work: Work, url: str, file: ImageFile, sink: _Counted) -> None:
        """Fetch from one address; a try that brought the file further does not count."""
        failures = 0
        farthest_bytes = sink.position
        while True:
            try:
                allow_local = await self._sources.may_be_local(work.install.source, url)
                await self._fetcher.download(url, sink, allow_local=allow_local)
                return
            except DigestError:
                raise DigestError(
                    f"{masked(url)} gave more than the {file.size_bytes} bytes that are signed"
                    f" for the {file.kind}."
                ) from None
            except FetchError as error:
                if sink.position >= file.size_bytes:
                    return  # all that is signed is here, whatever else the server had to say
                # Against the farthest ever: a file that changes from try to try starts over and
                # over, and one that comes byte by byte would be tried for years.
                if sink.position >= farthest_bytes + PROGRESS_BYTES:
                    failures = 0
                    farthest_bytes = sink.position
                failures += 1
                if not error.retry_helps or DOWNLOAD.is_over(failures):
                    raise
                pause_s = DOWNLOAD.pause_s(failures, random.random(), error.retry_after_s)
            await self._clock.sleep(pause_s)


def _is_right(partial: Partial, file: ImageFile) -> bool:
    return partial.position == file.size_bytes and partial.sha256_hex() == file.sha256


def _wrong(url: str, partial: Partial, file: ImageFile) -> DigestError:
    if partial.position != file.size_bytes:
        return DigestError(
            f"{masked(url)} gave {partial.position} bytes for the {file.kind}, but"
            f" {file.size_bytes} bytes are signed."
        )
    return DigestError(
        f"{masked(url)} gave a {file.kind} with another content than was signed (SHA-256"
        f" {partial.sha256_hex()[:16]}…, signed {file.sha256[:16]}…)."
    )

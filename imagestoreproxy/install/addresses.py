"""The addresses of one file: in which order they are asked, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from imagestoreproxy.install.mirrors import Mirrors
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DigestError, FetchError, RangesFailedError
from imagestoreproxy.model.images import ImageFile
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import download_name
from imagestoreproxy.ports import WHOLE, Clock, Journal, Sink, Sources, Span

# How long a server may be slow while others are left that may be asked instead.
HASTY_S = 15.0
TOLD = 4


class Addresses:
    """Of one file of one install; an address that can never give it is not asked again."""

    def __init__(
        self,
        work: Work,
        file: ImageFile,
        *,
        sources: Sources,
        mirrors: Mirrors,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._work = work
        self._file = file
        self._sources = sources
        self._mirrors = mirrors
        self._clock = clock
        self._journal = journal
        self._name = download_name(file)
        self._urls = list(dict.fromkeys([file.url, *file.mirrors]))
        self._problems: dict[str, FetchError | DigestError] = {}
        self._useless: set[str] = set()

    @property
    def are_many(self) -> bool:
        """Tell whether bytes may come from different servers."""
        return len(self._urls) > 1

    def left(self) -> list[str]:
        """Give those that are worth a try, the best one first."""
        useful = [url for url in self._urls if url not in self._useless]
        return self._mirrors.ordered(useful, self._clock.monotonic_s())

    async def fetch(self, url: str, sink: Sink, *, is_last: bool, span: Span = WHOLE) -> None:
        """Download from one of them.

        Args:
            is_last: there is no other to turn to, so this one may be slow.

        Raises:
            FetchError, DigestError: as of ``Fetcher.download``; what failed is remembered.
        """
        source = self._work.install.source
        try:
            allow_local = await self._sources.may_be_local(source, url)
            fetcher = self._sources.fetcher(source)
            patience_s = 0.0 if is_last else HASTY_S
            counted = _Counted(sink, partial(self._work.meter.has_received, self._name))
            await fetcher.download(
                url, counted, allow_local=allow_local, patience_s=patience_s, span=span
            )
        except FetchError as error:
            if span.end and isinstance(error, RangesFailedError):
                raise  # which says nothing about the file
            self._note(url, error)
            if not error.retry_helps:
                self._useless.add(url)
            raise

    def worked(self, url: str) -> None:
        """What came from there was right."""
        self._mirrors.worked(url)

    def gave_wrongly(self, url: str, error: DigestError) -> None:
        """What came from there was wrong: it is not asked again."""
        self._useless.add(url)
        self._note(url, error)

    def told(self) -> FetchError | DigestError:
        """Give the last error; what went wrong with other addresses before is added to it."""
        *before, last = self._problems.values()
        if not before:
            return last
        shown = [error.message for error in before[-TOLD:]]
        if len(before) > TOLD:
            shown.append(f"{len(before) - TOLD} more addresses have failed.")
        message = " ".join([last.message, "Before that:", *shown])
        if isinstance(last, DigestError):
            return DigestError(message)
        helps = any(error.retry_helps for error in [*before, last])
        return FetchError(message, retry_helps=helps, status=last.status)

    def _note(self, url: str, error: FetchError | DigestError) -> None:
        self._mirrors.failed(url, self._clock.monotonic_s())
        is_new = url not in self._problems
        self._problems.pop(url, None)  # the last one stands last
        self._problems[url] = error
        if is_new:
            self._journal.failure(
                "{url} did not give the {kind} of {image}",
                error,
                url=masked(url),
                kind=self._file.kind.value,
                image=self._work.install.image_uri,
            )


class _Counted:
    """A sink, and a count of what is written to it."""

    def __init__(self, sink: Sink, count: Callable[[int], None]) -> None:
        self._sink = sink
        self._count = count

    @property
    def position(self) -> int:
        return self._sink.position

    @property
    def validator(self) -> str:
        return self._sink.validator

    def begin(self, *, resumed: bool, validator: str) -> None:
        self._sink.begin(resumed=resumed, validator=validator)

    def write(self, block: bytes) -> None:
        self._sink.write(block)
        self._count(len(block))

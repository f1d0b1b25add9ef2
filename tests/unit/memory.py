"""The outside in memory, behind the ports: deterministic, without sockets, threads or time.

``World`` is all that survives a crash of the daemon: the records, the disk and the cloud.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock as TwistedClock

from imagestoreproxy.install.inside import Inside, InstallLimits, Outside
from imagestoreproxy.model.bundles import Stored, Upload
from imagestoreproxy.model.errors import Cancelled, DigestError, FetchError
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.history import Happening, Outcome, Run, RunKind
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileKind,
    ImageDocument,
    ImageFile,
    ImageInfo,
    Listing,
    Virtualization,
)
from imagestoreproxy.model.installs import Bundle, Install, Installation, Step
from imagestoreproxy.model.sessions import Session
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.ports import (
    WHOLE,
    Fetcher,
    Kept,
    Offer,
    Partial,
    Remembered,
    Sink,
    Sources,
    Span,
    Stop,
    Streams,
    Task,
    unheeded,
)
from imagestoreproxy.ports.depots import Depot
from imagestoreproxy.ports.programs import OUTPUT_BYTES, Finished, ProgramMissingError, unheard
from imagestoreproxy.ports.remembering import RUNS, RUNS_OF_ONE
from imagestoreproxy.storage.history import LOST

T = TypeVar("T")

LIMITS = InstallLimits(max_unpacked_bytes=2**30)
URI = "http://store.example/api/images/1"
NOW_S = 1_790_000_000.0


class NeverStop:
    """Work in memory is never asked to stop in the middle."""

    def check(self) -> None:
        pass

    def wait(self, seconds: float) -> None:
        pass


class MemoryJournal:
    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []

    def info(self, text: str, **fields: object) -> None:
        pass

    def failure(self, text: str, error: BaseException, **fields: object) -> None:
        self.failures.append((text, error))


class MemoryMeters:
    """Remembers what it was told.

    Attributes:
        stages, outcomes: with seconds.
    """

    def __init__(self) -> None:
        self.stages: list[tuple[Step, float]] = []
        self.outcomes: list[tuple[Outcome, float]] = []

    def stage_ended(self, step: Step, seconds: float) -> None:
        self.stages.append((step, seconds))

    def install_ended(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append((outcome, seconds))

    def uploaded(self, size_bytes: int) -> None:
        raise AssertionError("the cloud tells that, and this one tells nothing")


class MemoryClock:
    """A twisted ``task.Clock`` as a port."""

    def __init__(self) -> None:
        self.twisted = TwistedClock()

    def now_s(self) -> float:
        return NOW_S + self.twisted.seconds()

    def monotonic_s(self) -> float:
        return self.twisted.seconds()

    def sleep(self, seconds: float) -> Deferred[None]:
        def stop(waiting: Deferred[None]) -> None:
            call.cancel()
            waiting.errback(Cancelled())

        waiting: Deferred[None] = Deferred(stop)
        call = cast(DelayedCall, self.twisted.callLater(seconds, waiting.callback, None))
        return waiting


class MemoryTask:
    def __init__(self, journal: MemoryJournal, name: str, running: Deferred[None]) -> None:
        self._running = running
        self._ended: list[Deferred[None]] = []
        self._is_over = False

        def over(result: object) -> None:
            self._is_over = True
            error = getattr(result, "value", None)
            if isinstance(error, BaseException) and not isinstance(error, Cancelled):
                journal.failure(name, error)
            for waiter in self._ended:
                waiter.callback(None)

        running.addBoth(over)

    def cancel(self) -> None:
        if not self._is_over:
            self._running.cancel()

    def ended(self) -> Deferred[None]:
        if self._is_over:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._forget)
        self._ended.append(waiter)
        return waiter

    def _forget(self, waiter: Deferred[None]) -> None:
        self._ended.remove(waiter)
        waiter.errback(Cancelled())


class InlineBackground:
    """Runs work at once, in the same thread."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    def run(self, work: Callable[[Stop], T]) -> Deferred[T]:
        try:
            return succeed(work(NeverStop()))
        except Exception as error:
            return fail(error)

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> Task:
        return MemoryTask(self._journal, name, Deferred.fromCoroutine(coroutine))

    def ahead(
        self, items: Callable[[Stop], Iterable[T]], stop: Stop
    ) -> AbstractContextManager[Iterator[T]]:
        return nullcontext(iter(items(stop)))


class MemoryPartial:
    """A download in memory; ``files`` is what the disk holds."""

    def __init__(
        self, files: dict[str, bytes], name: str, limit_bytes: int, algorithm: str
    ) -> None:
        self._algorithm = algorithm
        self._files = files
        self._name = name
        self._limit_bytes = limit_bytes

    @property
    def position(self) -> int:
        return len(self._files.get(self._name, b""))

    @property
    def validator(self) -> str:
        return '"1"'

    def begin(self, *, resumed: bool, validator: str) -> None:
        if not resumed:
            self._files[self._name] = b""

    def write(self, block: bytes) -> None:
        if self.position + len(block) > self._limit_bytes:
            raise DigestError("too much")
        self._files[self._name] = self._files.get(self._name, b"") + block

    def digest_hex(self) -> str:
        return hashlib.new(self._algorithm, self._files.get(self._name, b"")).hexdigest()

    def discard(self) -> None:
        self._files.pop(self._name, None)


class MemoryDisk:
    """A disk whose files also lie in a real directory, so that they can be opened."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: dict[str, dict[str, bytes]] = {}
        self.free = 10**12

    def free_bytes(self) -> int:
        return self.free

    def partial(
        self, token: str, name: str, limit_bytes: int, stop: Stop, algorithm: str = "sha256"
    ) -> Partial:
        return MemoryPartial(self.files.setdefault(token, {}), name, limit_bytes, algorithm)

    def path(self, token: str, name: str) -> Path:
        path = self.directory / f"{token}-{name}"
        if name in self.files.get(token, {}):
            path.write_bytes(self.files[token][name])
        return path

    def adopt(self, token: str, name: str, source: Path) -> bool:
        self.files.setdefault(token, {})[name] = source.read_bytes()
        return True

    def remove(self, token: str) -> None:
        self.files.pop(token, None)

    def tokens(self) -> list[str]:
        return list(self.files)


class MemoryFetcher:
    """Serves ``pages``; a value that is an exception is raised."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception] = {}
        self.asked: list[tuple[str, int]] = []

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Any]:
        raise AssertionError("not used")

    def download(
        self,
        url: str,
        sink: Sink,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: Span = WHOLE,
    ) -> Deferred[None]:
        page = self.pages.get(url, FetchError(f"{url}: 404", retry_helps=False))
        self.asked.append((url, sink.position))
        try:
            if isinstance(page, Exception):
                raise page
            resumed = sink.position > 0
            rest = page[sink.position : span.end or None]
            sink.begin(resumed=resumed or span.end > 0, validator='"1"')
            for start in range(0, len(rest), 1000):
                sink.write(rest[start : start + 1000])
        except Exception as error:
            return fail(error)
        return succeed(None)


class MemoryRecords:
    """``ports.Records`` in dictionaries; the contract suite runs on it too."""

    def __init__(self) -> None:
        self.installs: dict[str, Install] = {}
        self.bundles: dict[tuple[str, FileKind], Bundle] = {}
        self.installations: list[Installation] = []
        self.serials: dict[tuple[str, str], int] = {}
        self.answers: dict[tuple[str, str], Kept] = {}
        self.messages: dict[str, bytes] = {}
        self.followed: dict[str, Follow] = {}
        self.logins: dict[str, Session] = {}
        self.runs: dict[str, Run] = {}
        self._number = 0

    def load(self) -> Deferred[Remembered]:
        tokens = {install.token for install in self.installs.values()}
        for run in list(self.runs.values()):
            if run.outcome in (Outcome.GOING_ON, Outcome.PAUSED) and run.token not in tokens:
                self._tell(replace(run, outcome=Outcome.FAILED, error=LOST, ended_at_s=NOW_S))
        return succeed(
            Remembered(
                list(self.installs.values()),
                list(self.bundles.values()),
                list(self.installations),
                [run for run in self.runs.values() if run.token in tokens],
            )
        )

    def _tell(self, run: Run | None) -> None:
        if run:
            is_new = run.token not in self.runs
            self.runs[run.token] = run
            of_one = [one for one in self.runs.values() if one.image_uri == run.image_uri]
            for old in of_one[:-RUNS_OF_ONE] if is_new else ():
                del self.runs[old.token]
            for token in list(self.runs)[:-RUNS]:
                del self.runs[token]

    def history_of(self, image_uri: str) -> Deferred[Sequence[Run]]:
        runs = reversed(self.runs.values())
        return succeed([run for run in runs if run.image_uri == image_uri])

    def history(self, first: int, count: int) -> Deferred[tuple[Sequence[Run], int]]:
        runs = [replace(run, events=()) for run in reversed(self.runs.values())]
        return succeed((runs[first : first + count], len(runs)))

    def save_install(self, install: Install, run: Run | None = None) -> Deferred[None]:
        self._tell(run)
        self.installs[install.image_uri] = install
        return succeed(None)

    def renew(
        self, image_uri: str, progress_percent: int, run: Run | None = None
    ) -> Deferred[None]:
        self._tell(run)
        if image_uri in self.installs:
            row = replace(self.installs[image_uri], progress_percent=progress_percent)
            self.installs[image_uri] = row
        return succeed(None)

    def remove_install(self, image_uri: str, run: Run | None = None) -> Deferred[None]:
        self._tell(run)
        self.installs.pop(image_uri, None)
        for key in [key for key in self.bundles if key[0] == image_uri]:
            del self.bundles[key]
        return succeed(None)

    def save_bundle(self, bundle: Bundle) -> Deferred[None]:
        self.bundles[bundle.image_uri, bundle.kind] = bundle
        return succeed(None)

    def remove_bundle(self, bundle: Bundle) -> Deferred[None]:
        self.bundles.pop((bundle.image_uri, bundle.kind), None)
        return succeed(None)

    def complete(self, installation: Installation, run: Run | None = None) -> Deferred[int]:
        self._tell(run)
        self._number += 1
        ledger = [
            replace(bundle, secret="", registering=False)
            for (uri, _), bundle in self.bundles.items()
            if uri == installation.image_uri
        ]
        kinds = list(FileKind)
        bundles = tuple(sorted(ledger, key=lambda bundle: kinds.index(bundle.kind)))
        self.installations.append(
            replace(installation, number=self._number, bundles=bundles, gone="")
        )
        self.remove_install(installation.image_uri)
        return succeed(self._number)

    def mark_gone(self, number: int, why: str, told: Happening | None = None) -> Deferred[None]:
        for one in self.installations:
            if told and one.number == number:
                known = [
                    run
                    for run in self.runs.values()
                    if (run.image_uri, run.emi) == (one.image_uri, one.emi)
                ]
                begun = one.installed_at_s
                new = Run(
                    f"installation-{number}", one.image_uri, one.info.title, one.version,
                    RunKind.INSTALL, begun, Outcome.INSTALLED, begun, emi=one.emi,
                )  # fmt: skip
                self._tell((known[-1] if known else new).with_event(told))
        self.installations = [
            replace(one, gone=why) if one.number == number else one for one in self.installations
        ]
        return succeed(None)

    def remove_installation(self, number: int) -> Deferred[None]:
        self.installations = [one for one in self.installations if one.number != number]
        return succeed(None)

    def highest_serial(self, source: str, image_uri: str) -> Deferred[int]:
        return succeed(self.serials.get((source, image_uri), -1))

    def remember_serial(self, source: str, image_uri: str, serial: int) -> Deferred[None]:
        self.serials[source, image_uri] = max(serial, self.serials.get((source, image_uri), -1))
        return succeed(None)

    def keep_copy(self) -> Deferred[None]:
        return succeed(None)

    def kept(self, source: str) -> Deferred[Sequence[Kept]]:
        return succeed([kept for (name, _), kept in sorted(self.answers.items()) if name == source])

    def keep(self, source: str, *kept: Kept) -> Deferred[None]:
        self.answers.update({(source, one.url): one for one in kept})
        return succeed(None)

    def seen_again(self, source: str, url: str, fetched_at_s: float) -> Deferred[None]:
        if (source, url) in self.answers:
            kept = replace(self.answers[source, url], fetched_at_s=fetched_at_s)
            self.answers[source, url] = kept
        return succeed(None)

    def drop(self, source: str, url: str) -> Deferred[None]:
        self.answers.pop((source, url), None)
        return succeed(None)

    def keep_evidence(self, sha256: str, message: bytes) -> Deferred[None]:
        self.messages[sha256] = message
        return succeed(None)

    def evidence(self, sha256: str) -> Deferred[bytes | None]:
        return succeed(self.messages.get(sha256))

    def follows(self) -> Deferred[Sequence[Follow]]:
        return succeed([follow for _, follow in sorted(self.followed.items())])

    def follow(self, follow: Follow) -> Deferred[None]:
        self.followed[follow.image_uri] = follow
        return succeed(None)

    def unfollow(self, image_uri: str) -> Deferred[None]:
        self.followed.pop(image_uri, None)
        return succeed(None)

    def sessions(self) -> Deferred[Sequence[Session]]:
        return succeed(sorted(self.logins.values(), key=lambda one: one.begun_at_s))

    def begin_session(self, session: Session, ended: Collection[str]) -> Deferred[None]:
        self.logins[session.digest] = session
        return self.end_sessions(ended)

    def end_sessions(self, digests: Collection[str]) -> Deferred[None]:
        for digest in digests:
            self.logins.pop(digest, None)
        return succeed(None)


class MemoryPrograms:
    """Programs that are functions: of their arguments, by the name that they are called by."""

    def __init__(self, **programs: Callable[[Sequence[str]], Finished]) -> None:
        self.programs = programs
        self.calls: list[list[str]] = []
        self.environments: list[dict[str, str]] = []

    def find(self, name: str, path: str = "") -> Path | None:
        return Path("/usr/bin", name) if name.replace("-", "_") in self.programs else None

    def run(
        self,
        arguments: Sequence[str],
        stop: Stop,
        *,
        silence_s: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        said: Callable[[str], None] = unheard,
        limit_bytes: int = OUTPUT_BYTES,
    ) -> Finished:
        stop.check()
        self.calls.append(list(arguments))
        self.environments.append(dict(environment or {}))
        program = self.programs.get(Path(arguments[0]).name.replace("-", "_"))
        if program is None:
            raise ProgramMissingError(arguments[0])
        finished = program(arguments)
        for line in (finished.output.decode() + finished.errors).splitlines():
            said(line)
        return finished


class MemoryCloud:
    """A cloud in two dictionaries."""

    name = "memory"
    taking = Taking()
    bundles_on_disk = False

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.sealed: set[str] = set()
        self.registered: dict[str, str] = {}
        self.kernels: dict[str, tuple[str, str]] = {}
        self.instances: dict[str, str] = {}
        self.trouble: dict[str, Exception] = {}
        self.laid_down: dict[str, int] = {}
        self._next = 0

    def laid_down_bytes(self, bucket: str) -> int:
        return self.laid_down.get(bucket, 0)

    def _try(self, call: str, work: Callable[[], T]) -> Deferred[T]:
        if call in self.trouble:
            return fail(self.trouble[call])
        try:
            return succeed(work())
        except Exception as error:
            return fail(error)

    def check(self) -> Deferred[None]:
        return self._try("check", lambda: None)

    def store(self, streams: Streams) -> Deferred[Sequence[Stored]]:
        def work() -> list[Stored]:
            stored = []
            for stream in streams(NeverStop()):
                content = b"".join(chunk.raw for chunk in stream.chunks)
                assert len(content) == stream.size_bytes
                self.stored[stream.bundle.bucket] = content
                stored.append(Stored(stream.bundle, len(content)))
            return stored

        return self._try("store", work)

    def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> Deferred[str]:
        def work() -> str:
            for tenths in range(11):
                done(tenths / 10)
            assert upload.bundle.bucket in self.stored, "sealed without a content"
            self.sealed.add(upload.bundle.bucket)
            return f"{upload.bundle.bucket}/{upload.bundle.name}.manifest.xml"

        return self._try("seal", work)

    def register(self, upload: Upload, location: str) -> Deferred[str]:
        def work() -> str:
            assert upload.bundle.bucket in self.sealed, "registered without a bundle"
            self._next += 1
            image_id = f"emi-{self._next:08x}"
            self.registered[image_id] = location
            self.kernels[image_id] = (upload.kernel_id, upload.ramdisk_id)
            return image_id

        return self._try("register", work)

    def find(self, bundle: Bundle, location: str) -> Deferred[str]:
        found = (key for key, value in self.registered.items() if value == location)
        return self._try("find", lambda: next(found, ""))

    def registered_ids(self) -> Deferred[frozenset[str]]:
        return self._try("registered_ids", lambda: frozenset(self.registered))

    def is_registered(self, image_id: str) -> Deferred[bool]:
        return self._try("is_registered", lambda: image_id in self.registered)

    def used_ids(self, image_ids: Collection[str]) -> Deferred[dict[str, str]]:
        return self._try(
            "used_ids",
            lambda: {emi: name for name, emi in self.instances.items() if emi in image_ids},
        )

    def is_stored(self, location: str) -> Deferred[bool]:
        return self._try("is_stored", lambda: location.partition("/")[0] in self.sealed)

    def buckets(self) -> Deferred[Sequence[str]]:
        return self._try("buckets", lambda: list(self.stored))

    def deregister(self, image_id: str) -> Deferred[None]:
        def work() -> None:
            self.registered.pop(image_id, None)

        return self._try("deregister", work)

    def remove(self, bundle: Bundle) -> Deferred[None]:
        def work() -> None:
            self.stored.pop(bundle.bucket, None)
            self.sealed.discard(bundle.bucket)

        return self._try("remove", work)


class MemorySources:
    """One source named ``store``, with documents that need no verifying."""

    def __init__(self, fetcher: Fetcher | None = None) -> None:
        self._fetcher = fetcher or MemoryFetcher()
        self.documents: dict[str, ImageDocument] = {}
        self.offered: dict[str, ImageInfo] = {}
        self.problem = ""
        self.revision = 0

    def fetcher(self, source: str) -> Fetcher:
        return self._fetcher

    def offer(self, document: ImageDocument) -> None:
        self.revision += 1
        self.documents[document.uri] = document
        self.offered[document.uri] = document.info

    def dashboard(self) -> Deferred[Offer]:
        return succeed(Offer(Listing(tuple(self.offered.values())), self.problem))

    def search(self, text: str) -> Deferred[Offer]:
        return self.dashboard()

    def info(self, image_uri: str) -> ImageInfo | None:
        return self.offered.get(image_uri)

    def source_of(self, image_uri: str) -> str:
        return "store" if image_uri in self.offered else ""

    def document(self, source: str, image_uri: str) -> Deferred[ImageDocument]:
        if image_uri not in self.documents:
            return fail(FetchError(f"{image_uri}: no document"))
        return succeed(self.documents[image_uri])

    def reread(self, source: str, image_uri: str, signed_text: bytes) -> Deferred[ImageDocument]:
        return self.document(source, image_uri)

    def versions(self, image_uri: str) -> Sequence[ImageInfo]:
        return ()

    def statuses(self) -> Sequence[SourceStatus]:
        return [SourceStatus("store", "Store", "store", "http://store.example/api")]

    def may_be_local(self, source: str, url: str) -> Deferred[bool]:
        return succeed(True)


class Fetching:
    """Sources, whatever they are, whose files come by way of ``fetcher``."""

    def __init__(self, sources: Any, fetcher: Fetcher) -> None:
        self._sources = sources
        self._fetcher = fetcher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sources, name)

    def fetcher(self, source: str) -> Fetcher:
        return self._fetcher


class NoDiskImages:
    def to_raw(self, source: Path, target: Path, limit_bytes: int) -> Deferred[int]:
        raise AssertionError("no qcow2 here")


@dataclass
class World:
    """What is left when the daemon is gone."""

    disk: MemoryDisk
    records: MemoryRecords = field(default_factory=MemoryRecords)
    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    sources: MemorySources = field(default_factory=MemorySources)
    fetcher: MemoryFetcher = field(default_factory=MemoryFetcher)


class Daemon:
    """The inside, alive."""

    def __init__(
        self, inside: Inside, clock: MemoryClock, journal: MemoryJournal, meters: MemoryMeters
    ) -> None:
        self.meters = meters
        self.inventory = inside.inventory
        self.cache = inside.cache
        self.fetches = inside.fetches
        self.actions = inside.actions
        self.store = inside.store
        self.reconciler = inside.reconciler
        self.follower = inside.follower
        self.previews = inside.previews
        self.glance = inside.glance
        self.clock = clock
        self.journal = journal


def boot(
    world: World,
    *,
    around: Callable[[Any], Any] = lambda port: port,
    limits: InstallLimits = LIMITS,
    lenders: Sequence[Depot] = (),
    name_of: Callable[[str], str] = lambda _fingerprint: "",
) -> Daemon:
    """Wire the inside to a world; ``around`` may wrap each port that leaves something behind."""
    journal, clock, meters = MemoryJournal(), MemoryClock(), MemoryMeters()
    outside = Outside(
        sources=cast(Sources, Fetching(world.sources, around(world.fetcher))),
        cloud=around(world.cloud),
        disk=world.disk,
        depot=DepotDirectory(world.disk.directory / "cache"),
        lenders=lenders,
        name_of=name_of,
        disk_images=NoDiskImages(),
        records=around(world.records),
        background=InlineBackground(journal),
        clock=clock,
        journal=journal,
        meters=meters,
    )
    return Daemon(Inside(outside, limits), clock, journal, meters)


def make_file(
    fetcher: MemoryFetcher,
    kind: FileKind,
    content: bytes,
    *,
    compression: Compression = Compression.NONE,
    mirrors: Iterable[str] = (),
) -> ImageFile:
    """Put a file on the net and describe it."""
    url = f"http://store.example/files/{kind}-{hashlib.sha256(content).hexdigest()[:8]}"
    fetcher.pages[url] = content
    return ImageFile(
        kind=kind,
        url=url,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        mirrors=tuple(mirrors),
        compression=compression,
    )


def make_document(
    files: Sequence[ImageFile], *, uri: str = URI, version: str = "1.0", serial: int = 1
) -> ImageDocument:
    return ImageDocument(
        info=ImageInfo(uri=uri, title="An image", version=version),
        serial=serial,
        published_s=int(NOW_S),
        expires_s=int(NOW_S) + 86400,
        architecture=Architecture.X86_64,
        virtualization=Virtualization.PARAVIRTUAL,
        files=tuple(files),
        signed_text=json.dumps({"version": version}).encode(),
        fingerprint="0" * 40,
    )


def trio(
    fetcher: MemoryFetcher, *, uri: str = URI, version: str = "1.0", serial: int = 1
) -> ImageDocument:
    """A paravirtual image: kernel, ramdisk, file system."""
    return make_document(
        [
            make_file(fetcher, FileKind.KERNEL, b"kernel" * 500),
            make_file(fetcher, FileKind.RAMDISK, b"ramdisk" * 700),
            make_file(fetcher, FileKind.IMAGE, f"image {version}".encode() * 900),
        ],
        uri=uri,
        version=version,
        serial=serial,
    )


def result(awaitable: Awaitable[T]) -> T:
    """Give the result of something that needs no waiting."""

    async def wait() -> T:
        return await awaitable

    outcome: list[Any] = []
    Deferred.fromCoroutine(wait()).addBoth(outcome.append)
    assert outcome, "it waits for something"
    error = getattr(outcome[0], "value", None)
    if isinstance(error, BaseException):
        raise error
    return cast("T", outcome[0])


def started(world: World, **options: Any) -> Daemon:
    """Start a daemon that has taken up what an earlier one left."""
    daemon = boot(world, **options)
    result(daemon.actions.take_up())
    return daemon

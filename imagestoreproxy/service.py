"""All wiring in one function: which part stands behind which port."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from imagestoreproxy.carriage import Carriage
from imagestoreproxy.checks import Parts, make_preflight
from imagestoreproxy.clouds.current import CurrentCloud
from imagestoreproxy.cloudside import (
    AnyClient,
    CloudSide,
    make_cloud,
    no_credentials,
    sweep_ground,
)
from imagestoreproxy.config.settings import DEFAULT_LISTEN, Settings, reread
from imagestoreproxy.doors import door_name, handed_over, listen, open_files
from imagestoreproxy.install.inside import Inside, InstallLimits, Outside
from imagestoreproxy.install.together import Beside
from imagestoreproxy.model.errors import (
    CloudError,
    OwnStateError,
    SettingsError,
    StoreProxyError,
)
from imagestoreproxy.model.running import Place
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.model.windows import window_of
from imagestoreproxy.outside.background import ReactorClock, Threads
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.disk import DataDirectory
from imagestoreproxy.outside.journal import LoggerJournal
from imagestoreproxy.outside.process import Processes
from imagestoreproxy.outside.qemu import QemuImg
from imagestoreproxy.outside.servicemanager import ServiceManager
from imagestoreproxy.outside.usage import measure
from imagestoreproxy.ports import Task
from imagestoreproxy.shop import Keys, Shop
from imagestoreproxy.sources.catalogue import Catalogue
from imagestoreproxy.storage.database import Database
from imagestoreproxy.upstreams import Accesses, Supply, Upstreams
from imagestoreproxy.watching import Watching
from imagestoreproxy.web.entry.sessions import Sessions
from imagestoreproxy.web.site import Limits, make_site

STOP_S = 4.0
# How long the doors stay closed for sources that have nothing to show yet, and for what is to be
# known of the cloud: its tools, and then its credentials.
FIRST_S = 3.0
CLOUD_FIRST_S = 5.0


class Proxy(Service):
    """The daemon: everything that runs, and the order in which it starts and stops."""

    name = "image-store-proxy"

    def __init__(self, settings: Settings, environ: Mapping[str, str], reactor: Any) -> None:
        self._reactor = reactor
        self._settings = settings
        self._clock = ReactorClock(reactor)
        self._manager = ServiceManager(environ, reactor, pid=os.getpid())
        self._watching = Watching(settings, reactor, self._clock)
        self._journal = LoggerJournal()
        self._disk = DataDirectory(settings.data_dir)
        self._disk.lock()
        self._threads = Threads(reactor)
        # A cloud that hangs holds up its own threads, not what pages and downloads need.
        self._cloud_threads = Threads(reactor, size=settings.max_installs + 4)
        programs, is_fake = Processes(), settings.cloud == "fake"
        side = None if is_fake else CloudSide(settings, environ, programs, self._cloud_threads)
        self._cloud_side = side
        self._keys: Keys = side.keys if side else AnyClient(settings.fake_secret)
        self._records_thread = Threads(reactor, size=1)
        self._records = Database(
            settings.data_dir / "state.db",
            self._records_thread,
            self._clock,
            self._journal,
            owner=_identity(settings.data_dir),
        )
        self._sessions = Sessions(self._records, self._keys, self._clock)
        self._fetcher = CurlFetcher(
            reactor, http_proxy=settings.http_proxy, ca_bundle=settings.ca_bundle
        )
        homes = settings.data_dir / "gnupg"
        shutil.rmtree(homes, ignore_errors=True)
        self._accesses = accesses = Accesses(self._fetcher, self._threads, homes)
        meters = self._watching.metrics
        cloud = make_cloud(
            settings, side.wallet if side else None, self._cloud_threads, programs, meters
        )
        sweep_ground(settings, self._journal)
        self._cloud = cloud

        def taking() -> Taking:
            return cloud.taking if side else settings.taking

        self._carriage = Carriage(
            settings.data_dir,
            verifiers=accesses.for_carried(settings.keyring),
            records=self._records,
            background=self._threads,
            clock=self._clock,
            journal=self._journal,
            taking=taking,
        )
        self._upstreams = Upstreams(
            accesses,
            self._carriage,
            records=self._records,
            background=self._threads,
            clock=self._clock,
            taking=taking,
        )
        self._catalogue = Catalogue([], self._threads, self._clock, self._journal)
        outside = Outside(
            sources=self._catalogue,
            cloud=cloud,
            disk=self._disk,
            depot=self._carriage.depot,
            lenders=[self._carriage.here],
            name_of=accesses.name_of,
            disk_images=QemuImg(self._threads),
            records=self._records,
            background=self._threads,
            clock=self._clock,
            journal=self._journal,
            meters=meters,
        )
        limits = InstallLimits(
            max_installs=settings.max_installs,
            max_downloads=settings.max_downloads,
            max_unpacked_bytes=settings.max_unpacked_bytes,
            keep_downloads=settings.keep_downloads,
            cache_bytes=settings.cache_bytes,
            connections=settings.connections,
        )
        self._inside = Inside(outside, limits)
        self._watching.watch(
            inventory=self._inside.inventory,
            sources=self._catalogue,
            fetcher=self._fetcher,
            cache=self._carriage.depot,
        )
        self._preflight = make_preflight(
            Parts(
                lambda: self._settings,
                self._threads,
                self._clock,
                accesses=self._upstreams.accesses,
                credentials=side.findings if side else no_credentials,
                known=lambda: side.wallet.known if side else None,
                cloud=lambda: cloud,
            )
        )
        self._preflight.not_now = "The proxy is being started."
        self._ports: list[Any] = []
        self._reconciling: Task | None = None
        self._following: Task | None = None
        self._choosing: Beside[None] | None = None
        self._looking: Task | None = None
        self._reloading: Task | None = None
        self._is_started = self._is_changed = False

    async def start(self) -> None:
        """Check the keyrings, take up what was going on, and listen.

        Raises:
            SettingsError, OwnStateError: it cannot run like this.
        """
        await self._choose_tools()
        await self._follow(self._settings)
        await self._look_for_keys()
        await self._inside.actions.take_up()
        await self._sessions.load()
        _settle()
        self._catalogue.start()
        # So that the first page has something to show, and a wrong HTTP proxy is in the log.
        await self._catalogue.first(FIRST_S)
        await self._listen()
        self._reconciling = self._threads.start("reconcile", self._inside.reconciler.run())
        self._following = self._threads.start("updates", self._inside.follower.run())
        self._inside.start_keeping()
        self._carriage.start(self._catalogue.replace)
        self._watching.start()
        self._preflight.not_now = ""
        self._is_started = True
        self._say_ready()
        if self._is_changed:
            self.reload()

    async def _choose_tools(self) -> None:
        """Find out (anew, while nothing is done) whether euca2ools do the work, but not for long.

        Raises:
            SettingsError: they shall do it, and cannot.
        """
        if not isinstance(cloud := self._cloud, CurrentCloud):
            return

        async def choose() -> None:
            self._journal.info("{why}", why=await cloud.choose(self._inside.inventory.is_idle))

        choosing = self._choosing = Beside(self._threads, "euca2ools", choose())
        await self._wait(lambda: choosing.is_over)
        if isinstance(choosing.error, CloudError):
            raise SettingsError(choosing.error.message)

    async def _wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until something is known of the cloud, but not for long: nobody sees a page."""
        ends_s = self._clock.monotonic_s() + CLOUD_FIRST_S
        while not is_over() and self._clock.monotonic_s() < ends_s:
            await self._clock.sleep(0.02)

    async def _look_for_keys(self) -> None:
        """Look for the cloud's credentials, and go on without them after a while."""
        if (side := self._cloud_side) is None:
            return
        self._looking = self._threads.start("credentials", side.run(self._clock, self._journal))
        await self._wait(lambda: not side.is_looking)

    def _say_ready(self) -> None:
        self._manager.ready(f"Listening on {', '.join(map(door_name, self._ports))}")

    async def _follow(self, settings: Settings) -> None:
        """Go on with these settings: nothing changes unless all of them can be used."""
        sources = await self._upstreams.sources(settings.sources)
        await self._catalogue.replace(self._carriage.follow(sources))
        self._settings = settings
        self._inside.follower.window = window_of(settings.update_window)
        self._fetcher.limit_bytes_per_s = settings.limit_bytes_per_s
        for access in self._upstreams.accesses(settings.sources):
            self._journal.info(
                "source {name} is {place}, {how}{trust}",
                name=access.settings.name,
                place=access.settings.place,
                how=f"asked through the HTTP proxy {proxy}"
                if (proxy := access.fetcher.proxy_for(access.settings.url))
                else "asked without an HTTP proxy",
                trust="" if access.verifier else "; it is not signed, and nobody vouches for it",
            )

    def reload(self) -> None:
        """Read the configuration again, now or when what is being done at the moment is done."""
        self._is_changed = True
        if self._cloud_side:
            self._cloud_side.again()
        if self._is_started and self._reloading is None:
            self._reloading = self._threads.start("reload", self._reload())

    async def _reload(self) -> None:
        try:
            while self._is_changed:
                self._is_changed = False
                self._manager.reloading()
                before = self._settings
                try:
                    await self._choose_tools()
                    read = await self._threads.run(lambda _stop: reread(self._settings))
                    await self._follow(read)
                except StoreProxyError as error:
                    self._journal.failure("the configuration is refused, all stays as it is", error)
                    continue
                self._journal.info("the configuration was read again")
                if self._settings.connections != before.connections:
                    self._journal.info("the number of connections changes at the next start")
        finally:
            self._reloading = None
            self._say_ready()

    async def _listen(self) -> None:
        shop = Shop(
            store=self._inside.store,
            keys=self._keys,
            checks=self._preflight,
            supply=Supply(self._catalogue, self._fetcher),
            following=self._inside.follower,
            lending=self._carriage.lending,
            logbook=self._watching.logbook,
            metrics=self._watching.metrics,
            signers=self._accesses,
            place=self._cloud_side.place if self._cloud_side else lambda: Place(is_fake=True),
            planning=self._inside.previews,
            history=self._records,
            glancing=self._inside.glance(partial(measure, self._settings.data_dir)),
        )
        site = make_site(
            shop,
            self._clock,
            reactor=self._reactor,
            external_url=self._settings.external_url,
            limits=Limits.within(open_files()),
            share_cache=self._settings.share_cache,
            share_metrics=self._settings.share_metrics,
            sessions=self._sessions,
        )
        wanted = self._settings.listen
        if wanted == (DEFAULT_LISTEN,):
            wanted = tuple(handed_over()) or wanted
        for description in wanted:
            self._ports.append(await listen(self._reactor, description, site))
            self._journal.info("listening on {address}", address=self._ports[-1].getHost())

    def startService(self) -> None:
        """Start as part of a ``twist`` process; a failure ends it."""
        super().startService()  # type: ignore[no-untyped-call]

        def give_up(failure: Failure) -> None:
            self._journal.failure("the proxy cannot start", cast(Exception, failure.value))
            # twist itself would end with 0, and whoever started it would think that all is well.
            self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
            self._reactor.stop()

        Deferred.fromCoroutine(self.start()).addErrback(give_up)

    def stopService(self) -> Deferred[None]:
        """Stop everything, within eight seconds whatever is going on; half is for threads."""
        super().stopService()  # type: ignore[no-untyped-call]

        def told(failure: Failure) -> None:
            self._journal.failure("stopping was cut short", cast(Exception, failure.value))
            sweep_ground(self._settings, self._journal)

        stopping = Deferred.fromCoroutine(self.stop()).addTimeout(STOP_S, self._reactor)
        return stopping.addErrback(told)

    async def stop(self) -> None:
        """Close the doors, stop the installs where they are, and let go of the data directory."""
        self._preflight.not_now = "The proxy is being stopped."
        self._manager.stopping()
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        for task in (
            self._reconciling,
            self._following,
            self._choosing,
            self._looking,
            self._reloading,
        ):
            if task:
                task.cancel()
        await self._catalogue.close()
        await self._inside.runs.close()
        await self._carriage.close()
        await self._inside.stop_keeping()
        self._fetcher.close()
        self._cloud_threads.close(timeout_s=1.0)
        self._threads.close(timeout_s=1.0)
        # While the directory is still ours: no tool outlives us, and no key.
        sweep_ground(self._settings, self._journal)
        self._records_thread.close()
        self._records.close()
        self._disk.close()
        self._watching.stop()


def _settle() -> None:
    """Take what was loaded at the start out of the sight of the garbage collector.

    With 10,000 installed images it would hold everything up for 90 ms each time it goes round.
    Nothing large may be under way: what is garbage a moment later would stay as well.
    """
    gc.collect()
    gc.freeze()


def _identity(data_dir: Path) -> str:
    """Give what names this data directory among all proxies, whatever the host is called today."""
    path = data_dir / "identity"
    try:
        if not path.exists():
            new = path.with_name("identity.new")
            new.touch(mode=0o600)
            new.write_text(secrets.token_hex(16))
            new.replace(path)
        return path.read_text()
    except OSError as error:
        raise OwnStateError(f"{path} cannot be read or written: {error.strerror}.") from error


def build(settings: Settings, reactor: Any) -> Proxy:
    """Put the daemon together.

    Raises:
        SettingsError, OwnStateError: it cannot run like this; says what to do.
    """
    return Proxy(settings, os.environ, reactor)

"""Options in, reactor on: the daemon as a program, and as a ``twist`` plugin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from twisted.application.service import IServiceMaker
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from twisted.python.usage import Options, UsageError
from zope.interface import implementer

from imagestoreproxy.config.settings import Settings, parse
from imagestoreproxy.doors import allow_open_files
from imagestoreproxy.heap import keep_large_apart
from imagestoreproxy.model.errors import OwnStateError, SettingsError, StoreProxyError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.once import check
from imagestoreproxy.outside.journal import LoggerJournal, begin_logging, json_lines
from imagestoreproxy.outside.logfile import LogFile
from imagestoreproxy.outside.pidfile import PidFile
from imagestoreproxy.outside.reset import reset
from imagestoreproxy.service import Proxy, build

PROGRAM = "image-store-proxy"


# For one request the reactor lets go of the interpreter some ten times, and waits this long each
# time to get it back from threads that read long lists; 5 ms is what Python has.
SWITCH_S = 0.0005


def main(arguments: Sequence[str] | None = None) -> None:
    """Run in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Exit status: 0 after a signal, 1 when it could not start, 2 for wrong options. With ``--check``
    0 when all is well, 1 when something is not.
    """
    # Until the reactor hears of it: as an exception it can get lost in a callback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o077)
    keep_large_apart()
    allow_open_files()
    try:
        settings = parse(sys.argv[1:] if arguments is None else arguments)
    except SettingsError as error:
        sys.exit(_complain(error, 2))
    if settings.reset:
        sys.exit(_reset(settings))
    status = _check(settings) if settings.check else _logged(settings)
    # A thread that hangs in somebody else's library must not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _logged(settings: Settings) -> int:
    try:
        log = LogFile(settings.log_file) if settings.log_file else None
    except SettingsError as error:
        return _complain(error, 2)
    begin_logging(debug=settings.debug, form=settings.log_format, stream=log or sys.stderr)
    return _run(settings, log)


def _run(settings: Settings, log: LogFile | None) -> int:
    hangups = Hangups(log)
    pid_file = PidFile(settings.pid_file) if settings.pid_file else None
    sys.setswitchinterval(SWITCH_S)
    reactor = _reactor()

    async def begin() -> None:
        proxy = build(settings, reactor)
        reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
        if pid_file:
            pid_file.write()
        hangups.tell(proxy, reactor)
        await proxy.start()

    try:
        return _until_stopped(begin, reactor)
    finally:
        if pid_file:
            pid_file.remove()


def _reset(settings: Settings) -> int:
    try:
        done = reset(settings.data_dir)
    except OwnStateError as error:
        return _complain(error, 1)
    lines = [f"Removed from {settings.data_dir}: {', '.join(done.removed) or 'nothing'}."]
    if done.kept:
        lines.append(f"Kept: {', '.join(done.kept)}.")
    if done.installed:
        lines.append(
            f"{done.installed} images stay in the cloud, and the proxy does not know them any more."
        )
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _check(settings: Settings) -> int:
    reactor = _reactor()
    findings: list[Finding] = []

    async def look() -> None:
        findings.extend(await check(settings, reactor))
        reactor.stop()

    if status := _until_stopped(look, reactor):
        return status
    sys.stdout.writelines(f"{finding.line()}\n" for finding in findings)
    return 0 if findings and all(finding.is_ok for finding in findings) else 1


def _until_stopped(begin: Callable[[], Coroutine[Any, Any, None]], reactor: Any) -> int:
    failures: list[Failure] = []

    def give_up(failure: Failure) -> None:
        failures.append(failure)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()).addErrback(give_up))
    # With any other handler the reactor would leave interrupts to that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reactor.run()
    if not failures:
        return 0
    error = failures[0].value
    if isinstance(error, StoreProxyError):
        return _complain(error, 2 if isinstance(error, SettingsError) else 1)
    sys.stderr.write(failures[0].getTraceback())
    return 1


class Hangups:
    """SIGHUP: read the configuration again; one that comes before there is a proxy is kept for it.

    A handler from the first moment on: without one, the signal ends the process. The log may have
    been moved away: what has its name now is opened.
    """

    def __init__(self, log: LogFile | None = None) -> None:
        self._log = log
        self._proxy: Proxy | None = None
        self._reactor: Any = None
        self._came = False
        signal.signal(signal.SIGHUP, self._hear)

    def tell(self, proxy: Proxy, reactor: Any) -> None:
        """Tell this proxy from now on, and of what came before."""
        self._reactor, self._proxy = reactor, proxy
        if self._came:
            self._reload()

    def _hear(self, _number: int, _frame: object) -> None:
        self._came = True
        if self._proxy is not None:
            # Runs between any two steps of the program: the reactor does the rest in its turn.
            self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        try:
            if self._log:
                self._log.reopen()
        except SettingsError as error:
            LoggerJournal().failure("the log stays in the file that was moved", error)
        if self._proxy is not None:
            self._proxy.reload()


def _reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415 - importing it installs it

    return reactor


def _complain(error: StoreProxyError, status: int) -> int:
    sys.stderr.write(f"{PROGRAM}: {error.message}\n")
    return status


class _TwistOptions(Options):
    """The daemon's own options, read by ``config.parse``."""

    settings: Settings

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            self.settings = parse(list(options or ()))
        except SettingsError as error:
            raise UsageError(error.message) from error
        for given in ("check", "reset"):
            if getattr(self.settings, given):
                raise UsageError(f"--{given} is an option of {PROGRAM}, not of twist.")
        if self.settings.log_file or self.settings.pid_file:
            raise UsageError(
                f"--log-file and --pid-file are options of {PROGRAM}; twist has its own --log-file,"
                " which stands before the name of what it starts."
            )
        if self.settings.log_format == "json":
            # Ours, not what twist calls JSON: the same lines from both ways to start it.
            cast(Any, self.parent)["fileLogObserverFactory"] = json_lines


@implementer(IServiceMaker, IPlugin)
class ServiceMaker:
    """``twist image-store-proxy``."""

    tapname = PROGRAM
    description = "Brings images from signed image stores into a cloud."
    options = _TwistOptions

    def makeService(self, options: _TwistOptions) -> Proxy:
        """Build the daemon for the reactor that ``twist`` runs."""
        os.umask(0o077)
        allow_open_files()
        hangups = Hangups()
        try:
            proxy = build(options.settings, _reactor())
            hangups.tell(proxy, _reactor())
            return proxy
        except StoreProxyError as error:
            sys.exit(f"{PROGRAM}: {error.message}")


service_maker = ServiceMaker()

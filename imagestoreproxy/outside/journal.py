"""The log: ``twisted.logger`` with fields, as the inside sees it."""

from __future__ import annotations

import sys
import traceback
from typing import TextIO, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from imagestoreproxy.model.errors import StoreProxyError

_log = Logger(namespace="imagestoreproxy")


class LoggerJournal:
    """``ports.Journal``: each note is one event; what is unexpected comes with its traceback."""

    def info(self, text: str, **fields: object) -> None:
        _log.info(text, **fields)

    def failure(self, text: str, error: BaseException, **fields: object) -> None:
        if isinstance(error, StoreProxyError):
            details = str(error)
            if error.__cause__ is not None:
                details += f" [{type(error.__cause__).__name__}: {error.__cause__}]"
        else:
            details = "".join(traceback.format_exception(error))
        _log.error(text + ": {details}", details=details, **fields)


def begin_logging(*, debug: bool, stream: TextIO = sys.stderr) -> None:
    """Send all events of this process, as text lines, to a stream."""
    predicate = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    # Protocol factories' "Starting factory" and the like are of use to nobody but a developer.
    predicate.setLogLevelForNamespace("twisted", LogLevel.info if debug else LogLevel.warn)
    # The casts tell mypy what zope.interface declares.
    lines = cast(ILogObserver, textFileLogObserver(stream))
    chosen = FilteringLogObserver(lines, [cast(ILogFilterPredicate, predicate)])
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, chosen)], redirectStandardIO=False)

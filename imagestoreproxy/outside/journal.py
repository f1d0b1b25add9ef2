"""The log: ``twisted.logger`` with fields, as the inside sees it, as text or as JSON."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Protocol, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEventAsClassicLogText,
    globalLogBeginner,
)

from imagestoreproxy.model.errors import StoreProxyError
from imagestoreproxy.model.logbook import Level, printable, shortened

_log = Logger(namespace="imagestoreproxy")

Observer = Callable[[LogEvent], None]

FIELDS = 20
FIELD_CHARS = 500
NAME_CHARS = 60
# What every line has, and no field may stand in for.
_OWN = frozenset({"at", "level", "text", "namespace"})
_FIELD = re.compile(r"\{(\w+)", re.ASCII)
_LEVELS = {
    LogLevel.debug: Level.DEBUG,
    LogLevel.info: Level.INFO,
    LogLevel.warn: Level.WARN,
    LogLevel.error: Level.ERROR,
    LogLevel.critical: Level.ERROR,
}


class LoggerJournal:
    """``ports.Journal``: each note is one event; what is unexpected comes with its traceback."""

    def __init__(self, logger: Logger = _log) -> None:
        self._log = logger

    def info(self, text: str, **fields: object) -> None:
        self._log.info(text, **fields)

    def failure(self, text: str, error: BaseException, **fields: object) -> None:
        if isinstance(error, StoreProxyError):
            details = str(error)
            if error.__cause__ is not None:
                details += f" [{type(error.__cause__).__name__}: {error.__cause__}]"
        else:
            details = "".join(traceback.format_exception(error))
        self._log.error(text + ": {details}", details=details, **fields)


class Lines(Protocol):
    """What takes lines of text."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> None: ...


def begin_logging(*, debug: bool, form: str = "text", stream: Lines = sys.stderr) -> None:
    """Send all events of this process to a stream.

    Args:
        form: one of ``FORMS``.
    """
    chosen = wanted(FORMS[form](stream), debug=debug)
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, chosen)], redirectStandardIO=False)


def wanted(observer: Observer, *, debug: bool) -> Observer:
    """Let an observer see what the log shows, with ``--debug`` or without."""
    predicate = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    # Protocol factories' "Starting factory" and the like are of use to nobody but a developer.
    predicate.setLogLevelForNamespace("twisted", LogLevel.info if debug else LogLevel.warn)
    # The casts tell mypy what zope.interface declares.
    chosen = [cast(ILogFilterPredicate, predicate)]
    return FilteringLogObserver(cast(ILogObserver, observer), chosen)


def text_lines(stream: Lines) -> FileLogObserver:
    """Write each event for people: more lines than one are indented."""

    def line(event: LogEvent) -> str | None:
        text = formatEventAsClassicLogText(event)
        return None if text is None else printable(text.replace("\t", "        "))

    return FileLogObserver(cast(IO[str], stream), line)


def json_lines(stream: Lines) -> FileLogObserver:
    """Write each event as one JSON object, ASCII only, on a line of its own."""
    return FileLogObserver(cast(IO[str], stream), json_line)


FORMS: dict[str, Callable[[Lines], FileLogObserver]] = {"text": text_lines, "json": json_lines}


def json_line(event: LogEvent) -> str:
    """Give one event as a line: ``at``, ``level``, ``text``, ``namespace`` and its fields."""
    at = datetime.fromtimestamp(float(event.get("log_time", 0)), UTC)
    content: dict[str, object] = {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level_of(event).value,
        "text": text_of(event),
        "namespace": namespace_of(event),
    }
    return json.dumps({**content, **_fields(event)}) + "\n"


def text_of(event: LogEvent) -> str:
    """Give what an event says, its traceback with it; bounded."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return shortened(printable(text.strip("\n")))


def level_of(event: LogEvent) -> Level:
    """Give how much an event matters; of one that does not say it is ``info``."""
    return _LEVELS.get(event.get("log_level", LogLevel.info), Level.INFO)


def namespace_of(event: LogEvent) -> str:
    """Name the part of the program that an event comes from."""
    return printable(str(event.get("log_namespace") or ""))[:NAME_CHARS]


def _fields(event: LogEvent) -> dict[str, object]:
    """Give the fields that the text shows, and no others: what it hides may be a secret."""
    shown = dict.fromkeys(_FIELD.findall(str(event.get("log_format") or "")))
    names = [one for one in shown if one in event and one not in _OWN and one[:4] != "log_"]
    return {name[:NAME_CHARS]: _plain(event[name]) for name in names[:FIELDS]}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    try:
        text = str(value)
    except Exception:  # whatever it is: one event that cannot be shown must not end the log
        text = f"<{type(value).__name__}>"
    return shortened(printable(text), FIELD_CHARS, 0)

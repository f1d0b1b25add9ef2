"""The log, as lines and as the page that tells of the newest events."""

from __future__ import annotations

import io
import json
import re
from typing import Any, cast

import pytest
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.python.failure import Failure

from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.logbook import Level, printable, shortened
from imagestoreproxy.outside.journal import FORMS, LoggerJournal, json_line, wanted
from imagestoreproxy.outside.logbook import Ring
from tests.unit.memory_store import MemorySite, raw_request

AT_S = 1_795_000_000.25


def event(text: str = "it is {what}", level: str = "info", **fields: Any) -> LogEvent:
    return {
        "log_format": text,
        "log_level": LogLevel.levelWithName(level),
        "log_namespace": "imagestoreproxy",
        "log_time": AT_S,
        **{"what": "so", **fields},
    }


def filled(count: int, ring: Ring | None = None) -> Ring:
    made = ring or Ring()
    for number in range(1, count + 1):
        made(event(what=number, level="error" if number % 10 == 0 else "info"))
    return made


def test_a_json_line_has_what_the_text_has_and_its_fields() -> None:
    line = json_line(event("{n} bytes of {what}", n=3, what="x\ny", other="hidden", at="never"))
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "at": "2026-11-18T11:06:40.250Z",
        "level": "info",
        "text": "3 bytes of x\ny",
        "namespace": "imagestoreproxy",
        "n": 3,
        "what": "x\ny",
    }


def test_a_json_line_is_bounded_ascii_whatever_a_field_is() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    names = [f"f{number}" for number in range(100)]
    fields: dict[str, Any] = dict.fromkeys(names, "\x1b[2J\u202e�é" * 10000)
    fields["f0"], fields["f1"], fields["f2"] = Odd(), 10**400, float("1e300")
    line = json_line(event("".join(f"{{{name}}}" for name in names), **fields))
    assert line.isascii()
    assert len(line) < 30_000
    told = json.loads(line)
    assert told["f0"] == "<Odd>"
    assert told["f2"] == 1e300
    assert "\x1b" not in told["text"] + told["f3"]
    assert "\u202e" not in told["text"] + told["f3"]


def test_a_traceback_is_one_json_line_and_keeps_its_end() -> None:
    try:
        raise ValueError("x" * 5000 + "the end")
    except ValueError:
        line = json_line(event("it failed", "critical", log_failure=Failure()))  # type: ignore[no-untyped-call]
    assert line.count("\n") == 1
    told = json.loads(line)
    assert told["level"] == "error"
    assert told["text"].startswith("it failed\nTraceback")
    assert told["text"].endswith("the end")
    assert len(told["text"]) < 2100


@pytest.mark.parametrize("form", FORMS)
def test_no_line_moves_the_cursor_and_none_can_be_forged(form: str) -> None:
    stream = io.StringIO()
    FORMS[form](stream)(event("{what}", what="a\x1b[1Ab\n2026-11-29 forged\rc\u202ed"))
    lines = stream.getvalue().splitlines()
    assert not any(line.startswith("2026-11-29 forged") for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("debug", "seen"), [(False, ["b", "d"]), (True, ["a", "b", "c", "d"])])
def test_the_ring_keeps_no_more_than_the_log_shows(debug: bool, seen: list[str]) -> None:
    ring = Ring()
    observer = wanted(ring, debug=debug)
    observer(event("a", "debug"))
    observer(event("b", "info"))
    observer({**event("c", "info"), "log_namespace": "twisted.web"})
    observer({**event("d", "warn"), "log_namespace": "twisted.web"})
    assert [entry.text for entry in ring.entries(None, 10)[0]] == seen


def test_the_ring_is_bounded_and_numbers_go_on() -> None:
    entries, last = filled(2500).entries(None, 5000)
    assert [entry.number for entry in entries] == list(range(1501, 2501))
    assert last == 2500


def test_what_is_told_piece_by_piece_is_told_once_and_whole() -> None:
    ring, seen, since = filled(95), [], 0
    for _ in range(11):
        entries, since = ring.entries(since, 10)
        seen += [entry.number for entry in entries]
    assert seen == list(range(1, 96))
    assert since == 95
    # Only errors: what lies between is passed over, and not asked for again.
    assert [entry.number for entry in ring.entries(85, 10, Level.ERROR)[0]] == [90]
    assert ring.entries(85, 10, Level.ERROR)[1] == 95
    assert [entry.number for entry in ring.entries(None, 2, Level.WARN)[0]] == [80, 90]


def test_a_number_of_an_earlier_process_begins_anew() -> None:
    entries, last = filled(3).entries(5000, 10)
    assert [entry.number for entry in entries] == [1, 2, 3]
    assert last == 3


def test_what_is_unexpected_comes_with_its_traceback_and_the_rest_in_plain_words() -> None:
    ring = Ring()
    logger = Logger(namespace="imagestoreproxy", observer=cast(ILogObserver, ring))
    journal = LoggerJournal(logger)
    journal.failure("{image} failed", FetchError("no net"), image="karmic")
    journal.failure("{image} failed", ZeroDivisionError("by 0"), image="karmic")
    plain, odd = (entry.text for entry in ring.entries(None, 10)[0])
    assert plain == "karmic failed: no net"
    assert odd.startswith("karmic failed: ")
    assert "ZeroDivisionError: by 0" in odd


def test_the_page_tells_the_newest_events() -> None:
    site = MemorySite()
    filled(150, site.logbook)
    told = site.get("/api/log").json
    assert len(told["log"]) == 100
    assert told["log"][-1] == {
        "number": 150, "at": "2026-11-18T11:06:40Z", "level": "error", "text": "it is 150",
        "namespace": "imagestoreproxy",
    }  # fmt: skip
    assert told["last-number"] == 150
    pairs = [("since", "139"), ("count", "5"), ("level", "error")]
    some = site.get("/api/log", pairs=pairs).json
    assert [entry["number"] for entry in some["log"]] == [140, 150]
    assert site.get("/api/log", pairs=[("since", "150")]).json == {"log": [], "last-number": 150}


@pytest.mark.parametrize(
    "pair",
    [
        ("since", "-1"), ("since", "x"), ("since", ""), ("since", "9" * 5000), ("since", "٣"),
        ("count", "0"), ("count", "1001"), ("level", "loud"), ("level", ""),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_refused_in_plain_words(pair: tuple[str, str]) -> None:
    reply = MemorySite().get("/api/log", pairs=[pair])
    assert reply.status == 400
    assert re.match(f"(Give )?{pair[0]} (as|must be) ", reply.error)


def test_nobody_reads_the_log_unsigned() -> None:
    assert MemorySite().ask(raw_request("GET", "/api/log", [])).status == 401


def test_long_and_odd_texts() -> None:
    assert printable("ä\n日本") == "ä\n日本"
    assert printable("\t\x00\ud800") == "\\t\\x00\\ud800"
    assert shortened("abcdefghij", 3, 2) == "abc [5 characters] ij"
    assert shortened("abcde", 3, 2) == "abcde"

"""Many open pages, each with an event stream of its own."""

from __future__ import annotations

import secrets
import selectors
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlencode

from benchmarks.gauges import cpu_s, memory_kib
from benchmarks.ground import Ground
from benchmarks.report import Report, Row, percentile
from imagestoreproxy.model.signing import signed_pairs
from tests.functional.rig import CLIENT_ID, SECRET

PATH = "/api/events"
LONGEST_S = 60.0


def measure(place: Ground, uri: str, count: int, report: Report) -> None:
    """Open so many streams, change a state, and see when they are told.

    Args:
        uri: of an image that is not installed yet.
    """
    subject = f"{count:,} event streams"
    with ExitStack() as stack:
        first, status = _open(place, uri)
        stack.callback(first.close)
        if status == 404:
            report.remark(f"scale: {PATH} is not there (404): event streams are not measured.")
            return
        before_mib = memory_kib(place.pid) / 1024
        streams, began_s = [first], time.perf_counter()
        while len(streams) < count and status == 200:
            stream, status = _open(place, uri)
            stack.callback(stream.close)
            streams.append(stream)
        took_s = time.perf_counter() - began_s
        note = "one after the other" if status == 200 else f"the last was answered {status}"
        report.add(Row("scale", subject, "opened", len(streams), "", note=note))
        report.add(Row("scale", subject, "time to open them", took_s, "s"))
        grown_mib = memory_kib(place.pid) / 1024 - before_mib
        report.add(Row("scale", subject, "RSS more", grown_mib, "MiB"))
        idle_s = cpu_s(place.pid)
        time.sleep(5)
        idle_percent = (cpu_s(place.pid) - idle_s) / 5 * 100
        report.add(Row("scale", subject, "CPU while nothing happens, %", idle_percent, ""))
        _tell(place, uri, streams, subject, report)


def _tell(
    place: Ground, uri: str, streams: list[socket.socket], subject: str, report: Report
) -> None:
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            stream.setblocking(False)
            selector.register(stream, selectors.EVENT_READ)
        while selector.select(0.5):  # what came at the beginning
            _drain(selector)
        began_s = time.perf_counter()
        place.daemon.act(uri, "install")
        told_s: dict[int, float] = {}
        while len(told_s) < len(streams) and time.perf_counter() - began_s < LONGEST_S:
            for number in _drain(selector):
                told_s.setdefault(number, time.perf_counter() - began_s)
    place.daemon.wait(uri, "installed", within_s=300)
    report.add(Row("scale", subject, "told of a change", len(told_s), ""))
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        value_ms = percentile(list(told_s.values()), at) * 1000
        report.add(Row("scale", subject, f"told after, {name}", value_ms, "ms"))


def _drain(selector: selectors.BaseSelector) -> list[int]:
    ready = []
    for key, _ in selector.select(0.05):
        stream = key.fileobj
        assert isinstance(stream, socket.socket)
        came = stream.recv(65536)
        if not came:
            selector.unregister(stream)
        # Not a line that only keeps the connection open.
        if b"data:" in came:
            ready.append(key.fd)
    return ready


def _open(place: Ground, uri: str) -> tuple[socket.socket, int]:
    """Ask for a stream; give it behind the head of its answer, and the status."""
    host = f"127.0.0.1:{place.daemon.port}"
    pairs = signed_pairs(
        SECRET,
        CLIENT_ID,
        "GET",
        host,
        PATH,
        [("image-uri", uri)],
        now_s=time.time(),
        nonce=str(secrets.randbits(63)),
    )
    stream = socket.create_connection(("127.0.0.1", place.daemon.port), timeout=30)
    request = f"GET {PATH}?{urlencode(pairs)} HTTP/1.1\r\nHost: {host}\r\n"
    stream.sendall(f"{request}Accept: text/event-stream\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = stream.recv(65536)
        if not more:
            raise ConnectionResetError
        head += more
    return stream, int(head.split(b" ", 2)[1])

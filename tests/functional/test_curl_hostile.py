"""Servers that answer what none should: each ends soon, in plain words, in little memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from email.utils import formatdate
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.exchange import Answer, Limits, Request
from imagestoreproxy.outside.neterrors import network_error, retry_after_s, status_error
from tests.functional import test_curl as curl
from tests.functional.faulty_server import FaultyServer, Page, RawServer
from tests.functional.test_curl import MemorySink, download, get

OK = b"HTTP/1.1 200 OK\r\n"
Answers = Callable[[], Iterable[bytes]]


fetcher, hasty = curl.fetcher, curl.hasty


def once(*pieces: bytes) -> Answers:
    return lambda: pieces


def endless(first: bytes, then: bytes) -> Answers:
    return lambda: itertools.chain([first], itertools.repeat(then))


def numbered(first: bytes, line: str) -> Answers:
    lines = ("".join(line % (n * 500 + i) for i in range(500)).encode() for n in itertools.count())
    return lambda: itertools.chain([first], lines)


HOSTILE: dict[str, tuple[Answers, str]] = {
    "endless headers": (numbered(OK, "X-%d: y\r\n"), "header|HTTP has it"),
    "a header line without end": (endless(OK + b"X: ", b"y" * 65536), "header|HTTP has it"),
    "a flood of interim answers": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 500),
        "header|HTTP has it",
    ),
    "an endless trailer": (
        numbered(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "X-%d: y\r\n"),
        "header|HTTP has it|broke",
    ),
    "garbage for chunks": (
        once(OK + b"Transfer-Encoding: chunked\r\n\r\nzzzz\r\nbody"),
        "broke|HTTP has it",
    ),
    "a chunk larger than the world": (
        once(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nx"),
        "broke|HTTP has it",
    ),
    "a chunk that is cut off": (
        once(OK + b"Transfer-Encoding: chunked\r\n\r\n100\r\nx"),
        "cut off|broke",
    ),
    "two lengths": (
        once(OK + b"Content-Length: 1\r\nContent-Length: 200000\r\n\r\nx"),
        "cut off|HTTP has it",
    ),
    "a length below zero": (once(OK + b"Content-Length: -1\r\n\r\nx"), "HTTP has it"),
    "a length that was a lie": (once(OK + b"Content-Length: 5000\r\n\r\nshort"), "cut off"),
    "another protocol": (once(b"SSH-2.0-OpenSSH_9.2\r\n"), "another service at this port"),
    "nothing at all": (once(), "closed the connection without an answer"),
    "half a status line": (once(b"HTTP/1."), "."),
    "status zero": (once(b"HTTP/1.1 000 What\r\n\r\n"), "."),
    "a redirect to nowhere": (
        once(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        "redirect without an address",
    ),
    "an interim answer and no more": (once(b"HTTP/1.1 100 Continue\r\n\r\n"), "."),
}


@pytest.mark.parametrize("call", ["get", "download"])
@pytest.mark.parametrize("name", HOSTILE)
def test_h9_every_broken_answer_ends_with_the_url_and_a_cause(
    fetcher: CurlFetcher, name: str, call: str
) -> None:
    answers, words = HOSTILE[name]
    before_bytes = resident_bytes()
    with RawServer(answers) as server, pytest.raises(FetchError, match=words) as caught:
        if call == "get":
            get(fetcher, server.url("/x"))
        else:
            download(fetcher, server.url("/x"), MemorySink())
    assert f"Cannot fetch {server.url('/x')} (address 127.0.0.1, no HTTP proxy): " in (
        caught.value.message
    )
    assert caught.value.message.isprintable()
    assert resident_bytes() - before_bytes < 30 << 20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "first",
    [b"", OK, OK + b"Content-Length: 100000\r\n\r\n"],
    ids=["the status line", "the header lines", "the body"],
)
def test_p2_p3_one_byte_at_a_time_is_a_stall_wherever_it_happens(
    hasty: CurlFetcher, first: bytes
) -> None:
    then = (bytes([byte]) for byte in itertools.cycle(b"HTTP/1.1 X-Slow: slow slow slow slow"))
    answer = itertools.chain([first] if first else [], then)
    with RawServer(lambda: answer, pause_s=0.1) as server, pytest.raises(FetchError) as caught:
        download(hasty, server.url(), MemorySink())
    assert "the transfer has stalled" in caught.value.message
    assert caught.value.retry_helps


def test_h5_a_tls_handshake_that_is_cut_off_is_told(fetcher: CurlFetcher) -> None:
    with RawServer(once()) as server, pytest.raises(FetchError, match="TLS with") as caught:
        get(fetcher, server.url().replace("http:", "https:"))
    assert caught.value.retry_helps


def test_a_server_that_goes_on_after_the_announced_length_is_not_read_on(
    fetcher: CurlFetcher,
) -> None:
    sink = MemorySink()
    with RawServer(endless(OK + b"Content-Length: 5\r\n\r\nimage", b"!" * 65536)) as server:
        download(fetcher, server.url(), sink)
    assert bytes(sink.content) == b"image"


def test_p1_a_file_that_changes_between_two_ranges_is_never_put_together(
    fetcher: CurlFetcher,
) -> None:
    sink = MemorySink()
    old, new = b"a" * 300_000, b"b" * 300_000
    page = Page(old, etag='"old"', cut_after_bytes=200_000)
    with FaultyServer({"/image": page}) as server:
        with pytest.raises(FetchError, match="cut off"):
            download(fetcher, server.url("/image"), sink)
        assert sink.position == 200_000
        server.pages["/image"] = Page(new, etag='"new"')
        download(fetcher, server.url("/image"), sink)
    assert bytes(sink.content) == new


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_reaches_who_retries(fetcher: CurlFetcher, status: int) -> None:
    page = Page(b"busy", status=status, headers={"Retry-After": "7"})
    with FaultyServer({"/image": page}) as server, pytest.raises(FetchError) as caught:
        download(fetcher, server.url("/image"), MemorySink())
    assert caught.value.retry_after_s == 7
    assert caught.value.retry_helps
    assert "after 7 s as it asks" in caught.value.message


NOW_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 5 "}, 5),
        ({"retry-after": "999999999"}, 86400),
        ({"retry-after": "9" * 5000}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e9"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "\u0665"}, 0),
        ({"retry-after": formatdate(NOW_S + 30, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW_S - 30, usegmt=True)}, 0),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 86400),
        # The server's clock is an hour behind, which makes no difference.
        (
            {
                "retry-after": formatdate(NOW_S - 3600 + 45, usegmt=True),
                "date": formatdate(NOW_S - 3600, usegmt=True),
            },
            45,
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(
    headers: dict[str, str], seconds: float
) -> None:
    assert retry_after_s(headers, NOW_S) == seconds


def test_h6_what_a_strangers_certificate_says_is_shown_in_print_alone() -> None:
    request = Request("https://store/x", "", False)
    seen = Answer(certificate={"Issuer": "CN=\x1b[31m\n" + "x" * 500, "Expire date": "\u202e"})
    message = network_error(request, Answer(code=60), Limits(), seen).message
    assert message.isprintable()
    assert "issued by CN=?[31m?xxx" in message
    assert len(message) < 600


def test_every_status_has_a_sentence_with_what_to_do() -> None:
    for status in range(100, 600):
        error = status_error(Request("http://store/x", "", False), Answer(status=status))
        assert f"the HTTP status {status}; " in error.message
        assert error.message.endswith(".")
        assert error.retry_helps == (status >= 500 or status < 200 or status in (408, 425, 429))


def test_p3_a_flood_in_one_transfer_does_not_hold_up_another(fetcher: CurlFetcher) -> None:
    flood = endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000)
    with RawServer(flood) as hostile, FaultyServer({"/": Page(b"{}")}) as server:
        with pytest.raises(FetchError, match="larger than"):
            get(fetcher, hostile.url())
        assert get(fetcher, server.url()).body == b"{}"

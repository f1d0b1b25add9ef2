"""Parts of files, and servers that are given up sooner than others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagestoreproxy.model.errors import FetchError, RangesFailedError
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.ports import WHOLE, Span
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.functional.test_curl import MemorySink

BODY = bytes(range(256)) * 100


@pytest.fixture
def fetcher() -> Iterator[CurlFetcher]:
    made = CurlFetcher(running_reactor(), environment={})
    yield made
    made.close()


def download(
    fetcher: CurlFetcher, url: str, sink: MemorySink, span: Span = WHOLE, patience_s: float = 0.0
) -> None:
    async def run() -> None:
        await fetcher.download(url, sink, allow_local=True, span=span, patience_s=patience_s)

    in_reactor(run)


@pytest.mark.parametrize("held_bytes", [0, 300])
def test_a_part_is_asked_for_up_to_its_last_byte(fetcher: CurlFetcher, held_bytes: int) -> None:
    sink = MemorySink(BODY[:held_bytes])
    with FaultyServer({"/f": Page(BODY)}) as server:
        download(fetcher, server.url("/f"), sink, Span(end=1000, size_bytes=len(BODY)))
    assert bytes(sink.content) == BODY[:1000]
    assert sink.begun == [(True, '"v1"')]
    assert server.requests[0].headers["range"] == f"bytes={held_bytes}-999"
    assert "if-range" not in server.requests[0].headers


@pytest.mark.parametrize(
    "page",
    [
        Page(BODY, ranges=False),
        Page(BODY, etag='"v2"'),
        Page(BODY[:900]),
        Page(BODY[:200]),
        Page(BODY + b"!"),
        Page(BODY, claims_range=f"bytes 300-998/{len(BODY)}"),
        Page(BODY, claims_range="nonsense"),
    ],
    ids=["no ranges", "other version", "too short", "416", "larger", "fewer", "nonsense"],
)
def test_a_server_that_gives_another_part_is_refused_and_nothing_reaches_the_sink(
    fetcher: CurlFetcher, page: Page
) -> None:
    sink = MemorySink(BODY[:300], '"v1"')
    with FaultyServer({"/f": page}) as server, pytest.raises(RangesFailedError, match=r"/f \("):
        download(fetcher, server.url("/f"), sink, Span(end=1000, size_bytes=len(BODY)))
    assert (bytes(sink.content), sink.begun) == (BODY[:300], [])
    assert len(server.requests) == 1


def test_the_rest_of_any_version_is_asked_for_without_a_name(fetcher: CurlFetcher) -> None:
    sink = MemorySink(BODY[:300])
    with FaultyServer({"/f": Page(BODY, etag='"v2"')}) as server:
        download(fetcher, server.url("/f"), sink, Span(any_version=True))
    assert bytes(sink.content) == BODY
    assert server.requests[0].headers["range"] == "bytes=300-"
    assert "if-range" not in server.requests[0].headers


def test_what_is_held_is_kept_when_another_servers_file_is_shorter(fetcher: CurlFetcher) -> None:
    sink = MemorySink(BODY[:300])
    with (
        FaultyServer({"/f": Page(b"short")}) as server,
        pytest.raises(FetchError, match="its file is shorter") as caught,
    ):
        download(fetcher, server.url("/f"), sink, Span(any_version=True))
    assert not caught.value.retry_helps
    assert bytes(sink.content) == BODY[:300]


def test_p2_who_has_others_to_turn_to_waits_less_for_a_slow_server(fetcher: CurlFetcher) -> None:
    sink = MemorySink()
    page = Page(BODY, silent_after_bytes=900)
    with (
        FaultyServer({"/f": page}) as server,
        pytest.raises(FetchError, match="less than 1000 bytes a second for 1 s") as caught,
    ):
        download(fetcher, server.url("/f"), sink, patience_s=1.0)
    assert caught.value.retry_helps
    assert sink.position == 900

"""Small answers that are asked for only if they have changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagestoreproxy import ports
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.outside.curl import CurlFetcher
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.reactor_thread import in_reactor, running_reactor

DATE = "Wed, 01 Jul 2026 10:00:00 GMT"
NEWER = "Thu, 02 Jul 2026 10:00:00 GMT"


@pytest.fixture
def fetcher() -> Iterator[CurlFetcher]:
    made = CurlFetcher(running_reactor(), environment={})
    yield made
    made.close()


def get(fetcher: CurlFetcher, url: str, known: str) -> ports.Fetched:
    async def run() -> ports.Fetched:
        return await fetcher.get(url, limit_bytes=1000, allow_local=True, known=known)

    return in_reactor(run)


@pytest.mark.parametrize(
    ("etag", "header"), [('"v1"', "if-none-match"), ('W/"v1"', "if-none-match"), ("", "")]
)
def test_what_is_known_is_not_sent_again(fetcher: CurlFetcher, etag: str, header: str) -> None:
    page = Page(b"listing", knows=True, etag=etag, headers={"Last-Modified": DATE})
    with FaultyServer({"/": page}) as server:
        first = get(fetcher, server.url(), "")
        again = get(fetcher, server.url(), first.validator)
        page.etag, page.headers = etag and '"v2"', {"Last-Modified": NEWER}
        page.body = b"another listing"
        later = get(fetcher, server.url(), first.validator)
    assert (first.body, first.is_unchanged) == (b"listing", False)
    assert (again.body, again.is_unchanged, again.from_local) == (b"", True, True)
    assert again.validator == first.validator
    assert (later.body, later.is_unchanged) == (b"another listing", False)
    assert not {"if-none-match", "if-modified-since"} & set(server.requests[0].headers)
    assert server.requests[1].headers[header or "if-modified-since"] == (etag or DATE)


@pytest.mark.parametrize("known", ["", "v1", "yesterday", '"v1"\r\nX-Injected: 1', "\u00e4"])
def test_what_is_no_validator_is_not_sent(fetcher: CurlFetcher, known: str) -> None:
    with FaultyServer({"/": Page(b"listing", knows=True)}) as server:
        assert get(fetcher, server.url(), known).body == b"listing"
    asked = set(server.requests[0].headers)
    assert not {"if-none-match", "if-modified-since", "x-injected"} & asked


def test_that_nothing_changed_is_an_error_when_nobody_has_asked(fetcher: CurlFetcher) -> None:
    with (
        FaultyServer({"/": Page(status=304)}) as server,
        pytest.raises(FetchError, match="HTTP status 304"),
    ):
        get(fetcher, server.url(), "")


def test_what_is_known_is_asked_of_where_a_redirect_leads(fetcher: CurlFetcher) -> None:
    pages = {
        "/old": Page(status=302, headers={"Location": "/new"}),
        "/new": Page(b"listing", knows=True),
    }
    with FaultyServer(pages) as server:
        got = get(fetcher, server.url("/old"), '"v1"')
    assert (got.is_unchanged, got.url) == (True, server.url("/new"))

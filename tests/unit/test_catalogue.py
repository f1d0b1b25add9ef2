"""The shop window: bounded, merged, and still there when a store is away."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import pytest
from twisted.internet.defer import fail, succeed

from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.ports import Fetched, Signed
from imagestoreproxy.sources.catalogue import Catalogue
from imagestoreproxy.sources.storeapi import StoreApi, read_listing
from tests.unit.memory import InlineBackground, MemoryClock, MemoryJournal, MemoryRecords, result
from tests.unit.test_document import DOCUMENT

API = "http://store.example/api"
IMAGE = {"uri": f"{API}/images/1", "title": "One", "version": "1.0", "tags": ["web"]}
DASHBOARD = {
    "images": [IMAGE],
    "sections": [{"title": "All", "summary": "Everything.", "image-uris": [IMAGE["uri"]]}],
}


class Pages:
    """A fetcher of small pages."""

    def __init__(self, pages: dict[str, object]) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.from_local = False

    def get(self, url: str, *, limit_bytes: int, allow_local: bool) -> Awaitable[Fetched]:
        self.asked.append(url)
        page = self.pages.get(url, FetchError(f"{url}: no address for store.example"))
        if isinstance(page, Exception):
            return fail(page)
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        return succeed(Fetched(url, body, from_local=self.from_local))

    def download(self, url: str, sink: Any, *, allow_local: bool) -> Awaitable[None]:
        raise AssertionError("not used")


class Trusting:
    def verify(self, message: bytes) -> Awaitable[Signed]:
        return succeed(Signed(message, "F" * 40))


class Shop:
    def __init__(self, pages: dict[str, object], records: MemoryRecords | None = None) -> None:
        self.pages = Pages(pages)
        self.clock = MemoryClock()
        self.records = records or MemoryRecords()
        journal = MemoryJournal()
        self.source = StoreApi(
            "store",
            API + "/",
            fetcher=self.pages,
            verifier=Trusting(),
            records=self.records,
            background=InlineBackground(journal),
            clock=self.clock,
        )
        self.catalogue = Catalogue([self.source], self.records, self.clock, journal)


def test_a_dashboard_is_shown_and_asked_for_again_only_after_a_while() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    for _ in range(3):
        offer = result(shop.catalogue.dashboard())
    assert [info.title for info in offer.listing.images] == ["One"]
    assert not offer.problem
    assert len(shop.pages.asked) == 1
    shop.clock.twisted.advance(61)
    result(shop.catalogue.dashboard())
    assert len(shop.pages.asked) == 2


def test_h1_the_last_good_dashboard_stays_with_its_age_and_the_reason() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    result(shop.catalogue.dashboard())
    shop.pages.pages.clear()
    shop.clock.twisted.advance(2 * 3600)
    offer = result(shop.catalogue.dashboard())
    assert [info.title for info in offer.listing.images] == ["One"]
    assert "2 hours ago" in offer.listing.sections[0].summary
    assert "no address for store.example" in offer.problem


def test_h1_the_last_good_dashboard_is_there_after_a_restart() -> None:
    first = Shop({f"{API}/dashboard": DASHBOARD})
    result(first.catalogue.dashboard())
    second = Shop({}, first.records)
    result(second.catalogue.load())
    offer = result(second.catalogue.dashboard())
    assert offer.listing.images
    assert offer.problem
    assert second.catalogue.source_of(IMAGE["uri"]) == "store"  # type: ignore[arg-type]


def test_h4_a_store_that_is_away_is_not_asked_by_every_search() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    result(shop.catalogue.dashboard())
    shop.pages.pages.clear()
    shop.clock.twisted.advance(61)
    result(shop.catalogue.dashboard())
    asked = len(shop.pages.asked)
    found = result(shop.catalogue.search("WEB one"))
    assert [info.title for info in found.listing.images] == ["One"]
    assert found.problem
    assert not result(shop.catalogue.search("nothing")).listing.images
    assert len(shop.pages.asked) == asked


def test_a_search_asks_the_store_with_the_text_encoded() -> None:
    shop = Shop({f"{API}/search?q=a%26b%20%C3%A9": DASHBOARD})
    assert result(shop.catalogue.search("a&b é")).listing.images


def test_an_answer_that_is_no_listing_is_a_problem_that_names_the_url() -> None:
    shop = Shop({f"{API}/dashboard": b"<html>It works!</html>"})
    offer = result(shop.catalogue.dashboard())
    assert f"{API}/dashboard" in offer.problem
    assert "Check the API URL" in offer.problem


def test_an_entry_that_makes_no_sense_does_not_hide_the_others() -> None:
    images = [{"title": "no uri"}, {"uri": "http://é.example/"}, {**IMAGE, "tags": 5}, IMAGE]
    listing = read_listing(json.dumps({"images": images}).encode())
    assert [info.title for info in listing.images] == ["One"]


def test_a_listing_is_bounded() -> None:
    with pytest.raises(DocumentError):
        read_listing(json.dumps({"images": [{}] * 20_001}).encode())


def test_a_document_is_remembered_so_that_an_older_one_is_refused() -> None:
    uri = f"{API}/images/1"
    shop = Shop({uri: {**DOCUMENT, "uri": uri, "serial": 7}})
    assert result(shop.source.document(uri)).serial == 7
    shop.pages.pages[uri] = {**DOCUMENT, "uri": uri, "serial": 6}
    with pytest.raises(DocumentError, match="older publication"):
        result(shop.source.document(uri))


def test_only_a_store_found_on_the_local_net_may_send_there() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    assert result(shop.source.may_be_local("http://store.example/files/1"))
    assert not result(shop.source.may_be_local("http://127.0.0.1/files/1"))
    shop.pages.from_local = True
    result(shop.source.dashboard())
    assert result(shop.source.may_be_local("http://127.0.0.1/files/1"))

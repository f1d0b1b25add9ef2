"""The shop window: bounded, merged, and still there when a store is away."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.model.errors import DiskError, DocumentError, FetchError
from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.ports import WHOLE, Fetched, Signed, Span
from imagestoreproxy.sources.catalogue import REFRESH_WAIT_S, SEARCHES, Catalogue
from imagestoreproxy.sources.known import Known, size_bytes
from imagestoreproxy.sources.storeapi import StoreApi, read_listing
from tests.unit.memory import (
    InlineBackground,
    MemoryClock,
    MemoryJournal,
    MemoryRecords,
    NeverStop,
    result,
)
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

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Fetched]:
        self.asked.append(url)
        page = self.pages.get(url, FetchError(f"{url}: no address for store.example"))
        if isinstance(page, Exception):
            return fail(page)
        if isinstance(page, Deferred):
            return page
        if isinstance(page, list):
            return cast("Deferred[Fetched]", page.pop(0))
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        return succeed(Fetched(url, body, from_local=self.from_local))

    def download(
        self,
        url: str,
        sink: Any,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: Span = WHOLE,
    ) -> Awaitable[None]:
        raise AssertionError("not used")


class Trusting:
    def verify(self, message: bytes) -> Awaitable[Signed]:
        return succeed(Signed(message, "F" * 40))

    def verify_detached(self, content: bytes, signature: bytes) -> Awaitable[Signed]:
        return succeed(Signed(content, "F" * 40))


class Shop:
    def __init__(
        self,
        pages: dict[str, object],
        records: MemoryRecords | None = None,
        apis: Sequence[str] = (API,),
    ) -> None:
        self.pages = Pages(pages)
        self.clock = MemoryClock()
        self.records = records or MemoryRecords()
        self.journal = MemoryJournal()
        background = InlineBackground(self.journal)
        sources = [
            StoreApi(
                "store" if api == API else api,
                api + "/",
                fetcher=self.pages,
                verifier=Trusting(),
                records=self.records,
                background=background,
                clock=self.clock,
            )
            for api in apis
        ]
        self.sources = sources
        self.source = sources[0]
        self.catalogue = Catalogue(sources, background, self.clock, self.journal)


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


def test_there_is_another_revision_when_something_is_known_and_only_then() -> None:
    page = {"images": [IMAGE]}
    shop = Shop({f"{API}/dashboard": page, f"{API}/search?q=x": page})
    revisions = [shop.catalogue.revision]
    for image in (IMAGE, IMAGE, {**IMAGE, "version": "2.0"}):
        page["images"] = [image]
        result(shop.catalogue.dashboard())
        revisions.append(shop.catalogue.revision)
        shop.clock.twisted.advance(61)
    result(shop.catalogue.search("x"))
    revisions.append(shop.catalogue.revision)
    first, second, third, fourth, fifth = revisions
    assert first < second == third < fourth < fifth


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
        read_listing(json.dumps({"images": [{}] * 100_001}).encode())


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
    result(shop.source.refresh())
    assert result(shop.source.may_be_local("http://127.0.0.1/files/1"))


OTHER = "http://other.example/api"


def answered(shop: Shop, url: str) -> Fetched:
    return Fetched(url, json.dumps(DASHBOARD).encode())


def test_p3_a_page_never_waits_for_a_store() -> None:
    silent: Deferred[Fetched] = Deferred()
    pages = {f"{API}/dashboard": silent, f"{OTHER}/dashboard": DASHBOARD}
    shop = Shop(pages, apis=(API, OTHER))
    offer = result(shop.catalogue.dashboard())
    assert shop.pages.asked == [f"{API}/dashboard", f"{OTHER}/dashboard"]
    assert [info.title for info in offer.listing.images] == ["One"]
    assert "store.example is being asked for the first time" in offer.problem
    silent.errback(FetchError("no whole answer came within 30 s"))
    assert "within 30 s" in result(shop.catalogue.dashboard()).problem


def test_p3_many_who_look_at_a_silent_store_ask_it_once() -> None:
    silent: Deferred[Fetched] = Deferred()
    shop = Shop({f"{API}/dashboard": silent})
    for _ in range(50):
        assert not result(shop.catalogue.dashboard()).listing.images
    assert len(shop.pages.asked) == 1
    silent.callback(answered(shop, f"{API}/dashboard"))
    assert result(shop.catalogue.dashboard()).listing.images


def test_a_source_is_asked_from_time_to_time_and_a_dead_one_ever_less_often() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    shop.catalogue.start()
    for _ in range(60):
        shop.clock.twisted.advance(60)
    assert 5 <= len(shop.pages.asked) <= 8, "every ten minutes, more or less"
    shop.pages.pages.clear()
    shop.pages.asked.clear()
    for _ in range(3600):
        shop.clock.twisted.advance(1)
    assert 8 <= len(shop.pages.asked) <= 16
    (status,) = shop.catalogue.statuses()
    assert "no address" in status.problem
    assert 0 < status.next_at_s - shop.clock.now_s() <= 700
    result(shop.catalogue.close())
    shop.pages.asked.clear()
    shop.clock.twisted.advance(3600)
    assert not shop.pages.asked


def test_other_sources_take_the_place_of_those_before_and_an_install_goes_on_with_its_own() -> None:
    shop = Shop(
        {f"{API}/dashboard": DASHBOARD, f"{OTHER}/dashboard": {"images": []}}, apis=(API, OTHER)
    )
    result(shop.catalogue.dashboard())
    old, other = shop.sources
    result(shop.catalogue.replace([other]))
    assert [status.name for status in shop.catalogue.statuses()] == [OTHER]
    assert shop.catalogue.info(str(IMAGE["uri"])) is None
    assert shop.catalogue.source_of(str(IMAGE["uri"])) == ""
    assert shop.catalogue.fetcher("store") is old.fetcher
    with pytest.raises(FetchError, match="no longer configured"):
        shop.catalogue.fetcher("unheard of")


def test_p3_nobody_waits_for_a_store_that_is_known_to_be_away() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    result(shop.catalogue.dashboard())
    shop.clock.twisted.advance(61)
    shop.pages.pages[f"{API}/dashboard"] = FetchError("no route")
    result(shop.catalogue.dashboard())
    silent: Deferred[Fetched] = Deferred()
    shop.pages.pages[f"{API}/dashboard"] = silent
    shop.clock.twisted.advance(16)
    offer = result(shop.catalogue.dashboard())
    assert (bool(offer.listing.images), offer.problem) == (True, "no route")
    silent.callback(answered(shop, f"{API}/dashboard"))
    assert not result(shop.catalogue.dashboard()).problem


def test_p3_searches_of_a_silent_store_do_not_pile_up() -> None:
    silent: list[Deferred[Fetched]] = [Deferred() for _ in range(SEARCHES)]
    pages: dict[str, object] = {f"{API}/dashboard": DASHBOARD}
    pages[f"{API}/search?q=one"] = list(silent)
    shop = Shop(pages)
    result(shop.catalogue.dashboard())
    waiting = [Deferred.fromCoroutine(shop.catalogue.search("one")) for _ in range(SEARCHES)]
    further = result(shop.catalogue.search("one"))
    assert [info.title for info in further.listing.images] == ["One"]
    assert f"store.example is still busy with {SEARCHES} other searches" in further.problem
    assert len(shop.pages.asked) == 1 + SEARCHES
    shop.pages.pages[f"{API}/search?q=two"] = DASHBOARD
    for one in silent:
        one.errback(FetchError("no whole answer came within 30 s"))
    shop.clock.twisted.advance(1)
    assert all(result(one).problem for one in waiting)
    shop.clock.twisted.advance(16)
    assert not result(shop.catalogue.search("two")).problem


def test_a_store_that_only_refuses_to_search_is_not_away() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD, f"{API}/search?q=x": b"<html>"})
    shop.pages.pages[f"{API}/search?q=y"] = FetchError("HTTP status 404", status=404)
    result(shop.catalogue.dashboard())
    for text in ("x", "y"):
        assert result(shop.catalogue.search(text)).problem
    assert not result(shop.catalogue.dashboard()).problem


def test_a_dashboard_that_cannot_be_kept_is_shown_all_the_same() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    full = DiskError("the disk is full")
    shop.records.keep = lambda *_: fail(full)  # type: ignore[method-assign]
    offer = result(shop.catalogue.dashboard())
    assert offer.listing.images
    assert shop.journal.failures == [("the catalogue of {source} cannot be kept", full)]


def test_an_image_below_the_url_of_a_store_is_of_that_store_whoever_shows_it() -> None:
    shop = Shop({f"{OTHER}/dashboard": DASHBOARD}, apis=(API, OTHER))
    result(shop.catalogue.dashboard())
    assert shop.catalogue.source_of(str(IMAGE["uri"])) == "store"


def test_what_was_found_is_known_within_a_bound_of_memory() -> None:
    infos = [ImageInfo(f"{API}/{n}", description_html="x" * 10_000) for n in range(100)]
    known = Known(50 * size_bytes(infos[0]))
    known.learn("store", infos[:30])
    known.learn("store", infos[:1])  # seen again: no longer the oldest
    known.learn("other", infos[30:31])
    known.learn("store", infos[30:80])
    held = [info for info in infos if known.find(info.uri)]
    assert 45 <= len(held) <= 50
    assert infos[0] not in held[1:]
    assert infos[79] in held
    assert infos[1] not in held
    known.learn("thief", infos[79:80])
    assert known.find(infos[79].uri) == ("store", infos[79])
    known.learn("store", [ImageInfo(API, description_html="x" * 10**6)])
    assert known.find(API) is None


@pytest.mark.parametrize(
    "value", ["[]", "{}", "0", '""', '{"a":0}', "[[]]"], ids=lambda value: f"many {value}"
)
def test_a_listing_of_countless_values_is_refused_before_it_fills_the_memory(value: str) -> None:
    body = f'{{"images": [{",".join([value] * 3_000_000)}]}}'
    with pytest.raises(DocumentError, match="more values in it than any store needs"):
        read_listing(body.encode())


def test_markup_and_scripts_in_a_listing_stay_text_and_urls_are_plain() -> None:
    script = "<script>alert(1)</script>"
    hostile = {
        **IMAGE,
        "title": script,
        "summary": script,
        "description-html": script,
        "icon-uri": "javascript:alert(1)",
        "tags": [script],
        "provider": {"title": script, "uri": "data:text/html,x"},
    }
    (info,) = read_listing(json.dumps({"images": [hostile]}).encode()).images
    assert (info.title, info.summary, info.tags) == (script, script, (script,))
    assert (info.icon_uri, info.provider.uri) == ("", "")


@pytest.mark.parametrize(
    ("said", "login_user", "ports"),
    [
        ({"login-user": "ubuntu", "ports": [22, 80, 22]}, "ubuntu", (22, 80)),
        ({"login-user": "x" * 33, "ports": [0]}, "", ()),
        ({"login-user": "-oProxyCommand=x", "ports": [65536]}, "", ()),
        ({"login-user": "Root", "ports": [True]}, "", ()),
        ({"login-user": "a\n", "ports": ["22"]}, "", ()),
        ({"login-user": ["a"], "ports": [1.0]}, "", ()),
        ({"login-user": "a;b", "ports": list(range(1, 22))}, "", ()),
        ({"login-user": None, "ports": {"22": 1}}, "", ()),
        ({"login-user": "_a-1", "ports": list(range(1, 21))}, "_a-1", tuple(range(1, 21))),
    ],
)
def test_h14_run_notes_are_taken_where_they_can_be_true_and_hide_no_image(
    said: dict[str, object], login_user: str, ports: tuple[int, ...]
) -> None:
    body = json.dumps({"images": [{**IMAGE, **said}]}).encode()
    (info,) = read_listing(body, name="mine").images
    assert (info.login_user, info.ports, info.source) == (login_user, ports, "mine")


def test_an_odd_section_and_odd_numbers_do_not_hide_a_store() -> None:
    listing = read_listing(
        json.dumps(
            {
                "images": [{**IMAGE, "size-in-mb": 1.5}],
                "sections": [{"title": "odd", "image-uris": None}, {"title": "fine"}],
            }
        ).encode()
    )
    assert [info.size_mb for info in listing.images] == [2]
    assert [section.title for section in listing.sections] == ["fine"]


def test_what_rings_a_bell_is_left_out_of_texts() -> None:
    images = [{**IMAGE, "title": "ring\x07 the\x1b[31m bell", "summary": "two\nlines"}]
    (info,) = read_listing(json.dumps({"images": images}).encode()).images
    assert (info.title, info.summary) == ("ring the[31m bell", "two\nlines")


def large(count: int) -> dict[str, object]:
    images = [
        {
            "uri": f"{API}/images/{n}",
            "title": f"{n}",
            "tags": ["a", "b"],
            "provider": {"title": "P"},
        }
        for n in range(count)
    ]
    return {"images": images, "sections": []}


def test_fifty_thousand_images_are_shown_and_what_they_have_in_common_is_kept_once() -> None:
    shop = Shop({f"{API}/dashboard": large(50_000)})
    images = result(shop.catalogue.dashboard()).listing.images
    assert len(images) == 50_000
    assert images[0].provider is images[-1].provider
    assert images[0].tags is images[-1].tags


def test_what_a_store_says_again_is_neither_read_nor_written_anew() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    listing = result(shop.catalogue.dashboard()).listing
    revision, saved = shop.catalogue.revision, dict(shop.records.answers)
    shop.clock.twisted.advance(61)
    assert result(shop.catalogue.dashboard()).listing is listing
    assert shop.catalogue.revision == revision
    assert shop.records.answers == saved
    shop.clock.twisted.advance(3600)
    result(shop.catalogue.dashboard())
    assert shop.records.answers != saved, "its age would be wrong after a restart"


def test_what_a_search_may_find_is_bounded_more_tightly_than_a_dashboard() -> None:
    page = large(20_001)
    shop = Shop({f"{API}/dashboard": page, f"{API}/search?q=x": page})
    assert not result(shop.catalogue.dashboard()).problem
    assert "at most 20000" in result(shop.catalogue.search("x")).problem


def test_all_stores_are_asked_when_somebody_wants_it_and_a_silent_one_is_not_waited_for() -> None:
    silent: Deferred[Fetched] = Deferred()
    shop = Shop({f"{API}/dashboard": DASHBOARD, f"{OTHER}/dashboard": silent}, apis=(API, OTHER))
    result(shop.catalogue.dashboard())
    refreshing = Deferred.fromCoroutine(shop.catalogue.refresh())
    assert shop.pages.asked.count(f"{API}/dashboard") == 2
    assert shop.pages.asked.count(f"{OTHER}/dashboard") == 1
    assert not refreshing.called
    shop.clock.twisted.pump([0.5] * round(REFRESH_WAIT_S / 0.5 + 1))
    assert refreshing.called
    silent.callback(answered(shop, f"{OTHER}/dashboard"))
    shop.pages.pages[f"{OTHER}/dashboard"] = DASHBOARD
    result(shop.catalogue.refresh())
    assert shop.pages.asked.count(f"{OTHER}/dashboard") == 2


def test_a_page_is_whole_while_a_thread_puts_together_what_is_shown_next() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    result(shop.catalogue.dashboard())
    shop.pages.pages.clear()
    shop.clock.twisted.advance(61)
    result(shop.catalogue.dashboard())
    now_s = shop.clock.now_s

    def meanwhile() -> float:
        shop.clock.now_s = now_s  # type: ignore[method-assign]
        shop.catalogue._put_together({}, set(), NeverStop())
        return now_s()

    shop.clock.now_s = meanwhile  # type: ignore[method-assign]
    offer = result(shop.catalogue.dashboard())
    assert [section.title for section in offer.listing.sections] == ["All"]


def test_an_error_that_nobody_expected_neither_ends_the_asking_nor_passes_for_well() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    shop.source.load = lambda: fail(KeyError("y"))  # type: ignore[method-assign,assignment,return-value]
    result(shop.catalogue.load())
    refresh = shop.source.refresh
    shop.source.refresh = lambda: fail(ValueError("x"))  # type: ignore[method-assign,assignment,return-value]
    shop.catalogue.start()
    assert "look into the log" in result(shop.catalogue.dashboard()).problem
    assert [type(error) for _, error in shop.journal.failures] == [KeyError, ValueError]
    shop.source.refresh = refresh  # type: ignore[method-assign]
    for _ in range(60):
        shop.clock.twisted.advance(1)
    (status,) = shop.catalogue.statuses()
    assert (status.images, status.problem) == (1, "")
    result(shop.catalogue.close())


class SlowToMerge(InlineBackground):
    """Threads of a busy machine: work waits until it is let go."""

    def __init__(self, journal: MemoryJournal) -> None:
        super().__init__(journal)
        self.waiting: list[Deferred[None]] = []

    def run(self, work: Any) -> Any:
        gate: Deferred[None] = Deferred()
        self.waiting.append(gate)
        return gate.addCallback(lambda _: work(NeverStop()))


def test_the_first_page_waits_for_what_has_come_to_be_put_together() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    slow = SlowToMerge(shop.journal)
    catalogue = Catalogue(shop.sources, slow, shop.clock, shop.journal)
    catalogue.start()
    first = Deferred.fromCoroutine(catalogue.first(3.0))
    shop.clock.twisted.pump([0.05] * 4)
    assert shop.source.fetched_at_s is not None
    assert not first.called
    slow.waiting.pop().callback(None)
    shop.clock.twisted.pump([0.05] * 4)
    assert first.called
    assert result(catalogue.dashboard()).listing.images


def test_the_first_page_waits_for_no_source_that_has_something_to_show() -> None:
    shop = Shop({f"{API}/dashboard": DASHBOARD})
    result(shop.source.refresh())
    shop.pages.pages[f"{API}/dashboard"] = Deferred()
    shop.catalogue.start()
    assert Deferred.fromCoroutine(shop.catalogue.first(3.0)).called

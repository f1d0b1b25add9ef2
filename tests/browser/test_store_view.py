"""Looking for an image: search, sections, pieces of a large store, and an image's own page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import MadeRig, NewVisitor
from tests.browser.made_store import MadeStore
from tests.browser.visitor import Visitor
from tests.functional.rig import Daemon, Rig

SEARCH = "Search images"


def search(visitor: Visitor, text: str) -> None:
    """Type as people do: key by key."""
    box = visitor.page.get_by_role("searchbox", name=SEARCH)
    box.fill("")
    box.press_sequentially(text, delay=15)


def count_shown(visitor: Visitor, count: int) -> None:
    plural = "image" if count == 1 else "images"
    status = visitor.page.get_by_role("status").filter(
        has_text=re.compile(rf"(^|\D){count} {plural}")
    )
    expect(status.first).to_be_visible()


def test_what_is_typed_is_searched_for_as_it_is_typed(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    count_shown(visitor, 4)
    search(visitor, "database")
    expect(visitor.cards).to_have_count(1)
    expect(visitor.card("Example Database")).to_be_visible()
    count_shown(visitor, 1)
    # What is searched for can be told to others by its address.
    expect(visitor.page).to_have_url(re.compile("q=database"))
    visitor.page.reload()
    expect(visitor.page.get_by_role("searchbox", name=SEARCH)).to_have_value("database")
    expect(visitor.cards).to_have_count(1)
    search(visitor, "")
    expect(visitor.cards).to_have_count(4)


def test_typing_keeps_the_focus_and_asks_seldom(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    before = len(visitor.watch.requests)
    search(visitor, "example server")
    expect(visitor.cards).to_have_count(3)
    box = visitor.page.get_by_role("searchbox", name=SEARCH)
    expect(box).to_be_focused()
    expect(box).to_have_value("example server")
    asked = [r for r in visitor.watch.requests[before:] if "/api/search" in r.url]
    assert 1 <= len(asked) < len("example server")


def test_a_search_that_finds_nothing_says_so(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    search(visitor, "nothing has this")
    expect(visitor.cards).to_have_count(0)
    count_shown(visitor, 0)
    expect(visitor.page.get_by_role("main")).to_contain_text(re.compile("no image", re.I))


def test_the_back_button_goes_back(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in("/store")
    visitor.go("Installed")
    visitor.go("System")
    visitor.page.go_back()
    expect(visitor.page).to_have_title(re.compile("Installed"))
    visitor.page.go_back()
    expect(visitor.card("Example Server")).to_be_visible()


def test_a_section_shows_its_images_alone(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    section = visitor.button(re.compile("^Appliances"))
    expect(section).to_have_attribute("aria-pressed", "false")
    section.click()
    expect(section).to_have_attribute("aria-pressed", "true")
    expect(visitor.cards).to_have_count(2)
    expect(visitor.card("Example Web Server")).to_be_visible()
    expect(visitor.card("Example Server")).to_have_count(0)


def test_a_large_store_comes_in_pieces(new_visitor: NewVisitor, crowded: Daemon) -> None:
    visitor = new_visitor(crowded.proxy.url)
    visitor.log_in()
    count_shown(visitor, 500)
    expect(visitor.cards.first).to_be_visible()
    first = visitor.cards.count()
    assert 10 <= first <= 100
    visitor.button("Show more images").click()
    expect(visitor.cards).not_to_have_count(first)
    titles = visitor.cards.get_by_role("heading").all_inner_texts()
    assert len(titles) > first
    assert len(set(titles)) == len(titles)
    # Who goes on by keyboard is at the first of the new ones, not at the top again.
    assert visitor.ask("document.activeElement !== document.body")


def test_a_search_goes_over_the_whole_of_a_large_store(
    new_visitor: NewVisitor, crowded: Daemon
) -> None:
    visitor = new_visitor(crowded.proxy.url)
    visitor.log_in()
    search(visitor, "mail 83.04")
    expect(visitor.cards).to_have_count(1)
    expect(visitor.card("Example Mail Server 83.04")).to_be_visible()
    expect(visitor.button("Show more images")).to_have_count(0)


def test_the_page_of_an_image_tells_all_about_it(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    visitor.see_image("Example Web Server")
    main = visitor.page.get_by_role("main")
    expect(main).to_contain_text("1.4.2")
    expect(main).to_contain_text("The fake store")
    for heading in ("History", "Versions", "About"):
        expect(visitor.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    # The description's own markup is shown as such.
    expect(main.locator("em", has_text="trying out")).to_be_visible()
    expect(visitor.button("Install Example Web Server")).to_be_visible()
    expect(visitor.page).to_have_title(re.compile("Example Web Server"))
    visitor.page.reload()
    expect(main).to_contain_text("1.4.2")


def test_an_image_that_is_not_there_is_an_answer_in_words(
    new_visitor: NewVisitor, shown: Rig
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(r"^resource: .* status of 40[04] ")
    visitor.log_in("/image/bm93aGVyZQ")
    expect(visitor.alert).to_be_visible()
    visitor.go("Store")
    expect(visitor.card("Example Server")).to_be_visible()


def test_an_empty_store_says_what_to_do(
    new_visitor: NewVisitor, made_rig: MadeRig, images: Path
) -> None:
    daemon = made_rig(MadeStore(images, []))
    visitor = new_visitor(daemon.proxy.url)
    visitor.log_in()
    expect(visitor.page.get_by_role("main")).to_contain_text(re.compile("no images", re.I))
    expect(visitor.cards).to_have_count(0)


@pytest.mark.parametrize(
    ("view", "heading", "api"),
    [
        ("store", "Store", "/api/dashboard"),
        ("installed", "Installed", "/api/installed"),
        ("activity", "Activity", "/api/history"),
        ("sources", "Sources", "/api/sources"),
        ("system", "System", "/api/overview"),
    ],
)
def test_a_view_that_waits_says_so_and_one_that_failed_can_be_tried_again(
    new_visitor: NewVisitor, shown: Rig, view: str, heading: str, api: str
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(r"^resource: .* status of 503 ")
    visitor.log_in("/installed" if view != "installed" else "/system")
    waiting: list[Route] = []
    refuses = False

    def answer(route: Route) -> None:
        if refuses:
            body = '{"error-message": "The disk is on fire."}'
            route.fulfill(status=503, content_type="application/json", body=body)
        else:
            waiting.append(route)

    matching = re.compile(re.escape(api))
    visitor.page.route(matching, answer)
    visitor.link(heading).click()
    expect(visitor.page.locator(".bones").first).to_be_visible()
    refuses = True
    for route in waiting:
        answer(route)
    expect(visitor.alert.filter(has_text="The disk is on fire.").first).to_be_visible()
    visitor.page.unroute(matching)
    visitor.button("Try again").first.click()
    expect(visitor.alert).to_have_count(0)
    visitor.settle()

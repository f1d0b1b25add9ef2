"""Every view and dialog: for everybody, in light and dark, and on a telephone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.browser.conftest import ANOTHER_NAME, NewVisitor
from tests.browser.figures import Figures
from tests.browser.tour import SERVER, before_login, views
from tests.browser.visitor import Visitor
from tests.functional.rig import Daemon, Rig

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
THEMES: tuple[Any, ...] = ("light", "dark")
TELEPHONE = {"width": 360, "height": 740}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
WIDER = """() => {
    const most = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('body *')].filter(element => {
        const box = element.getBoundingClientRect();
        if (!box.width || !box.height || box.right <= most + 1) return false;
        // What scrolls inside a box of its own is no part of the page's width.
        for (let up = element.parentElement; up; up = up.parentElement)
            if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX))
                return false;
        return true;
    }).map(element => element.outerHTML.slice(0, 120));
    const scrolls = document.documentElement.scrollWidth > most;
    return scrolls ? ['the page scrolls sideways', ...out] : out;
}"""


def everything(visitor: Visitor) -> Iterator[str]:
    """Stop at each view, before and after the login."""
    yield from before_login(visitor)
    visitor.try_to_log_in()
    expect(visitor.button("Log out")).to_be_visible()
    yield from views(visitor)


def check(visitor: Visitor, view: str, figures: Figures) -> list[str]:
    """Let axe look at what is shown, in both themes; give what it found."""
    found = []
    visitor.ask(AXE_SCRIPT)
    for theme in THEMES:
        visitor.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
        result = visitor.page.evaluate("options => axe.run(document, options)", options)
        figures.axe[f"{view}, {theme}"] = len(result["violations"])
        for violation in result["violations"]:
            for node in violation["nodes"]:
                what = node["failureSummary"].replace("\n", " ")
                found.append(f"{view}, {theme}: {violation['id']}: {node['html'][:200]}: {what}")
    return found


def test_axe_finds_no_violation_in_any_view_and_theme(
    new_visitor: NewVisitor, lively: Daemon, figures: Figures
) -> None:
    visitor = new_visitor(lively.proxy.url)
    found = [fault for view in everything(visitor) for fault in check(visitor, view, figures)]
    assert found == []


def test_axe_finds_no_violation_where_nobody_can_log_in(
    new_visitor: NewVisitor, lively: Daemon, figures: Figures
) -> None:
    visitor = new_visitor(f"http://{ANOTHER_NAME}:{lively.port}")
    visitor.watch.expect("Cross-Origin-Opener-Policy header has been ignored")
    visitor.open()
    expect(visitor.alert).to_be_visible()
    assert check(visitor, "login, no WebCrypto", figures) == []


def test_axe_finds_no_violation_in_an_empty_installed_view(
    new_visitor: NewVisitor, shown: Rig, figures: Figures
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in("/installed")
    main = visitor.page.get_by_role("main")
    expect(main).to_contain_text("Nothing is installed")
    assert check(visitor, "installed, empty", figures) == []
    visitor.go("Activity")
    assert check(visitor, "activity, empty", figures) == []


def test_nothing_scrolls_sideways_on_a_telephone(new_visitor: NewVisitor, lively: Daemon) -> None:
    visitor = new_visitor(lively.proxy.url, viewport=TELEPHONE)
    wide = {view: fault for view in everything(visitor) if (fault := visitor.ask(WIDER))}
    assert wide == {}


def test_dark_is_dark_and_light_is_light(new_visitor: NewVisitor, lively: Daemon) -> None:
    visitor = new_visitor(lively.proxy.url)
    visitor.log_in()
    brightness = {}
    for theme, what in itertools.product(THEMES, ("color", "backgroundColor")):
        visitor.page.emulate_media(color_scheme=theme)
        colour = visitor.ask(f"getComputedStyle(document.body).{what}")
        numbers = [float(part) for part in colour.strip("rgba()").split(",")[:3]]
        brightness[theme, what] = sum(numbers) / 3
    assert brightness["light", "backgroundColor"] > 200 > 100 > brightness["light", "color"]
    assert brightness["dark", "backgroundColor"] < 60 < 150 < brightness["dark", "color"]


def test_a_theme_that_was_chosen_stays_chosen(new_visitor: NewVisitor, lively: Daemon) -> None:
    visitor = new_visitor(lively.proxy.url)
    visitor.log_in()
    theme = visitor.button("Dark theme")
    expect(theme).to_have_attribute("aria-pressed", "false")
    theme.click()
    expect(theme).to_have_attribute("aria-pressed", "true")
    dark = visitor.ask(BACKGROUND)
    visitor.page.reload()
    expect(theme).to_have_attribute("aria-pressed", "true")
    assert visitor.ask(BACKGROUND) == dark
    visitor.page.emulate_media(color_scheme="dark")
    assert visitor.ask(BACKGROUND) == dark
    theme.click()
    expect(theme).to_have_attribute("aria-pressed", "false")
    assert visitor.ask(BACKGROUND) != dark


def test_at_four_times_the_size_nothing_scrolls_sideways(
    new_visitor: NewVisitor, lively: Daemon
) -> None:
    # WCAG 1.4.10: 1280 pixels at 400 % are 320.
    visitor = new_visitor(lively.proxy.url, viewport={"width": 320, "height": 640})
    visitor.log_in()
    expect(visitor.progress(SERVER).first).to_be_visible()
    assert visitor.ask(WIDER) == []

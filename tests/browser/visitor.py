"""Somebody at a browser: what people do to the page, in few verbs, by the names they see."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.watch import Watch
from tests.functional.rig import CLIENT_ID, SECRET

WORK_MS = 45_000
"""How long an install or an uninstall of a test may take."""


class Visitor:
    """One tab of one browser, at the page of a proxy.

    Args:
        base: ``http://host:port`` of the proxy.
    """

    def __init__(self, page: Page, base: str, watch: Watch) -> None:
        self.page = page
        self.base = base
        self.watch = watch
        watch.allow_host(base)

    def open(self, route: str = "") -> None:
        """Go to the page, at a route such as ``/store``."""
        self.page.goto(f"{self.base}/{'#' + route if route else ''}")

    def try_to_log_in(self, key: str = CLIENT_ID, secret: str = SECRET) -> None:
        self.page.get_by_label("Access key").fill(key)
        self.page.get_by_label("Secret key").fill(secret)
        self.button("Log in").click()

    def log_in(self, route: str = "") -> None:
        """Open the page, log in, and wait for what comes then."""
        self.open(route)
        self.try_to_log_in()
        expect(self.button("Log out")).to_be_visible()

    def button(self, name: str | re.Pattern[str], inside: Locator | None = None) -> Locator:
        where = inside or self.page
        exact = isinstance(name, str)
        return where.get_by_role("button", name=name, exact=exact)

    def link(self, view: str) -> Locator:
        """Give a link of the main navigation."""
        navigation = self.page.get_by_role("navigation", name="Main")
        return navigation.get_by_role("link", name=view, exact=True)

    def go(self, view: str) -> None:
        """Follow a link of the main navigation, and wait for the view."""
        self.link(view).click()
        expect(self.link(view)).to_have_attribute("aria-current", "page")

    def settle(self) -> None:
        """Wait until nothing is a grey shape of what is still to come."""
        expect(self.page.locator(".bones")).to_have_count(0)

    def card(self, title: str) -> Locator:
        """Give what stands about an image in a list of the present view."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        return self.page.get_by_role("article").filter(has=heading)

    @property
    def cards(self) -> Locator:
        return self.page.get_by_role("list", name="Images").get_by_role("article")

    def see_image(self, title: str) -> None:
        """Open the page of an image from the list."""
        self.card(title).get_by_role("link", name=title, exact=True).click()
        expect(self.page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()

    def dialog(self, name: str) -> Locator:
        return self.page.get_by_role("dialog", name=name, exact=True)

    def press(self, verb: str, title: str) -> None:
        self.button(f"{verb} {title}").first.click()

    def install(self, title: str, verb: str = "Install") -> None:
        """Press the button of an image, read the plan, and agree."""
        self.press(verb, title)
        dialog = self.dialog(f"{verb} {title}?")
        self.button(verb, dialog).click()
        expect(dialog).to_have_count(0)

    def uninstall(self, title: str) -> None:
        self.press("Uninstall", title)
        dialog = self.dialog(f"Uninstall {title}?")
        self.button("Uninstall", dialog).click()
        expect(dialog).to_have_count(0)

    def progress(self, title: str) -> Locator:
        return self.page.get_by_role("progressbar", name=f"Progress of {title}", exact=True)

    def can(self, verb: str, title: str, within_ms: float = WORK_MS) -> None:
        """Wait until a button says that something may be done with an image."""
        expect(self.button(f"{verb} {title}").first).to_be_visible(timeout=within_ms)

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    def ask(self, script: str) -> Any:
        """Give the value of an expression in the page."""
        return self.page.evaluate(script)

    def focused(self) -> str:
        """Give tag and name of what has the focus."""
        return str(
            self.ask(
                "(e => e.tagName.toLowerCase() + ' ' + "
                "(e.getAttribute('aria-label') || e.textContent || e.id || '').trim())"
                "(document.activeElement)"
            )
        )

"""The tests of the page see what a page must not do: each of these is found by them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.watch import Watch

POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src *"
HOME = "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("page", "begins"),
    [
        ("<script>console.error('oh')</script>", "console: oh"),
        ("<script>throw new Error('lost')</script>", "page: lost"),
        ("<script>Promise.reject(new Error('unheard'))</script>", "page: unheard"),
        ("<script>alert(1)</script>", "dialog: alert 1"),
        ("<img src='/picture.png'>", "policy: img-src by http://127.0.0.1:1/picture.png"),
        ("<p style='color: red'>", "policy: style-src-attr by inline"),
        ("<script>fetch('http://elsewhere.example/')</script>", "request: http://elsewhere.exa"),
    ],
)
def test_what_a_page_must_not_do_is_noted(browser: Browser, page: str, begins: str) -> None:
    context = browser.new_context()
    watch = Watch(context)
    watch.allow_host(HOME)
    tab = context.new_page()
    headers = {"content-security-policy": POLICY}
    tab.route(HOME, lambda route: route.fulfill(body=page, content_type="text/html",
                                                headers=headers))  # fmt: skip
    tab.goto(HOME, wait_until="load")
    for _ in range(600):
        if any(fault.startswith(begins) for fault in watch.unexpected()):
            break
        tab.wait_for_timeout(50)
    context.close()
    assert any(fault.startswith(begins) for fault in watch.unexpected()), watch.faults


def test_a_page_that_does_no_wrong_is_left_in_peace(browser: Browser) -> None:
    context = browser.new_context()
    watch = Watch(context)
    watch.allow_host(HOME)
    tab = context.new_page()
    tab.route(HOME, lambda route: route.fulfill(body="<p>Hello", content_type="text/html"))
    tab.goto(HOME, wait_until="load")
    tab.wait_for_timeout(200)
    context.close()
    assert watch.unexpected() == []

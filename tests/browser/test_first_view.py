"""The first view of a large store is small, and nothing in it moves."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.figures import Figures
from tests.browser.wire import Wire
from tests.functional.rig import Daemon

FIRST_VIEW_BYTES = 100_000
MOST_HEAD_BYTES = 700
# A tenth of what Chromium's own rating calls good: https://web.dev/articles/cls
LAYOUT_SHIFT = 0.01


def test_the_first_view_of_500_images_is_small_and_nothing_moves(
    new_visitor: NewVisitor, crowded: Daemon, figures: Figures
) -> None:
    before = new_visitor(crowded.proxy.url)
    before.log_in()
    session: Any = before.page.context.storage_state()

    visitor = new_visitor(crowded.proxy.url, storage_state=session)
    wire = Wire(visitor.page)
    begun_s = time.perf_counter()
    visitor.open()
    expect(visitor.cards.nth(9)).to_be_visible()
    shown_ms = (time.perf_counter() - begun_s) * 1000
    # What comes after the view, such as the stream of changes, counts too.
    visitor.page.wait_for_timeout(1000)

    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
    sizes = wire.sizes
    figures.transfers = dict(sorted(sizes.items()))
    figures.times_ms["First view of 500 images: first paint"] = visitor.ask(paint)
    figures.times_ms["First view of 500 images: ten images to be seen"] = shown_ms
    figures.shift = visitor.ask("window.__layoutShift")
    assert "/" in sizes
    assert "/api/dashboard" in sizes
    assert sizes.total() < FIRST_VIEW_BYTES, sizes
    assert figures.shift is not None
    assert figures.shift < LAYOUT_SHIFT, visitor.ask("window.__shifted")


def test_what_was_loaded_is_not_loaded_again(new_visitor: NewVisitor, crowded: Daemon) -> None:
    visitor = new_visitor(crowded.proxy.url)
    before = Wire(visitor.page)
    visitor.log_in()
    # The other views are fetched ahead, when there is time.
    visitor.page.wait_for_timeout(500)
    loaded = set(before.sizes)
    wire = Wire(visitor.page)
    visitor.page.reload()
    expect(visitor.cards.first).to_be_visible()
    visitor.page.wait_for_timeout(500)
    parts = {
        path: size / wire.answers[path]
        for path, size in wire.sizes.items()
        if path.startswith("/page/") and path in loaded
    }
    assert len(parts) > 5
    # Each is asked for, and answered with a head alone: "not modified".
    assert {path: size for path, size in parts.items() if size > MOST_HEAD_BYTES} == {}

"""The page goes on by itself: over restarts, beside others, and after the session's end."""

from __future__ import annotations

import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import WORK_MS
from tests.functional.rig import Rig

SERVER = "Example Server"
DISK = "Example Server, bootable disk"
LOST = "Connection to the proxy lost; trying again"
# What Chromium itself logs of connections that are refused or cut.
CUT = r"^resource: .*net::ERR_"
REFUSED = r"^resource: .* status of 401 "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_page_goes_on_after_a_restart_of_the_proxy(
    rig: Rig, new_visitor: NewVisitor, number: signal.Signals
) -> None:
    rig.store.control(fault="slow", path="image.gz", rate=300_000)
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.watch.expect(CUT)
    visitor.log_in()
    visitor.install(SERVER)
    expect(visitor.progress(SERVER).first).to_be_visible()
    rig.daemon.end(number)
    banner = visitor.page.get_by_role("status").filter(has_text=LOST)
    expect(banner).to_be_visible()
    rig.store.control(fault="none")
    rig.daemon.start()
    # Nobody touches the page: it is logged in still, and sees the install to its end.
    expect(banner).to_have_count(0, timeout=WORK_MS)
    visitor.can("Uninstall", SERVER)
    expect(visitor.button("Log out")).to_be_visible()


def test_two_at_once_see_each_others_work(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.store.control(fault="slow", path="image.gz", rate=50_000)
    one, other = (new_visitor(rig.daemon.proxy.url) for _ in range(2))
    one.log_in()
    other.log_in()
    one.install(SERVER)
    expect(other.progress(SERVER).first).to_be_visible()
    other.can("Cancel", SERVER)
    other.press("Cancel", SERVER)
    one.can("Install", SERVER)
    expect(one.progress(SERVER)).to_have_count(0)
    rig.store.control(fault="none")
    other.install(SERVER)
    one.can("Uninstall", SERVER)


def test_a_log_out_in_another_tab_is_told(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    visitor.watch.expect(CUT)
    visitor.log_in("/sources")
    tab = visitor.page.context.new_page()
    tab.goto(f"{visitor.base}/")
    tab.get_by_role("button", name="Log out", exact=True).click()
    expect(tab.get_by_role("button", name="Log in", exact=True)).to_be_visible()
    expect(visitor.button("Log in")).to_be_visible()
    # Who logs in again is where they were.
    visitor.try_to_log_in()
    expect(visitor.link("Sources")).to_have_attribute("aria-current", "page")


def test_a_session_that_ended_is_told_at_the_next_click(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    visitor.log_in()
    expect(visitor.card(DISK)).to_be_visible()
    visitor.page.context.clear_cookies()
    visitor.link("Sources").click()
    expect(visitor.button("Log in")).to_be_visible()
    expect(visitor.page.get_by_role("main")).to_contain_text("Log in again")
    assert rig.daemon.state(rig.image(DISK))["status"] == "uninstalled"

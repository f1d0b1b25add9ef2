"""The life of an image, from the plan to the uninstall, as somebody at the page lives it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import WORK_MS, Visitor
from tests.functional.rig import Rig

SERVER = "Example Server"
DISK = "Example Server, bootable disk"
DATABASE = "Example Database"
SLOW_BYTES = 250_000
"""Bytes a second of the image's 3 MB: an install is seen, and is let go then."""


def slow(rig: Rig, rate: int = SLOW_BYTES) -> None:
    rig.store.control(fault="slow", path="image.gz", rate=rate)


def at_the_store(rig: Rig, new_visitor: NewVisitor) -> Visitor:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.log_in()
    return visitor


def test_the_plan_is_shown_and_changes_nothing(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = at_the_store(rig, new_visitor)
    visitor.press("Install", SERVER)
    dialog = visitor.dialog(f"Install {SERVER}?")
    expect(dialog).to_contain_text(re.compile(r"3\.\d MB|[23]\.\d MiB"))
    expect(dialog).to_contain_text("kernel")
    expect(dialog).to_contain_text("ramdisk")
    expect(dialog).to_contain_text(re.compile("signed by", re.I))
    visitor.button("Close", dialog).click()
    expect(dialog).to_have_count(0)
    expect(visitor.button(f"Install {SERVER}")).to_be_focused()
    assert rig.daemon.state(rig.image(SERVER))["status"] == "uninstalled"


def test_a_plan_that_cannot_be_had_says_why_and_can_be_tried_again(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    visitor = at_the_store(rig, new_visitor)
    visitor.watch.expect(r"^resource: .* status of 50[23] ")
    rig.store.control(fault="wrong-signature")
    visitor.press("Install", SERVER)
    dialog = visitor.dialog(f"Install {SERVER}?")
    expect(dialog.get_by_role("alert")).to_contain_text(re.compile("sign|key", re.I))
    rig.store.control(fault="none")
    visitor.button("Try again", dialog).click()
    visitor.button("Install", dialog).click()
    visitor.can("Uninstall", SERVER)


def test_an_install_is_seen_to_its_end(rig: Rig, new_visitor: NewVisitor) -> None:
    slow(rig)
    visitor = at_the_store(rig, new_visitor)
    visitor.install(SERVER)
    bar = visitor.progress(SERVER).first
    expect(bar).to_be_visible()
    # It grows by itself, and says how much, how fast and how long.
    reached = "e => e.position > 0.2"
    bar.evaluate(
        f"async e => {{ while (!({reached})(e)) await new Promise(requestAnimationFrame); }}"
    )
    expect(visitor.card(SERVER)).to_contain_text(re.compile(r"[KMk]i?B"))
    expect(visitor.card(SERVER)).to_contain_text("/s")
    rig.store.control(fault="none")
    visitor.can("Uninstall", SERVER)
    expect(visitor.progress(SERVER)).to_have_count(0)
    expect(visitor.page.locator("#announcer")).to_contain_text(SERVER)
    assert rig.daemon.state(rig.image(SERVER))["status"] == "installed"
    visitor.go("Installed")
    expect(visitor.card(SERVER)).to_be_visible()


def test_what_is_installed_says_how_to_run_it(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.daemon.act(rig.image(DISK), "install")
    emi = rig.daemon.wait(rig.image(DISK), "installed")["emi"]
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.log_in()
    visitor.see_image(DISK)
    expect(visitor.page.get_by_role("heading", name="How to run", exact=True)).to_be_visible()
    visitor.button(re.compile("^Copy")).first.click()
    expect(visitor.page.locator("#announcer")).to_contain_text(re.compile("copied", re.I))
    copied = visitor.ask("navigator.clipboard.readText()")
    assert emi in copied
    assert emi in visitor.page.get_by_role("main").inner_text()


def test_pause_and_resume(rig: Rig, new_visitor: NewVisitor) -> None:
    slow(rig, 200_000)
    visitor = at_the_store(rig, new_visitor)
    visitor.install(SERVER)
    visitor.can("Pause", SERVER)
    visitor.press("Pause", SERVER)
    visitor.can("Resume", SERVER)
    expect(visitor.card(SERVER)).to_contain_text(re.compile("paused", re.I))
    assert rig.daemon.state(rig.image(SERVER))["stage"] == "paused"
    rig.store.control(fault="none")
    visitor.press("Resume", SERVER)
    visitor.can("Uninstall", SERVER)


def test_cancel_leaves_it_as_it_was(rig: Rig, new_visitor: NewVisitor) -> None:
    slow(rig, 100_000)
    visitor = at_the_store(rig, new_visitor)
    visitor.install(SERVER)
    visitor.can("Cancel", SERVER)
    visitor.press("Cancel", SERVER)
    visitor.can("Install", SERVER)
    expect(visitor.progress(SERVER)).to_have_count(0)
    assert rig.daemon.state(rig.image(SERVER))["status"] == "uninstalled"


def test_a_failure_is_told_in_plain_words_and_can_be_tried_again(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    visitor = at_the_store(rig, new_visitor)
    rig.store.control(fault="corrupt", path="image.gz")
    visitor.install(DISK)
    visitor.can("Clear error of", DISK)
    told = visitor.card(DISK).inner_text()
    assert re.search("another content than was signed", told, re.I), told
    assert "Traceback" not in told
    rig.store.control(fault="none")
    again = visitor.button(re.compile(f"^(Retry|Install) {DISK}$")).first
    again.click()
    dialog = visitor.page.get_by_role("dialog")
    if dialog.count():
        visitor.button("Install", dialog).click()
    visitor.can("Uninstall", DISK)


def test_an_error_can_be_cleared(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = at_the_store(rig, new_visitor)
    rig.store.control(fault="corrupt", path="image.gz")
    visitor.install(DISK)
    visitor.can("Clear error of", DISK)
    visitor.press("Clear error of", DISK)
    expect(visitor.button(f"Clear error of {DISK}")).to_have_count(0)
    visitor.can("Install", DISK)
    visitor.page.reload()
    expect(visitor.card(DISK)).to_be_visible()
    expect(visitor.button(f"Clear error of {DISK}")).to_have_count(0)


def test_an_uninstall_asks_first(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.daemon.act(rig.image(DISK), "install")
    rig.daemon.wait(rig.image(DISK), "installed")
    visitor = at_the_store(rig, new_visitor)
    visitor.press("Uninstall", DISK)
    dialog = visitor.dialog(f"Uninstall {DISK}?")
    visitor.button("Keep", dialog).click()
    expect(dialog).to_have_count(0)
    assert rig.daemon.state(rig.image(DISK))["status"] == "installed"
    visitor.uninstall(DISK)
    visitor.can("Install", DISK)
    assert rig.daemon.state(rig.image(DISK))["status"] == "uninstalled"


def test_a_newer_version_is_an_upgrade(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.daemon.act(rig.image(DATABASE), "install")
    rig.daemon.wait(rig.image(DATABASE), "installed")
    rig.store.control(newer=True)
    rig.daemon.proxy.post("/api/sources/refresh")
    visitor = at_the_store(rig, new_visitor)
    visitor.can("Upgrade", DATABASE)
    visitor.install(DATABASE, verb="Upgrade")
    visitor.can("Uninstall", DATABASE)
    expect(visitor.button(f"Upgrade {DATABASE}")).to_have_count(0)
    assert rig.daemon.state(rig.image(DATABASE))["installed-version"] == "1.10"


def test_follow_and_unfollow(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.daemon.act(rig.image(DATABASE), "install")
    rig.daemon.wait(rig.image(DATABASE), "installed")
    visitor = at_the_store(rig, new_visitor)
    visitor.see_image(DATABASE)
    visitor.press("Follow", DATABASE)
    dialog = visitor.page.get_by_role("dialog")
    if dialog.count():
        visitor.button("Follow", dialog).click()
    visitor.can("Unfollow", DATABASE)
    assert [f["title"] for f in rig.daemon.proxy.get("/api/follows")["follows"]] == [DATABASE]
    visitor.press("Unfollow", DATABASE)
    visitor.can("Follow", DATABASE)
    assert rig.daemon.proxy.get("/api/follows")["follows"] == []


def test_the_activity_tells_what_went_on_and_what_goes_on(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    rig.daemon.act(rig.image(DISK), "install")
    rig.daemon.wait(rig.image(DISK), "installed")
    slow(rig, 100_000)
    visitor = at_the_store(rig, new_visitor)
    for title in (SERVER, DATABASE, "Example Web Server"):
        rig.daemon.act(rig.image(title), "install")
    visitor.go("Activity")
    main = visitor.page.get_by_role("main")
    for title in (SERVER, DATABASE):
        expect(visitor.progress(title)).to_be_visible()
    waiting = visitor.card("Example Web Server")
    expect(waiting).to_contain_text("number 1 in the queue")
    expect(main).to_contain_text(DISK)
    visitor.press("Cancel", SERVER)
    expect(visitor.progress("Example Web Server")).to_be_visible(timeout=WORK_MS)


def test_the_whole_life_in_a_cloud(cloud_rig: Rig, new_visitor: NewVisitor) -> None:
    slow(cloud_rig, 250_000)
    visitor = at_the_store(cloud_rig, new_visitor)
    visitor.install(SERVER)
    expect(visitor.progress(SERVER).first).to_be_visible()
    cloud_rig.store.control(fault="none")
    visitor.can("Uninstall", SERVER)
    state = cloud_rig.daemon.state(cloud_rig.image(SERVER))
    assert state["status"] == "installed"
    visitor.see_image(SERVER)
    expect(visitor.page.get_by_role("main")).to_contain_text(state["emi"])
    visitor.uninstall(SERVER)
    visitor.can("Install", SERVER)
    assert cloud_rig.daemon.state(cloud_rig.image(SERVER))["status"] == "uninstalled"

"""What those hear who cannot see the page, and where the keyboard goes when its place is gone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import Visitor
from tests.functional.rig import Rig

DISK = "Example Server, bootable disk"
UNREACHABLE = r"^resource: .*(net::ERR_|status of 503 )"
# Each alert and each change of a live region, as one line.
LISTEN = """
window.__heard = [];
const LIVE = '[role=status], [role=alert], [aria-live]';
new MutationObserver(changes => {
    const said = new Set();
    for (const change of changes) {
        const target = change.target.nodeType === 1 ? change.target : change.target.parentElement;
        said.add(target?.closest(LIVE));
        for (const node of change.addedNodes)
            if (node.nodeType === 1)
                for (const one of [node, ...node.querySelectorAll('*')])
                    if (one.matches('[role=alert]')) said.add(one);
    }
    for (const one of said)
        if (one?.textContent.trim()) window.__heard.push(one.textContent.trim());
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


def listener(new_visitor: NewVisitor, rig: Rig) -> Visitor:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.page.context.add_init_script(LISTEN)
    visitor.log_in()
    expect(visitor.card(DISK)).to_be_visible()
    return visitor


def heard(visitor: Visitor) -> list[str]:
    return [str(line) for line in visitor.ask("window.__heard.splice(0)")]


def test_a_plan_is_not_read_out_whole(new_visitor: NewVisitor, shown: Rig) -> None:
    """That it is there is said in one sentence; fingerprints are for those who look for them."""
    visitor = listener(new_visitor, shown)
    heard(visitor)
    visitor.press("Install", DISK)
    dialog = visitor.dialog(f"Install {DISK}?")
    expect(visitor.button("Install", dialog)).to_be_enabled()
    lines = heard(visitor)
    assert [line for line in lines if line.startswith("The plan is there. To fetch: ")] == lines
    assert len(lines) == 1


def test_a_row_that_goes_leaves_the_keyboard_to_the_next(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = listener(new_visitor, rig)
    for title in (DISK, "Example Server"):
        visitor.install(title)
        visitor.can("Uninstall", title)
    visitor.go("Installed")
    visitor.uninstall("Example Server")
    expect(visitor.card("Example Server")).to_have_count(0)
    expect(visitor.card(DISK).get_by_role("link", name=DISK, exact=True)).to_be_focused()
    visitor.uninstall(DISK)
    expect(visitor.card(DISK)).to_have_count(0)
    expect(visitor.page.locator("#main")).to_be_focused()


def test_an_error_of_before_is_not_cried_out_in_each_view(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    visitor = listener(new_visitor, rig)
    rig.store.control(fault="corrupt", path="image.gz")
    visitor.install(DISK)
    visitor.can("Clear error of", DISK)
    assert any("another content" in line for line in heard(visitor))
    visitor.go("Activity")
    expect(visitor.card(DISK)).to_contain_text("another content")
    visitor.see_image(DISK)
    expect(visitor.page.get_by_role("main")).to_contain_text("another content")
    assert not any("another content" in line for line in heard(visitor))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        # A failure that is being taken back is already told of; its end is no cancellation.
        (
            "{status: 'installing', stage: 'undoing', 'error-message': 'No cloud.'}",
            "{status: 'uninstalled', 'error-message': 'No cloud.', actions: {}}",
            "has failed",
        ),
        (
            "{status: 'downloading', stage: 'undoing'}",
            "{status: 'uninstalled', actions: {}}",
            "is not installed: it was cancelled",
        ),
        (
            "{status: 'uninstalled'}",
            "{status: 'downloading', stage: 'waiting', 'queue-position': 2}",
            "waits for its turn",
        ),
        (
            "{status: 'downloading', stage: 'waiting', 'queue-position': 2}",
            "{status: 'downloading', stage: 'waiting', 'queue-position': 1}",
            "",
        ),
        (
            "{status: 'downloading', stage: 'waiting', 'queue-position': 1}",
            "{status: 'downloading', stage: 'checking'}",
            "has begun",
        ),
    ],
)
def test_what_is_said_of_a_change(
    new_visitor: NewVisitor, shown: Rig, before: str, after: str, said: str
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.open()
    expect(visitor.button("Log in")).to_be_visible()
    words = f"import('/page/announce.js').then(told => told.worthSaying({after}, {before}))"
    assert visitor.ask(words) == said


def test_back_leads_to_the_image_one_came_from(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = listener(new_visitor, shown)
    link = visitor.card(DISK).get_by_role("link", name=DISK, exact=True)
    visitor.see_image(DISK)
    visitor.page.go_back()
    expect(link).to_be_focused()
    visitor.see_image(DISK)
    visitor.page.get_by_role("link", name="Back to the store").click()
    expect(link).to_be_focused()
    # Who goes by the main navigation begins at the beginning.
    visitor.see_image(DISK)
    visitor.link("Store").click()
    expect(visitor.page.locator("#main")).to_be_focused()


def test_a_proxy_that_is_away_is_told_of_once(rig: Rig, new_visitor: NewVisitor) -> None:
    """What asks again by itself does not say the same again each time; and it recovers alone."""
    visitor = listener(new_visitor, rig)
    visitor.watch.expect(UNREACHABLE)
    visitor.go("System")
    visitor.settle()
    expect(visitor.page.get_by_text("has logged in").first).to_be_visible()
    rig.daemon.end()
    log = visitor.page.locator("section", has=visitor.page.get_by_role("heading", name="Log"))
    failed = log.locator(".alert").first
    expect(failed).to_be_visible()
    failed.evaluate("element => { window.__first = element; }")
    visitor.page.wait_for_event("requestfailed", lambda request: "/api/log" in request.url)
    visitor.page.wait_for_event("requestfailed", lambda request: "/api/log" in request.url)
    assert visitor.ask("window.__first.isConnected")
    rig.daemon.start()
    expect(visitor.page.get_by_role("main").locator(".alert")).to_have_count(0, timeout=45_000)


def test_commands_are_selected_where_they_cannot_be_copied(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    """The browser may forbid it; then the keys that copy need nothing more."""
    visitor = listener(new_visitor, rig)
    visitor.install(DISK)
    visitor.can("Uninstall", DISK)
    visitor.ask("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
    visitor.see_image(DISK)
    visitor.button("Copy").first.click()
    expect(visitor.button("Selected: press Ctrl+C")).to_be_visible()
    lines = visitor.page.locator("pre.commands").first.inner_text()
    assert visitor.ask("getSelection().toString()").strip() == lines.strip()


def test_a_question_is_seen_where_there_is_little_room(new_visitor: NewVisitor, shown: Rig) -> None:
    """Four times the size on a common screen: the head of a dialog is not scrolled away."""
    visitor = new_visitor(shown.daemon.proxy.url, viewport={"width": 320, "height": 256})
    visitor.log_in()
    visitor.press("Install", DISK)
    dialog = visitor.dialog(f"Install {DISK}?")
    expect(visitor.button("Install", dialog)).to_be_enabled()
    expect(dialog.get_by_role("heading")).to_be_in_viewport()
    expect(visitor.button("Install", dialog)).to_be_in_viewport()


def test_a_session_that_ends_behind_a_question_leaves_the_keyboard_at_the_login(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    visitor = listener(new_visitor, rig)
    visitor.watch.expect(r"^resource: .* status of 401 ")
    visitor.press("Install", DISK)
    dialog = visitor.dialog(f"Install {DISK}?")
    expect(visitor.button("Install", dialog)).to_be_enabled()
    visitor.page.context.clear_cookies()
    visitor.button("Install", dialog).click()
    expect(visitor.page.get_by_text("Your session has ended.")).to_be_visible()
    expect(dialog).to_have_count(0)
    expect(visitor.page.get_by_label("Access key")).to_be_focused()

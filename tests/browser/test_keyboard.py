"""Everything can be done without a mouse, and the focus is always to be seen."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import WORK_MS, Visitor
from tests.functional.rig import CLIENT_ID, SECRET, Rig

DISK = "Example Server, bootable disk"
MOST_TABS = 80
# What the browser draws round what has the focus: an outline, or a shadow in its place.
SEEN = """() => {
    const focused = document.activeElement;
    if (!focused || focused === document.body) return 'nothing has the focus';
    const box = focused.getBoundingClientRect();
    if (!box.width || !box.height) return 'it has no size';
    if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth)
        return 'it is out of sight';
    const style = getComputedStyle(focused);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
    if (!outlined && style.boxShadow === 'none') return 'nothing is drawn round it';
    const at = document.elementFromPoint(
        Math.max(0, Math.min(innerWidth - 1, box.left + box.width / 2)),
        Math.max(0, Math.min(innerHeight - 1, box.top + box.height / 2)));
    if (at && !focused.contains(at) && !at.contains(focused)) return 'something is over it';
    return '';
}"""


def tab_to(visitor: Visitor, name: str, *, backwards: bool = False) -> None:
    """Press Tab until what has this accessible name has the focus; each stop must be seen."""
    passed = []
    for _ in range(MOST_TABS):
        visitor.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        focused = visitor.page.locator(":focus")
        if not focused.count():  # the browser's own bars
            continue
        fault = visitor.ask(SEEN)
        assert fault == "", f"{focused.evaluate('e => e.outerHTML')[:200]}: {fault}"
        passed.append(visitor.focused())
        if has_name(visitor, name):
            return
    raise AssertionError(f"no Tab led to '{name}', but to {passed}")


def has_name(visitor: Visitor, name: str) -> bool:
    focused = visitor.page.locator(":focus")
    for role in ("button", "link", "textbox", "searchbox"):
        named = visitor.page.get_by_role(role, name=name, exact=True)
        if focused.and_(named).count():
            return True
    return False


def test_the_whole_life_by_keyboard_alone(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.open()
    expect(visitor.button("Log in")).to_be_visible()
    keys = visitor.page.keyboard
    if not visitor.page.get_by_label("Access key").evaluate("e => e === document.activeElement"):
        tab_to_field(visitor, "Access key")
    keys.type(CLIENT_ID)
    tab_to_field(visitor, "Secret key")
    keys.type(SECRET)
    keys.press("Enter")
    expect(visitor.card(DISK)).to_be_visible()

    tab_to(visitor, "Search images")
    keys.type("bootable")
    expect(visitor.cards).to_have_count(1)
    tab_to(visitor, f"Install {DISK}")
    keys.press("Enter")
    dialog = visitor.dialog(f"Install {DISK}?")
    expect(dialog).to_be_visible()
    inside = "document.activeElement.closest('dialog') !== null"
    assert visitor.ask(inside)
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(visitor.button(f"Install {DISK}")).to_be_focused()

    keys.press("Space")
    expect(visitor.button("Install", dialog)).to_be_enabled()
    tab_to(visitor, "Install")
    keys.press("Enter")
    expect(dialog).to_have_count(0)
    # Its button is gone with its state; the focus is not lost with it.
    visitor.can("Uninstall", DISK)
    assert not visitor.ask("document.activeElement === document.body")

    reach(visitor, f"Uninstall {DISK}")
    keys.press("Enter")
    question = visitor.dialog(f"Uninstall {DISK}?")
    expect(question).to_be_visible()
    assert visitor.ask(inside)
    keys.press("Escape")
    expect(question).to_have_count(0)
    expect(visitor.button(f"Uninstall {DISK}")).to_be_focused()
    keys.press("Enter")
    expect(question).to_be_visible()
    if not has_name(visitor, "Uninstall"):
        tab_to(visitor, "Uninstall")
    keys.press("Space")
    visitor.can("Install", DISK)
    expect(question).to_have_count(0)
    assert not visitor.ask("document.activeElement === document.body")

    tab_to(visitor, "Log out", backwards=True)
    keys.press("Enter")
    expect(visitor.button("Log in")).to_be_visible()


def reach(visitor: Visitor, name: str) -> None:
    """Go to a button that may have the focus already."""
    if not has_name(visitor, name):
        tab_to(visitor, name)


def tab_to_field(visitor: Visitor, label: str) -> None:
    field = visitor.page.get_by_label(label)
    for _ in range(10):
        visitor.page.keyboard.press("Tab")
        if field.evaluate("e => e === document.activeElement"):
            assert visitor.ask(SEEN) == ""
            return
    raise AssertionError(f"no Tab led to '{label}'")


def test_a_dialog_keeps_the_focus_inside(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    visitor.press("Install", DISK)
    dialog = visitor.dialog(f"Install {DISK}?")
    expect(visitor.button("Install", dialog)).to_be_visible()
    for key in ("Tab", "Shift+Tab"):
        for _ in range(8):
            visitor.page.keyboard.press(key)
            # Outside the dialog there is only the browser itself.
            assert visitor.ask(
                "document.activeElement === document.body"
                " || document.activeElement.closest('dialog') !== null"
            )


def test_the_skip_link_is_first_and_leads_to_the_content(
    new_visitor: NewVisitor, shown: Rig
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    visitor.page.reload()
    expect(visitor.card(DISK)).to_be_visible()
    visitor.ask("document.activeElement.blur()")
    tab_to(visitor, "Skip to content")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#main")).to_be_focused()
    # It leads to the content of this view, not to another view.
    expect(visitor.card(DISK)).to_be_visible()


def test_another_view_takes_the_focus_to_its_content(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    for view in ("Installed", "Activity", "Sources", "System", "Store"):
        visitor.go(view)
        expect(visitor.page.locator("#main")).to_be_focused()
        expect(visitor.page).to_have_title(re.compile(view))


def test_a_change_of_state_does_not_take_the_focus_away(rig: Rig, new_visitor: NewVisitor) -> None:
    rig.store.control(fault="slow", path="image.gz", rate=250_000)
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.log_in()
    box = visitor.page.get_by_role("searchbox", name="Search images")
    box.focus()
    rig.daemon.act(rig.image(DISK), "install")
    expect(visitor.progress(DISK).first).to_be_visible()
    rig.store.control(fault="none")
    visitor.can("Uninstall", DISK, WORK_MS)
    expect(box).to_be_focused()

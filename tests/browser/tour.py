"""A walk through every view and dialog of the page, at a proxy where all kinds of things go on."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import expect

from tests.browser.made_store import MadeStore
from tests.browser.visitor import Visitor
from tests.functional.rig import Daemon, wait_for

SERVER = "Basalt Server 8"
DISK = "Cinder Desktop"
OTHER = "Dune Web Server"
DATABASE = "Ember Database"
WEB = "Juniper Notebook"
BRISK_BYTES = 300_000
# So slow that the installs outlive the walk.
CREEPING_BYTES = 4_000
REFUSED = r"^resource: .* status of 401 "


def enliven(daemon: Daemon, store: MadeStore) -> None:
    """Install one image, let one fail, one pause and one be under way."""
    uris = {i["title"]: i["uri"] for i in daemon.proxy.get("/api/dashboard")["images"]}
    store.control({"fault": "corrupt", "path": "image.gz"})
    daemon.act(uris[WEB], "install")
    daemon.wait(uris[WEB], "uninstalled")
    store.control({"fault": "none"})
    daemon.act(uris[DISK], "install")
    daemon.wait(uris[DISK], "installed")
    store.control({"fault": "slow", "path": "image.gz", "rate": BRISK_BYTES})
    for title in (DATABASE, SERVER):
        daemon.act(uris[title], "install")
    for title, percent in ((DATABASE, 25), (SERVER, 40)):
        wait_for(f"{percent} % of {title}", lambda: _percent(daemon, uris[title]) > percent)  # noqa: B023
        daemon.act(uris[title], "pause")
        wait_for("the pause", lambda: daemon.state(uris[title])["stage"] == "paused")  # noqa: B023
    store.control({"fault": "none"})
    store.control({"fault": "slow", "path": "image.gz", "rate": CREEPING_BYTES})
    daemon.act(uris[SERVER], "resume")


def _percent(daemon: Daemon, uri: str) -> int:
    return int(daemon.state(uri).get("progress-percentage", 0))


def before_login(visitor: Visitor) -> Iterator[str]:
    visitor.watch.expect(REFUSED)
    visitor.open()
    expect(visitor.button("Log in")).to_be_visible()
    yield "login"
    visitor.try_to_log_in(secret="not-the-secret")
    expect(visitor.alert).to_be_visible()
    yield "login refused"


def views(visitor: Visitor) -> Iterator[str]:
    """Stop at each view and dialog with its name, as soon as it is complete."""
    main = visitor.page.get_by_role("main")
    visitor.go("Store")
    expect(visitor.card(DISK)).to_be_visible()
    expect(visitor.progress(SERVER).first).to_be_visible()
    yield "store"
    box = visitor.page.get_by_role("searchbox", name="Search images")
    box.fill("nothing has this")
    expect(visitor.cards).to_have_count(0)
    yield "store, nothing found"
    box.fill("")
    expect(visitor.card(WEB)).to_be_visible()
    visitor.press("Uninstall", DISK)
    question = visitor.dialog(f"Uninstall {DISK}?")
    expect(question).to_be_visible()
    yield "uninstall dialog"
    visitor.button("Keep", question).click()
    visitor.press("Install", OTHER)
    plan = visitor.dialog(f"Install {OTHER}?")
    expect(visitor.button("Install", plan)).to_be_enabled()
    yield "install dialog"
    visitor.button("Close", plan).click()
    visitor.see_image(DISK)
    expect(visitor.page.get_by_role("heading", name="How to run", exact=True)).to_be_visible()
    yield "image, installed"
    visitor.go("Store")
    visitor.see_image(SERVER)
    expect(visitor.progress(SERVER).first).to_be_visible()
    yield "image, under way"
    visitor.go("Store")
    visitor.see_image(WEB)
    expect(visitor.button(f"Clear error of {WEB}").first).to_be_visible()
    yield "image, failed"
    visitor.go("Installed")
    expect(main).to_contain_text(DISK)
    yield "installed"
    visitor.go("Activity")
    expect(visitor.progress(SERVER).first).to_be_visible()
    visitor.can("Resume", DATABASE)
    yield "activity"
    visitor.go("Sources")
    visitor.settle()
    yield "sources"
    visitor.go("System")
    visitor.settle()
    yield "system"

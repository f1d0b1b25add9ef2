"""The views of the proxy itself: its sources, checks, limit, log, and what left its cloud."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.functional import cloud_clients
from tests.functional.rig import Rig

DISK = "Example Server, bootable disk"


def test_a_store_that_is_away_is_told_and_what_it_said_before_stays(
    rig: Rig, new_visitor: NewVisitor
) -> None:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.log_in("/sources")
    visitor.settle()
    source = visitor.page.get_by_role("list", name="Sources").get_by_role("article")
    expect(source).to_have_attribute("data-health", "good")
    rig.store.end()
    visitor.button("Refresh all sources").click()
    expect(source).to_have_attribute("data-health", "bad")
    # Which host, and why: not "an error occurred".
    expect(source).to_contain_text(f"127.0.0.1:{rig.store.port}")
    expect(source).to_contain_text(re.compile("refused|connect", re.I))
    visitor.go("Store")
    expect(visitor.card(DISK)).to_be_visible()
    rig.store.start()
    visitor.go("Sources")
    visitor.button("Refresh all sources").click()
    expect(source).to_have_attribute("data-health", "good")


def test_the_checks_the_disk_and_the_log_are_shown(shown: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in("/system")
    visitor.settle()
    main = visitor.page.get_by_role("main")
    for heading in ("Proxy", "Checks", "Bandwidth", "Log"):
        expect(visitor.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(main).to_contain_text(str(shown.daemon.data_dir))
    expect(main).to_contain_text("1 key in")
    lines = visitor.page.get_by_role("region", name="Log lines").get_by_role("listitem")
    expect(lines.first).to_be_visible()
    visitor.page.get_by_label("Show").select_option("error")
    expect(main).to_contain_text("Nothing was logged at this level")
    visitor.button("Check again").click()
    expect(main).to_contain_text("1 key in")


def test_the_limit_of_downloads_is_set_and_holds_for_all(rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(rig.daemon.proxy.url)
    visitor.log_in("/system")
    limit = visitor.page.get_by_role("spinbutton", name=re.compile("^Limit of all downloads"))
    limit.fill("2.5")
    visitor.button("Set").click()
    expect(visitor.page.locator("#announcer")).to_contain_text("2.5 MB/s")
    assert rig.daemon.proxy.get("/api/bandwidth")["limit-mb-per-s"] == 2.5
    limit.fill("-1")
    visitor.watch.expect("^resource: .* status of 400 .*/api/bandwidth")
    visitor.button("Set").click()
    expect(visitor.alert).to_be_visible()
    assert rig.daemon.proxy.get("/api/bandwidth")["limit-mb-per-s"] == 2.5


def test_an_image_that_somebody_took_out_of_the_cloud_can_be_forgotten(
    cloud_rig: Rig, new_visitor: NewVisitor, moto_url: str
) -> None:
    uri = cloud_rig.image(DISK)
    cloud_rig.daemon.act(uri, "install")
    image_id = cloud_rig.daemon.wait(uri, "installed")["emi"]
    cloud = cloud_clients.client("ec2", moto_url)
    visitor = new_visitor(cloud_rig.daemon.proxy.url)
    visitor.log_in("/system")
    cloud.deregister_image(ImageId=image_id)
    visitor.button("Compare with the cloud").click()
    expect(visitor.page.get_by_role("main")).to_contain_text("1 image gone from the cloud")
    visitor.go("Installed")
    visitor.can("Forget", DISK)
    visitor.press("Forget", DISK)
    expect(visitor.card(DISK)).to_have_count(0)
    visitor.go("Store")
    visitor.can("Install", DISK)

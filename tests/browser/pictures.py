"""The pictures of the documentation: ``make screenshots`` writes them anew into docs/images.

No other run collects this file, so that tests leave the tree as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.made_store import MadeStore, few, serving
from tests.browser.tour import DATABASE, DISK, SERVER, enliven
from tests.functional.rig import ROOT, SECRET, Daemon

PICTURES = ROOT / "docs" / "images"
MOST_BYTES = 150_000
ALSO = ("0005", "000a")
"""Two more of ``few`` that are installed."""
TELEPHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def lively(images: Path) -> Iterator[Daemon]:
    """A proxy whose paths, which are in the pictures, look like anybody's."""
    with tempfile.TemporaryDirectory(prefix="image-store-proxy-") as name:
        directory = Path(name)
        keyring = directory / "keyring.gpg"
        keyring.write_bytes((ROOT / "fake-pubring.gpg").read_bytes())
        with serving(MadeStore(images, few())) as store:
            daemon = Daemon(directory, f"--api-url={store.url}", f"--fake-eucalyptus={SECRET}",
                            f"--keyring={keyring}")  # fmt: skip
            try:
                daemon.start()
                for image in ALSO:
                    daemon.act(f"{store.url}/images/{image}", "install")
                    daemon.wait(f"{store.url}/images/{image}", "installed")
                enliven(daemon, store)
                yield daemon
            finally:
                daemon.end()


@pytest.mark.parametrize(
    ("name", "theme", "viewport"),
    [
        ("login", "light", None),
        ("store", "light", None),
        ("store-dark", "dark", None),
        ("store-360", "light", TELEPHONE),
        ("image", "light", None),
        ("activity", "light", None),
        ("installed", "light", None),
        ("sources", "light", None),
        ("system", "light", None),
    ],
)
def test_picture(
    new_visitor: NewVisitor, lively: Daemon, name: str, theme: str, viewport: dict[str, int] | None
) -> None:
    """Small enough to keep with the text, and of the view that it is named after."""
    options = {"color_scheme": theme, "reduced_motion": "reduce"}
    if viewport:
        options["viewport"] = viewport  # type: ignore[assignment]
    visitor = new_visitor(lively.proxy.url, **options)
    visitor.open()
    expect(visitor.button("Log in")).to_be_visible()
    if name != "login":
        visitor.try_to_log_in()
        expect(visitor.card(DISK)).to_be_visible()
        expect(visitor.progress(SERVER).first).to_be_visible()
    if name == "image":
        visitor.see_image(DISK)
        expect(visitor.page.get_by_role("heading", name="How to run", exact=True)).to_be_visible()
    elif name in {"activity", "installed", "sources", "system"}:
        visitor.go(name.capitalize())
    if name == "activity":
        visitor.can("Resume", DATABASE)
    # What the mouse is over looks otherwise.
    visitor.page.mouse.move(0, 0)
    visitor.page.wait_for_timeout(500)
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"page-{name}.png"
    visitor.page.screenshot(path=path)
    assert path.stat().st_size < MOST_BYTES

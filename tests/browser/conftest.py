"""A real browser, and what it is pointed at."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.figures import FIGURES, Figures
from tests.browser.made_store import MadeStore, few, many, serving
from tests.browser.tour import enliven
from tests.browser.visitor import Visitor
from tests.browser.watch import Watch
from tests.functional.moto_server import moto_server
from tests.functional.rig import SECRET, Daemon, Rig, ec2_rig, fake_rig, wait_for

ANSWER_MS = 15_000
ANOTHER_NAME = "front-end.example"
"""A name of this machine to which browsers give no WebCrypto over plain HTTP."""
# No test reaches another machine, whatever a page tries.
HOSTS = f"MAP {ANOTHER_NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

NewVisitor = Callable[..., Visitor]


@pytest.fixture(scope="session")
def figures() -> Figures:
    return FIGURES


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if found:
        return found
    reason = "no Chromium: apt-get install chromium, or say where it is with CHROMIUM=PATH"
    if os.environ.get("CI") or os.environ.get("BROWSER_TESTS") == "required":
        pytest.fail(f"{reason}; here the page must be tested", pytrace=False)
    pytest.skip(reason)


# Playwright runs an event loop in this thread for as long as it lives: not beyond these tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = _chromium()
    expect.set_options(timeout=ANSWER_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path, args=[f"--host-resolver-rules={HOSTS}"], timeout=60_000
        )
        yield launched
        launched.close()


# Named last by a test: what it is pointed at must outlive its pages.
@pytest.fixture
def new_visitor(browser: Browser, figures: Figures) -> Iterator[NewVisitor]:
    """Give visitors, each with a browser of their own: no cookie and no cache of another.

    Whatever their pages did that they must not is a failure of the test, though all else went well.
    """
    watches: list[Watch] = []
    contexts: list[BrowserContext] = []

    def new(base: str, **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(ANSWER_MS)
        contexts.append(context)
        watches.append(Watch(context))
        return Visitor(context.new_page(), base, watches[-1])

    yield new
    for context in contexts:
        context.close()
    figures.tests += 1
    figures.violations += sum(len(watch.violations) for watch in watches)
    assert [fault for watch in watches for fault in watch.unexpected()] == []


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for fakestoreapi.py: a kernel, a ramdisk, and an image of 3 MB of noise."""
    directory = tmp_path_factory.mktemp("images")
    noise = random.Random(7)
    (directory / "kernel").write_bytes(noise.randbytes(100_000))
    (directory / "ramdisk.gz").write_bytes(gzip.compress(noise.randbytes(100_000), 1))
    (directory / "image.gz").write_bytes(gzip.compress(noise.randbytes(3_000_000), 1))
    return directory


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    """A store with four images, and a proxy of this test alone."""
    with fake_rig(tmp_path, images) as running:
        yield running


@pytest.fixture(scope="package")
def shown(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Rig]:
    """A store with four images and a proxy for tests that change nothing."""
    with fake_rig(tmp_path_factory.mktemp("shown"), images) as running:
        yield running


@pytest.fixture
def cloud_rig(tmp_path: Path, images: Path, moto_url: str) -> Iterator[Rig]:
    """As ``rig``, with a cloud that knows who is asking."""
    with ec2_rig(tmp_path, images, moto_url) as running:
        yield running


MadeRig = Callable[[MadeStore], Daemon]


@pytest.fixture(scope="package")
def made_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeRig]:
    """Serve a made store and give a proxy of it; both end after the tests."""
    with ExitStack() as stack:

        def make(store: MadeStore) -> Daemon:
            stack.enter_context(serving(store))
            daemon = Daemon(
                tmp_path_factory.mktemp("made"),
                f"--api-url={store.url}",
                f"--fake-eucalyptus={SECRET}",
            )
            stack.callback(_end, daemon)
            daemon.start()
            wait_for("the catalogue", daemon.has_asked)
            return daemon

        yield make


def _end(daemon: Daemon) -> None:
    if daemon.running and daemon.running.poll() is None:
        daemon.end()


@pytest.fixture(scope="package")
def crowded(made_rig: MadeRig, images: Path) -> Daemon:
    """A proxy of a store with 500 images; for tests that change nothing."""
    return made_rig(MadeStore(images, many(500)))


@pytest.fixture(scope="package")
def lively(made_rig: MadeRig, images: Path) -> Daemon:
    """A proxy where all kinds of things go on, for tests that change nothing; see ``tour``."""
    store = MadeStore(images, few())
    daemon = made_rig(store)
    enliven(daemon, store)
    return daemon


@pytest.fixture(scope="package")
def moto_url() -> Iterator[str]:
    """moto's EC2 and S3 over HTTP."""
    with moto_server() as url:
        yield url

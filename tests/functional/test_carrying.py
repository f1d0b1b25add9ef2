"""Images go from site to site under their original signatures: real daemons, stores and archives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.functional.rig import CLIENT_ID, ROOT, SECRET, Daemon, Rig, fake_rig, free_port, wait_for

TITLE = "Fake Ubuntu"


def client(
    *arguments: str, daemon: Daemon | None = None, within_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``bin/image-store``; without a daemon there are no credentials either."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "EC2_", "IMAGE_"))}
    secret = {"IMAGE_STORE_SECRET": SECRET, "IMAGE_STORE_CLIENT_ID": CLIENT_ID} if daemon else {}
    url = [f"--url=http://127.0.0.1:{daemon.port}"] if daemon else []
    return subprocess.run(
        [sys.executable, str(ROOT / "bin" / "image-store"), *url, *arguments],
        capture_output=True,
        text=True,
        timeout=within_s,
        env={**outside, **secret},
        cwd=ROOT,
    )


@contextmanager
def site(directory: Path, *options: str) -> Iterator[Daemon]:
    """Run a daemon whose only configured store is an address that nobody listens on."""
    directory.mkdir(exist_ok=True)
    store = f"--api-url=http://127.0.0.1:{free_port()}/api"
    daemon = Daemon(directory, store, f"--fake-eucalyptus={SECRET}", *options)
    try:
        daemon.start()
        yield daemon
    finally:
        if daemon.running and daemon.running.poll() is None:
            daemon.end()


def imported(archive: Path, directory: Path, **options: Path) -> subprocess.CompletedProcess[str]:
    given = {"keyring": ROOT / "fake-pubring.gpg", **options}
    data_dir = directory / "data"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return client(
        "import",
        str(archive),
        f"--data-dir={data_dir}",
        f"--config={ROOT / 'tests' / 'functional' / 'nothing.toml'}",
        *(f"--{name}={value}" for name, value in given.items()),
    )


def tree(directory: Path) -> dict[str, bytes]:
    found = directory.rglob("*") if directory.exists() else ()
    return {str(path.relative_to(directory)): path.read_bytes() for path in found if path.is_file()}


def registered(daemon: Daemon) -> dict[str, str]:
    """Give what the fake cloud holds: digests by kind."""
    content = json.loads((daemon.data_dir / "fake-cloud.json").read_text())
    return dict(content) if isinstance(content, dict) else {}


@pytest.fixture(scope="module")
def carried(
    tmp_path_factory: pytest.TempPathFactory, images: Path
) -> Iterator[tuple[Rig, str, Path]]:
    """A proxy with a net, the URI of its image, and an archive that it has exported."""
    directory = tmp_path_factory.mktemp("with-net")
    with fake_rig(directory, images) as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        archive = directory / "images.tar"
        done = client("export", uri, str(archive), daemon=rig.daemon)
        assert done.returncode == 0, done.stderr + rig.daemon.said()
        yield rig, uri, archive


def test_an_image_is_exported_and_installed_at_a_site_without_any_network_source(
    carried: tuple[Rig, str, Path], tmp_path: Path
) -> None:
    rig, uri, archive = carried
    assert rig.daemon.state(uri)["status"] == "uninstalled"
    with site(tmp_path / "far") as far:
        done = imported(archive, tmp_path / "far")
        assert done.returncode == 0, done.stderr
        assert uri in done.stdout
        wait_for("the image", lambda: far.state(uri)["actions"].get("install"))
        far.act(uri, "install")
        state = far.wait(uri, "installed", "uninstalled")
        assert state["status"] == "installed", state
        assert not far.files()
    print(registered(far))

"""A site's own store: published, served, installed from, and followed to newer versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.functional import warm
from tests.functional.gpg_home import Signer, fresh_home
from tests.functional.ports import free_port
from tests.functional.rig import ROOT, SECRET, Daemon, Process, wait_for

KEY = "Site <site@example.org>"
TOOL = [sys.executable, str(ROOT / "bin" / "image-store")]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.mktemp("keys")) as home:
        home.make(KEY)
        yield home


def tool(daemon: Daemon, *arguments: str) -> str:
    done = warm.run(
        [*TOOL, f"--url=http://127.0.0.1:{daemon.port}", *arguments],
        {"PATH": "/usr/bin:/bin", "IMAGE_STORE_SECRET": SECRET},
        timeout_s=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["store", "simplestreams"])
def test_what_a_site_publishes_is_installed_and_a_followed_image_is_brought_up_to_date(
    tmp_path: Path, signer: Signer, form: str
) -> None:
    directory, port = tmp_path / "site", free_port()
    directory.mkdir()
    url = f"http://127.0.0.1:{port}"

    def publish(content: bytes) -> None:
        (tmp_path / "raw").write_bytes(content)
        disk = tmp_path / "new.qcow2"
        convert = ["qemu-img", "convert", "-O", "qcow2", str(tmp_path / "raw"), str(disk)]
        subprocess.run(convert, check=True, timeout=60)
        disk.replace(directory / "web-server-amd64.qcow2")
        command = [*TOOL, "publish", str(directory), f"--key={KEY}", f"--format={form}"]
        command += [f"--gnupg-home={signer.home}", f"--url={url}"]
        warm.run(command, os.environ, timeout_s=60).check_returncode()

    publish(b"one" * 700_000)
    server = Process(
        [*TOOL, "serve", str(directory), f"--listen=tcp:{port}:interface=127.0.0.1"],
        tmp_path / "serve.log",
    )
    keyring, config = tmp_path / "site.gpg", tmp_path / "config.toml"
    keyring.write_bytes(signer.export(KEY))
    place = f"{url}/api" if form == "store" else f"{url}/"
    config.write_text(
        f'[[source]]\nname = "site"\ntype = "{form}"\nurl = "{place}"\nkeyring = "{keyring}"\n'
    )
    daemon = Daemon(tmp_path, f"--config={config}", f"--fake-eucalyptus={SECRET}")
    try:
        server.start()
        wait_for("the server", lambda: "listening" in server.said())
        daemon.start()
        wait_for("the first catalogue", daemon.has_a_catalogue)
        (image,) = daemon.proxy.get("/api/dashboard")["images"]
        uri = image["uri"]
        tool(daemon, "install", uri)
        first = daemon.state(uri)
        assert first["installed-version"] == image["version"]
        tool(daemon, "follow", uri, "--keep", "1")
        assert "newest" in tool(daemon, "follow")

        publish(b"two" * 700_000)
        tool(daemon, "sources", "--refresh")

        def is_new() -> bool:
            state = daemon.state(uri)
            return state.get("emi", "") not in ("", first["emi"])

        wait_for("the newer version", is_new, within_s=90)
        assert daemon.state(uri)["installed-version"] != first["installed-version"]
        cloud = daemon.data_dir / "fake-cloud.json"
        wait_for("the older one to go", lambda: first["emi"] not in cloud.read_text(), within_s=90)
    finally:
        for process in (daemon, server):
            with suppress(Exception):
                process.end()

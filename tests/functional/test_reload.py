"""SIGHUP: the configuration is read again, and what runs goes on."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.functional.rig import ROOT, SECRET, Daemon, FakeStore, wait_for

KEYRING = ROOT / "fake-pubring.gpg"


def source(name: str, store: FakeStore) -> str:
    return (
        f'[[source]]\nname = "{name}"\ntype = "store"\nurl = "{store.url}"\nkeyring = "{KEYRING}"\n'
    )


def uris(daemon: Daemon) -> set[str]:
    return {image["uri"] for image in daemon.proxy.get("/api/dashboard")["images"]}


def names(daemon: Daemon) -> list[str]:
    return [one["name"] for one in daemon.proxy.get("/api/sources")["sources"]]


def test_an_install_goes_on_while_its_source_goes_and_a_bad_file_changes_nothing(
    tmp_path: Path, images: Path
) -> None:
    config = tmp_path / "config.toml"
    (tmp_path / "second").mkdir()
    stores = [FakeStore(tmp_path, images), FakeStore(tmp_path / "second", images)]
    daemon = Daemon(tmp_path, f"--config={config}", f"--fake-eucalyptus={SECRET}")
    try:
        for store in stores:
            store.start()
        config.write_text(source("one", stores[0]) + "[bandwidth]\nlimit-mb-per-s = 50\n")
        daemon.start()
        assert daemon.running
        wait_for("the first store", lambda: len(uris(daemon)) > 1)
        every = daemon.proxy.get("/api/dashboard")["images"]
        uri, other = (str(image["uri"]) for image in every[:2])
        stores[0].control(fault="slow", rate=600_000)
        daemon.act(uri, "install")
        wait_for("some bytes", lambda: daemon.state(uri).get("bytes-done", 0) > 500_000)

        config.write_text(source("two", stores[1]))
        daemon.running.send_signal(signal.SIGHUP)
        wait_for("the other source", lambda: names(daemon) == ["two"])
        wait_for("its images", lambda: any(stores[1].url in one for one in uris(daemon)))
        assert other not in uris(daemon)
        assert daemon.state(uri)["status"] in ("downloading", "installing")
        assert daemon.proxy.get("/api/bandwidth") == {"limit-mb-per-s": 0}

        config.write_text(source("three", stores[1]) + "mirors = 1\ntitle = 2\n")
        daemon.running.send_signal(signal.SIGHUP)
        wait_for("the refusal", lambda: "configuration is refused" in daemon.said())
        assert f"{config}:6: " in daemon.said()
        assert f"{config}:7: " in daemon.said()
        assert names(daemon) == ["two"]
        stores[0].control(fault="none")
        assert daemon.wait(uri, "installed")["emi"]
    finally:
        for process in (daemon, *stores):
            if process.running and process.running.poll() is None:
                process.running.kill()
                process.running.wait(10)

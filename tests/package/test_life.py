"""The life of the package on one machine: the steps are taken in the order in which they stand."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.certificates import make_credentials_directory
from imagestoreproxy.client.requests import Connection
from tests.functional.rig import CLIENT_ID, ROOT, SECRET, Process, wait_for
from tests.package.conftest import running_store
from tests.package.machine import NAME, PROXY_URL, Machine, StoreTab, answers
from tests.package.test_seed_flow import euca2ools_on, eucalyptus_on

PREVIOUS = "986627f"
"""The last version before there was a package."""
OLD_IMAGE, NEW_IMAGE = "Example Server", "Example Server, bootable disk"
DEFAULTS = """\
DAEMON_OPTS="--debug --api-url=http://localhost:52781/api --keyring=/srv/fake-pubring.gpg"
EUCA_USER="eucalyptus"
EUCALYPTUS="/opt/eucalyptus"
"""


CONFIG = "# Of this machine.\n"
# What the tests have put there themselves.
OURS = ("opt/eucalyptus", "usr/bin/.standin", "srv/")


class Life:
    """What the steps hand on to each other."""

    def __init__(self, machine: Machine, cloud_url: str, store_url: str) -> None:
        self.machine = machine
        self.cloud_url = cloud_url
        self.store_url = store_url
        self.before = machine.files()
        self.emi = ""
        self.data = machine.root / "var/lib" / NAME
        self.tab = StoreTab(Connection(PROXY_URL, CLIENT_ID, SECRET))

    def status(self, title: str) -> str:
        return str(self.tab.state(self.tab.uri(title))["status"])


@pytest.fixture(scope="module")
def life(
    new_machine: Callable[[str], Machine],
    images: Path,
    cloud_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Life]:
    with running_store(images, tmp_path_factory.mktemp("store-log") / "log") as url:
        machine = new_machine("life")
        machine.run("useradd", "--system", "--home", "/opt/eucalyptus", "eucalyptus")
        eucalyptus_on(machine, cloud_url, "4.1", "opt/eucalyptus")
        euca2ools_on(machine, "3.4")
        shutil.copyfile(ROOT / "fake-pubring.gpg", machine.root / "srv/fake-pubring.gpg")
        yield Life(machine, cloud_url, url)


@pytest.fixture(scope="module")
def earlier_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package with a lower version: what an upgrade comes from."""
    place = tmp_path_factory.mktemp("earlier") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, place], check=True, timeout=120)
    control = place / "DEBIAN/control"
    lines = control.read_text().splitlines()
    lines = ["Version: 0.9" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(lines) + "\n")
    made = place.with_name(f"{NAME}_0.9_amd64.deb")
    subprocess.run(
        ["dpkg-deb", "-Znone", "--build", place, made], check=True, timeout=120, capture_output=True
    )
    return made


def test_the_version_before_the_package_has_installed_an_image(life: Life, tmp_path: Path) -> None:
    if subprocess.run(
        ["git", "cat-file", "-e", PREVIOUS], cwd=ROOT, capture_output=True
    ).returncode:
        pytest.skip(f"the history of this checkout does not reach back to {PREVIOUS}")
    packed = subprocess.run(
        ["git", "archive", PREVIOUS], cwd=ROOT, check=True, capture_output=True, timeout=60
    ).stdout
    old = tmp_path / "old"
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(old, filter="data")
    made = make_credentials_directory(
        tmp_path / "credentials", life.cloud_url, life.cloud_url, CLIENT_ID, SECRET
    )
    daemon = Process(
        [
            sys.executable,
            str(old / "bin/image-store-proxy"),
            f"--data-dir={life.data}",
            f"--keyring={ROOT / 'fake-pubring.gpg'}",
            f"--api-url={life.store_url}",
            "--cloud=ec2",
            f"--credentials-dir={made.directory}",
        ],
        tmp_path / "log",
        {"PYTHONPATH": str(old)},
    )
    daemon.start()
    try:
        wait_for("the old daemon", answers)
        image = life.tab.uri(OLD_IMAGE)
        life.tab.click(image, "install")
        life.emi = life.tab.wait(image, "installed")["emi"]
    finally:
        daemon.end()


def test_it_installs_and_runs_where_no_cloud_is_yet_and_says_what_is_missing(
    life: Life, earlier_package: Path
) -> None:
    life.machine.install(earlier_package)
    assert life.machine.service("status").said.startswith(f"{NAME} is running")
    wait_for("the daemon", answers)
    assert not answers("/readyz")
    checked = life.machine.service("check", status=1).said
    assert "credentials" in checked
    for path, mode in ((life.data, 0o700), (life.data / "state.db", 0o600)):
        assert path.stat().st_mode & 0o777 == mode, path
    assert (life.data / "keyring.gpg").stat().st_size > 500, "the store's key"
    assert 'DAEMON_OPTS=""' in (life.machine.root / "etc/default" / NAME).read_text()
    for line in (life.machine.root / "etc" / NAME / "config.toml").read_text().splitlines():
        assert not line or line.startswith("#"), "an HTTP proxy that is nobody's, H4"


def test_it_takes_over_what_the_version_before_has_installed(life: Life) -> None:
    life.machine.write(f"/etc/default/{NAME}", DEFAULTS)
    life.machine.write(f"/etc/{NAME}/config.toml", CONFIG)
    life.machine.service("restart")
    wait_for("readiness", lambda: answers("/readyz"), 200)
    owner = life.machine.run("stat", "-c", "%U", f"/var/lib/{NAME}/state.db").said.strip()
    assert owner == "eucalyptus"
    assert "euca_conf" in life.machine.service("check").said
    if life.emi:
        state = life.tab.state(life.tab.uri(OLD_IMAGE))
        assert (state["status"], state["emi"]) == ("installed", life.emi)


def test_a_click_on_install_ends_in_an_image_of_the_cloud(life: Life) -> None:
    image = life.tab.uri(NEW_IMAGE)
    life.tab.click(image, "install")
    assert life.tab.wait(image, "installed")["emi"]
    user = life.machine.run("stat", "-c", "%U", f"/proc/{life.machine.process()}").said.strip()
    assert user == "eucalyptus"
    assert SECRET not in life.machine.said()


def test_the_init_script_does_what_its_words_say(life: Life) -> None:
    machine, first = life.machine, life.machine.process()
    assert first
    assert machine.service("start").status == 0
    machine.service("reload")
    wait_for("the reload", lambda: "the configuration was read again" in machine.said())
    assert machine.process() == first, "neither start nor reload begins it anew"
    for action, status in (("status", 0), ("stop", 4)):
        command = f"service {NAME} {action}"
        machine.run("su", "nobody", "-s", "/bin/sh", "-c", command, status=status)
    assert machine.process() == first
    os.kill(first, signal.SIGKILL)
    wait_for("its end", lambda: not machine.process())
    assert machine.service("status", status=1).said
    machine.service("reload", status=7)
    machine.service("start")
    second = machine.process()
    assert second not in (0, first)
    machine.service("restart")
    assert machine.process() not in (0, second)
    machine.service("stop")
    machine.service("stop")
    sleep = ["python3", "-c", "import time; time.sleep(100)"]
    other = subprocess.Popen(["chroot", machine.root, *sleep])
    machine.write(f"/run/{NAME}.pid", f"{other.pid}\n")
    machine.service("stop")
    assert other.poll() is None, "an old pid file may name anybody's process"
    other.kill()
    other.wait()
    assert not machine.process()
    machine.service("status", status=3)
    machine.service("start")
    assert life.status(NEW_IMAGE) == "installed"


def test_h15_an_upgrade_keeps_state_and_what_was_configured(life: Life, package: Path) -> None:
    before = life.machine.process()
    said = life.machine.install(package).said
    assert said.index("Stopping") < said.index("Unpacking"), "it may still load a module"
    assert life.machine.process() not in (0, before), "the new version runs"
    wait_for("readiness", lambda: answers("/readyz"), 200)
    assert life.status(NEW_IMAGE) == "installed"
    assert (life.machine.root / "etc/default" / NAME).read_text() == DEFAULTS
    assert (life.machine.root / "etc" / NAME / "config.toml").read_text() == CONFIG


def test_removing_stops_it_and_keeps_data_and_configuration(life: Life) -> None:
    life.machine.run("dpkg", "--remove", NAME)
    assert not answers()
    assert not life.machine.process()
    with sqlite3.connect(life.data / "state.db") as database:
        (count,) = database.execute("SELECT count(*) FROM installations").fetchone()
    assert count >= 1
    assert (life.machine.root / "etc/default" / NAME).read_text() == DEFAULTS
    assert not (life.machine.root / "usr/lib" / NAME).exists()


def test_h15_purge_leaves_the_machine_as_it_was(life: Life) -> None:
    # As if it were a disk of its own, where only what is on it can be removed.
    subprocess.run(["mount", "--bind", life.data, life.data], check=True, timeout=10)
    try:
        life.machine.run("dpkg", "--purge", NAME)
    finally:
        subprocess.run(["umount", life.data], check=True, timeout=10)
    life.data.rmdir()
    now = life.machine.files()
    changed = {
        path for path in now.keys() | life.before.keys() if now.get(path) != life.before.get(path)
    }
    assert sorted(path for path in changed if not path.startswith(OURS)) == []

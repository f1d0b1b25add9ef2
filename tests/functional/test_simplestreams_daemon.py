"""The real daemon between a signed simplestreams mirror and a cloud."""

from __future__ import annotations

import hashlib
import io
import random
import signal
import sqlite3
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.certificates import make_credentials_directory
from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.web.present import image_id
from tests.functional import cloud_clients
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.gpg_home import Signer, fresh_home
from tests.functional.mirror import KEY, Mirror, source
from tests.functional.rig import CLIENT_ID, SECRET, Daemon, wait_for
from tests.functional.unbundle import unbundle

NOBLE = "org.example:server:24.04:amd64"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.mktemp("keys")) as home:
        home.make(KEY)
        home.make("Stranger <stranger@example.org>")
        yield home


@pytest.fixture
def mirror(signer: Signer) -> Iterator[Mirror]:
    with FaultyServer() as server:
        yield Mirror(server, signer)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A disk as raw bytes, and as the compressed qcow2 that a mirror has."""
    work = tmp_path_factory.mktemp("disk")
    noise = random.Random(1)
    raw = bytearray(12 * 2**20)
    for at in range(0, len(raw), 3 * 2**20):
        raw[at : at + 2**20] = noise.randbytes(2**20)
    (work / "raw").write_bytes(raw)
    subprocess.run(
        ["qemu-img", "convert", "-c", "-O", "qcow2", work / "raw", work / "qcow2"],
        check=True,
        timeout=60,
    )
    return bytes(raw), (work / "qcow2").read_bytes()


@contextmanager
def running(
    directory: Path, mirror: Mirror, *lines: str, options: tuple[str, ...] = ()
) -> Iterator[Daemon]:
    keyring = directory / "mirror.gpg"
    keyring.write_bytes(mirror.signer.export(KEY))
    (directory / "config.toml").write_text(source(mirror, keyring, *lines))
    daemon = Daemon(
        directory,
        f"--config={directory / 'config.toml'}",
        *(options or (f"--fake-eucalyptus={SECRET}",)),
    )
    try:
        daemon.start()
        wait_for("an answer of the mirror", daemon.has_asked)
        yield daemon
    finally:
        if daemon.running and daemon.running.poll() is None:
            daemon.end()


def status(daemon: Daemon) -> dict[str, object]:
    (one,) = daemon.proxy.get("/api/sources")["sources"]
    return dict(one)


def test_a_disk_of_a_signed_mirror_is_registered_as_qemu_img_converts_it(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes], moto_url: str
) -> None:
    raw, qcow2 = disk
    mirror.put(NOBLE, "20240821", disk1_img=qcow2)
    mirror.publish()
    made = make_credentials_directory(
        tmp_path / "credentials", moto_url, moto_url, CLIENT_ID, SECRET
    )
    options = ("--cloud=ec2", f"--credentials-dir={made.directory}")
    with running(tmp_path, mirror, options=options) as daemon:
        (image,) = daemon.proxy.get("/api/dashboard")["images"]
        assert image["title"] == "Ubuntu 24.04 LTS (Noble Numbat), amd64"
        daemon.act(image["uri"], "install")
        state = daemon.wait(image["uri"], "installed")
        assert "eki" not in state
    with sqlite3.connect(daemon.data_dir / "state.db") as db:
        ((registered, location),) = db.execute("SELECT image_id, location FROM installed_bundles")
    assert registered == state["emi"]
    s3 = cloud_clients.client("s3", moto_url)
    bundle = unbundle(
        s3,
        location,
        tmp_path,
        private_key=made.cloud_key,
        whose="ec2",
        certificate=made.user_cert,
    )
    assert bundle.image.read_bytes() == raw


def test_a_tarball_with_kernel_ramdisk_and_image_is_installed_where_there_is_no_hvm(
    tmp_path: Path, mirror: Mirror
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, size_bytes in (
            ("c-blank.img", 300_000),
            ("c-vmlinuz", 5_000),
            ("c-initrd", 3_000),
        ):
            member = tarfile.TarInfo(name)
            member.size = size_bytes
            tar.addfile(member, io.BytesIO(random.Random(size_bytes).randbytes(size_bytes)))
    mirror.put("net.cirros-cloud:standard:0.3:x86_64", "20130111", uec_tar_gz=packed.getvalue())
    mirror.publish()
    options = (f"--fake-eucalyptus={SECRET}", "--cloud-takes=paravirtual", "--cloud-needs-ramdisk")
    with running(tmp_path, mirror, options=options) as daemon:
        (image,) = daemon.proxy.get("/api/dashboard")["images"]
        daemon.act(image["uri"], "install")
        state = daemon.wait(image["uri"], "installed")
        assert all(state[key] for key in ("emi", "eki", "eri"))


def test_a_newer_version_is_an_upgrade_and_an_older_one_is_installed_by_name(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes]
) -> None:
    mirror.put(NOBLE, "20240701", disk1_img=disk[1])
    mirror.put(NOBLE, "20240821", disk1_img=disk[1] + bytes(512))
    mirror.publish()
    uri = mirror.uri(NOBLE)
    with running(tmp_path, mirror) as daemon:
        daemon.act(f"{uri}@20240701", "install")
        assert daemon.wait(f"{uri}@20240701", "installed")["installed-version"] == "20240701"
        daemon.act(uri, "install")
        assert daemon.wait(uri, "installed")["installed-version"] == "20240821"
        mirror.put(NOBLE, "20240901", disk1_img=disk[1])
        mirror.publish()
        assert daemon.running
        daemon.end(signal.SIGKILL)
        daemon.start()
        wait_for("the newer version", lambda: daemon.state(uri)["is-upgrade"])
        daemon.act(uri, "install")
        assert daemon.wait(uri, "installed")["installed-version"] == "20240901"


def test_an_install_that_was_killed_goes_on_with_the_version_it_began_with(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes]
) -> None:
    mirror.put(NOBLE, "20240821", disk1_img=disk[1])
    mirror.publish()
    uri = mirror.uri(NOBLE)
    (path,) = (one for one in mirror.server.pages if one.endswith("disk1.img"))
    mirror.server.pages[path].pause_s = 0.05
    with running(tmp_path, mirror) as daemon:
        daemon.act(uri, "install")
        wait_for("some bytes", lambda: daemon.state(uri).get("bytes-done", 0) > 500_000)
        daemon.end(signal.SIGKILL)
        mirror.put(NOBLE, "20250101", disk1_img=disk[1])
        mirror.publish()
        daemon.start()
        mirror.server.pages[path].pause_s = 0
        daemon.wait(uri, "installed", "uninstalled")
        assert daemon.state(uri)["installed-version"] == "20240821"
        wait_for("the newer version", lambda: daemon.state(uri)["is-upgrade"])


@pytest.mark.parametrize("lie", ["unsigned", "stranger", "changed", "older", "wrong digest"])
def test_a_mirror_that_lies_gets_nothing_registered(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes], lie: str
) -> None:
    mirror.put(NOBLE, "20240821", disk1_img=disk[1])
    mirror.publish()
    uri = mirror.uri(NOBLE)
    with running(tmp_path, mirror) as daemon:
        assert daemon.proxy.get("/api/dashboard")["images"]
        name = next(one for one in mirror.server.pages if "download.sjson" in one)
        good = mirror.server.pages[name].body
        if lie == "wrong digest":
            path = next(one for one in mirror.server.pages if one.endswith("disk1.img"))
            mirror.server.pages[path] = Page(disk[1][:-1] + b"!")
            daemon.act(uri, "install")
            state = daemon.wait(uri, "uninstalled")
            assert "another content than was signed" in state["error-message"]
        else:
            mirror.put(NOBLE, "20990101", disk1_img=b"evil" * 200_000)
            mirror.updated_s += {"older": -86400}.get(lie, 0)
            mirror.key = "stranger@example.org" if lie == "stranger" else KEY
            mirror.publish()
            if lie == "unsigned":
                body = good.split(b"\n\n", 1)[1].split(b"-----BEGIN")[0]
                mirror.server.pages[name] = Page(body)
            if lie == "changed":
                mirror.server.pages[name] = Page(good.replace(b"20240821", b"20240822"))
            assert daemon.running
            daemon.end()
            daemon.start()
            said = wait_for("the refusal", lambda: status(daemon).get("problem"))
            words = {"unsigned": "not signed", "stranger": "not in the keyring",
                     "changed": "was changed", "older": "older publication"}  # fmt: skip
            assert words[lie] in str(said)
            (image,) = daemon.proxy.get("/api/dashboard")["images"]
            assert image["version"] == "20240821", "the last good catalogue stays"
            with pytest.raises(ClientError):
                daemon.act(f"{uri}@20990101", "install")
                state = daemon.wait(f"{uri}@20990101", "installed", "uninstalled")
                raise ClientError(state["error-message"])
        text = daemon.data_dir / "fake-cloud.json"
        assert not text.exists() or b"emi-" not in text.read_bytes()


def test_only_pinned_keys_may_sign_and_filters_leave_things_out(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes]
) -> None:
    mirror.put(NOBLE, "20240821", disk1_img=disk[1])
    mirror.publish()
    fingerprint = mirror.signer.fingerprint(KEY)
    pinned = f'fingerprints = ["{fingerprint}"]'
    with running(tmp_path, mirror, pinned, 'releases = ["jammy"]') as daemon:
        assert status(daemon)["images"] == 0
        assert not status(daemon).get("problem")
    with running(tmp_path, mirror, pinned, 'releases = ["24.04"]') as daemon:
        wait_for("the image", lambda: status(daemon)["images"] == 1)


def test_what_cannot_run_here_is_said_and_not_offered(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes]
) -> None:
    mirror.put(NOBLE.replace("amd64", "arm64"), "20240821", disk1_img=disk[1])
    mirror.publish(arch="arm64")
    with running(tmp_path, mirror) as daemon:
        answer = daemon.proxy.get("/api/dashboard")
        (image,), (state,), (section,) = (answer[k] for k in ("images", "states", "sections"))
        assert "arm64" in image["refused"]
        assert image["summary"].startswith("Not for this cloud: ")
        assert "install" not in state["actions"]
        assert section["title"] == "Not for this cloud"
        with pytest.raises(ClientError, match="arm64"):
            daemon.proxy.post(f"{_path(daemon, image['uri'])}/install")


def _path(daemon: Daemon, uri: str) -> str:
    return f"/api/images/{image_id(uri)}"


def test_the_evidence_of_an_install_is_the_catalogue_word_for_word(
    tmp_path: Path, mirror: Mirror, disk: tuple[bytes, bytes]
) -> None:
    mirror.put(NOBLE, "20240821", disk1_img=disk[1])
    mirror.publish()
    with running(tmp_path, mirror) as daemon:
        daemon.act(mirror.uri(NOBLE), "install")
        daemon.wait(mirror.uri(NOBLE), "installed")
    with sqlite3.connect(daemon.data_dir / "state.db") as db:
        ((sha256, message),) = db.execute("SELECT sha256, message FROM evidence")
        ((document,),) = db.execute("SELECT document FROM installations")
    page = next(p for name, p in mirror.server.pages.items() if "download.sjson" in name)
    assert zlib.decompress(message) == page.body
    assert hashlib.sha256(page.body).hexdigest() == sha256
    assert sha256.encode() in document

"""Images go from site to site under their original signatures: real daemons and archives."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from imagestoreproxy.web.present import image_id
from tests.functional import warm
from tests.functional.faulty_server import FaultyServer
from tests.functional.gpg_home import Signer, fresh_home
from tests.functional.mirror import KEY, Mirror, source
from tests.functional.ports import free_port
from tests.functional.rig import (
    CLIENT_ID,
    ROOT,
    SECRET,
    Daemon,
    FakeStore,
    Rig,
    fake_rig,
    wait_for,
)

TEST_KEY = ROOT / "fake-pubring.gpg"
STRANGER = "Stranger <stranger@example.org>"
NOBLE = "org.example:server:24.04:amd64"


def command(*arguments: str, daemon: Daemon | None = None) -> tuple[Sequence[str], dict[str, str]]:
    """Give the command line and environment of ``bin/image-store``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "EC2_", "IMAGE_"))}
    secret = {"IMAGE_STORE_SECRET": SECRET, "IMAGE_STORE_CLIENT_ID": CLIENT_ID} if daemon else {}
    url = [f"--url=http://127.0.0.1:{daemon.port}"] if daemon else []
    return [sys.executable, str(ROOT / "bin" / "image-store"), *url, *arguments], {**kept, **secret}


def client(*arguments: str, daemon: Daemon | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; without a daemon there are no credentials either."""
    line, environment = command(*arguments, daemon=daemon)
    return warm.run(line, environment, timeout_s=60)


@contextmanager
def site(directory: Path, *options: str, keyring: Path = TEST_KEY) -> Iterator[Daemon]:
    """Run a daemon whose only configured store is an address that nobody listens on."""
    directory.mkdir(exist_ok=True)
    store = f"--api-url=http://127.0.0.1:{free_port()}/api"
    daemon = Daemon(
        directory, store, f"--fake-eucalyptus={SECRET}", f"--keyring={keyring}", *options
    )
    try:
        daemon.start()
        yield daemon
    finally:
        if daemon.running and daemon.running.poll() is None:
            daemon.end()


def imported(
    archive: Path, directory: Path, keyring: Path = TEST_KEY
) -> subprocess.CompletedProcess[str]:
    data_dir = directory / "data"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return client("import", str(archive), f"--data-dir={data_dir}", f"--keyring={keyring}")


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def stored(daemon: Daemon) -> dict[str, str]:
    """Give the digest of what the fake cloud holds of each kind."""
    content = json.loads((daemon.data_dir / "fake-cloud.json").read_text())
    return {name.rpartition("-")[2]: one["sha256"] for name, one in content["stored"].items()}


def install(daemon: Daemon, uri: str) -> dict[str, Any]:
    wait_for("the image", lambda: daemon.state(uri)["actions"].get("install"))
    daemon.act(uri, "install")
    return daemon.wait(uri, "installed", "uninstalled")


def sent(store: FakeStore) -> dict[str, int]:
    """Give how often each file of the store was asked for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{store.port}/control", timeout=10) as answer:
        counts = json.load(answer)["requests"]
    return {path: count for path, count in counts.items() if "/files/" in path}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.mktemp("keys")) as home:
        home.make(KEY)
        home.make(STRANGER)
        yield home


@pytest.fixture(scope="module")
def stranger(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ring") / "stranger.gpg"
    path.write_bytes(signer.export(STRANGER))
    return path


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


Carried = tuple[Rig, str, Path]


def test_an_image_is_exported_and_installed_at_a_site_without_any_network_source(
    carried: Carried, tmp_path: Path
) -> None:
    rig, uri, archive = carried
    assert rig.daemon.state(uri)["status"] == "uninstalled"
    with site(tmp_path / "far") as far:
        done = imported(archive, tmp_path / "far")
        assert done.returncode == 0, done.stderr
        assert uri in done.stdout
        state = install(far, uri)
        assert state["status"] == "installed", state
        assert not far.files()
    assert install(rig.daemon, uri)["status"] == "installed"
    assert stored(far) == stored(rig.daemon)
    rig.daemon.act(uri, "uninstall")


def test_what_was_exported_with_a_cache_of_nothing_is_not_kept(carried: Carried) -> None:
    rig, _, _ = carried
    cache = rig.daemon.data_dir / "cache"
    wait_for("an empty cache", lambda: not list((cache / "files").iterdir()))
    assert not rig.daemon.files()


def test_two_exports_of_the_same_image_are_the_same_bytes(carried: Carried, tmp_path: Path) -> None:
    rig, uri, archive = carried
    line, environment = command("export", uri, "-", daemon=rig.daemon)
    done = subprocess.run(line, capture_output=True, timeout=60, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == archive.read_bytes()


def test_an_archive_can_be_unpacked_and_checked_with_the_tools_that_everybody_has(
    carried: Carried, tmp_path: Path
) -> None:
    _, _, archive = carried
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True, timeout=30)
    files = list((tmp_path / "files").iterdir())
    assert len(files) == 3
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    (document,) = (tmp_path / "documents").iterdir()
    done = subprocess.run(
        ["gpgv", f"--keyring={TEST_KEY}", document], capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


def test_an_archive_whose_key_is_not_known_is_refused_with_a_sentence_and_changes_nothing(
    carried: Carried, tmp_path: Path, stranger: Path
) -> None:
    _, uri, archive = carried
    done = imported(archive, tmp_path, keyring=stranger)
    assert done.returncode == 1
    assert "is refused, and nothing was changed" in done.stderr
    assert uri in done.stderr
    assert "keyring" in done.stderr
    assert tree(tmp_path / "data") == {}
    assert not (tmp_path / "data" / "carried").exists()


def test_a_daemon_that_does_not_know_the_key_does_not_install_what_was_imported(
    carried: Carried, tmp_path: Path, stranger: Path
) -> None:
    _, uri, archive = carried
    assert imported(archive, tmp_path).returncode == 0
    with site(tmp_path, keyring=stranger) as far:
        state = install(far, uri)
        assert state["status"] == "uninstalled"
        assert "keyring" in state["error-message"]
        cloud = far.data_dir / "fake-cloud.json"
        assert not cloud.exists() or "emi-" not in cloud.read_text()


@pytest.mark.parametrize("where", [0.0, 0.0006, 0.5, 0.99])
def test_one_flipped_byte_is_found_and_what_was_imported_before_stays(
    carried: Carried, tmp_path: Path, where: float
) -> None:
    _, _, archive = carried
    assert imported(archive, tmp_path).returncode == 0
    before = tree(tmp_path / "data")
    content = bytearray(archive.read_bytes())
    at = int(where * len(content))
    while content[at] == 0:
        at += 1
    content[at] ^= 1
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(content)
    done = imported(damaged, tmp_path)
    assert done.returncode == 1, done.stdout
    assert "nothing was changed" in done.stderr
    assert tree(tmp_path / "data") == before
    assert not (tmp_path / "data" / "carried.incoming").exists()


def test_an_archive_that_was_cut_off_is_refused(carried: Carried, tmp_path: Path) -> None:
    _, _, archive = carried
    content = archive.read_bytes()
    for size_bytes in (0, 1000, 20_000, len(content) // 2):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(content[:size_bytes])
        done = imported(cut, tmp_path)
        assert (done.returncode, tree(tmp_path / "data")) == (1, {}), size_bytes


def test_an_import_that_is_killed_leaves_nothing_half_and_the_next_one_does_it(
    carried: Carried, tmp_path: Path
) -> None:
    _, uri, archive = carried
    content = archive.read_bytes()
    (tmp_path / "data").mkdir(mode=0o700)
    line, environment = command(
        "import", "-", f"--data-dir={tmp_path / 'data'}", f"--keyring={TEST_KEY}"
    )
    running = subprocess.Popen(
        line, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT
    )
    assert running.stdin
    running.stdin.write(content[: len(content) // 2])
    running.stdin.flush()
    wait_for("some bytes", lambda: tree(tmp_path / "data"))
    running.kill()
    running.wait(10)
    running.stdin.close()
    assert not (tmp_path / "data" / "carried").exists()
    assert imported(archive, tmp_path).returncode == 0
    assert not (tmp_path / "data" / "carried.incoming").exists()
    listed = json.loads((tmp_path / "data" / "carried" / "images.json").read_text())
    assert [image["uri"] for image in listed["images"]] == [uri]


def test_a_fetch_goes_on_after_the_daemon_was_killed_and_an_export_waits_for_it(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images) as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        rig.store.control(fault="slow", path="files/image", rate=3_000_000)
        archive = tmp_path / "images.tar"
        line, environment = command("export", uri, str(archive), daemon=rig.daemon)
        running = subprocess.Popen(line, stderr=subprocess.PIPE, env=environment, cwd=ROOT)
        wait_for("half of it", lambda: rig.daemon.held_bytes() > 4 << 20)
        rig.daemon.end(signal.SIGKILL)
        held_bytes = rig.daemon.held_bytes()
        rig.daemon.start()
        assert rig.daemon.held_bytes() >= held_bytes
        rig.store.control(fault="none")
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert imported(archive, tmp_path / "far").returncode == 0


def test_an_export_that_is_broken_off_tells_the_proxy_to_stop(tmp_path: Path, images: Path) -> None:
    with fake_rig(tmp_path, images) as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        rig.store.control(fault="slow", path="files/image", rate=1_000_000)
        archive = tmp_path / "images.tar"
        line, environment = command("export", uri, str(archive), daemon=rig.daemon)
        running = subprocess.Popen(line, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT)
        wait_for("a beginning", lambda: rig.daemon.held_bytes() > 2**20)
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 130
        assert f"POST /api/images/{image_id(uri)}/release: 200" in rig.daemon.said()
        assert not archive.exists()
        rig.store.control(fault="none")
        assert client("export", uri, str(archive), daemon=rig.daemon).returncode == 0


def test_an_export_that_is_killed_leaves_no_file_under_its_name(
    carried: Carried, tmp_path: Path
) -> None:
    rig, uri, _ = carried
    archive = tmp_path / "images.tar"
    line, environment = command("export", uri, str(archive), daemon=rig.daemon)
    rig.store.control(fault="slow", path="files/image", rate=1_000_000)
    running = subprocess.Popen(line, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT)
    part = tmp_path / "images.tar.part"
    wait_for("a beginning", part.exists)
    running.kill()
    running.wait(10)
    rig.store.control(reset=True)
    assert not archive.exists()
    assert client("export", uri, str(archive), daemon=rig.daemon).returncode == 0
    assert not part.exists()


def test_a_sibling_installs_from_a_shared_cache_with_the_store_switched_off(
    tmp_path: Path, images: Path
) -> None:
    options = ("--share-cache", "--cache-size=1")
    (tmp_path / "near").mkdir()
    with fake_rig(tmp_path / "near", images, *options) as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        assert install(rig.daemon, uri)["status"] == "installed"
        rig.store.end()
        config = tmp_path / "config.toml"
        config.write_text(
            f'[[source]]\nname = "sibling"\ntype = "carried"\nkeyring = "{TEST_KEY}"\n'
            f'url = "http://127.0.0.1:{rig.daemon.port}/cache/"\n'
        )
        with site(tmp_path / "far", f"--config={config}") as far:
            state = install(far, uri)
            assert state["status"] == "installed", state
            assert stored(far) == stored(rig.daemon)
            found = far.proxy.get("/readyz", also=[503])["findings"]
            notes = [one.get("note", "") for one in found]
            assert any("/cache/images.json answers" in note for note in notes), found


def test_the_cache_is_there_for_strangers_only_where_it_is_shared(
    carried: Carried, tmp_path: Path, images: Path
) -> None:
    rig, _, archive = carried
    hidden = f"http://127.0.0.1:{rig.daemon.port}/cache/images.json"
    with pytest.raises(HTTPError, match="404"):
        urllib.request.urlopen(hidden, timeout=10)
    assert imported(archive, tmp_path).returncode == 0
    with site(tmp_path, "--share-cache") as shared:
        base = f"http://127.0.0.1:{shared.port}/cache"
        with urllib.request.urlopen(f"{base}/images.json", timeout=10) as answer:
            (image,) = json.load(answer)["images"]
        digest = image["files"][-1]["digest"]
        with urllib.request.urlopen(f"{base}/files/{digest}", timeout=10) as answer:
            whole = answer.read()
        assert hashlib.sha256(whole).hexdigest() == digest
        asked = urllib.request.Request(
            f"{base}/files/{digest}", headers={"Range": "bytes=1000-1999"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert (answer.status, answer.read()) == (206, whole[1000:2000])
        for path in (f"files/{'0' * 64}", "files/", "documents/..%2f..%2fstate.db", "state.db"):
            with pytest.raises(HTTPError, match=r"40[14]"):
                urllib.request.urlopen(f"{base}/{path}", timeout=10)


def test_what_the_cache_has_is_not_downloaded_again_and_damage_in_it_is_found(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images, "--cache-size=1") as rig:
        uri = rig.daemon.proxy.get("/api/dashboard")["images"][0]["uri"]
        assert install(rig.daemon, uri)["status"] == "installed"
        first = stored(rig.daemon)
        once = sent(rig.store)
        cached = list((rig.daemon.data_dir / "cache" / "files").iterdir())
        assert len(cached) == 3
        rig.daemon.act(uri, "uninstall")
        rig.daemon.wait(uri, "uninstalled")
        assert install(rig.daemon, uri)["status"] == "installed"
        assert (sent(rig.store), stored(rig.daemon)) == (once, first)
        largest = max(cached, key=lambda path: path.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
        rig.daemon.act(uri, "uninstall")
        rig.daemon.wait(uri, "uninstalled")
        assert install(rig.daemon, uri)["status"] == "installed"
        assert stored(rig.daemon) == first
        assert sum(sent(rig.store).values()) > sum(once.values())
        assert hashlib.sha256(largest.read_bytes()).hexdigest() == largest.name
        assert not rig.daemon.files()


def test_an_image_of_a_signed_catalogue_is_carried_with_the_catalogue_that_names_it(
    tmp_path: Path, signer: Signer, stranger: Path
) -> None:
    keyring = tmp_path / "mirror.gpg"
    keyring.write_bytes(signer.export(KEY))
    disk = random.Random(3).randbytes(2_000_000)
    archive = tmp_path / "images.tar"
    with FaultyServer() as server:
        mirror = Mirror(server, signer)
        mirror.put(NOBLE, "20240821", tar_gz=_tarball(tmp_path, disk))
        mirror.publish()
        uri = mirror.uri(NOBLE)
        config = tmp_path / "config.toml"
        config.write_text(source(mirror, keyring))
        (tmp_path / "near").mkdir()
        with site(tmp_path / "near", f"--config={config}") as near:
            wait_for("the image", lambda: near.state(uri)["actions"].get("install"))
            done = client("export", uri, str(archive), daemon=near)
            assert done.returncode == 0, done.stderr + near.said()
    known = imported(archive, tmp_path / "far", keyring=keyring)
    assert known.returncode == 1, "Ubuntu's keys have not signed this catalogue"
    far_data = tmp_path / "far" / "data"
    done = client("import", str(archive), f"--data-dir={far_data}", f"--config={config}")
    assert done.returncode == 0, done.stderr
    with site(tmp_path / "far", f"--config={config}") as far:
        state = install(far, uri)
        assert state["status"] == "installed", state
        assert hashlib.sha256(disk).hexdigest() in stored(far).values()
    only = tmp_path / "only.toml"
    only.write_text(
        f'[[source]]\nname = "disk"\ntype = "carried"\nkeyring = "{keyring}"\n'
        f'path = "{far_data / "carried"}"\n'
    )
    with site(tmp_path / "farther", f"--config={only}") as farther:
        assert install(farther, uri)["status"] == "installed"
    only.write_text(only.read_text().replace(str(keyring), str(stranger)))
    with site(tmp_path / "farthest", f"--config={only}") as farthest:
        state = install(farthest, uri)
        assert state["status"] == "uninstalled"
        assert "not in the keyring" in state["error-message"]


def _tarball(directory: Path, disk: bytes) -> bytes:
    (directory / "noble.img").write_bytes(disk)
    (directory / "noble-vmlinuz-generic").write_bytes(b"kernel" * 1000)
    (directory / "noble-initrd-generic").write_bytes(b"initrd" * 1000)
    packed = directory / "noble.tar.gz"
    subprocess.run(
        ["tar", "-czf", packed, "-C", directory, "noble.img", "noble-vmlinuz-generic",
         "noble-initrd-generic"],
        check=True,
        timeout=30,
    )  # fmt: skip
    return packed.read_bytes()


def test_an_image_that_nobody_has_signed_is_not_exported(tmp_path: Path, signer: Signer) -> None:
    with FaultyServer() as server:
        mirror = Mirror(server, signer)
        mirror.put(NOBLE, "20240821", tar_gz=_tarball(tmp_path, b"disk" * 5000))
        mirror.publish()
        name = next(path for path in server.pages if path.endswith("download.sjson"))
        for path in [one for one in server.pages if one.endswith(".sjson")]:
            page = server.pages.pop(path)
            text = page.body.split(b"\n\n", 1)[1].split(b"-----BEGIN")[0]
            page.body = text.replace(b".sjson", b".json")
            server.pages[path.replace(".sjson", ".json")] = page
        assert name not in server.pages
        config = tmp_path / "config.toml"
        config.write_text(
            f'[[source]]\nname = "open"\ntype = "simplestreams"\nurl = "{mirror.root}"\n'
            "unsigned = true\n"
        )
        with site(tmp_path, f"--config={config}") as near:
            uri = mirror.uri(NOBLE)
            wait_for("the image", lambda: near.state(uri)["actions"].get("install"))
            done = client("export", uri, str(tmp_path / "x.tar"), daemon=near)
            assert done.returncode == 1
            assert "Nobody has signed" in done.stderr
            assert not list(tmp_path.glob("x.tar*"))


def test_a_signed_request_for_a_file_of_the_cache_is_needed_below_api(carried: Carried) -> None:
    rig, uri, _ = carried
    url = f"http://127.0.0.1:{rig.daemon.port}/api/cache/images.json"
    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=10)
    path = f"/api/images/{image_id(uri)}/fetch"
    wait_for("it", lambda: rig.daemon.proxy.post(path)["fetch"]["status"] == "fetched")
    (image,) = rig.daemon.proxy.get("/api/cache/images.json")["images"]
    assert image["uri"] == uri


def test_import_needs_a_data_directory_that_is_there(carried: Carried, tmp_path: Path) -> None:
    done = client("import", str(carried[2]), f"--data-dir={tmp_path / 'none'}")
    assert done.returncode == 2
    assert "start the proxy once" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_copy_of_an_imported_directory_is_a_source_as_well(
    carried: Carried, tmp_path: Path
) -> None:
    _, uri, archive = carried
    assert imported(archive, tmp_path / "one").returncode == 0
    shutil.copytree(tmp_path / "one" / "data" / "carried", tmp_path / "disk")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[[source]]\nname = "disk"\ntype = "carried"\nkeyring = "{TEST_KEY}"\npath = "disk"\n'
    )
    with site(tmp_path / "two", f"--config={config}") as far:
        assert install(far, uri)["status"] == "installed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_imports_for_the_owner_of_the_data_directory(carried: Carried, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, 65534, 65534)
    for above in tmp_path.parents:
        if above.is_relative_to("/tmp") and above != Path("/tmp"):
            above.chmod(0o755)
    tmp_path.chmod(0o755)
    done = imported(carried[2], tmp_path)
    assert done.returncode == 0, done.stderr
    found = [data_dir / "carried", *(data_dir / "carried").rglob("*")]
    assert len(found) > 5
    assert {path.stat().st_uid for path in found} == {65534}


def test_in_json_it_is_one_object_whatever_happens(carried: Carried, tmp_path: Path) -> None:
    rig, uri, _ = carried
    archive = tmp_path / "images.tar"
    done = client("export", "--json", uri, str(archive), daemon=rig.daemon)
    told = json.loads(done.stdout)
    assert (done.returncode, told["file"]) == (0, str(archive))
    assert [image["uri"] for image in told["images"]] == [uri]
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    line = ("import", "--json", f"--data-dir={data_dir}", str(archive))
    assert "keyring" in json.loads(client(*line).stdout)["error-message"]
    done = client(*line, f"--keyring={TEST_KEY}")
    assert [image["uri"] for image in json.loads(done.stdout)["images"]] == [uri]

"""The daemon as its users meet it: started by the README's command, asked over the wire."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.client.requests import ClientError, Connection
from imagestoreproxy.install.runs import KEEP_S
from imagestoreproxy.install.tail import TAIL_BYTES
from imagestoreproxy.web.present import image_id
from tests.functional import cloud_clients
from tests.functional.interceptor import Answer, Request, interceptor
from tests.functional.ports import free_port
from tests.functional.rig import (
    CLIENT_ID,
    ROOT,
    SECRET,
    SOON_S,
    START_S,
    Rig,
    ec2_rig,
    fake_rig,
    wait_for,
)
from tests.functional.unbundle import unbundle

TRIO = "Example Server"


def sent_bytes(rig: Rig, name: str) -> int:
    """Tell how much the store sent of a file."""
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.store.port}/control") as answer:
        counts = json.load(answer)["bytes"]
    return sum(count for path, count in counts.items() if path.endswith(name))


def is_hvm(uri: str) -> bool:
    with urllib.request.urlopen(uri) as answer:
        return b'"hvm"' in answer.read()


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    with fake_rig(tmp_path, images) as made:
        yield made


def test_a_click_on_install_ends_in_an_emi(rig: Rig) -> None:
    uri = rig.image(TRIO)
    first = rig.daemon.act(uri, "install")
    assert first["status"] == "downloading"
    done = rig.daemon.wait(uri, "installed")
    assert re.fullmatch("emi-[0-9a-f]{8}", done["emi"])
    assert re.fullmatch("eki-[0-9a-f]{8}", done["eki"])
    assert re.fullmatch("eri-[0-9a-f]{8}", done["eri"])
    assert "progress-percentage" not in done
    assert not rig.daemon.files()


def test_h13_h14_an_installed_image_says_who_signed_it_and_how_to_run_it(rig: Rig) -> None:
    uri = rig.image(TRIO)
    page = f"/api/images/{image_id(uri)}"
    before = rig.daemon.proxy.get(page)
    assert before["image"]["login-user"] == "admin"
    (source,) = rig.daemon.proxy.get("/api/sources")["sources"]
    assert before["image"]["source"] == source["name"]
    assert not {"run", "signed-by"} & before.keys()
    plan = rig.daemon.proxy.get(f"{page}/plan")["plan"]
    rig.daemon.act(uri, "install")
    done = rig.daemon.wait(uri, "installed")
    content = rig.daemon.proxy.get(page)
    assert re.fullmatch("[0-9A-F]{40}", content["signed-by"]["fingerprint"])
    assert "test key" in content["signed-by"]["name"]
    assert plan["signed-by"] == content["signed-by"]
    assert any("Image Store test key" in step for step in plan["steps"])
    for way in content["run"]["ways"]:
        assert any(done["emi"] in line for line in way["commands"])
        assert way["commands"][0] == ". ~/.euca/eucarc"
        assert way["commands"][-1].startswith("ssh -i ~/image-store.pem admin@")
    assert "does not exist" in content["run"]["notes"][0]


def test_a_newer_version_is_an_upgrade_and_what_is_installed_stays_known(rig: Rig) -> None:
    for image in rig.daemon.proxy.get("/api/dashboard")["images"]:
        rig.daemon.act(image["uri"], "install")
        rig.daemon.wait(image["uri"], "installed")
    rig.store.control(newer=True)
    rig.daemon.end()
    rig.daemon.start()
    # Until the store has answered, it shows what it knew before.
    rig.daemon.proxy.post("/api/sources/refresh")
    dashboard = rig.daemon.proxy.get("/api/dashboard")
    upgrades = [state for state in dashboard["states"] if state.get("is-upgrade")]
    assert len(upgrades) == 1
    assert all(s["status"] == "installed" for s in dashboard["states"] if s not in upgrades)
    grows = upgrades[0]["image-uri"]
    assert upgrades[0]["status"] == "uninstalled"
    rig.daemon.act(grows, "install")
    assert not rig.daemon.wait(grows, "installed").get("is-upgrade")


def test_h1_the_dashboard_stays_while_the_store_is_away_and_says_why(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.daemon.end()
    rig.store.end()
    rig.daemon.start()
    # What it kept is shown before it has asked.
    wait_for("the reason", lambda: rig.daemon.proxy.get("/api/dashboard").get("error-message"))
    dashboard = rig.daemon.proxy.get("/api/dashboard")
    assert uri in {image["uri"] for image in dashboard["images"]}
    assert rig.store.url in dashboard["error-message"]
    assert "127.0.0.1" in dashboard["error-message"]
    assert "ago" in dashboard["sections"][0]["summary"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("wrong-signature", "sign"),
        ("stale", "expired"),
        ("500", "500"),
    ],
)
def test_a_store_that_cannot_be_trusted_gets_nothing_installed(
    rig: Rig, fault: str, said: str
) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault=fault)
    rig.daemon.act(uri, "install")
    failed = rig.daemon.wait(uri, "uninstalled")
    assert said in failed["error-message"]
    assert uri in failed["error-message"]
    assert "Traceback" not in failed["error-message"]
    rig.store.control(reset=True)
    cleared = rig.daemon.act(uri, "clear-error")
    assert "error-message" not in cleared
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "installed")


def test_an_older_document_than_seen_before_is_refused_also_after_a_restart(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="corrupt", path="image.gz")
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "uninstalled")
    rig.daemon.end()
    rig.store.control(reset=True)
    rig.store.control(fault="rollback")
    rig.daemon.start()
    rig.daemon.act(uri, "install")
    failed = rig.daemon.wait(uri, "uninstalled")
    assert "serial" in failed["error-message"]
    assert "seen before" in failed["error-message"]


def test_bytes_that_differ_from_what_was_signed_are_never_installed(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="corrupt", path="image.gz")
    rig.daemon.act(uri, "install")
    failed = rig.daemon.wait(uri, "uninstalled")
    assert "another content than was signed" in failed["error-message"]


def test_p1_a_broken_link_goes_on_where_it_broke(rig: Rig, images: Path) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="cut", path="image.gz", at=5_000_000, times=1)
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "installed")
    assert sent_bytes(rig, "image.gz") <= (images / "image.gz").stat().st_size + TAIL_BYTES


def test_a_server_without_ranges_is_asked_from_the_start(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="no-ranges")
    rig.store.control(fault="cut", path="image.gz", at=5_000_000, times=1)
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "installed")


def test_p8_cancel_while_downloading_waits_for_nothing_and_leaves_nothing(
    rig: Rig,
) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="slow", path="image.gz", rate=200_000)
    rig.daemon.act(uri, "install")
    wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 900_000)
    rig.daemon.act(uri, "cancel")
    rig.daemon.wait(uri, "uninstalled", within_s=SOON_S)
    assert not rig.daemon.files()


def test_p3_a_silent_server_does_not_hold_up_another_image(rig: Rig) -> None:
    uris = [image["uri"] for image in rig.daemon.proxy.get("/api/dashboard")["images"]]
    held, hvm = rig.image(TRIO), next(uri for uri in uris if is_hvm(uri))
    rig.store.control(fault="silent", path="ramdisk")
    rig.daemon.act(held, "install")
    rig.daemon.act(hvm, "install")
    rig.daemon.wait(hvm, "installed")
    assert rig.daemon.state(held)["status"] == "downloading"


def test_progress_moves_through_all_of_it_and_never_backwards(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="slow", path="image.gz", rate=2_000_000)
    rig.daemon.act(uri, "install")
    percents, stages = [], []
    while (state := rig.daemon.state(uri))["status"] != "installed":
        assert state["status"] in ("downloading", "installing"), state
        percents.append(state["progress-percentage"])
        stages.append(state["stage"])
        time.sleep(0.02)
    assert percents == sorted(percents)
    assert len(set(percents)) > 10
    assert "downloading" in stages


def test_p4_kill_9_while_downloading_goes_on_after_the_restart(rig: Rig, images: Path) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="slow", path="image.gz", rate=500_000)
    rig.daemon.act(uri, "install")
    wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 2_000_000)
    before = rig.daemon.state(uri)["progress-percentage"]
    assert before > 0
    time.sleep(3 * KEEP_S)
    assert rig.daemon.state(uri)["status"] == "downloading"
    rig.daemon.end(signal.SIGKILL)
    rig.store.control(reset=True)
    rig.daemon.start()
    assert rig.daemon.state(uri).get("progress-percentage", 100) >= before
    rig.daemon.wait(uri, "installed")
    assert sent_bytes(rig, "image.gz") < (images / "image.gz").stat().st_size * 1.2


def test_sigterm_ends_the_daemon_whatever_is_going_on(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="slow", path="image.gz", rate=100_000)
    rig.daemon.act(uri, "install")
    wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 900_000)
    assert rig.daemon.end(signal.SIGTERM, within_s=SOON_S) == 0
    rig.store.control(reset=True)
    rig.daemon.start()
    rig.daemon.wait(uri, "installed")


def test_two_daemons_on_one_data_directory_the_second_says_so_and_ends(rig: Rig) -> None:
    command = [part for part in rig.daemon.command if not part.startswith("--listen")]
    second = subprocess.run(
        [*command, "--listen=tcp:0:interface=127.0.0.1"], capture_output=True, timeout=30, cwd=ROOT
    )
    assert second.returncode == 1
    assert b"in use by another image-store-proxy" in second.stderr
    assert b"Traceback" not in second.stderr


def test_wrong_options_end_with_one_line_and_status_2() -> None:
    script = str(ROOT / "bin" / "image-store-proxy")
    ended = subprocess.run([sys.executable, script, "--nonsense"], capture_output=True, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert b"--nonsense" in ended.stderr


def test_a_missing_keyring_ends_with_one_line_that_says_what_to_type(tmp_path: Path) -> None:
    script = str(ROOT / "bin" / "image-store-proxy")
    ended = subprocess.run(
        [
            *(sys.executable, script, f"--data-dir={tmp_path / 'd'}", "--fake-eucalyptus=x"),
            *("--api-url=http://127.0.0.1:1/api", "--listen=tcp:0:interface=127.0.0.1"),
        ],
        capture_output=True,
        timeout=30,
    )
    assert ended.returncode in (1, 2)
    assert str(tmp_path / "d" / "keyring.gpg") in ended.stderr.decode()
    assert b"Traceback" not in ended.stderr


def test_everything_it_keeps_is_for_its_own_user_only(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="slow", path="image.gz", rate=2_000_000)
    rig.daemon.act(uri, "install")
    wait_for("a file", rig.daemon.files)
    paths = [rig.daemon.data_dir, *rig.daemon.data_dir.rglob("*")]
    for path in (path for path in paths if not path.name.endswith(".new")):  # gone in a moment
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


def test_no_secret_and_no_traceback_in_the_log(rig: Rig) -> None:
    uri = rig.image(TRIO)
    rig.store.control(fault="500")
    rig.daemon.act(uri, "install")
    rig.daemon.wait(uri, "uninstalled")
    with pytest.raises(ClientError):
        Connection(rig.daemon.proxy.url, CLIENT_ID, "wrong").get("/api/dashboard")
    rig.daemon.end()
    said = rig.daemon.said()
    assert uri in said
    assert SECRET not in said
    assert "Signature=" not in said
    assert "Traceback" not in said


def test_tls_and_unix_doors_open_too(tmp_path: Path, images: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    port, path = free_port(), tmp_path / "door"
    with fake_rig(
        tmp_path,
        images,
        f"--listen=ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}",
        f"--listen=unix:{path}:mode=600",
    ):
        context = ssl.create_default_context(cafile=str(certificate))
        tls = HTTPSConnection("localhost", port, context=context, timeout=10)
        tls.request("GET", "/healthz")
        assert tls.getresponse().status == 200
        tls.close()
        door = HTTPConnection("localhost", timeout=10)
        door.sock = socket.socket(socket.AF_UNIX)
        door.sock.connect(str(path))
        door.request("GET", "/healthz")
        assert door.getresponse().status == 200
        door.close()


def test_what_tools_have_left_is_swept_away_by_a_daemon_that_does_without_them(
    tmp_path: Path, images: Path
) -> None:
    home = tmp_path / "data" / "euca2ools" / "home-1"
    home.mkdir(mode=0o700, parents=True)
    (home / "user-pk.pem").touch()
    with subprocess.Popen(["sleep", "600"], env={"HOME": str(home)}) as tool:
        with fake_rig(tmp_path, images):
            assert not home.parent.exists()
        assert tool.wait(10) == -signal.SIGKILL


def test_the_twist_plugin_is_the_same_daemon(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "twisted", "image-store-proxy"),
            *(f"--data-dir={tmp_path / 'data'}", "--fake-eucalyptus=x"),
            *("--api-url=http://127.0.0.1:1/api", f"--keyring={ROOT / 'fake-pubring.gpg'}"),
            f"--listen=tcp:{port}:interface=127.0.0.1",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def is_up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for("the plugin", is_up)
    finally:
        process.terminate()
        assert process.wait(START_S) in (0, -signal.SIGTERM)


# With a cloud.


def clients(url: str) -> tuple[Any, Any]:
    return cloud_clients.client("s3", url), cloud_clients.client("ec2", url)


def ours(url: str) -> tuple[set[str], set[str]]:
    """Give the buckets and the image ids that are in the cloud."""
    s3, ec2 = clients(url)
    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    found = ec2.describe_images(Owners=["self"])["Images"]
    return buckets, {image["ImageId"] for image in found}


def test_what_ec2_registers_is_in_s3_byte_for_byte(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    before = ours(moto_url)
    with ec2_rig(tmp_path, images, moto_url, is_cold=True) as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        done = rig.daemon.wait(uri, "installed")
        peak_kib = rig.daemon.memory_kib()
        assert rig.cloud_key
        buckets, ids = ours(moto_url)
        assert ids - before[1] == {done["emi"], done["eki"], done["eri"]}
        sources = {
            "kernel": (images / "kernel").read_bytes(),
            "ramdisk": gzip.decompress((images / "ramdisk.gz").read_bytes()),
            "image": gzip.decompress((images / "image.gz").read_bytes()),
        }
        s3, _ = clients(moto_url)
        for bucket in buckets - before[0]:
            kind = bucket.rpartition("-")[2]
            keys = [o["Key"] for o in s3.list_objects(Bucket=bucket)["Contents"]]
            manifest = next(key for key in keys if key.endswith(".manifest.xml"))
            work = tmp_path / kind
            work.mkdir()
            found = unbundle(
                s3,
                f"{bucket}/{manifest}",
                work,
                private_key=rig.cloud_key,
                whose="ec2",
                certificate=next((tmp_path / "credentials").glob("euca2-*-cert.pem")),
            )
            assert found.image.read_bytes() == sources.pop(kind)
        assert not sources
        assert peak_kib < 150 * 1024


def test_p4_kill_9_while_uploading_ends_installed_and_registered_once(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    before = ours(moto_url)
    with (
        interceptor(moto_url) as cloud,
        ec2_rig(tmp_path, images, cloud.url) as rig,
    ):
        uri = rig.image(TRIO)

        def slow(request: Request) -> Answer | None:
            if ".part.1" in request.path:
                cloud.released.wait(50)
            return None

        cloud.rule = slow
        rig.daemon.act(uri, "install")
        wait_for(
            "the second part", lambda: any(".part.1" in request.path for request in cloud.seen)
        )
        wait_for("the stage", lambda: rig.daemon.state(uri).get("stage") == "uploading")
        rig.daemon.end(signal.SIGKILL)
        cloud.rule = lambda request: None
        cloud.released.set()
        rig.daemon.start()
        done = rig.daemon.wait(uri, "installed")
        buckets, ids = ours(moto_url)
        assert ids - before[1] == {done["emi"], done["eki"], done["eri"]}
        assert len(buckets - before[0]) == 3


def test_p8_cancel_while_uploading_waits_for_nothing_and_leaves_nothing(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    before = ours(moto_url)
    with (
        interceptor(moto_url) as cloud,
        ec2_rig(tmp_path, images, cloud.url) as rig,
    ):
        uri = rig.image(TRIO)

        def slow(request: Request) -> Answer | None:
            if ".part.1" in request.path:
                cloud.released.wait(50)
                return Answer(503)
            return None

        cloud.rule = slow
        rig.daemon.act(uri, "install")
        wait_for(
            "the second part", lambda: any(".part.1" in request.path for request in cloud.seen)
        )
        rig.daemon.act(uri, "cancel")
        rig.daemon.wait(uri, "uninstalled", within_s=SOON_S)
        assert ours(moto_url) == before
        assert not rig.daemon.files()


def test_h10_a_cloud_that_is_away_is_said_before_the_first_byte(
    tmp_path: Path, images: Path
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with ec2_rig(tmp_path, images, away) as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        failed = rig.daemon.wait(uri, "uninstalled")
        assert away in failed["error-message"]
        assert "refused" in failed["error-message"]
        assert sent_bytes(rig, "image.gz") == 0


def test_h8_credentials_without_an_object_store_are_said_with_the_setting(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with ec2_rig(tmp_path, images, moto_url) as rig:
        rig.daemon.end()
        eucarc = tmp_path / "credentials" / "eucarc"
        lines = eucarc.read_text().splitlines(keepends=True)
        eucarc.write_text("".join(line for line in lines if "S3_URL" not in line))
        rig.daemon.start()
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        message = rig.daemon.wait(uri, "uninstalled")["error-message"]
        assert "S3_URL" in message
        assert "--s3-url" in message


def test_keys_from_the_environment_and_from_a_profile(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with ec2_rig(tmp_path, images, moto_url) as rig:
        rig.daemon.end()
        made = tmp_path / "credentials"
        variables = {
            "EC2_CERT": str(next(made.glob("euca2-*-cert.pem"))),
            "EC2_PRIVATE_KEY": str(next(made.glob("euca2-*-pk.pem"))),
            "EUCALYPTUS_CERT": str(made / "cloud-cert.pem"),
            "EC2_USER_ID": "000123456789",
            "HOME": str(tmp_path),
        }
        urls = [f"--ec2-url={moto_url}", f"--s3-url={moto_url}"]
        command = [part for part in rig.daemon.command if "credentials-dir" not in part]
        keys = {"AWS_ACCESS_KEY_ID": CLIENT_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "credentials").write_text(
            f"[cloud]\naws_access_key_id = {CLIENT_ID}\naws_secret_access_key = {SECRET}\n"
        )
        for number, (options, environment) in enumerate(
            [([], keys), (["--profile=cloud"], dict[str, str]())]
        ):
            rig.daemon.command = [*command, *urls, *options]
            rig.daemon.environment = {**variables, **environment}
            rig.daemon.start()
            wait_for("the first catalogue", rig.daemon.has_a_catalogue)
            uri = rig.daemon.proxy.get("/api/dashboard")["images"][number]["uri"]
            rig.daemon.act(uri, "install")
            rig.daemon.wait(uri, "installed")
            rig.daemon.end()


def test_an_idle_daemon_is_small(tmp_path: Path, images: Path) -> None:
    with fake_rig(tmp_path, images, is_cold=True) as rig:
        rig.image(TRIO)
        assert rig.daemon.memory_kib("VmRSS") < 80 * 1024
        assert rig.daemon.running
        pid = rig.daemon.running.pid
        time.sleep(1)  # until what the start has left to do is done
        ticks = _cpu_ticks(pid)
        time.sleep(2)
        assert (_cpu_ticks(pid) - ticks) / os.sysconf("SC_CLK_TCK") < 0.1


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

"""Pause and resume with the real daemon: over kill -9, in the middle of a download or an upload."""

from __future__ import annotations

import gzip
import hashlib
import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.install.runs import KEEP_S
from imagestoreproxy.install.tail import TAIL_BYTES
from imagestoreproxy.web.present import image_id
from tests.functional.interceptor import Answer, Interceptor, Request, interceptor
from tests.functional.rig import SOON_S, Rig, State, ec2_rig, fake_rig, wait_for
from tests.functional.test_daemon import TRIO, clients, ours

SLOW = 1_500_000


def sent(rig: Rig) -> dict[str, int]:
    """Tell how many bytes the store has sent, by file name, since it was last reset."""
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.store.port}/control") as answer:
        counts: dict[str, int] = json.load(answer)["bytes"]
    return {
        path.rpartition("/")[2]: count
        for path, count in counts.items()
        if "/files/" in path and count
    }


def held(rig: Rig) -> dict[str, int]:
    """Tell how many bytes of downloads lie on the disk, by length."""
    return {
        path.name: path.stat().st_size
        for path in rig.daemon.files()
        if not path.name.endswith(".validator")
    }


def is_paused(state: State) -> bool:
    return (
        state["status"] == "downloading"
        and state.get("stage") == "paused"
        and state["actions"].keys() == {"cancel", "resume"}
    )


@contextmanager
def a_rig(kind: str, directory: Path, images: Path, moto_url: str) -> Iterator[Rig]:
    opened = fake_rig(directory, images) if kind == "fake" else ec2_rig(directory, images, moto_url)
    with opened as rig:
        yield rig


@pytest.mark.parametrize("kind", ["fake", "ec2"])
def test_p4_a_pause_outlives_kill_9_and_a_resume_fetches_only_what_is_missing(
    tmp_path: Path, images: Path, moto_url: str, kind: str
) -> None:
    size = (images / "image.gz").stat().st_size
    with a_rig(kind, tmp_path, images, moto_url) as rig:
        uri = rig.image(TRIO)
        rig.store.control(fault="slow", path="image.gz", rate=SLOW)
        rig.daemon.act(uri, "install")
        wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 4_000_000)
        paused = rig.daemon.act(uri, "pause")
        assert is_paused(paused), paused
        kept = held(rig)
        longest = max(kept.values())
        assert 2_000_000 < longest < size
        time.sleep(KEEP_S)
        assert held(rig) == kept, "something runs still"
        rig.store.control(reset=True)
        rig.daemon.end(signal.SIGKILL)
        rig.daemon.start()
        time.sleep(KEEP_S)
        again = rig.daemon.state(uri)
        assert is_paused(again), again
        assert again["progress-percentage"] == paused["progress-percentage"] > 0
        assert (held(rig), sent(rig)) == (kept, {}), "it went on by itself"
        rig.daemon.act(uri, "resume")
        rig.daemon.wait(uri, "installed")
        fetched = sent(rig)
        assert fetched.keys() == {"image.gz"}, "kernel and ramdisk were here already"
        # Before it is read from its beginning the end of a packed file tells its size.
        assert fetched["image.gz"] in (size - longest, size - longest + TAIL_BYTES)
        assert not rig.daemon.files()


def test_a_pause_gives_the_place_to_the_next_and_the_first_can_go_on_later(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images, "--max-installs=1") as rig:
        dashboard = rig.daemon.proxy.get("/api/dashboard")
        first = rig.image(TRIO)
        second, third = [one["uri"] for one in dashboard["images"] if one["uri"] != first][:2]
        rig.store.control(fault="slow", path="image.gz", rate=SLOW)
        rig.daemon.act(first, "install")
        wait_for("some bytes", lambda: rig.daemon.state(first).get("bytes-done", 0) > 1_000_000)
        for uri in (second, third):
            rig.daemon.act(uri, "install")
        positions = [rig.daemon.state(uri).get("queue-position") for uri in (first, second, third)]
        assert positions == [None, 1, 2]
        rig.daemon.act(first, "pause")
        rig.store.control(reset=True)
        assert is_paused(rig.daemon.state(first))
        rig.daemon.wait(second, "installed")
        rig.daemon.wait(third, "installed")
        assert is_paused(rig.daemon.state(first))
        rig.daemon.act(first, "resume")
        rig.daemon.wait(first, "installed")


@pytest.mark.parametrize("killed", [False, True])
def test_a_pause_without_kept_downloads_keeps_no_image_on_the_disk_and_it_comes_whole_again(
    tmp_path: Path, images: Path, killed: bool
) -> None:
    with fake_rig(tmp_path, images, "--keep-downloads=0") as rig:
        uri = rig.image(TRIO)
        rig.store.control(fault="slow", path="image.gz", rate=SLOW)
        rig.daemon.act(uri, "install")
        wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 3_000_000)
        paused = rig.daemon.act(uri, "pause")
        assert is_paused(paused), paused
        # A small file that was guessed wrongly may have taken the way by the disk.
        assert not [name for name in held(rig) if name.startswith("image")]
        # The store counts what it writes: also what was still on its way.
        time.sleep(KEEP_S)
        sent_before = sent(rig)
        if killed:
            rig.daemon.end(signal.SIGKILL)
            rig.daemon.start()
        time.sleep(KEEP_S)
        again = rig.daemon.state(uri)
        assert is_paused(again), again
        assert again["progress-percentage"] == paused["progress-percentage"]
        assert sent(rig) == sent_before, "it went on by itself"
        rig.store.control(reset=True)
        rig.daemon.act(uri, "resume")
        rig.daemon.wait(uri, "installed")
        with gzip.open(images / "image.gz") as file:
            wanted = hashlib.sha256(file.read()).hexdigest()
        assert stored_sha256(rig) == wanted
        assert not rig.daemon.files()


def stored_sha256(rig: Rig) -> str:
    """Give the digest of the image that the fake cloud was given."""
    held = json.loads((rig.daemon.data_dir / "fake-cloud.json").read_text())["stored"]
    (digest,) = (one["sha256"] for name, one in held.items() if name.endswith("-image"))
    return str(digest)


@contextmanager
def paused_in_an_upload(
    directory: Path, images: Path, moto_url: str
) -> Iterator[tuple[Rig, Interceptor, str, str]]:
    """Pause when S3 has the first part of the image; give its bucket, too."""
    before, _ = ours(moto_url)
    s3, _ = clients(moto_url)

    def has_first_part() -> str:
        names = [name for name in ours(moto_url)[0] - before if name.endswith("-image")]
        for name in names:
            listed = s3.list_objects(Bucket=name).get("Contents", ())
            if any(one["Key"].endswith(".part.0") for one in listed):
                return str(name)
        return ""

    def hanging(request: Request) -> Answer | None:
        if request.method == "PUT" and ".part.1" in request.path:
            cloud.released.wait(50)
            return Answer(503)
        return None

    with interceptor(moto_url) as cloud, ec2_rig(directory, images, cloud.url) as rig:
        uri = rig.image(TRIO)
        cloud.rule = hanging
        rig.daemon.act(uri, "install")
        bucket = wait_for("the first part of the image", has_first_part)
        wait_for("the second", lambda: any(".part.1" in one.path for one in cloud.seen))
        rig.daemon.act(uri, "pause")
        wait_for("the pause", lambda: is_paused(rig.daemon.state(uri)), within_s=SOON_S)
        cloud.rule = lambda request: None
        cloud.released.set()
        yield rig, cloud, uri, bucket


def test_p4_a_pause_in_an_upload_keeps_the_parts_and_registers_nothing_before_the_resume(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    _, ids = ours(moto_url)
    with paused_in_an_upload(tmp_path, images, moto_url) as (rig, cloud, uri, bucket):
        time.sleep(KEEP_S)
        assert is_paused(rig.daemon.state(uri))
        assert ours(moto_url)[1] == ids
        rig.daemon.end(signal.SIGKILL)
        rig.daemon.start()
        rig.store.control(reset=True)
        cloud.seen.clear()
        rig.daemon.act(uri, "resume")
        done = rig.daemon.wait(uri, "installed")
        assert ours(moto_url)[1] - ids == {done["emi"], done["eki"], done["eri"]}
        puts = [one.path for one in cloud.seen if one.method == "PUT" and bucket in one.path]
        parts = [path for path in puts if ".part." in path]
        assert parts
        assert not [path for path in parts if path.endswith(".part.0")], "it was there already"
        assert set(sent(rig).values()) <= {TAIL_BYTES}, "all files were here already"


def test_p8_a_cancel_of_what_is_paused_leaves_nothing_in_the_cloud_nor_on_the_disk(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    before = ours(moto_url)
    with paused_in_an_upload(tmp_path, images, moto_url) as (rig, _cloud, uri, _bucket):
        assert ours(moto_url) != before
        rig.daemon.end(signal.SIGKILL)
        rig.daemon.start()
        rig.daemon.act(uri, "cancel")
        after = rig.daemon.wait(uri, "uninstalled")
        assert "error-message" not in after
        assert ours(moto_url) == before
        assert not rig.daemon.files()


def test_a_pause_while_ec2_registers_is_refused_and_it_ends_installed_once(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    _, ids = ours(moto_url)

    def registers(request: Request) -> bool:
        return request.method == "POST" and b"Action=RegisterImage" in request.body()

    def hanging(request: Request) -> Answer | None:
        if registers(request):
            cloud.released.wait(50)
        return None

    with interceptor(moto_url) as cloud, ec2_rig(tmp_path, images, cloud.url) as rig:
        uri = rig.image(TRIO)
        cloud.rule = hanging
        rig.daemon.act(uri, "install")
        wait_for("it to register", lambda: any(registers(one) for one in list(cloud.seen)))
        assert rig.daemon.state(uri)["actions"].keys() == {"cancel"}
        with pytest.raises(ClientError, match="registering this image"):
            rig.daemon.proxy.post(f"/api/images/{image_id(uri)}/pause")
        cloud.released.set()
        done = rig.daemon.wait(uri, "installed")
        assert ours(moto_url)[1] - ids == {done["emi"], done["eki"], done["eri"]}


def test_a_failed_install_is_retried_without_a_byte_fetched_again(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with interceptor(moto_url) as cloud, ec2_rig(tmp_path, images, cloud.url) as rig:
        uri = rig.image(TRIO)
        cloud.rule = lambda request: (
            Answer(403, "") if request.method == "PUT" and ".part." in request.path else None
        )
        rig.daemon.act(uri, "install")
        failed = rig.daemon.wait(uri, "uninstalled")
        assert failed["error-message"]
        assert {"install", "retry", "clear-error"} <= failed["actions"].keys()
        cloud.rule = lambda request: None
        kept = held(rig)
        rig.store.control(reset=True)
        rig.daemon.act(uri, "retry")
        rig.daemon.wait(uri, "installed")
        total = sum(one.stat().st_size for one in images.iterdir())
        assert sum(sent(rig).values()) <= total - sum(kept.values()) + 2 * TAIL_BYTES

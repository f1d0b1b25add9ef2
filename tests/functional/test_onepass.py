"""One pass with the real daemon: whatever the source is, what arrives is what was in it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.functional import cloud_clients
from tests.functional.rig import Daemon, Rig, ec2_rig, fake_rig, wait_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DISK = "Example Server, bootable disk"
MIB = 2**20
CONTENT = (
    random.Random(9).randbytes(5 * MIB + 512)
    + bytes(3 * MIB)
    + b"all work and no play\n" * 200_000
    + bytes(2 * MIB + 96 * 512)
)
CONTENT += bytes(-len(CONTENT) % 512)
CONTENT_SHA256 = hashlib.sha256(CONTENT).hexdigest()


def archive(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("readme", b"x" * 70_000), ("image.img", content), ("notes", b"y")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def streamed_zstd(content: bytes) -> bytes:
    compressor = zstd.ZstdCompressor()
    half = len(content) // 2
    return b"".join(
        (compressor.compress(content[:half]), compressor.compress(content[half:]))
    ) + bytes(compressor.flush())


def quick_xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=0)


def qcow2(content: bytes) -> bytes:
    raw, disk = Path("raw"), Path("disk.qcow2")
    raw.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True, timeout=60)
    return disk.read_bytes()


# Each with its size told in advance, or not, or wrongly.
SOURCES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "raw": ("image", lambda content: content),
    "gzip": ("image.gz", gzip.compress),
    "gzip of several members": (
        "image.gz",
        lambda content: gzip.compress(content[:MIB]) + gzip.compress(content[MIB:]),
    ),
    "gzip and zeros": ("image.gz", lambda content: gzip.compress(content) + bytes(600)),
    "gzip and garbage": ("image.gz", lambda content: gzip.compress(content) + b"<html>" * 99),
    "xz": ("image.xz", quick_xz),
    "xz of two streams": (
        "image.xz",
        lambda content: quick_xz(content[:MIB]) + quick_xz(content[MIB:]),
    ),
    "zstd": ("image.zst", zstd.compress),
    "zstd of a pipe": ("image.zst", streamed_zstd),
    "bzip2": ("image.bz2", bz2.compress),
    "tar.gz": ("image.tar.gz", lambda content: gzip.compress(archive(content))),
    "qcow2": ("image.qcow2", qcow2),
}


@cache
def packed(source: str) -> bytes:
    return SOURCES[source][1](CONTENT)


def arrived(rig: Rig) -> list[dict[str, Any]]:
    """Tell what the fake cloud was given."""
    path = rig.daemon.data_dir / "fake-cloud.json"
    return list(json.loads(path.read_text())["stored"].values()) if path.exists() else []


@pytest.mark.parametrize("keep", ["--keep-downloads=1", "--keep-downloads=0"])
@pytest.mark.parametrize("source", SOURCES)
def test_what_arrives_is_what_was_in_the_source(
    source: str, keep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, _ = SOURCES[source]
    images = tmp_path / "images"
    images.mkdir()
    (images / name).write_bytes(packed(source))
    with fake_rig(tmp_path, images, keep) as rig:
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")
        state = rig.daemon.wait(uri, "installed", "uninstalled")
        assert state["status"] == "installed", state
        (stored,) = arrived(rig)
        assert (stored["sha256"], stored["size_bytes"]) == (CONTENT_SHA256, len(CONTENT))
        assert not rig.daemon.files()


@pytest.mark.parametrize("keep", ["--keep-downloads=1", "--keep-downloads=0"])
@pytest.mark.parametrize("content", [CONTENT[:24_000], CONTENT], ids=["small", "large"])
def test_p5_a_file_that_is_not_packed_as_it_is_said_to_be_ends_with_that_reason(
    content: bytes, keep: str, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "image.gz").write_bytes(content)
    with fake_rig(tmp_path, images, keep) as rig:
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")
        state = rig.daemon.wait(uri, "installed", "uninstalled")
        assert state["status"] == "uninstalled"
        assert "cannot be unpacked" in state["error-message"]
        assert not arrived(rig)


def noise_images(tmp_path: Path, mib: int) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    (images / "image.gz").write_bytes(
        gzip.compress(random.Random(mib).randbytes(mib * MIB), compresslevel=1)
    )
    return images


def test_without_kept_downloads_none_ever_lies_on_the_disk(tmp_path: Path) -> None:
    with fake_rig(tmp_path, noise_images(tmp_path, 8), "--keep-downloads=0") as rig:
        rig.store.control(fault="slow", path="files/image", rate=2_000_000)
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")
        seen: set[int] = set()
        while (state := rig.daemon.state(uri))["status"] != "installed":
            assert not rig.daemon.files()
            seen.add(state.get("bytes-done", 0))
            assert "error-message" not in state
        assert len(seen) > 3, "it was looked at while the bytes came"


def test_a_broken_link_goes_on_where_it_broke_also_without_kept_downloads(tmp_path: Path) -> None:
    with fake_rig(tmp_path, noise_images(tmp_path, 8), "--keep-downloads=0") as rig:
        rig.store.control(fault="cut", path="files/image", times=2)
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")
        assert rig.daemon.wait(uri, "installed", "uninstalled")["status"] == "installed"


@pytest.mark.parametrize("keep", ["--keep-downloads=1", "--keep-downloads=0"])
def test_a_mirror_takes_over_when_the_first_address_gave_something_else(
    keep: str, tmp_path: Path
) -> None:
    """What was stored of the first is not what is installed, however far it had come."""
    images = noise_images(tmp_path, 8)
    with gzip.open(images / "image.gz") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    for at in (1000, 8_300_000):
        work = tmp_path / str(at)
        work.mkdir()
        with fake_rig(work, images, keep) as rig:
            # Slow enough for a reader to have it all when the digest proves wrong.
            rig.store.control(fault="slow", path="files/image", rate=20_000_000)
            rig.store.control(fault="corrupt", path="files/image", at=at)
            uri = rig.image(DISK)
            rig.daemon.act(uri, "install")
            assert rig.daemon.wait(uri, "installed", "uninstalled")["status"] == "installed"
            assert [one["sha256"] for one in arrived(rig)] == [wanted]


def largest(daemon: Daemon) -> Path:
    """Give the file that was begun; beside it lies what is known of it."""
    return max(daemon.files(), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("form", ["", ".gz"])
def test_a_complete_file_that_lies_there_wrong_is_not_what_is_installed(
    form: str, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / f"image{form}").write_bytes(gzip.compress(CONTENT) if form else CONTENT)
    with fake_rig(tmp_path, images) as rig:
        uri = rig.image(DISK)
        # The end comes slowly: time to stop the daemon when all but that is there.
        rig.store.control(fault="slow", path="files/image", rate=1_000_000)
        rig.daemon.act(uri, "install")
        whole = (images / f"image{form}").stat().st_size
        wait_for("some bytes", lambda: rig.daemon.held_bytes() > MIB)
        rig.daemon.end(signal.SIGKILL)
        path = largest(rig.daemon)
        wrong = bytearray((images / f"image{form}").read_bytes())
        wrong[len(wrong) // 3] ^= 1
        path.write_bytes(wrong)
        assert path.stat().st_size == whole
        rig.store.control(fault="none")
        rig.daemon.start()
        assert rig.daemon.wait(uri, "installed", "uninstalled")["status"] == "installed"
        assert [one["sha256"] for one in arrived(rig)] == [CONTENT_SHA256]


def test_a_server_that_is_slow_to_give_the_end_of_a_file_is_not_waited_for(
    tmp_path: Path,
) -> None:
    """It is asked for beside the download, only to know a size in advance."""
    images = noise_images(tmp_path, 8)
    size = (images / "image.gz").stat().st_size
    with fake_rig(tmp_path, images) as rig:
        rig.store.control(fault="silent", path="files/image", at=size - 1000, times=2)
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")
        wait_for("all but the end", lambda: rig.daemon.state(uri).get("bytes-done", 0) > size / 2)
        time.sleep(4)
        assert rig.daemon.state(uri)["status"] == "downloading"
        rig.daemon.act(uri, "cancel")
        rig.daemon.wait(uri, "uninstalled")


def test_bytes_that_a_power_cut_spoilt_are_fetched_anew_from_the_same_address(
    tmp_path: Path,
) -> None:
    with fake_rig(tmp_path, noise_images(tmp_path, 8)) as rig:
        uri = rig.image(DISK)
        rig.store.control(fault="silent", path="files/", at=5_000_000)
        rig.daemon.act(uri, "install")
        wait_for("some bytes", lambda: rig.daemon.held_bytes() > 3 * MIB)
        rig.daemon.end(signal.SIGKILL)
        path = largest(rig.daemon)
        with path.open("r+b") as file:
            file.write(bytes(4096))
        rig.store.control(fault="none")
        rig.store.control(fault="500", path="files/mirror")
        rig.daemon.start()
        assert rig.daemon.wait(uri, "installed", "uninstalled")["status"] == "installed"


def buckets(url: str) -> dict[str, list[str]]:
    """Give the keys in each bucket of an image; those of checks come and go."""
    s3 = cloud_clients.client("s3", url)
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return {
        name: [one["Key"] for one in s3.list_objects(Bucket=name).get("Contents", ())]
        for name in names
        if name.endswith("-image")
    }


def test_parts_go_out_while_the_rest_comes_and_nobody_can_use_them_before_the_last_byte(
    tmp_path: Path, moto_url: str
) -> None:
    before = buckets(moto_url)
    with ec2_rig(tmp_path, noise_images(tmp_path, 24), moto_url) as rig:
        rig.store.control(fault="silent", path="files/image", at=23 * MIB, times=1)
        uri = rig.image(DISK)
        rig.daemon.act(uri, "install")

        def keys() -> list[str]:
            found = buckets(moto_url)
            return [key for name in found.keys() - before.keys() for key in found[name]]

        wait_for("two parts", lambda: len(keys()) >= 2)
        assert rig.daemon.state(uri)["status"] == "downloading"
        assert all(".part." in key for key in keys()), "no manifest before the gate"
        rig.daemon.act(uri, "cancel")
        rig.daemon.wait(uri, "uninstalled")
        assert buckets(moto_url) == before
        assert not rig.daemon.files()

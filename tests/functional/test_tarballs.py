"""Tarballs as Ubuntu and CirrOS publish them, packed by GNU tar: what was in them is registered."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imagestoreproxy.clouds.credentials import from_directory
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.install.inside import Inside, Outside
from imagestoreproxy.model.images import Compression, FileFormat, FileKind
from imagestoreproxy.model.installs import ImageState, Status
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.disk import DataDirectory
from tests.functional import cloud_clients
from tests.functional.ec2_ground import impatient
from tests.functional.eucarc_directory import EucarcDirectory, make_eucarc_directory
from tests.functional.inline_background import InlineBackground
from tests.functional.unbundle import unbundle
from tests.unit import memory

NOISE = random.Random(12)
KERNEL, LOADER, RAMDISK = (NOISE.randbytes(size) for size in (700_001, 90_000, 300_333))
FORMS = [
    ["--format=gnu"],
    *(["--format=pax", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
]

UBUNTU = {
    "lucid-server-uec-amd64-floppy": b"boots by itself",
    "lucid-server-uec-amd64-loader": LOADER,
    "lucid-server-uec-amd64-vmlinuz-virtual": KERNEL,
    "README.files": b"read me",
}
CIRROS = {
    "cirros-0.3.1-x86_64-vmlinuz": KERNEL,
    "cirros-0.3.1-x86_64-initrd": RAMDISK,
}
LOADER_ONLY = {"oneiric-server-cloudimg-i386-loader": LOADER}


def file_system(path: Path) -> bytes:
    """Make an ext4 file system with something in it and holes everywhere else."""
    with path.open("wb") as file:
        file.truncate(24 << 20)
    mke2fs = shutil.which("mke2fs") or "/usr/sbin/mke2fs"
    options = ["-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1"]
    subprocess.run([mke2fs, *options, path], check=True, timeout=60)
    with path.open("r+b") as file:
        for number in range(14):
            file.seek((2 << 20) + number * (3 << 19))
            file.write(NOISE.randbytes(4096 * (number % 5 + 1)))
    assert path.stat().st_blocks * 512 < 4 << 20
    return path.read_bytes()


@pytest.fixture(scope="module")
def moto(moto_url: str) -> str:
    return moto_url


@pytest.fixture(scope="module")
def credentials(moto: str, tmp_path_factory: pytest.TempPathFactory) -> EucarcDirectory:
    return make_eucarc_directory(tmp_path_factory.mktemp("ec2") / "credentials", moto, moto)


class Ground:
    """The inside between a store in memory, a real data directory and a cloud of moto."""

    def __init__(self, directory: Path, credentials: EucarcDirectory) -> None:
        self.fetcher = memory.MemoryFetcher()
        self.sources = memory.MemorySources(self.fetcher)
        self.records = memory.MemoryRecords()
        self._disk = DataDirectory(directory)
        self._cache = directory / "cache"
        self._cloud = Ec2Cloud(
            InlineBackground(), from_directory(credentials.path), patience=impatient()
        )

    def install(self, content: bytes, *, keep_downloads: bool) -> ImageState:
        file = memory.make_file(self.fetcher, FileKind.IMAGE, content, compression=Compression.GZIP)
        file = replace(
            file,
            format=FileFormat.TAR,
            find_members=True,
            sha256="",
            sha512=hashlib.sha512(content).hexdigest(),
        )
        self.sources.offer(memory.make_document([file]))
        journal = memory.MemoryJournal()
        outside = Outside(
            sources=self.sources,
            cloud=self._cloud,
            disk=self._disk,
            depot=DepotDirectory(self._cache),
            disk_images=memory.NoDiskImages(),
            records=self.records,
            background=memory.InlineBackground(journal),
            clock=memory.MemoryClock(),
            journal=journal,
        )
        inside = Inside(outside, replace(memory.LIMITS, keep_downloads=keep_downloads))
        memory.result(inside.actions.take_up())
        memory.result(inside.store.install(memory.URI))
        assert not self._disk.tokens()
        return inside.store.states([memory.URI]).states[0]


@pytest.mark.parametrize(
    ("files", "form", "wanted"),
    [
        *((UBUNTU, form, {"kernel": KERNEL}) for form in FORMS),
        (CIRROS, FORMS[0], {"kernel": KERNEL, "ramdisk": RAMDISK}),
        (LOADER_ONLY, FORMS[0], {"kernel": LOADER}),
    ],
    ids=["ubuntu gnu", "ubuntu 0.0", "ubuntu 0.1", "ubuntu 1.0", "cirros", "loader"],
)
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not kept"])
def test_what_is_registered_is_what_was_in_the_tarball(
    files: dict[str, bytes],
    form: Sequence[str],
    wanted: dict[str, bytes],
    keep: bool,
    moto: str,
    credentials: EucarcDirectory,
    tmp_path: Path,
) -> None:
    packing = tmp_path / "packing"
    packing.mkdir()
    for name, content in files.items():
        (packing / name).write_bytes(content)
    image = file_system(packing / "server.img")
    archive = tmp_path / "image.tar.gz"
    command = ["tar", "-S", *form, "-czf", str(archive), *files, "server.img"]
    subprocess.run(command, cwd=packing, check=True, timeout=60)

    ground = Ground(tmp_path / "data", credentials)
    after = ground.install(archive.read_bytes(), keep_downloads=keep)
    assert after.status is Status.INSTALLED, after.error_message
    (installed,) = ground.records.installations
    assert [bundle.kind for bundle in installed.bundles] == [*wanted, "image"]
    for bundle in installed.bundles:
        work = tmp_path / bundle.kind
        work.mkdir()
        found = unbundle(
            cloud_clients.client("s3", moto),
            bundle.location,
            work,
            private_key=credentials.cloud_private_key,
            whose="ec2",
            certificate=credentials.user_certificate,
        )
        content = found.image.read_bytes()
        assert content == {**wanted, "image": image}[bundle.kind], bundle.kind
        if bundle.kind is FileKind.IMAGE:
            assert found.fields["machine_configuration/kernel_id"] == after.eki
            ramdisk_id = found.fields.get("machine_configuration/ramdisk_id", "")
            assert ramdisk_id == after.eri
    assert bool(after.eri) == ("ramdisk" in wanted)

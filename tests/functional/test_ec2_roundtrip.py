"""A bundle goes into S3 and comes out byte for byte, read by tools that are not ours."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.credentials import from_directory
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.bundles import Upload
from imagestoreproxy.model.images import Architecture, FileKind, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Stop
from tests.functional import cloud_clients
from tests.functional.eucarc_directory import ACCOUNT, EucarcDirectory, make_eucarc_directory
from tests.functional.inline_background import InlineBackground, now
from tests.functional.parcel import Parcel, bring
from tests.functional.unbundle import unbundle

PART = 10485760


@pytest.fixture(scope="module")
def moto(moto_url: str) -> str:
    return moto_url


@pytest.fixture(scope="module")
def directory(moto: str, tmp_path_factory: pytest.TempPathFactory) -> EucarcDirectory:
    return make_eucarc_directory(tmp_path_factory.mktemp("ec2") / "credentials", moto, moto)


@pytest.fixture(scope="module")
def client(moto: str) -> Callable[[str], Any]:
    return lambda service: cloud_clients.client(service, moto)


def noise(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def mixed(size_bytes: int) -> bytes:
    stretch = size_bytes // 6
    text = b"all work and no play\n" * (stretch // 21)
    content = noise(stretch) + bytes(stretch) + text + noise(2 * stretch)
    return content + bytes(size_bytes - len(content))


def an_upload(content: bytes, kind: FileKind, **more: Any) -> Parcel:
    stem = {FileKind.KERNEL: "vmlinuz", FileKind.RAMDISK: "initrd", FileKind.IMAGE: "image"}[kind]
    token = f"{random.getrandbits(64):016x}"

    def chunks(stop: Stop) -> Iterator[bytes]:
        position = 0
        while position < len(content):
            step = random.randint(1, 1 << 20)
            yield content[position : position + step]
            position += step

    bundle = Bundle("uri", kind, f"isp-{token}", f"{stem}-{token}")
    architecture = more.pop("architecture", Architecture.X86_64)
    virtualization = more.pop("virtualization", Virtualization.PARAVIRTUAL)
    upload = Upload(bundle, architecture, virtualization, **more)
    return Parcel(upload, len(content), chunks)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\n", id="1 byte"),
        *(pytest.param(noise(size), id=f"{size} bytes") for size in (511, 512, 513)),
        *(pytest.param(noise(PART + d), id=f"a part {d:+d}") for d in (-1, 0, 1)),
        pytest.param(mixed(30 << 20), id="30 MiB mixed"),
    ],
)
def test_an_image_comes_back_byte_for_byte_with_either_private_key(
    content: bytes, directory: EucarcDirectory, client: Callable[[str], Any], tmp_path: Path
) -> None:
    cloud = Ec2Cloud(InlineBackground(), from_directory(directory.path))
    upload = an_upload(content, FileKind.IMAGE)
    location = bring(cloud, upload)
    keys = {"user": directory.user_private_key, "ec2": directory.cloud_private_key}
    for whose, private_key in keys.items():
        work = tmp_path / whose
        work.mkdir()
        bundle = unbundle(
            client("s3"),
            location,
            work,
            private_key=private_key,
            whose=whose,
            certificate=directory.user_certificate,
        )
        assert bundle.member == upload.bundle.name
        assert bundle.image.read_bytes() == content


def test_a_trio_goes_in_and_comes_out_and_the_image_names_its_kernel_and_ramdisk(
    directory: EucarcDirectory, client: Callable[[str], Any], tmp_path: Path
) -> None:
    cloud = Ec2Cloud(InlineBackground(), from_directory(directory.path))
    ids: dict[str, str] = {}
    types: list[str] = []
    for kind in FileKind:
        upload = an_upload(noise(70_000 + len(kind)), kind, title=f"Ünïcode {kind}", **ids)
        location = bring(cloud, upload)
        image_id = now(cloud.register(upload.upload, location))
        work = tmp_path / kind
        work.mkdir()
        bundle = unbundle(
            client("s3"),
            location,
            work,
            private_key=directory.user_private_key,
            whose="user",
            certificate=directory.user_certificate,
        )
        types.append(bundle.fields["image/type"])
        assert bundle.fields["image/user"] == ACCOUNT
        assert bundle.fields["machine_configuration/architecture"] == "x86_64"
        if kind is FileKind.IMAGE:
            for name, value in ids.items():
                assert bundle.fields[f"machine_configuration/{name}"] == value
        else:
            assert bundle.fields[f"machine_configuration/{kind}_id"] == "true"
            ids[f"{kind}_id"] = image_id
        (listed,) = client("ec2").describe_images(ImageIds=[image_id])["Images"]
        assert listed["Description"] == f"Unicode {kind}"
        assert listed["Name"] == f"{upload.bundle.name}-{upload.bundle.bucket}"
    assert types == ["kernel", "ramdisk", "machine"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Architecture.I386, "i386"),
        (Architecture.AARCH64, "arm64"),
        (Architecture.ARMHF, "armhf"),
    ],
)
def test_architectures_are_told_in_the_clouds_words(
    ours: Architecture,
    theirs: str,
    directory: EucarcDirectory,
    client: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    cloud = Ec2Cloud(InlineBackground(), from_directory(directory.path))
    location = bring(cloud, an_upload(b"x", FileKind.IMAGE, architecture=ours))
    bundle = unbundle(
        client("s3"),
        location,
        tmp_path,
        private_key=directory.cloud_private_key,
        whose="ec2",
        certificate=directory.user_certificate,
    )
    assert bundle.fields["machine_configuration/architecture"] == theirs

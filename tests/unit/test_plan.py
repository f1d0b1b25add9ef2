"""The plan, and the names of what is made from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    ImageFile,
    is_newer,
)
from imagestoreproxy.model.plan import (
    Part,
    bucket_name,
    bundle_name,
    content_name,
    download_name,
    make_plan,
)
from tests.unit.memory import make_document


def a_file(kind: FileKind, size_bytes: int) -> ImageFile:
    return ImageFile(kind, f"http://store.example/{kind}", "0" * 64, size_bytes)


TRIO = [a_file(FileKind.IMAGE, 3000), a_file(FileKind.RAMDISK, 20), a_file(FileKind.KERNEL, 100)]


def test_small_files_are_fetched_first_and_the_image_is_registered_last() -> None:
    plan = make_plan(make_document(TRIO))
    assert [file.kind for file in plan.fetches] == ["ramdisk", "kernel", "image"]
    assert [part.kind for part in plan.parts] == ["kernel", "ramdisk", "image"]


def test_h16_the_peak_on_disk_is_the_download_and_for_qcow2_what_it_unpacks_to() -> None:
    assert make_plan(make_document(TRIO)).peak_disk_bytes == 3120
    packed = replace(TRIO[0], compression=Compression.XZ)
    assert make_plan(make_document([packed])).peak_disk_bytes == 3000
    disk = replace(TRIO[0], format=FileFormat.QCOW2)
    assert make_plan(make_document([disk])).peak_disk_bytes == 15000


def test_h16_where_a_cloud_bundles_on_the_disk_each_file_is_there_whole_and_twice_more() -> None:
    def peak(*files: ImageFile, keep: bool = True) -> int:
        document = make_document(list(files))
        return make_plan(document, keep_downloads=keep, bundles_on_disk=True).peak_disk_bytes

    assert peak(*TRIO) == 4 * 3120
    assert peak(*TRIO, keep=False) == 3 * 3120
    assert peak(replace(TRIO[0], compression=Compression.XZ)) == 3000 + 6 * 3000


def test_the_members_of_one_tar_are_parts_of_their_own() -> None:
    members = ((FileKind.IMAGE, "*.img"), (FileKind.KERNEL, "*-vmlinuz-*"))
    tar = replace(TRIO[0], format=FileFormat.TAR, members=members)
    plan = make_plan(make_document([tar]))
    assert [(part.kind, part.member) for part in plan.parts] == [
        ("kernel", "*-vmlinuz-*"),
        ("image", "*.img"),
    ]
    assert plan.fetches == (tar,)


def test_a_tar_whose_members_are_not_known_yet_is_fetched_to_the_disk_and_says_so() -> None:
    tar = replace(TRIO[0], format=FileFormat.TAR, compression=Compression.GZIP, find_members=True)
    for keep in (True, False):
        plan = make_plan(make_document([tar]), keep_downloads=keep)
        assert (plan.fetches, plan.parts, plan.peak_disk_bytes) == ((tar,), (), 3000)
    text = json.loads(plan.as_text())
    assert text["convert"] == ["members of tar of gzip: found once it is here"]
    assert text["fetch-bytes"] == 3000
    found = replace(tar, members=((FileKind.IMAGE, "x.img"),))
    plan = make_plan(make_document([found]), keep_downloads=False)
    assert (plan.fetches, plan.peak_disk_bytes) == ((found,), 3000)
    assert json.loads(plan.as_text())["convert"] == ["image: tar of gzip"]


def test_the_plan_can_be_read_by_machines() -> None:
    text = json.loads(make_plan(make_document(TRIO)).as_text())
    assert text["fetch-bytes"] == 3120
    assert text["register"] == ["kernel", "ramdisk", "image"]


def test_the_strongest_digest_that_is_signed_names_a_file_and_what_is_in_it() -> None:
    weak = TRIO[0]
    strong = replace(weak, sha512="1" * 128)
    alone = replace(strong, sha256="")
    assert weak.digest == "0" * 64
    assert download_name(strong) == download_name(alone) == f"image-{'1' * 16}"
    (name,) = {content_name(Part(FileKind.IMAGE, f), Architecture.I386) for f in (strong, alone)}
    assert name.startswith("1" * 128)
    plans = [json.loads(make_plan(make_document([file])).as_text()) for file in (weak, alone)]
    assert [list(plan["fetch"][0]) for plan in plans] == [
        ["url", "bytes", "sha256"],
        ["url", "bytes", "sha512"],
    ]


@given(st.text(), st.text())
def test_a_bundle_name_is_plain_and_says_its_kind(title: str, version: str) -> None:
    names = {kind: bundle_name(title, version, kind) for kind in FileKind}
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,80}", name)
    assert names[FileKind.KERNEL].startswith("vmlinuz")
    assert names[FileKind.RAMDISK].startswith("initrd")
    assert names[FileKind.IMAGE].startswith("image")


def test_a_bucket_name_is_one_that_s3_takes() -> None:
    for kind in FileKind:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket_name("0" * 16, kind))


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("2.10", "2.9"),
        ("20261120.1", "20261120"),
        ("1.0.1", "1.0"),
        ("10", "9"),
        ("1.0-2", "1.0-1"),
        ("b", "a"),
    ],
)
def test_versions_are_compared_as_people_do(newer: str, older: str) -> None:
    assert is_newer(newer, older)
    assert not is_newer(older, newer)
    assert not is_newer(newer, newer)

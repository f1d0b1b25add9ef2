"""What the fake store offers and how it can be told to misbehave, without a socket."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import fakestoreapi
from fakestoreapi import Store, fault_from

BASE = "http://localhost:52781/api"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("kernel", "ramdisk.gz", "image.gz"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    return tmp_path


def test_the_dashboard_has_two_sections_whose_images_are_all_listed(directory: Path) -> None:
    listing = Store(directory).listing(BASE)
    uris = {image["uri"] for image in listing["images"]}
    assert len(listing["sections"]) >= 2
    assert all(section["image-uris"] for section in listing["sections"])
    assert {uri for section in listing["sections"] for uri in section["image-uris"]} == uris
    assert all(uri.startswith(f"{BASE}/images/") for uri in uris)


def test_a_search_takes_every_word_into_account(directory: Path) -> None:
    store = Store(directory)
    found = store.listing(BASE, "web SERVES")
    assert [image["title"] for image in found["images"]] == ["Example Web Server"]
    assert found["sections"][0]["image-uris"] == [found["images"][0]["uri"]]
    assert store.listing(BASE, "nothing like this") == {"images": [], "sections": []}
    assert len(store.listing(BASE, "")["images"]) == len(store.images)


def test_one_image_gets_a_newer_version(directory: Path) -> None:
    old, new = Store(directory), Store(directory, newer=True)
    versions = [
        {image["uri"]: image["version"] for image in store.listing(BASE)["images"]}
        for store in (old, new)
    ]
    changed = {uri for uri in versions[0] if versions[0][uri] != versions[1][uri]}
    assert changed == {f"{BASE}/images/e310"}
    old.control({"newer": True})
    assert old.listing(BASE) == new.listing(BASE)


def test_a_directory_without_kernel_offers_only_bootable_disks(tmp_path: Path) -> None:
    (tmp_path / "image.qcow2").write_bytes(b"disk")
    store = Store(tmp_path)
    assert {image.virtualization for image in store.images.values()} == {"hvm"}
    assert store.files.describe("image", BASE)["format"] == "qcow2"
    assert store.files.describe("image", BASE)["compression"] == "none"


def test_an_archive_names_its_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "image.tar.gz", "w:gz") as archive:
        for name in ("x/kernel-6.1", "x/ramdisk", "x/image.img"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    store = Store(tmp_path)
    described = store.files.describe("image", BASE)
    assert (described["format"], described["compression"]) == ("tar", "gzip")
    assert described["members"] == {
        "kernel": "*kernel-6.1",
        "ramdisk": "*ramdisk",
        "image": "*image.img",
    }
    assert store.files.describe("image", BASE, ("image",))["members"] == {"image": "*image.img"}


@pytest.mark.parametrize(
    ("names", "said"), [(["kernel"], "no file 'image'"), (["image", "image.gz"], "leave one")]
)
def test_a_senseless_directory_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=said):
        Store(tmp_path)


def test_a_fault_meets_its_path_and_ends_after_its_times(directory: Path) -> None:
    store = Store(directory)
    store.control({"fault": "cut", "path": "image", "times": 1, "at": 10})
    assert store.fault_for("/api/files/kernel", "cut") is None
    assert store.fault_for("/api/files/image.gz", "slow") is None
    met = store.fault_for("/api/files/image.gz", "slow", "cut")
    assert met is not None
    assert met.at == 10
    assert store.fault_for("/api/files/image.gz", "cut") is None


def test_none_ends_all_faults_and_reset_counts_anew(directory: Path) -> None:
    store = Store(directory)
    store.control({"fault": "500"})
    store.requests["/api/dashboard"] += 1
    store.control({"fault": "none"})
    assert store.fault_for("/api/dashboard", "500") is None
    assert store.account()["requests"] == {"/api/dashboard": 1}
    store.control({"reset": True})
    assert store.account()["requests"] == {}


def test_every_fault_of_the_help_text_exists_and_no_other() -> None:
    for kind in fakestoreapi.DEFAULT_PATHS:
        assert f"\n  {kind} " in fakestoreapi.FAULTS
        assert fault_from({"fault": kind}).path == fakestoreapi.DEFAULT_PATHS[kind]
    with pytest.raises(ValueError, match="no fault 'sloow'"):
        fault_from({"fault": "sloow"})
    with pytest.raises(ValueError, match="no 'speed'"):
        fault_from({"fault": "slow", "speed": 1})

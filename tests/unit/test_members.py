"""Kernel, ramdisk and image are told apart as cloud-publish-tarball does."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.install.members import as_globs, found_members
from imagestoreproxy.model.errors import UnpackError
from imagestoreproxy.model.images import FileKind


@pytest.mark.parametrize(
    ("names", "kernel", "ramdisk", "image"),
    [
        # Ubuntu 10.04
        (
            ["lucid-server-uec-amd64.img", "lucid-server-uec-amd64-vmlinuz-virtual"],
            "lucid-server-uec-amd64-vmlinuz-virtual",
            None,
            "lucid-server-uec-amd64.img",
        ),
        # Ubuntu 12.04
        (
            ["p-floppy", "p-loader", "p-vmlinuz-virtual", "p.img", "README.files"],
            "p-vmlinuz-virtual",
            None,
            "p.img",
        ),
        # CirrOS
        (
            ["c-0.3.1-i386-blank.img", "c-0.3.1-i386-initrd", "c-0.3.1-i386-vmlinuz"],
            "c-0.3.1-i386-vmlinuz",
            "c-0.3.1-i386-initrd",
            "c-0.3.1-i386-blank.img",
        ),
        (["x-loader", "x.img"], "x-loader", None, "x.img"),
        (["initrd.img", "vmlinuz", "disk.img"], "vmlinuz", "initrd.img", "disk.img"),
        (["1.img", "vmlinuz-1", "vmlinuz-2", "2.img"], "vmlinuz-1", None, "2.img"),
        (["vmlinuz", "a.img", "initrd-1", "initrd-2.img"], "vmlinuz", "initrd-1", "a.img"),
        (["boot/vmlinuz/readme", "b/x.img"], "boot/vmlinuz/readme", None, "b/x.img"),
        (["vmlinuz-initrd.img", "x.img"], "vmlinuz-initrd.img", None, "x.img"),
        (["1-loader", "2-loader", "a.img"], "1-loader", None, "a.img"),
    ],
)
def test_each_file_is_what_its_name_says(
    names: list[str], kernel: str, ramdisk: str | None, image: str
) -> None:
    wanted = {FileKind.KERNEL: kernel, FileKind.RAMDISK: ramdisk, FileKind.IMAGE: image}
    assert found_members(names) == {kind: name for kind, name in wanted.items() if name}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no image"),
        (["vmlinuz", "initrd.img"], "no image"),
        (["vmlinuz", "X.IMG"], "no image"),
        (["disk.img", "initrd", "loader"], "no kernel"),
        (["disk.img", "VMLINUZ"], "no kernel"),
    ],
)
def test_an_archive_without_an_image_or_a_kernel_is_refused(names: list[str], words: str) -> None:
    with pytest.raises(UnpackError, match=words):
        found_members(names)


def test_kinds_come_in_the_order_of_registration() -> None:
    assert list(found_members(["a.img", "initrd", "vmlinuz"])) == list(FileKind)


NAMES = st.text("ab[]*?!-.\\/", max_size=8)


@given(NAMES, st.lists(NAMES, max_size=20))
def test_a_name_that_was_found_matches_itself_and_nothing_else(
    name: str, others: list[str]
) -> None:
    ((_, glob),) = as_globs({FileKind.IMAGE: name})
    assert [fnmatchcase(other, glob) for other in (name, *others)] == [
        True,
        *(other == name for other in others),
    ]

"""What is said to euca2ools of each generation, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from imagestoreproxy.clouds.euca2ools import arguments
from imagestoreproxy.clouds.euca2ools.arguments import Bundling, Registration
from imagestoreproxy.clouds.euca2ools.generations import (
    ALL,
    BUNDLE,
    DELETE,
    REGISTER,
    V1_2,
    V1_3,
    V2_0,
    V2_1,
    V3_0,
    V3_1,
    Generation,
    helped_generation,
    shown_version,
    told_generation,
)
from imagestoreproxy.clouds.euca2ools.words import (
    Stage,
    has_uploaded,
    has_written,
    image_id,
    listed_ids,
    stage_of,
)
from imagestoreproxy.model.images import FileKind

MANIFEST = Path("/data/euca2ools/b/bundle/image-x.manifest.xml")
DIRECTORY = MANIFEST.parent
IMAGE = Path("/data/euca2ools/b/image-x")


@pytest.mark.parametrize(
    ("said", "generation", "version"),
    [
        ("1.0-31337 2009-04-04\n", V1_2, "1.2"),
        ("euca2ools 1.3.2 2009-04-04\n", V1_3, "1.3.2"),
        ("euca2ools 2.0.0 2009-11-30", V2_0, "2.0.0"),
        ("euca2ools 2.0.3\n", V2_0, "2.0.3"),
        ("euca2ools 2.1.4 (Prince)\neucalyptus 3.1.0", V2_1, "2.1.4"),
        ("euca2ools 3.0.5 (Sparta)", V3_0, "3.0.5"),
        ("euca2ools 3.1.3 (Adirondack)", V3_1, "3.1.3"),
        (
            "/x:1: CryptographyDeprecationWarning: 1.0\neuca2ools 3.4.1 (Newton)",
            V3_1,
            "3.4.1",
        ),
        ("euca2ools 3.5~rc1 (Next)", V3_1, "3.5~rc1"),
        ("euca2ools 4.0", V3_1, "4.0"),
        ("euca2ools 1.1", V1_2, "1.1"),
    ],
)
def test_the_generation_is_known_by_the_version(
    said: str, generation: Generation, version: str
) -> None:
    assert told_generation(said) is generation
    assert shown_version(said, generation) == version


@pytest.mark.parametrize(
    "said", ["", "main-31337 2009-04-04", "command not found", "Python 2.7.18", "version 3"]
)
def test_what_tells_no_version_is_not_guessed(said: str) -> None:
    assert told_generation(said) is None


HELP = {
    V1_2: ("euca-register [-h, --help] image_location", "--ramdisk ramdisk_id", "-m, --manifest"),
    V1_3: ("image_location\n-n, --name\n--ramdisk", "--ramdisk ramdisk_id", "-m, --manifest"),
    V2_0: ("[image_location]\n-n,--name", "--ramdisk --product-codes i386|x86_64", "-m,--manifest"),
    V2_1: ("[image_location]\n-n,--name", "--ramdisk --product-codes i386|x86_64|armhf", "-m"),
    V3_0: ("new image --name --virtualization-type", "--ramdisk IMAGE", "-m MANIFEST | -p"),
    V3_1: ("new image --name --virtualization-type", "--ramdisk IMAGE", "-m | --local-manifest"),
}


@pytest.mark.parametrize("generation", ALL, ids=lambda one: one.name)
def test_the_generation_is_known_by_the_help_where_the_version_says_nothing(
    generation: Generation,
) -> None:
    register, bundle, delete = HELP[generation]
    helps = {REGISTER: register, BUNDLE: bundle, DELETE: delete}
    assert helped_generation(helps) is generation


@pytest.mark.parametrize("helps", [{}, {REGISTER: "image"}, {BUNDLE: "Traceback", REGISTER: "no"}])
def test_what_has_no_such_help_is_no_euca2ools(helps: dict[str, str]) -> None:
    assert helped_generation(helps) is None


def a_bundling(kind: FileKind, **ids: str) -> Bundling:
    return Bundling(IMAGE, DIRECTORY, kind, "x86_64", **ids)


def test_bundling_always_names_image_name_directory_and_architecture() -> None:
    assert arguments.bundle_image(a_bundling(FileKind.IMAGE)) == [
        *("euca-bundle-image", "-i", str(IMAGE), "-p", "image-x", "-d", str(DIRECTORY)),
        *("-r", "x86_64"),
    ]


def test_a_kernel_and_a_ramdisk_are_told_to_be_one_and_an_image_names_its_own() -> None:
    assert arguments.bundle_image(a_bundling(FileKind.KERNEL))[-2:] == ["--kernel", "true"]
    assert arguments.bundle_image(a_bundling(FileKind.RAMDISK))[-2:] == ["--ramdisk", "true"]
    image = a_bundling(FileKind.IMAGE, kernel_id="eki-1", ramdisk_id="eri-1")
    told = arguments.bundle_image(image)
    assert told[-4:] == ["--kernel", "eki-1", "--ramdisk", "eri-1"]


def test_a_bundle_goes_into_a_bucket_without_a_prefix_and_from_a_named_directory() -> None:
    assert arguments.upload_bundle("b", MANIFEST, "aws-exec-read") == [
        *("euca-upload-bundle", "-b", "b", "-m", str(MANIFEST), "-d", str(DIRECTORY)),
        *("--acl", "aws-exec-read"),
    ]


REGISTRATION = Registration(
    "b/image-x.manifest.xml", "image-x-b", "-A title", "x86_64", "eki-1", "eri-1", "hvm"
)
NAMED = ["-n", "image-x-b", "-a", "x86_64", "--description=-A title"]
IDS = ["--kernel", "eki-1", "--ramdisk", "eri-1"]


@pytest.mark.parametrize(
    ("generation", "told"),
    [
        (V1_2, []),
        (V1_3, [*NAMED, *IDS]),
        (V2_0, [*NAMED, *IDS]),
        (V2_1, [*NAMED, *IDS]),
        (V3_0, [*NAMED, *IDS, "--virtualization-type", "hvm"]),
        (V3_1, [*NAMED, *IDS, "--virtualization-type", "hvm"]),
    ],
    ids=lambda one: one.name if isinstance(one, Generation) else "",
)
def test_a_registration_tells_all_that_the_generation_knows(
    generation: Generation, told: list[str]
) -> None:
    assert arguments.register(REGISTRATION, generation) == [
        "euca-register",
        *told,
        "b/image-x.manifest.xml",
    ]


@pytest.mark.parametrize("generation", ALL, ids=lambda one: one.name)
def test_a_bundle_is_deleted_by_a_local_manifest_or_by_the_name_of_that_in_the_bucket(
    generation: Generation,
) -> None:
    told = arguments.delete_bundle("b", MANIFEST, generation)
    named = MANIFEST.name if generation is V3_1 else str(MANIFEST)
    assert told == ["euca-delete-bundle", "-b", "b", "-m", named, "--clear"]


OLD_BUNDLING = f"""Checking image
Tarring image
Encrypting image
Splitting image...
Part: image-x.part.0
Part: image-x.part.1
Generating manifest {MANIFEST}
"""


@pytest.mark.parametrize("output", [OLD_BUNDLING, f"x86_64\nWrote manifest {MANIFEST}\n"])
def test_bundling_has_ended_when_the_last_line_names_the_manifest(output: str) -> None:
    assert has_written(output, MANIFEST)
    assert not has_written(output, MANIFEST.with_name("other.manifest.xml"))
    assert not has_written(f"{output}Could not tar image\n", MANIFEST)


@pytest.mark.parametrize("word", ["Uploaded image as", "Uploaded"])
def test_an_upload_has_ended_when_the_last_line_names_the_place(word: str) -> None:
    output = f"Uploading part: image-x.part.0\n{word} b/image-x.manifest.xml\n"
    assert has_uploaded(output, "b/image-x.manifest.xml")
    assert not has_uploaded(output, "other/image-x.manifest.xml")


@pytest.mark.parametrize(
    "output",
    ["", "\n\n", "Checking bucket: b\nYou do not have permission to access bucket: b\n"],
)
def test_p5_a_tool_without_its_last_line_has_not_ended_well(output: str) -> None:
    assert not has_uploaded(output, "b/image-x.manifest.xml")
    assert not has_written(output, MANIFEST)


def test_stages_are_heard_of_tools_that_tell_them() -> None:
    heard = [stage_of(line) for line in OLD_BUNDLING.splitlines()]
    assert [one for one in heard if one] == [Stage.ENCRYPTING, Stage.SPLITTING]


@pytest.mark.parametrize(
    ("output", "known"),
    [
        ("IMAGE\temi-0BADC0DE\n", "emi-0BADC0DE"),
        ("warning\nIMAGE\tami-0123456789abcdef0\n", "ami-0123456789abcdef0"),
        ("IMAGE\t\n", ""),
        ("IMAGE\tNone\n", ""),
        ("IMAGE\n", ""),
        ("", ""),
        ("IMAGE\temi-1; rm -rf\n", ""),
    ],
)
def test_an_id_is_only_what_looks_like_one(output: str, known: str) -> None:
    assert image_id(output) == known


def test_a_list_of_images_gives_the_ids_of_those_that_are_registered() -> None:
    output = (
        "IMAGE\temi-11111111\tb/x.manifest.xml\tadmin\tavailable\tpublic\t\tx86_64\tmachine\n"
        "IMAGE\teki-22222222\tb/k.manifest.xml\t123456789012\tavailable\tprivate\tx86_64\tkernel\n"
        "IMAGE\temi-33333333\tb/y.manifest.xml\tadmin\tderegistered\tpublic\n"
        "BLOCKDEVICEMAPPING\t/dev/sda1\tsnap-1\t2\nTAG\timage\temi-44444444\tk\tv\nIMAGE\n"
    )
    assert listed_ids(output) == {"emi-11111111", "eki-22222222"}


@given(some.text())
def test_whatever_they_say_is_read(output: str) -> None:
    for read in (image_id, listed_ids, told_generation, stage_of):
        read(output)
    assert not has_written(output, MANIFEST)
    assert not has_uploaded(output, "b/image-x.manifest.xml")

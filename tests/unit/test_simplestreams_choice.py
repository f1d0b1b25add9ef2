"""Which file a cloud gets, and how products are called and sorted."""

from __future__ import annotations

from typing import Any

import pytest

from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    Virtualization,
)
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.document import LARGEST_FILE_BYTES
from imagestoreproxy.sources.simplestreams import reasons
from imagestoreproxy.sources.simplestreams.sections import sections
from imagestoreproxy.sources.simplestreams.stream import Build
from tests.unit.streaming import NAME, ROOT, catalogue, item, of, only, product, read, version

HVM = Taking(virtualizations=frozenset({Virtualization.HVM}))
PARAVIRTUAL = Taking(virtualizations=frozenset({Virtualization.PARAVIRTUAL}))
STRICT = Taking(virtualizations=frozenset({Virtualization.PARAVIRTUAL}), needs_ramdisk=True)
ALL = ("tar.gz", "uec.tar.gz", "disk.img", "uefi1.img", "disk-kvm.img", "disk1.img")


def build(source: object, taking: Taking | None = None, **options: Any) -> Build:
    offered = only(source, taking, **options).offered
    assert offered is not None
    assert offered.build is not None
    return offered.build


@pytest.mark.parametrize(
    ("there", "taking", "chosen"),
    [
        (ALL, Taking(), "disk1.img"),
        (ALL[:5], Taking(), "disk-kvm.img"),
        (ALL[:4], Taking(), "uefi1.img"),
        (ALL[:3], Taking(), "disk.img"),
        (ALL[:2], Taking(), "uec.tar.gz"),
        (ALL[:1], Taking(), "tar.gz"),
        (ALL, HVM, "disk1.img"),
        (ALL, PARAVIRTUAL, "uec.tar.gz"),
        (("tar.gz", "disk1.img"), PARAVIRTUAL, "tar.gz"),
        (ALL, STRICT, "uec.tar.gz"),
    ],
)
def test_the_best_file_for_the_cloud_is_chosen(
    there: tuple[str, ...], taking: Taking, chosen: str
) -> None:
    built = build(of(*map(item, there)), taking)
    assert built.files[0].url == f"{ROOT}a/{chosen}"


def test_a_disk_is_a_qcow2_that_boots_by_itself() -> None:
    built = build(of(item()), mirrors=("http://near.example/",))
    (file,) = built.files
    assert (built.virtualization, built.architecture) == (Virtualization.HVM, Architecture.X86_64)
    assert (file.kind, file.format, file.compression) == (
        FileKind.IMAGE,
        FileFormat.QCOW2,
        Compression.NONE,
    )
    assert (file.find_members, file.members, file.size_bytes) == (False, (), 1000)
    assert file.mirrors == ("http://near.example/a/disk1.img",)


def test_the_members_of_a_tar_are_found_once_it_is_here() -> None:
    built = build(of(item("tar.gz")))
    (file,) = built.files
    assert built.virtualization is Virtualization.PARAVIRTUAL
    assert (file.format, file.compression) == (FileFormat.TAR, Compression.GZIP)
    assert (file.find_members, file.members) == (True, ())


def test_the_strongest_digest_counts() -> None:
    both = build(of(item(sha512="EF" * 64))).files[0]
    assert (both.digest, both.sha256) == ("ef" * 64, "ab" * 32)
    alone = build(of(item(sha256=None, sha512="ef" * 64))).files[0]
    assert (alone.digest, alone.sha256) == ("ef" * 64, "")
    assert build(of(item())).files[0].digest == "ab" * 32


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"sha256": None}, reasons.ONLY_MD5),
        ({"sha256": None, "md5": None}, reasons.NO_DIGEST),
        ({"sha256": "ab" * 31}, reasons.NO_DIGEST),
        ({"sha256": 7}, reasons.NO_DIGEST),
        ({"sha512": "ab"}, reasons.NO_DIGEST),
        ({"size": None}, reasons.NO_SIZE),
        ({"size": "1000"}, reasons.NO_SIZE),
        ({"size": 1.5}, reasons.NO_SIZE),
        ({"size": True}, reasons.NO_SIZE),
        ({"size": 0}, reasons.NO_SIZE),
        ({"size": LARGEST_FILE_BYTES + 1}, reasons.NO_SIZE),
        ({"path": "../a"}, reasons.UNSAFE_PATH),
        ({"path": None}, reasons.UNSAFE_PATH),
    ],
)
def test_a_file_that_cannot_be_trusted_is_passed_over(tags: dict[str, Any], reason: str) -> None:
    stream = read(of(item(**tags)))
    assert (stream.products[0].refused, stream.passed_over) == (reason, ((reason, 1),))
    assert build(of(item(**tags), item("tar.gz"))).files[0].find_members


@pytest.mark.parametrize(
    ("ftypes", "reason"),
    [
        (("squashfs", "root.tar.xz", "lxd.tar.xz"), reasons.CONTAINER),
        (("incus.tar.xz",), reasons.CONTAINER),
        (("rootfs.img.gz", "lxc.tar.gz"), reasons.CONTAINER),
        (("boot-kernel", "boot-initrd", "squashfs", "manifest"), reasons.NETWORK_BOOT),
        (("root-tgz", "manifest"), reasons.NETWORK_BOOT),
        (("manifest", "ova"), reasons.NO_DISK),
        ((), reasons.NO_DISK),
    ],
)
def test_what_is_no_image_says_what_it_is(ftypes: tuple[str, ...], reason: str) -> None:
    assert only(of(*map(item, ftypes))).refused == reason


def test_a_catalogue_of_ids_offers_nothing() -> None:
    ids = version({"id": "ami-1", "ftype": None}, {"id": "ami-2"})
    source = catalogue({NAME: product({"1": ids})}, datatype="image-ids")
    assert only(source).refused == reasons.ELSEWHERE
    assert only(catalogue(datatype="image-ids")).refused == reasons.NO_DOWNLOADS


@pytest.mark.parametrize(
    ("ftype", "taking", "reason"),
    [
        ("disk1.img", PARAVIRTUAL, reasons.NOT_HVM),
        ("tar.gz", HVM, reasons.NOT_PARAVIRTUAL),
        ("tar.gz", STRICT, reasons.NO_RAMDISK),
    ],
)
def test_what_the_cloud_does_not_take_says_why(ftype: str, taking: Taking, reason: str) -> None:
    assert only(of(item(ftype)), taking).refused == reason


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("arm64", "It runs on arm64; this cloud's nodes are i386 and x86_64."),
        ("riscv64", "It runs on riscv64; this cloud's nodes are i386 and x86_64."),
        ("abacus", reasons.STRANGE_ARCHITECTURE),
        ("", reasons.NO_ARCHITECTURE),
    ],
)
def test_an_architecture_without_nodes_says_why(arch: str, reason: str) -> None:
    one = only(of(item(), arch=arch))
    assert (one.refused, one.info.refused) == (reason, reason)
    assert one.info.summary.startswith(reason)


@pytest.mark.parametrize(
    ("arch", "architecture"),
    [("amd64", "x86_64"), ("i686", "i386"), ("aarch64", "aarch64"), ("armel", "armhf")],
)
def test_architectures_have_one_word(arch: str, architecture: str) -> None:
    taking = Taking(architectures=frozenset(Architecture))
    assert build(of(item(), arch=arch), taking).architecture == Architecture(architecture)


LXC = {
    "aliases": "debian/bullseye/cloud,debian/11/cloud",
    "os": "Debian",
    "release": "bullseye",
    "release_title": "bullseye",
    "variant": "cloud",
}


@pytest.mark.parametrize(
    ("name", "tags", "title"),
    [
        (NAME, {}, "Ubuntu 24.04 LTS (Noble Numbat), amd64"),
        (
            "com.ubuntu.cloud:minimal:24.04:amd64",
            {},
            "Ubuntu Minimal 24.04 LTS (Noble Numbat), amd64",
        ),
        (
            "com.ubuntu.cloud.daily:server:24.04:amd64",
            {},
            "Ubuntu 24.04 LTS (Noble Numbat), daily build, amd64",
        ),
        (
            NAME,
            {"label": "beta2"},
            "Ubuntu 24.04 LTS beta2 (Noble Numbat), development build, amd64",
        ),
        (
            NAME,
            {"os": "chr", "release_title": "7.2rc1", "release_codename": "", "release": "7.2rc1"},
            "MikroTik CHR 7.2rc1, development build, amd64",
        ),
        (
            NAME,
            {
                "os": "Archlinux",
                "release": "current",
                "release_title": "current",
                "release_codename": "",
                "version": "",
            },
            "Arch Linux, amd64",
        ),
        (NAME, {"os": ""}, "Ubuntu 24.04 LTS (Noble Numbat), amd64"),
    ],
)
def test_titles_are_for_people(name: str, tags: dict[str, Any], title: str) -> None:
    assert only(catalogue({name: product(**tags)})).info.title == title


def test_a_product_of_lxc_is_named_by_its_variant() -> None:
    info = only(
        catalogue(
            {
                "debian:bullseye:amd64:cloud": {
                    "versions": {"20221208_07:43": version(item("disk-kvm.img"))},
                    "arch": "amd64",
                    **LXC,
                }
            }
        )
    ).info
    assert info.title == "Debian bullseye (cloud), amd64"
    assert info.releases == ("bullseye", "11")
    assert info.tags == ("debian", "bullseye", "amd64", "cloud")


def test_a_product_of_cirros_is_named_by_its_version() -> None:
    entry = {"arch": "x86_64", "versions": {"20130207": version(item("disk.img"), version="0.3.1")}}
    assert (
        only(catalogue({"net.cirros-cloud:standard:0.3:x86_64": entry})).info.title
        == "CirrOS 0.3.1, x86_64"
    )


def test_a_product_that_says_nothing_is_called_by_its_name() -> None:
    assert only(catalogue({"com.example:one": {"versions": {}}})).info.title == "com.example:one"


def test_releases_tags_and_support_are_told() -> None:
    info = only(catalogue(), is_unsigned=True, source_title="Ours").info
    assert info.releases == ("noble", "24.04", "lts", "default")
    assert info.tags == ("ubuntu", "noble", "24.04", "amd64", "lts", "unsigned")
    assert (info.support_ends, info.is_unsigned) == ("2029-05-31", True)
    assert (info.provider.title, info.provider.uri) == ("Ours", ROOT)
    assert "Supported until 2029-05-31." in info.summary
    assert "<code>ubuntu</code>" in info.description_html


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"support_eol": "2013-05-09"}, "No longer supported since 2013-05-09:"),
        ({"supported": False}, "No longer supported:"),
        ({"supported": False, "support_eol": "soon"}, "No longer supported:"),
    ],
)
def test_what_is_no_longer_supported_says_since_when(tags: dict[str, Any], said: str) -> None:
    info = only(catalogue({NAME: product(**tags)})).info
    assert said in info.summary
    assert "unsupported" in info.tags


def test_texts_of_strangers_stay_texts() -> None:
    entry = {"1": version(item(path="a/b&c'd"), pubname="<script>\x00" + "x" * 999)}
    info = only(catalogue({NAME: product(entry, release_codename="a\nb\ud800")})).info
    assert "<script>" not in info.description_html
    assert "b&amp;c&#x27;d" in info.description_html
    assert "(a b?)" in info.title
    assert len(info.description_html) < 1000


def named(version_text: str, arch: str = "amd64", kind: str = "server", **tags: Any) -> Any:
    name = f"com.ubuntu.cloud{'.daily' if kind == 'daily' else ''}:{kind}:{version_text}:{arch}"
    lts = "LTS" if version_text.endswith("04") and int(version_text[:2]) % 2 == 0 else ""
    made = {"version": version_text, "release_title": f"{version_text} {lts}".strip()}
    return name, product(arch=arch, **{"aliases": version_text, **made, **tags})


def test_sections_show_first_what_most_people_want() -> None:
    products = dict(
        [
            named("10.04", support_eol="2013-05-09", supported=False),
            named("22.04", "i386"),
            named("22.04"),
            named("24.04", "i386", aliases="24.04,lts"),
            named("24.04", aliases="24.04,lts"),
            named("24.10"),
            named("24.04", kind="daily"),
            named("24.04", kind="minimal"),
            named("24.04", "arm64"),
        ]
    )
    stream = read(catalogue(products))
    shown = sections(stream.products, 1_790_000_000)
    assert [one.title for one in shown] == [
        "Ubuntu 24.04 LTS",
        "Other supported releases",
        "Daily and development builds",
        "Minimal images",
        "No longer supported",
        "Not for this cloud",
    ]
    titles = {one.uri: one.info.title for one in stream.products}
    assert [titles[uri] for uri in shown[0].image_uris] == [
        "Ubuntu 24.04 LTS (Noble Numbat), amd64",
        "Ubuntu 24.04 LTS (Noble Numbat), i386",
    ]
    assert [titles[uri].partition(" (")[0] for uri in shown[1].image_uris] == [
        "Ubuntu 24.10",
        "Ubuntu 22.04 LTS",
        "Ubuntu 22.04 LTS",
    ]
    assert shown[5].summary == "It runs on arm64; this cloud's nodes are i386 and x86_64. (1)"
    assert sorted(uri for one in shown for uri in one.image_uris) == sorted(titles)


def test_without_the_alias_the_newest_lts_is_the_current_one() -> None:
    stream = read(catalogue(dict([named("22.04"), named("24.04"), named("24.10")])))
    assert [one.title for one in sections(stream.products, 1_790_000_000)] == [
        "Ubuntu 24.04 LTS",
        "Other supported releases",
    ]


def test_there_is_no_section_without_images() -> None:
    assert sections([], 1_790_000_000) == ()

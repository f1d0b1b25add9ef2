"""Every real catalogue at hand: each product is accounted for, and known facts come out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import Architecture, FileFormat, Virtualization
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.simplestreams import reasons
from imagestoreproxy.sources.simplestreams.choice import ARCHITECTURES
from imagestoreproxy.sources.simplestreams.documents import document_of
from imagestoreproxy.sources.simplestreams.reading import read_index, read_products
from imagestoreproxy.sources.simplestreams.sections import sections
from imagestoreproxy.sources.simplestreams.stream import Build, Stream
from imagestoreproxy.sources.simplestreams.uris import split_uri
from imagestoreproxy.sources.simplestreams.wanted import Wanted
from tests.catalogues import (
    BEGIN,
    END,
    MIRROR,
    NOW_S,
    PAGE,
    STREAMS,
    SYNTHETIC,
    catalogues,
    counts,
)

pytestmark = pytest.mark.skipif(not STREAMS.is_dir(), reason="the shared sample data is not here")

SERVER = "cloud-images.ubuntu.com/releases/streams/v1/com.ubuntu.cloud:released:download.json"
MINIMAL = (
    "cloud-images.ubuntu.com/minimal/releases/streams/v1/com.ubuntu.cloud:released:download.json"
)
CIRROS = "download.cirros-cloud.net/streams/v1/net.cirros-cloud:released:download.json"
HISTORY = [
    "images.linuxcontainers.org/streams/v1/images.json",
    *(f"images.linuxcontainers.org.history/images-{day}.json" for day in (20230420, 20230424)),
    "images.linuxcontainers.org.history/images-20230703.json",
]
PARAVIRTUAL = Taking(virtualizations=frozenset({Virtualization.PARAVIRTUAL}), needs_ramdisk=True)
OLD = "simplestreams-2013-signed"


def stream(name: str, taking: Taking | None = None, **options: Any) -> Stream:
    payload = (STREAMS / name).read_bytes()
    return read_products(payload, root=MIRROR, taking=taking or Taking(), now_s=NOW_S, **options)


def plain(name: str) -> dict[str, Any]:
    """The same, read without any code of the proxy."""
    return dict(json.loads((STREAMS / name).read_bytes())["products"])


def build(source: Stream, product: str, version: str = "") -> Build:
    known = source.product(product)
    assert known is not None
    one = known.version(version) if version else known.offered
    assert one is not None
    assert one.build is not None
    return one.build


@pytest.mark.parametrize("name", [name for name in catalogues() if OLD not in name])
def test_every_product_of_a_real_catalogue_is_accounted_for(name: str) -> None:
    source, expected = stream(name), plain(name)
    tally = source.tally()
    assert tally.products == len(expected)
    assert tally.offered + sum(count for _, count in tally.refused) == len(expected)
    assert source.dropped == ()
    for one in source.products:
        assert [version.name for version in one.versions] == sorted(expected[one.name]["versions"])
        assert split_uri(MIRROR, one.uri) == (source.content_id, one.name, "")
        assert one.info.title
        assert bool(one.refused) == (one.offered is None) == bool(one.info.refused)
    listed = [uri for section in sections(source.products, NOW_S) for uri in section.image_uris]
    assert sorted(listed) == sorted(one.uri for one in source.products)


@pytest.mark.parametrize("name", [name for name in catalogues() if OLD not in name])
def test_every_file_that_is_offered_is_one_that_the_catalogue_names(name: str) -> None:
    expected = plain(name)
    for one in stream(name, Taking(architectures=frozenset(Architecture))).products:
        for version in one.versions:
            if version.build is None:
                continue
            (file,) = version.build.files
            items = expected[one.name]["versions"][version.name]["items"].values()
            (same,) = [item for item in items if MIRROR + item["path"] == file.url]
            assert (file.size_bytes, file.sha256) == (same["size"], same["sha256"])
            assert version.build.architecture == ARCHITECTURES[expected[one.name]["arch"]]


@pytest.mark.parametrize("name", [name for name in catalogues() if OLD in name])
def test_catalogues_of_before_the_first_version_are_refused(name: str) -> None:
    with pytest.raises(DocumentError, match="given up in 2013"):
        stream(name)


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("download.cirros-cloud.net/streams/v1/index.json", 2),
        ("images.maas.io/ephemeral-v3/stable/streams/v1/index.json", 3),
        ("kriszos.github.io/streams/v1/index.json", 1),
        ("eumel8.github.io/streams/v1/index.sjson", 1),
        ("fixtures/simplestreams-examples/foocloud/streams/v1/index.json", 2),
        ("fixtures/simplestreams-examples/minimal/streams/v1/index.json", 1),
    ],
)
def test_every_real_index_is_read(name: str, entries: int) -> None:
    index = read_index((STREAMS / name).read_bytes())
    assert (len(index.entries), index.dropped) == (entries, 0)
    assert {one.format for one in index.entries} == {"products:1.0"}


@pytest.mark.parametrize(
    ("product", "version", "size_bytes", "digest"),
    [
        ("24.04:amd64", "20240821", 586022912, "0e25ca6ee9f0"),
        ("20.10:amd64", "20210720", 576126976, "9d4933b1118b"),
        ("12.10:amd64", "20140409", 224133632, "1a1ba52aed4b"),
        ("12.04:i386", "20170502", 237699584, "e7555d37edc8"),
        ("11.10:i386", "20130509", 211877888, "a0366d9284fa"),
        ("10.04:amd64", "20150427", 226099712, "983b7be9dd1e"),
    ],
)
def test_the_disk_of_a_known_version_is_chosen(
    product: str, version: str, size_bytes: int, digest: str
) -> None:
    built = build(stream(SERVER), f"com.ubuntu.cloud:server:{product}", version)
    assert (built.virtualization, built.size_bytes) == (Virtualization.HVM, size_bytes)
    assert built.files[0].digest.startswith(digest)
    assert built.files[0].format is FileFormat.QCOW2


def test_the_release_that_has_only_a_tar_is_paravirtual() -> None:
    built = build(stream(SERVER), "com.ubuntu.cloud:server:10.10:amd64", "20120410")
    assert (built.virtualization, built.size_bytes) == (Virtualization.PARAVIRTUAL, 192700071)
    assert built.files[0].digest.startswith("51169b54132e")
    assert built.files[0].find_members


def test_a_cloud_that_demands_a_ramdisk_gets_none_of_ubuntus_tars() -> None:
    refused = {one.refused for one in stream(SERVER, PARAVIRTUAL).products}
    assert refused == {
        reasons.NO_RAMDISK,
        "It runs on armhf; this cloud's nodes are i386 and x86_64.",
    }


def test_minimal_images_have_nothing_for_a_paravirtual_cloud() -> None:
    tally = stream(MINIMAL, PARAVIRTUAL).tally()
    assert (tally.offered, dict(tally.refused)[reasons.NOT_HVM]) == (0, 13)
    assert stream(MINIMAL).tally().offered == 13


def test_a_paravirtual_cloud_gets_the_three_files_of_cirros() -> None:
    source = stream(CIRROS, PARAVIRTUAL)
    assert source.tally().offered == 2
    sizes = {"x86_64": 8633554, "i386": 8197543}
    for arch, size_bytes in sizes.items():
        built = build(source, f"net.cirros-cloud:standard:0.3:{arch}")
        assert (built.virtualization, built.size_bytes) == (Virtualization.PARAVIRTUAL, size_bytes)
        assert built.files[0].url.endswith("-uec.tar.gz")
    assert (
        build(stream(CIRROS), "net.cirros-cloud:standard:0.3:i386")
        .files[0]
        .url.endswith("-disk.img")
    )


def test_ubuntu_is_shown_in_words_for_people() -> None:
    source = stream(SERVER)
    one = source.product("com.ubuntu.cloud:server:24.04:amd64")
    assert one is not None
    assert one.info.title == "Ubuntu 24.04 LTS (Noble Numbat), amd64"
    assert one.versions[-1].pubname.endswith("-20240821")
    assert [section.title for section in sections(source.products, NOW_S)] == [
        "Ubuntu 24.04 LTS",
        "No longer supported",
        "Not for this cloud",
    ]


def test_filters_pick_a_release_out_of_a_real_catalogue() -> None:
    source = stream(SERVER, wanted=Wanted(releases=frozenset({"noble", "mantic"})))
    assert [one.facts.release for one in source.products] == ["mantic", "noble"]
    assert source.filtered == 14


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(HISTORY)))
def test_upgrades_and_withdrawals_come_out_as_computed_otherwise(earlier: str, later: str) -> None:
    def disks(name: str) -> dict[str, str]:
        """The newest version of each product that has a disk for a node of this cloud."""
        return {
            product: max(with_disk)
            for product, entry in plain(name).items()
            if entry["arch"] in ("amd64", "i386")
            and (
                with_disk := [
                    version
                    for version, files in entry["versions"].items()
                    if any(one["ftype"] == "disk-kvm.img" for one in files["items"].values())
                ]
            )
        }

    def offered(name: str) -> dict[str, str]:
        return {
            one.name: one.offered.name for one in stream(name).products if one.offered is not None
        }

    before, after = offered(earlier), offered(later)
    assert (before, after) == (disks(earlier), disks(later))
    upgrades = {name for name in before.keys() & after.keys() if after[name] > before[name]}
    assert upgrades
    gone = set(plain(earlier)) - set(plain(later))
    source = stream(later)
    for name in gone:
        with pytest.raises(DocumentError, match="no longer has the product"):
            document_of(source, name, now_s=NOW_S)
    assert before.keys() - after.keys() <= gone | {one.name for one in source.products}


def test_the_table_in_the_documentation_says_what_the_reader_says() -> None:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    told = [line.rsplit("|", 3)[0] + "|" for line in rows]
    assert told == [counts(name) for name in [*catalogues(), SYNTHETIC]]

"""The documents of a published source, read by this project's own readers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind, Provider, Virtualization
from imagestoreproxy.ports import Signed
from imagestoreproxy.sources.document import read_document
from imagestoreproxy.sources.publishing.candidates import Candidate
from imagestoreproxy.sources.publishing.contents import Facts
from imagestoreproxy.sources.publishing.history import PublishedFile, Version
from imagestoreproxy.sources.publishing.offers import Offer, make_offer
from imagestoreproxy.sources.publishing.storeformat import image_document, image_uri, listing
from imagestoreproxy.sources.publishing.streamsformat import catalogues, is_installable
from imagestoreproxy.sources.publishing.words import ImageWords, SectionWords, StoreWords
from imagestoreproxy.sources.simplestreams.paths import safe_path
from imagestoreproxy.sources.simplestreams.reading import read_index
from imagestoreproxy.sources.storeapi import read_listing, read_search

URL = "http://store.example:52781"
NOW_S = 1_795_600_000.0
KERNEL, RAMDISK, IMAGE = FileKind
WORDS = StoreWords(
    title="Ours",
    url=URL,
    provider=Provider("We", "http://example.com/"),
    sections=(SectionWords("Servers", "All of them.", ("web",)),),
    images={
        "web": ImageWords(
            title="Web server",
            summary="Serves.",
            tags=("web",),
            login_user="admin",
            ports=(22, 443),
            release="noble",
            aliases=("lts", "24.04"),
            support_ends="2029-05-31",
        )
    },
)


def fact(digit: str, form: str = "raw", compression: str = "none", **members: str) -> Facts:
    listed = tuple((FileKind(kind), name) for kind, name in members.items())
    return Facts(digit * 64, 3 * 2**20 + 1, Compression(compression), FileFormat(form), listed)


def offer(name: str, *files: tuple[FileKind, str, Facts], icon: str = "") -> Offer:
    version = Version("2.1", "20261125", tuple(PublishedFile(*one) for one in files))
    older = Version("2.0", "20261120", (PublishedFile(IMAGE, "old.img", fact("0", "qcow2")),))
    return make_offer(Candidate(name, {}), (version, older), WORDS, icon)


WEB = offer(
    "web",
    (KERNEL, "vmlinuz", fact("a")),
    (RAMDISK, "initrd", fact("b")),
    (IMAGE, "root.img.gz", fact("c", compression="gzip")),
    icon="files/dd/web.png",
)
DISK = offer("disk", (IMAGE, "disk.qcow2", fact("d", "qcow2")))
TARBALL = offer(
    "uec",
    (IMAGE, "u.tar.gz", fact("e", "tar", "gzip", kernel="[x]-vmlinuz", image="x.img")),
)
WHOLE_TARBALL = offer(
    "cirros",
    (IMAGE, "c.tgz", fact("f", "tar", "gzip", kernel="vmlinuz", ramdisk="initrd", image="a.img")),
)
ODD_TARBALL = offer(
    "odd", (IMAGE, "o.tar.gz", fact("1", "tar", "gzip", kernel="kernel", image="image"))
)
RAW = offer("raw", (IMAGE, "r.img.xz", fact("2", "raw", "xz")))


def document(one: Offer) -> bytes:
    return image_document(one, URL, serial=9, now_s=NOW_S, expires_s=NOW_S + 86400)


@pytest.mark.parametrize("one", [WEB, DISK, TARBALL, WHOLE_TARBALL, ODD_TARBALL, RAW])
def test_every_document_is_believed_by_the_proxys_reader(one: Offer) -> None:
    text = document(one)
    read = read_document(Signed(text, "F" * 40), text, image_uri(one, URL), NOW_S)
    assert read.serial == 9
    assert read.expires_s == NOW_S + 86400
    assert read.version == "2.1"
    assert read.virtualization is one.virtualization
    for file, said in zip(read.files, one.version.files, strict=True):
        assert file.url == f"{URL}/files/{said.facts.sha256}/{said.name}"
        assert (file.kind, file.sha256, file.size_bytes) == (
            said.kind,
            said.facts.sha256,
            said.facts.size_bytes,
        )
        assert (file.compression, file.format) == (said.facts.compression, said.facts.format)


def test_members_of_a_tarball_are_patterns_for_their_names_alone() -> None:
    text = document(TARBALL)
    read = read_document(Signed(text, "F" * 40), text, image_uri(TARBALL, URL), NOW_S)
    assert dict(read.files[0].members) == {KERNEL: "[[]x]-vmlinuz", IMAGE: "x.img"}
    assert read.virtualization is Virtualization.PARAVIRTUAL


def test_run_notes_are_said_to_programs_and_in_the_description() -> None:
    content = json.loads(document(WEB))
    assert content["login-user"] == "admin"
    assert content["ports"] == [22, 443]
    assert "<code>admin</code>" in content["description-html"]
    assert "22, 443" in content["description-html"]
    text = document(WEB)
    read = read_document(Signed(text, "F" * 40), text, image_uri(WEB, URL), NOW_S)
    (listed,) = read_listing(listing([WEB], WORDS, URL, is_index=False), name="ours").images
    for info in (read.info, listed):
        assert (info.login_user, info.ports, info.architecture) == ("admin", (22, 443), "x86_64")
    assert listed.source == "ours"
    assert content["icon-uri"] == f"{URL}/files/dd/web.png"


def test_a_text_too_long_to_be_signed_is_refused() -> None:
    words = StoreWords(images={"disk": ImageWords(description_html='"' * 9_999)})
    long = make_offer(Candidate("disk", {}), DISK.versions, words)
    with pytest.raises(SettingsError, match="longer than can be signed"):
        document(long)


def test_the_dashboard_shows_all_in_sections() -> None:
    body = listing([DISK, WEB], WORDS, URL, is_index=False)
    read = read_listing(body)
    assert [(one.title, one.size_mb) for one in read.images] == [("Disk", 4), ("Web server", 10)]
    assert [(one.title, one.image_uris) for one in read.sections] == [
        ("Servers", (f"{URL}/api/images/web",)),
        ("Ours", (f"{URL}/api/images/disk",)),
    ]
    assert read.images[1].provider.title == "We"
    assert json.loads(body)["images"][1]["releases"] == ["noble", "lts", "24.04"]
    assert "search-index" not in json.loads(body)


def test_the_search_says_that_it_is_an_index() -> None:
    body = listing([DISK, WEB], WORDS, URL, is_index=True)
    assert read_search(body)[1]
    assert len(read_listing(body).images) == 2


def products(*offers: Offer) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(catalogues(offers, WORDS, NOW_S)[0].plain)
    return dict(content["products"])


def test_the_index_names_signed_products_where_it_is_signed() -> None:
    listed, index = catalogues([DISK], WORDS, NOW_S)
    assert (listed.path, index.path) == (
        "streams/v1/org.example.store:released:download",
        "streams/v1/index",
    )
    for body, ending in ((index.plain, ".json"), (index.to_sign, ".sjson")):
        read = read_index(body)
        assert [one.path for one in read.entries] == [listed.path + ending]
        assert read.updated_s == NOW_S
        assert read.dropped == 0


def test_a_product_has_its_versions_and_items() -> None:
    product = products(DISK)["org.example.store:disk:amd64"]
    assert list(product["versions"]) == ["20261120", "20261125"]
    items = product["versions"]["20261125"]["items"]
    assert items == {
        "disk1.img": {
            "ftype": "disk1.img",
            "path": f"files/{'d' * 64}/disk.qcow2",
            "size": 3 * 2**20 + 1,
            "sha256": "d" * 64,
        }
    }
    assert product["arch"] == "amd64"
    assert product["supported"] is True
    web = products(WEB)["org.example.store:web:amd64"]
    assert (web["release"], web["release_title"], web["aliases"]) == (
        "noble",
        "Web server",
        "lts,24.04",
    )
    assert (web["support_eol"], web["version"]) == ("2029-05-31", "2.1")
    assert (web["login_user"], web["ports"]) == ("admin", "22,443")
    assert not {"login_user", "ports"} & product.keys()


@pytest.mark.parametrize(
    ("one", "ftypes", "can_be_installed"),
    [
        (DISK, {"disk1.img"}, True),
        (TARBALL, {"tar.gz"}, True),
        (WHOLE_TARBALL, {"uec.tar.gz"}, True),
        (ODD_TARBALL, {"image.tar.gz"}, False),
        (RAW, {"image.raw.xz"}, False),
        (WEB, {"kernel", "ramdisk", "image.raw.gz"}, False),
    ],
)
def test_an_ftype_promises_no_more_than_the_file_holds(
    one: Offer, ftypes: set[str], can_be_installed: bool
) -> None:
    ((product),) = products(one).values()
    items = product["versions"]["20261125"]["items"]
    assert set(items) == ftypes
    assert is_installable(one) is can_be_installed
    assert all(safe_path(item["path"]) for item in items.values())

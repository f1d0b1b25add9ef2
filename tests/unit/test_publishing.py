"""Which images a directory holds, and what their names, bytes and history make of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from imagestoreproxy.client.publication import Publishing
from imagestoreproxy.client.serve import published_root
from imagestoreproxy.client.storefile import read_store
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    Virtualization,
)
from imagestoreproxy.sources.publishing import names
from imagestoreproxy.sources.publishing.candidates import Candidate, candidates
from imagestoreproxy.sources.publishing.contents import Facts, compression_of, format_of
from imagestoreproxy.sources.publishing.history import (
    KEPT_VERSIONS,
    PublishedFile,
    State,
    Version,
    next_serial,
    next_versions,
    state_from_json,
    state_to_json,
)
from imagestoreproxy.sources.publishing.offers import make_offer, published_files
from imagestoreproxy.sources.publishing.words import (
    STREAMS,
    ImageWords,
    SectionWords,
    StoreWords,
)

DAY_S = 1_795_600_000.0  # 2026-11-25
KERNEL, RAMDISK, IMAGE = FileKind


def files(digit: str, name: str = "web.img") -> tuple[PublishedFile, ...]:
    return (PublishedFile(IMAGE, name, Facts(digit * 64, 10)),)


def advance(before: tuple[Version, ...], digit: str, **given: str) -> tuple[Version, ...]:
    said = {"declared": "", "guessed": "20261125", **given}
    return next_versions(before, files(digit), image="web", now_s=DAY_S, **said)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kernel", KERNEL),
        ("vmlinuz-6.1.0", KERNEL),
        ("lucid-server-uec-amd64-vmlinuz-virtual", KERNEL),
        ("ramdisk.gz", RAMDISK),
        ("initrd.img", RAMDISK),
        ("initramfs-linux.img", RAMDISK),
        ("image", IMAGE),
        ("image.zst", IMAGE),
        ("root.img.xz", IMAGE),
        ("disk.qcow2", IMAGE),
        ("all.tar.gz", IMAGE),
        ("README", None),
        ("image.txt", None),
    ],
)
def test_a_file_is_what_its_name_says(name: str, kind: FileKind | None) -> None:
    assert names.kind_of(name) is kind


@pytest.mark.parametrize(
    ("name", "title", "version", "architecture"),
    [
        ("web-server_2.1_i386", "Web server (i386)", "2.1", Architecture.I386),
        ("noble-server-20241120.1-arm64", "Noble server (aarch64)", "20241120.1", "aarch64"),
        ("ubuntu-24.04-amd64", "Ubuntu", "24.04", Architecture.X86_64),
        ("plain", "Plain", "", Architecture.X86_64),
        ("db-v1.0.2", "Db", "1.0.2", Architecture.X86_64),
    ],
)
def test_title_version_and_architecture_come_from_the_name(
    name: str, title: str, version: str, architecture: str
) -> None:
    assert names.title_of(name) == title
    assert names.version_of(name) == version
    assert names.architecture_of(name) == architecture


def test_ids_are_plain_and_differ_as_names_do() -> None:
    odd = ["Größe", "Gr/ße", "Gr ße", "..", "a b", "a-b", "-", "x" * 300]
    ids = [names.id_of(name) for name in odd]
    assert len(set(ids)) == len(odd)
    assert all(names.published_name(one.replace("~", "")) == one.replace("~", "") for one in ids)
    assert names.id_of("web-2.1") == "web-2.1"


def test_no_published_name_is_hidden_however_long_the_file_s_name_is() -> None:
    name = "x" * 60 + "." + "y" * 145 + ".img"
    assert names.published_name(name) == "y" * 145 + ".img"
    assert names.published_name("." * 200) == "file"


def test_a_directory_that_only_has_sums_of_its_own_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").touch()
    (tmp_path / "SHA256SUMS.gpg").touch()
    with pytest.raises(SettingsError, match="Nothing is published"):
        published_root(tmp_path)
    for name in ("keyring.gpg", "key.asc"):
        (tmp_path / name).touch()
    assert published_root(tmp_path) == tmp_path


def test_directories_disks_and_tarballs_are_images() -> None:
    listing = {
        "": ["disk.qcow2", "all.tar.xz", "README", ".hidden.img", "store.toml"],
        "web-2.1": ["vmlinuz", "initrd.img", "root.img.gz", "notes.txt"],
        "docs": ["index.html"],
    }
    found = candidates(listing, "images", StoreWords())
    assert found == (
        Candidate("all", {IMAGE: "all.tar.xz"}),
        Candidate("disk", {IMAGE: "disk.qcow2"}),
        Candidate(
            "web-2.1",
            {
                KERNEL: "web-2.1/vmlinuz",
                RAMDISK: "web-2.1/initrd.img",
                IMAGE: "web-2.1/root.img.gz",
            },
        ),
    )


def test_kernel_ramdisk_and_image_in_the_directory_itself_are_one_image() -> None:
    listing = {"": ["kernel", "ramdisk.gz", "image.gz", "other.img"]}
    found = candidates(listing, "mine", StoreWords())
    assert [one.name for one in found] == ["mine", "other"]
    assert found[0].parts == {KERNEL: "kernel", RAMDISK: "ramdisk.gz", IMAGE: "image.gz"}


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        ({"": ["README"]}, "no image"),
        ({"": [], "a": ["kernel", "initrd"]}, "a has a ramdisk, but no image"),
        ({"": [], "a": ["a.img", "b.img"]}, "a has more than one image: a/a.img and b.img"),
        ({"": ["a.img", "a.qcow2"]}, "Two images would be called 'a'"),
        ({"": ["kernel"]}, "The directory has a kernel, but no image"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(
    listing: dict[str, list[str]], reason: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        candidates(listing, "images", StoreWords())
    assert reason in refused.value.message


def test_a_path_gives_an_image_another_name_and_must_be_there() -> None:
    listing = {"": ["web-2.1.qcow2"]}
    named = StoreWords(images={"web": ImageWords(path="web-2.1.qcow2")})
    assert [one.name for one in candidates(listing, "x", named)] == ["web"]
    for words in (
        StoreWords(images={"web": ImageWords(path="web-2.2.qcow2")}),
        StoreWords(images={"other": ImageWords(title="Other")}),
        StoreWords(sections=(SectionWords("All", images=("other",)),)),
    ):
        with pytest.raises(SettingsError, match=r"store\.toml: "):
            candidates(listing, "x", words)


def tar(*members: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in members:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return made.getvalue()


def test_bytes_tell_the_format_and_names_do_not() -> None:
    qcow2 = b"QFI\xfb" + bytes(100)
    for inside, form in ((qcow2, FileFormat.QCOW2), (tar("a"), FileFormat.TAR)):
        assert format_of(inside, "x.raw") is form
        assert compression_of(inside) is Compression.NONE
        assert format_of(gzip.compress(inside), "x.raw") is form
        assert compression_of(gzip.compress(inside)) is Compression.GZIP
    assert format_of(b"\xeb\x63\x90" + bytes(600), "x.qcow2") is FileFormat.RAW


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"<!DOCTYPE html><html>404", "an HTML or XML page"),
        (b"KDMV\1\0\0\0", "a VMDK disk"),
        (b"", "is empty"),
        (b"\x1f\x8b\x08broken", "holds nothing"),
        (b"\xfd7zXZ\0" + bytes(50), "broken"),
        (gzip.compress(b"<html>", mtime=0), "an HTML or XML page"),
    ],
)
def test_what_no_cloud_can_boot_is_refused(head: bytes, what: str) -> None:
    with pytest.raises(SettingsError) as refused:
        format_of(head, "disk.img")
    assert what in refused.value.message
    assert "disk.img" in refused.value.message


def test_the_same_bytes_are_the_same_version() -> None:
    first = advance((), "a")
    assert [one.name for one in first] == ["20261125"]
    assert advance(first, "a", guessed="20261126") == first
    assert [one.name for one in advance(first, "a", declared="2.0")] == ["2.0"]


def test_other_bytes_are_a_newer_version_and_three_are_kept() -> None:
    versions = advance((), "a")
    for digit in "bcd":
        versions = advance(versions, digit)
    assert [one.name for one in versions] == ["20261125.3", "20261125.2", "20261125.1"]
    assert [one.build for one in versions] == ["20261125.03", "20261125.02", "20261125.01"]
    assert len(versions) == KEPT_VERSIONS
    older = advance(versions, "e", guessed="20200101")
    assert older[0].name == "20261125.3.1"


def test_other_bytes_under_a_declared_version_are_refused() -> None:
    versions = advance(advance((), "a", declared="1.0"), "b", declared="1.1")
    for version in ("1.1", "1.0"):
        with pytest.raises(SettingsError) as refused:
            advance(versions, "c", declared=version)
        assert f"its version is still {version}" in refused.value.message
    assert advance(versions, "c", declared="1.2")[0].name == "1.2"


def test_builds_sort_as_text_also_when_the_clock_went_back() -> None:
    first = next_versions(
        (), files("a"), image="w", declared="", guessed="1", now_s=DAY_S + 10 * 86400
    )
    second = next_versions(first, files("b"), image="w", declared="", guessed="1", now_s=DAY_S)
    assert second[0].build > second[1].build


def test_serials_grow_and_a_lost_state_does_not_go_back() -> None:
    assert next_serial(State(), 1000.9) == 1000
    assert next_serial(State(serial=1000), 1000.9) == 1001
    assert next_serial(State(serial=5000), 1000.0) == 5001


def test_a_state_is_read_as_it_was_written_and_a_damaged_one_is_none() -> None:
    fact = Facts("a" * 64, 10, Compression.GZIP, FileFormat.TAR, ((KERNEL, "k"), (IMAGE, "i")))
    file = PublishedFile(IMAGE, "web.tar.gz", fact)
    state = State(
        serial=7,
        facts={"web.tar.gz": ((10, 1, 2), fact)},
        links={file.path: (10, 1, 2)},
        images={"web": (Version("1", "20261125", (file,)),)},
        gone=frozenset({"old"}),
    )
    written = state_to_json(state)
    assert state_from_json(written) == state
    for damaged in (
        b"",
        b"{}",
        b"[" * 100_000,
        written[:-20],
        written.replace(b"publications:1", b"publications:9"),
        written.replace(b'"web.tar.gz",', b'"../x",'),
        written.replace(b'"size": 10', b'"size": "10"'),
    ):
        assert damaged != written
        assert state_from_json(damaged) is None


def test_a_kernel_makes_it_paravirtual_and_a_disk_alone_boots_by_itself() -> None:
    trio = Candidate("web", {KERNEL: "w/kernel", RAMDISK: "w/ramdisk", IMAGE: "w/image"})
    packed = Facts("a" * 64, 10, Compression.GZIP)
    made = published_files(trio, dict.fromkeys(FileKind, packed))
    assert [one.facts.compression for one in made] == ["gzip", "none", "gzip"]
    versions = (Version("1", "20261125", made),)
    assert make_offer(trio, versions, StoreWords()).virtualization is Virtualization.PARAVIRTUAL
    as_disk = StoreWords(images={"web": ImageWords(virtualization=Virtualization.HVM)})
    with pytest.raises(SettingsError, match="to be hvm"):
        make_offer(trio, versions, as_disk)
    disk = Candidate("disk", {IMAGE: "disk.img"})
    offer = make_offer(disk, (Version("1", "20261125", files("b")),), StoreWords())
    assert offer.virtualization is Virtualization.HVM


def test_a_tarball_has_no_kernel_beside_it() -> None:
    fact = Facts("a" * 64, 10, Compression.NONE, FileFormat.TAR, ((IMAGE, "i.img"),))
    both = Candidate("web", {KERNEL: "w/kernel", IMAGE: "w/all.tar"})
    with pytest.raises(SettingsError, match="no kernel or ramdisk may be beside it"):
        published_files(both, {KERNEL: Facts("b" * 64, 1), IMAGE: fact})
    with pytest.raises(SettingsError, match="would be a kernel, but it is a tar"):
        published_files(both, {KERNEL: fact, IMAGE: Facts("b" * 64, 1)})


STORE = """\
title = "Ours"
url = "http://store.example:8080/"
content-id = "com.example:released:download"
[provider]
title = "We"
uri = "http://example.com/"
[[section]]
title = "Servers"
images = ["web"]
[image.web]
version = "1.2"
architecture = "amd64"
description = \"\"\"
One <thing>.

Another.\"\"\"
login-user = "admin"
ports = [22, 443]
supported = false
[image."b c"]
icon = "b.png"
"""


def test_store_toml_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(STORE)
    words = read_store(path)
    assert (words.title, words.url) == ("Ours", "http://store.example:8080")
    assert words.provider.title == "We"
    assert words.sections == (SectionWords("Servers", images=("web",)),)
    web = words.of("web")
    assert web.architecture is Architecture.X86_64
    assert web.description_html == "<p>One &lt;thing&gt;.</p><p>Another.</p>"
    assert (web.version, web.login_user, web.ports) == ("1.2", "admin", (22, 443))
    assert not web.is_supported
    assert words.of("b c").icon == "b.png"
    assert words.of("nobody") == ImageWords()


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('title = "Ours"', 'titel = "Ours"', 1, "titel"),
        ('"Ours"', "7", 1, "'title' must be a text"),
        ("[22, 443]", "[22, 65536]", 18, "'ports' must be"),
        ("[22, 443]", "[true]", 18, "'ports' must be"),
        ("[22, 443]", "[22, 22]", 18, "'ports' must be"),
        ("[22, 443]", f"{list(range(1, 22))}", 18, "'ports' must be"),
        ('"admin"', '"Administrator"', 17, "'login-user' must be"),
        ('"amd64"', '"vax"', 12, "'architecture' must be i386 or x86_64"),
        ('version = "1.2"', 'virtualization = "kvm"', 11, "'virtualization' must be"),
        ('login-user = "admin"', 'login = "admin"', 17, "did you mean"),
        ('title = "Servers"', "", 7, "'title' is missing"),
        ("supported = false", 'support-ends = "soon"', 19, "'support-ends' must be"),
        ('"com.example:released:download"', '"../x"', 3, "'content-id' must be"),
        ('icon = "b.png"', 'icon = "ftp://x/b.png"', 21, "'icon' must be"),
        ('"http://store.example:8080/"', '"store"', 2, "'url' must be"),
        ('version = "1.2"', 'description-html = "x"', 13, "exclude each other"),
    ],
)
def test_what_store_toml_cannot_mean_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert STORE.count(old) == 1
    path = tmp_path / "store.toml"
    path.write_text(STORE.replace(old, new))
    with pytest.raises(SettingsError) as refused:
        read_store(path)
    assert f"{path}:{line}: " in refused.value.message
    assert reason in refused.value.message


@pytest.mark.parametrize("content", [b"title =", b"\xff", b"[image]\nweb = 1", b"[[image]]\n"])
def test_what_is_no_store_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        read_store(path)
    assert str(path) in refused.value.message
    with pytest.raises(SettingsError, match="cannot be read"):
        read_store(tmp_path / "absent.toml")


def test_builds_of_one_day_sort_as_text_however_many_there_are() -> None:
    versions: tuple[Version, ...] = ()
    builds = []
    for number in range(250):
        versions = advance(versions, f"{number:03}")
        builds.append(versions[0].build)
    assert builds == sorted(set(builds))


class Seal:
    """Signs with nothing."""

    def clearsign(self, text: bytes) -> bytes:
        return text

    def detach_sign(self, content: bytes) -> bytes:
        return b"signature"

    def fingerprint(self) -> str:
        return "F" * 40

    def export_public(self, *, armor: bool = True) -> bytes:
        return b"key"


def test_a_catalogue_is_never_dated_before_an_earlier_one_whatever_the_clock_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "disk.img").write_bytes(b"\xeb" * 4096)
    words = StoreWords(title="Ours", url="http://store.example")
    dates = []
    for now_s in (DAY_S, DAY_S - 3600):
        Publishing(tmp_path, words, Seal(), form=STREAMS, now_s=lambda: now_s).publish()  # noqa: B023
        index = json.loads((tmp_path / "public/streams/v1/index.json").read_bytes())
        dates.append(parsedate_to_datetime(index["updated"]))
    assert dates[0] < dates[1]

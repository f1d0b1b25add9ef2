"""Names and paths of a simplestreams source: split back exactly, and never out of the mirror."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError, SettingsError
from imagestoreproxy.sources.simplestreams.paths import file_url, safe_path
from imagestoreproxy.sources.simplestreams.uris import image_uri, mirror_root, split_uri

ROOT = "https://cloud-images.example/releases/"
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(NAMES, NAMES, st.just("") | NAMES)
def test_an_image_uri_is_plain_ascii_and_splits_back(content: str, product: str, name: str) -> None:
    uri = image_uri(ROOT, content, product, name)
    assert all("!" <= character <= "~" for character in uri)
    assert not set(uri) & set('"<>\\^`{|}[]')
    assert split_uri(ROOT, uri) == (content, product, name)


@given(st.text(max_size=60))
def test_what_splits_is_what_was_put_together(rest: str) -> None:
    uri = ROOT + "streams/v1/" + rest
    pieces = split_uri(ROOT, uri)
    assert pieces is None or image_uri(ROOT, *pieces) == uri


def test_colons_of_products_stay_readable() -> None:
    uri = image_uri(ROOT, "com.ubuntu.cloud:released:download", "a:server:24.04:amd64", "20240821")
    assert uri == (
        ROOT + "streams/v1/com.ubuntu.cloud:released:download#a:server:24.04:amd64@20240821"
    )


@pytest.mark.parametrize("rest", ["c", "c#", "#p", "c#p@", "c#p@a@b", "c#p#q", "c#%70", "c#%FF"])
def test_what_no_image_is_called_does_not_split(rest: str) -> None:
    assert split_uri(ROOT, f"{ROOT}streams/v1/{rest}") is None


def test_an_image_of_another_mirror_does_not_split() -> None:
    assert split_uri(ROOT, image_uri("https://other.example/", "c", "p")) is None


@pytest.mark.parametrize(
    ("url", "root", "path"),
    [
        ("https://h/releases", "https://h/releases/", "streams/v1/index.sjson"),
        ("https://h/releases/", "https://h/releases/", "streams/v1/index.sjson"),
        ("http://h/streams/v1/index.json", "http://h/", "streams/v1/index.json"),
        ("http://h/d/streams/v1/a:b.sjson", "http://h/d/", "streams/v1/a:b.sjson"),
    ],
)
def test_an_address_is_split_as_the_reference_client_does(url: str, root: str, path: str) -> None:
    assert mirror_root(url) == (root, path)


@pytest.mark.parametrize("url", ["ftp://h/", "h", "http://u:p@h/", "http://h/?q", "http://h/#f"])
def test_an_address_that_is_no_mirror_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="must be like https://host/releases/"):
        mirror_root(url)


@pytest.mark.parametrize(
    "path",
    [
        "streams/v1/com.ubuntu.cloud:released:download.json",
        "images/voidlinux/current/armhf/musl/20221207_17:21/rootfs.tar.xz",
        "0.3.1~pre4/cirros-0.3.1~pre4-arm-uec.tar.gz",
        "a..b/..c/d..",
    ],
)
def test_paths_of_real_mirrors_are_taken(path: str) -> None:
    assert file_url(ROOT, path) == ROOT + path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/a", "//host/a", "../a", ".../a", "a/../b", "a/.../b", "a/..", "a/...", "./a"),
        *("a/./b", "a//b", "a/", "http://host/a", "file:a", "%2e%2e/a", "a%2fb", "a\\b", "a\nb"),
        *("a\x7fb", "a b", "a?b", "a#b", "ä", "a" * 1001, None, 7, ["a"]),
    ],
)
def test_a_path_that_is_not_plain_is_refused(path: object) -> None:
    with pytest.raises(DocumentError, match="path must be plain"):
        safe_path(path)


@given(st.text(max_size=30))
def test_no_path_leads_out_of_the_mirror(path: str) -> None:
    try:
        url = file_url(ROOT, path)
    except DocumentError:
        return
    assert url == ROOT + path
    assert not {"", ".", "..", "..."} & set(path.split("/"))

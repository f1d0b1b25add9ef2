"""What a search finds, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.images import ImageInfo, Provider
from imagestoreproxy.sources.searching import Index, Query, parse

NOBLE = ImageInfo(
    "https://images.example/#noble",
    title="Ubuntu 24.04 LTS (Noble Numbat), amd64",
    summary="A server image.",
    version="20240821",
    tags=("server", "lts"),
    provider=Provider("Canonical"),
    architecture="x86_64",
    releases=("noble", "24.04", "lts"),
)
ARM = replace(
    NOBLE,
    uri="https://images.example/#arm",
    title="Ubuntu 24.04 LTS (Noble Numbat), arm64",
    architecture="aarch64",
    refused="It runs on arm64.",
)
LUCID = ImageInfo(
    "https://images.example/#lucid",
    title="Ubuntu 10.04 LTS (Lucid Lynx), i386",
    summary="Older than Noble.",
    architecture="i386",
    releases=("lucid", "10.04"),
)
OURS = ImageInfo("http://store.example/1", title="Our web server", tags=("web", "server"))


@pytest.fixture
def index() -> Index:
    made = Index()
    made.learn("ubuntu", [LUCID, ARM, NOBLE])
    made.learn("http://store.example/api", [OURS])
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [LUCID, NOBLE, OURS, ARM]),
        ("noble", [NOBLE, LUCID, ARM]),
        ("NOBLE amd64", [NOBLE]),
        ("umba", [NOBLE, ARM]),
        ("canonical server", [NOBLE, ARM]),
        ('"web server"', [OURS]),
        ('"server web"', []),
        ("ubuntu -lts", []),
        ("ubuntu -noble", []),
        ('ubuntu -"lts (noble"', [LUCID]),
        ("release:noble", [NOBLE, ARM]),
        ("release:24.04 arch:amd64", [NOBLE]),
        ("release:Lucid release:noble arch:x86_64 arch:i686", [LUCID, NOBLE]),
        ("arch:arm64", [ARM]),
        ("source:ubuntu server", [NOBLE, ARM]),
        ("source:store.example", [OURS]),
        ("source:nowhere", []),
        ("foo:bar", []),
        ("https://images.example/#lucid", [LUCID]),
        ("20240821", [NOBLE, ARM]),
        ("ubuntu -release:noble", [LUCID]),
        ("ubuntu -arch:amd64 -arch:arm64", [LUCID]),
        ("-source:ubuntu", [OURS]),
        ("server - web", [OURS]),
        ("x86-64", [NOBLE]),
        ("arch:x86-64", [NOBLE]),
        ("noble older", [LUCID]),
        (" ".join(f"-no{n}" for n in range(100)), [LUCID, NOBLE, OURS, ARM]),
    ],
)
def test_words_filters_and_phrases_find_what_a_person_expects(
    index: Index, text: str, found: list[ImageInfo]
) -> None:
    assert [info.uri for info in index.search(parse(text), 100)] == [info.uri for info in found]


def test_one_source_alone_is_searched_where_it_is_named(index: Index) -> None:
    assert list(index.search(parse("server"), 100, source="http://store.example/api")) == [OURS]


def test_no_more_are_found_than_are_asked_for(index: Index) -> None:
    assert list(index.search(parse("noble"), 1)) == [NOBLE]


@given(st.text(max_size=500))
def test_whatever_is_typed_is_a_query(text: str) -> None:
    assert isinstance(parse(text), Query)


WORDS = st.lists(st.text("abcß ", min_size=1, max_size=3), max_size=4)


@given(st.lists(st.text("abcßAB ", max_size=8), max_size=8), WORDS)
def test_every_image_that_has_all_words_is_found_and_no_other(
    titles: list[str], words: list[str]
) -> None:
    infos = [ImageInfo(f"http://x.example/{n}", title=title) for n, title in enumerate(titles)]
    index = Index()
    index.learn("one", infos)
    wanted = " ".join(words).casefold().split()
    expected = {
        info.uri
        for info in infos
        if all(word in f"{info.title}\n{info.uri}".casefold() for word in wanted)
    }
    assert {info.uri for info in index.search(parse(" ".join(words)), 100)} == expected

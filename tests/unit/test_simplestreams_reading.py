"""How catalogues are read: what is inherited, what is refused, and what is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.sources.simplestreams import reasons, walk
from imagestoreproxy.sources.simplestreams.documents import document_of
from imagestoreproxy.sources.simplestreams.reading import read_index, updated_s
from imagestoreproxy.sources.simplestreams.tags import expanded, inherited
from imagestoreproxy.sources.simplestreams.wanted import Wanted
from tests.unit.streaming import (
    NAME,
    NOW_S,
    ROOT,
    catalogue,
    item,
    of,
    only,
    product,
    read,
    version,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def dumped(source: object) -> bytes:
    return json.dumps(source).encode()


def test_an_index_is_read_whole() -> None:
    entry = {"path": "streams/v1/a.json", "format": "products:1.0", "datatype": "image-downloads"}
    index = read_index(
        dumped(
            {
                "format": "index:1.0",
                "updated": "Thu, 22 Aug 2024 03:28:23 +0000",
                "index": {
                    "a": {**entry, "updated": "Thu, 22 Aug 2024 03:28:22 +0000"},
                    "b": {"path": "streams/v1/more.json", "format": "index:1.0"},
                    "c": {"path": "../secret.json"},
                    "d": "no entry",
                },
            }
        )
    )
    assert (index.updated_s, index.dropped) == (1724297303, 2)
    assert [(one.content_id, one.format) for one in index.entries] == [
        ("a", "products:1.0"),
        ("b", "index:1.0"),
    ]
    assert index.entries[0].updated_s == 1724297302
    assert index.entries[1].updated_s == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Tue, 15 Sep 2015 16:15:24 -0400", 1442348124),
        ("Thu, 22 Aug 2024 03:28:23 -0000", 1724297303),
        ("2024-08-22", 0),
        ("Thu, 99 Aug 2024 03:28:23 +0000", 0),
        ("Mon, 01 Jan 1900 00:00:00 +0000", 0),
        (None, 0),
        (7, 0),
    ],
)
def test_when_a_file_was_written_is_told_or_nothing(text: object, seconds: int) -> None:
    assert updated_s({"updated": text}) == seconds


def test_a_product_becomes_an_image_of_its_newest_version() -> None:
    versions = {
        name: version(item(path=f"{name}/disk1.img"), pubname=f"ubuntu-{name}")
        for name in ("20150227.2", "20150227", "20150227.10", "20150226")
    }
    one = only(catalogue({NAME: product(versions)}))
    assert [known.name for known in one.versions] == [
        "20150226",
        "20150227",
        "20150227.10",
        "20150227.2",
    ]
    assert one.info.version == "20150227.2"
    assert one.offered is one.versions[-1]
    assert one.versions[-1].pubname == "ubuntu-20150227.2"
    assert all(known.build for known in one.versions)


@pytest.mark.parametrize(
    ("tags", "login_user", "ports"),
    [
        ({}, "ubuntu", ()),
        ({"login_user": "admin", "ports": "22, 443"}, "admin", (22, 443)),
        ({"login_user": "$(x)", "ports": "0"}, "ubuntu", ()),
        ({"ports": "http"}, "ubuntu", ()),
        ({"ports": 80}, "ubuntu", (80,)),
    ],
)
def test_h14_run_notes_are_the_products_own_or_those_of_its_system(
    tags: dict[str, object], login_user: str, ports: tuple[int, ...]
) -> None:
    info = only(catalogue({NAME: {**product(), **tags}})).info
    assert (info.login_user, info.ports) == (login_user, ports)
    assert f"<code>{login_user}</code>" in info.description_html
    assert all(str(port) in info.description_html for port in ports)


def test_the_newest_that_can_be_installed_is_offered_and_said_so() -> None:
    versions = {"1": version(item()), "2": version(item(sha256=None))}
    one = only(catalogue({NAME: product(versions)}))
    assert (one.refused, one.info.refused, one.info.version) == ("", "", "1")
    assert "Build 2 is newer, but cannot be installed. " + reasons.ONLY_MD5 in one.info.summary
    assert one.versions[1].refused == reasons.ONLY_MD5


@pytest.mark.parametrize("level", ["top", "product", "version", "item"])
def test_a_tag_may_stand_at_any_level(level: str) -> None:
    arch = {"arch": "i386"}
    entry = product({"1": version(item(**(arch if level == "item" else {})))})
    del entry["arch"]
    if level == "version":
        entry["versions"]["1"].update(arch)
    elif level == "product":
        entry.update(arch)
    one = only(catalogue({NAME: entry}, **(arch if level == "top" else {})))
    assert (one.refused, one.info.architecture) == ("", "i386")


def test_the_inner_level_wins_and_only_texts_and_numbers_are_handed_down() -> None:
    outer = inherited({}, {"a": 1, "b": True, "c": [1], "d": {"e": 1}, "f": "x", "g": None})
    assert outer == {"a": 1, "b": "True", "f": "x"}
    assert inherited(outer, {"a": "2", "b": False}) == {"a": "2", "b": "False", "f": "x"}


def test_aliases_are_replaced_before_tags_are_inherited() -> None:
    table = {"crsn": {"one": {"arch": "i386"}}}
    source = catalogue({NAME: product({"1": version(item(crsn="one"))})}, _aliases=table)
    assert only(source).info.architecture == "i386"
    assert expanded({"crsn": "one", "arch": "amd64"}, table)["arch"] == "i386"


def test_a_value_that_the_table_lacks_makes_the_whole_file_bad() -> None:
    source = catalogue(
        {NAME: product({"1": version(item(crsn="two"))})}, _aliases={"crsn": {"a": {}}}
    )
    with pytest.raises(DocumentError, match="lacks a value that its tag 'crsn' has"):
        read(source)


def test_tags_may_stand_behind_the_products() -> None:
    source = catalogue()
    products = source.pop("products")
    assert read({"products": products, **source}).tally() == read(catalogue()).tally()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "an object should begin"),
        (b"[]", "an object should begin"),
        (b"{}", 'must be "products:1.0"; it is not said'),
        (dumped(catalogue(format="products:2.0")), 'it is "products:2.0"'),
        (dumped(catalogue(format="stream:1.0")), "given up in 2013"),
        (dumped(catalogue())[:-1], "a comma or a brace is missing"),
        (dumped(catalogue()) + b"x", "something stands behind the end"),
        (dumped(catalogue(content_id=7)), "'content_id'"),
        (dumped(catalogue(content_id="")), "'content_id'"),
        (dumped(catalogue(products=[])), "an object should begin"),
        (dumped(catalogue(more=float("nan"))), "not valid JSON"),
        (b'{"format": "products:1.0", "content_id": "a"}', "no 'products'"),
        (b'{"a": 1, "a": 2}', "a name stands twice"),
        (b'{"products": {"a": {}, "a": {}}}', "a name stands twice"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "nested too deeply"),
        (b'{"a": "' + b"x" * 70_000, "a value should stand"),
        (b'{"_aliases": {"a": {"b": 1}, "a": {}}}', "a name stands twice"),
        (dumped(catalogue(_aliases=[1])), "'_aliases'"),
    ],
)
def test_what_is_no_catalogue_is_refused_with_the_reason(payload: bytes, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(payload)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "entry",
    [7, [], "text", {"versions": 7}, {"versions": {"1": {"items": {}}}, "a": float("nan")}],
)
def test_a_product_that_makes_no_sense_hides_no_other(entry: object) -> None:
    tally = read(catalogue({"bad": entry, NAME: product()})).tally()
    assert (tally.products, tally.offered) == (2, 1)
    assert tally.refused == ((reasons.DAMAGED, 1),)


def test_a_name_twice_in_a_product_drops_that_product_alone() -> None:
    payload = dumped(catalogue()).replace(b'"products": {', b'"products": {"bad": {"a":1,"a":2}, ')
    tally = read(payload).tally()
    assert (tally.offered, tally.refused) == (1, ((reasons.DAMAGED, 1),))


@pytest.mark.parametrize("bad", [7, [], {"items": 7}, None])
def test_a_version_that_makes_no_sense_hides_no_other(bad: object) -> None:
    one = only(catalogue({NAME: product({"1": version(item()), "2": bad})}))
    assert (one.info.version, one.versions[1].refused) == ("1", reasons.DAMAGED)


def test_an_item_that_makes_no_sense_hides_no_other() -> None:
    stream = read(of(7, item()))
    assert stream.tally().offered == 1
    assert stream.passed_over == ((reasons.DAMAGED, 1),)


def test_a_product_too_large_to_be_true_is_dropped_unparsed() -> None:
    huge = product({"1": version(*[item(note="x" * 60_000)] * 150)})
    many = product({str(at): {} for at in range(5001)})
    tally = read(catalogue({"huge": huge, "many": many, NAME: product()})).tally()
    assert (tally.offered, tally.refused) == (1, ((reasons.TOO_LARGE, 2),))


def test_a_product_of_countless_values_is_dropped_unparsed() -> None:
    lists = b"[" + b",".join([b"[]"] * 110_000) + b"]"
    payload = dumped(catalogue()).replace(b'"products": {', b'"products": {"bad": ' + lists + b", ")
    assert read(payload).tally().refused == ((reasons.DAMAGED, 1),)


def test_a_catalogue_of_countless_products_is_refused() -> None:
    with pytest.raises(DocumentError, match="more than 20000 products"):
        read(catalogue({str(at): 0 for at in range(20_001)}))


def test_names_that_cannot_be_shown_are_dropped() -> None:
    products = {"a\x00": product(), "b\ud800": product(), "c" * 999: product(), NAME: product()}
    products["d" * 850 + "ä" * 150] = product()
    tally = read(catalogue(products)).tally()
    assert tally.products == 5
    assert tally.refused == ((reasons.DAMAGED, 3),)


def test_names_beyond_ascii_are_read() -> None:
    source = catalogue({"ä:日本": product(release_codename="Ünï")})
    payload = json.dumps(source, ensure_ascii=False).encode()
    assert "Ünï" in only(payload).info.title
    assert only(payload).uri.isascii()


@given(JSON)
def test_anything_at_all_is_read_or_refused(value: Any) -> None:
    for source in (
        value,
        catalogue(value),
        catalogue({"p": value}),
        catalogue({"p": product(value)}),
        catalogue({"p": product({"1": value})}),
        catalogue({"p": product({"1": {"items": value}})}),
        catalogue({"p": product({"1": version(value)})}),
        catalogue(_aliases=value),
    ):
        try:
            tally = read(source).tally()
        except DocumentError:
            continue
        refused = sum(count for _, count in tally.refused)
        assert tally.products == tally.offered + tally.filtered + refused


@given(JSON, st.sampled_from([None, 0, 2]))
def test_where_a_value_ends_is_where_json_says_so(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert walk.end_of_value(text + b' , "next": [] }', 0) == len(text)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.booleans())
def test_members_are_found_as_json_finds_them(source: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(source, ensure_ascii=ascii_only, indent=1).encode("utf-8", "replace")
    expected = json.loads(text)
    found: dict[str, Any] = {}

    def visit(name: str, at: int) -> int:
        end = walk.end_of_value(text, at)
        found[name] = json.loads(text[at:end])
        return end

    assert walk.walk(text, 0, visit) == len(text)
    assert found == expected


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Wanted(), True),
        (Wanted(releases=frozenset({"NOBLE"})), True),
        (Wanted(releases=frozenset({"24.04", "sid"})), True),
        (Wanted(releases=frozenset({"lts"})), True),
        (Wanted(releases=frozenset({"jammy"})), False),
        (Wanted(architectures=frozenset({"x86_64"})), True),
        (Wanted(architectures=frozenset({"amd64"})), True),
        (Wanted(architectures=frozenset({"i386"})), False),
        (Wanted(streams=frozenset({"Released"})), True),
        (Wanted(streams=frozenset({"daily", "minimal"})), False),
        (Wanted(releases=frozenset({"noble"}), streams=frozenset({"daily"})), False),
    ],
)
def test_filters_show_what_is_wanted_and_count_the_rest(wanted: Wanted, passes: bool) -> None:
    tally = read(catalogue(), wanted=wanted).tally()
    assert (tally.products, tally.offered, tally.filtered) == (1, int(passes), int(not passes))


def test_one_product_alone_is_looked_at_when_one_is_asked_for() -> None:
    stream = read(catalogue({"bad": 7, NAME: product()}), only=NAME)
    assert [one.name for one in stream.products] == [NAME]
    assert stream.tally().products == 1


def test_a_document_says_which_bytes_make_up_the_image() -> None:
    stream = read(
        catalogue({NAME: product({"1": version(item(path="old")), "2": version(item())})})
    )
    newest = document_of(stream, NAME, now_s=NOW_S, signed_text=b"text", fingerprint="F" * 40)
    assert (newest.uri, newest.version) == (stream.products[0].uri, "2")
    assert (newest.serial, newest.published_s, newest.expires_s) == (1724297303, 1724297303, 0)
    assert (newest.signed_text, newest.fingerprint) == (b"text", "F" * 40)
    older = document_of(stream, NAME, "1", now_s=NOW_S)
    assert older.uri == stream.products[0].uri + "@1"
    assert (older.version, older.files[0].url) == ("1", ROOT + "old")


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("gone", "", "no longer has the product 'gone'"),
        (NAME, "9", "no longer has version '9'"),
        (NAME, "2", "cannot be installed into this cloud: " + reasons.NO_DIGEST),
        ("bad", "", "cannot be installed into this cloud: " + reasons.EMPTY),
    ],
)
def test_there_is_no_document_of_what_cannot_be_installed(
    name: str, number: str, said: str
) -> None:
    versions = {"1": version(item()), "2": version(item(sha256="x"))}
    stream = read(catalogue({NAME: product(versions), "bad": product({})}))
    with pytest.raises(DocumentError) as caught:
        document_of(stream, name, number, now_s=NOW_S)
    assert said in caught.value.message

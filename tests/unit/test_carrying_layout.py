"""``images.json``: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagestoreproxy.model.carrying import (
    INDEX_LIMIT_BYTES,
    CarriedFile,
    CarriedImage,
    carried_image,
    index_text,
    read_index,
    referred,
)
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import ImageInfo, Provider
from tests.unit.carrying import a_document, an_image, reference, sha256

plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
files = st.builds(
    CarriedFile, digests | st.binary(min_size=64, max_size=64).map(bytes.hex), st.integers(1, 2**40)
)
infos = st.builds(
    ImageInfo,
    uri=st.from_regex("https?://[a-z]{1,9}/[!-~]{0,40}", fullmatch=True),
    title=plain,
    summary=plain,
    description_html=plain,
    version=plain,
    size_mb=st.integers(0, 2**40),
    icon_uri=st.sampled_from(["", "http://x/y.png"]),
    tags=st.lists(plain, max_size=4).map(tuple),
    provider=st.builds(Provider, plain, st.sampled_from(["", "https://x/"])),
    architecture=plain,
    releases=st.lists(plain, max_size=4).map(tuple),
    support_ends=plain,
    login_user=st.sampled_from(["", "ubuntu"]),
    ports=st.sampled_from([(), (22,), tuple(range(1, 21))]),
)
images = st.builds(
    CarriedImage,
    info=infos,
    kind=st.just("store"),
    root=plain,
    documents=st.tuples(digests),
    files=st.lists(files, min_size=1, max_size=3, unique_by=lambda one: one.digest).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.lists(images, max_size=3, unique_by=lambda one: one.uri))
def test_what_is_written_is_read_again(several: list[CarriedImage]) -> None:
    assert list(read_index(index_text(several))) == several


@given(st.binary(max_size=200))
def test_bytes_that_are_no_list_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(DocumentError):
        read_index(content)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
written = json.loads(index_text([an_image(a_document())]))


@given(st.sampled_from(sorted(written["images"][0])), values)
def test_any_value_in_any_place_is_read_or_refused_and_never_more_than_that(
    name: str, value: Any
) -> None:
    (image,) = written["images"]
    content = {**written, "images": [{**image, name: value}]}
    try:
        (read,) = read_index(json.dumps(content).encode())
    except DocumentError:
        return
    assert read.files
    assert read.documents
    assert all(isinstance(tag, str) for tag in read.info.tags)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["0" * 64, "1" * 64]}, "one for an image"),
        ({"documents": ["../../etc/passwd"]}, "documents"),
        ({"files": []}, "files"),
        ({"files": [{"digest": "0" * 63, "size-in-bytes": 1}]}, "digest"),
        ({"files": [{"digest": "0" * 64, "size-in-bytes": 2**41}]}, "size-in-bytes"),
        ({"files": [{"digest": "0" * 64, "size-in-bytes": 1}] * 2}, "none twice"),
        ({"files": [{"digest": f"{n:064}", "size-in-bytes": 1} for n in range(4)]}, "at most 3"),
        ({"uri": "file:///etc/passwd"}, "uri"),
        ({"uri": "http://x/\u00e9"}, "uri"),
        ({"type": "simplestreams"}, "reference"),
        ({"reference": "{}"}, "reference"),
        ({"type": "carried"}, "type"),
        ({"title": "x" * 301}, "title"),
    ],
)
def test_what_no_export_writes_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    (image,) = written["images"]
    content = {**written, "images": [{**image, **change}]}
    with pytest.raises(DocumentError, match=said):
        read_index(json.dumps(content).encode())


def test_a_list_out_of_bounds_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DocumentError, match="more than"):
        read_index(b" " * (INDEX_LIMIT_BYTES + 1))
    with pytest.raises(DocumentError, match="more values"):
        read_index(b'{"images": [' + b"[]," * 300_000 + b"[]]}")
    with pytest.raises(DocumentError, match="not valid JSON"):
        read_index(b"[" * 100_000)


@given(
    st.builds(
        ImageInfo,
        uri=st.integers(1, 1993).map(lambda chars: "http://" + "x" * chars),
        title=st.integers(0, 9000).map("é".__mul__),
        summary=st.integers(0, 9000).map("é".__mul__),
        description_html=st.integers(0, 60_000).map("é".__mul__),
        version=st.integers(0, 9000).map("é".__mul__),
        tags=st.integers(0, 99).map(lambda many: ("x" * 200,) * many),
        releases=st.integers(0, 99).map(lambda many: ("x" * 200,) * many),
        architecture=st.just("\ud800" * 200),
        icon_uri=st.integers(1, 3000).map(lambda chars: ("http://" + "x" * chars)[:2000]),
    )
)
def test_whatever_a_source_says_of_an_image_is_written_so_that_it_can_be_read(
    info: ImageInfo,
) -> None:
    (read,) = read_index(index_text([replace(an_image(a_document()), info=info)]))
    assert read.uri == info.uri
    assert info.title.startswith(read.info.title)


def test_an_image_that_stands_there_twice_is_refused() -> None:
    image = an_image(a_document())
    with pytest.raises(DocumentError, match="twice"):
        read_index(index_text([image, image]))


def test_a_document_of_a_store_is_its_own_message() -> None:
    document = a_document("http://store.example/api/images/1")
    image = an_image(document)
    assert (image.kind, image.root) == ("store", "http://store.example/api")
    assert image.documents == (sha256(document.signed_text),)
    assert image.signed_text({image.documents[0]: b"the message"}) == b"the message"


def test_a_document_of_a_catalogue_names_its_messages_and_goes_with_its_reference() -> None:
    text = reference("http://mirror.example/", "a" * 64)
    image = carried_image(replace(a_document(), signed_text=text), "")
    assert (image.kind, image.root) == ("simplestreams", "http://mirror.example/")
    assert image.documents == ("a" * 64,)
    assert image.signed_text({}) == text
    assert read_index(index_text([image])) == (image,)


def test_what_is_no_reference_is_a_message() -> None:
    assert referred(b"-----BEGIN PGP SIGNED MESSAGE-----") == {}
    assert referred(b'{"format": "image:1"}') == {}


def test_an_image_with_texts_of_any_length_does_not_spoil_the_list() -> None:
    document = a_document()
    long = ImageInfo(
        uri=document.uri,
        title="t" * 301,
        summary="s" * 2001,
        description_html="d" * 50_001,
        version="v" * 101,
        tags=("g" * 101,) * 51,
        provider=Provider("p" * 301),
        architecture="a" * 101,
        releases=("r" * 101,) * 51,
        support_ends="e" * 101,
    )
    (read,) = read_index(index_text([an_image(replace(document, info=long))]))
    assert (read.info.version, len(read.info.tags)) == ("v" * 100, 50)

"""What is believed of a signed image document, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind, ImageDocument
from imagestoreproxy.ports import Signed
from imagestoreproxy.sources.document import check_serial, read_document
from tests.unit.memory import NOW_S, URI

FILE: dict[str, Any] = {
    "kind": "image",
    "url": "http://store.example/image.gz",
    "mirrors": ["https://mirror.example/image.gz"],
    "sha256": "ab" * 32,
    "size-in-bytes": 4118528,
    "compression": "gzip",
    "format": "raw",
}
DOCUMENT: dict[str, Any] = {
    "format": "image:1",
    "uri": URI,
    "version": "2.1",
    "serial": 7,
    "published": "2026-09-20T12:00:00Z",
    "expires": "2027-02-20T12:00:00Z",
    "title": "An image",
    "tags": ["a"],
    "provider": {"title": "somebody", "uri": "javascript:alert(1)"},
    "architecture": "x86_64",
    "virtualization": "paravirtual",
    "files": [FILE, {**FILE, "kind": "kernel", "compression": "none"}],
}


def read(document: object, now_s: float = NOW_S) -> ImageDocument:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_document(Signed(payload, "F" * 40), b"message", URI, now_s)


def changed(**fields: Any) -> dict[str, Any]:
    return {**DOCUMENT, **{name.replace("_", "-"): value for name, value in fields.items()}}


def with_file(**fields: Any) -> dict[str, Any]:
    file = {**FILE, **{name.replace("_", "-"): value for name, value in fields.items()}}
    return changed(files=[file])


def test_a_document_of_the_format_is_read_whole() -> None:
    document = read(DOCUMENT)
    assert (document.uri, document.version, document.serial) == (URI, "2.1", 7)
    assert document.signed_text == b"message"
    assert document.fingerprint == "F" * 40
    image = document.files[0]
    assert (image.kind, image.compression) == (FileKind.IMAGE, Compression.GZIP)
    assert image.mirrors == ("https://mirror.example/image.gz",)
    assert document.info.provider.uri == ""


def test_members_of_a_tar_are_read_in_order() -> None:
    members = {"image": "*.img", "kernel": "*-vmlinuz-*"}
    document = read(with_file(format="tar", members=members))
    assert document.files[0].format is FileFormat.TAR
    assert document.files[0].members == (
        (FileKind.KERNEL, "*-vmlinuz-*"),
        (FileKind.IMAGE, "*.img"),
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (changed(format="image:2"), "format"),
        (changed(uri=URI + "x"), "another image"),
        (changed(serial="7"), "serial"),
        (changed(serial=True), "serial"),
        (changed(serial=-1), "serial"),
        (changed(expires="soon"), "expires"),
        (changed(expires="2027-02-20T12:00:00"), "expires"),
        (changed(title=5), "title"),
        (changed(title="x" * 1000), "title"),
        (changed(title="\ud800"), "half a character"),
        (changed(tags="a"), "tags"),
        (changed(architecture="m68k"), "architecture"),
        (changed(virtualization=None), "virtualization"),
        (changed(files=[]), "no image"),
        (changed(files=[FILE, FILE]), "twice"),
        (changed(files={"image": FILE}), "files"),
        (changed(files=["image"]), "files"),
        (changed(virtualization="hvm"), "hvm"),
        (with_file(url="file:///etc/shadow"), "url"),
        (with_file(url="http://store.example/a b"), "url"),
        (with_file(mirrors=["ftp://mirror.example/"]), "mirrors"),
        (with_file(sha256="AB" * 32), "sha256"),
        (with_file(sha256=None), "sha256"),
        (with_file(size_in_bytes=1.5), "size-in-bytes"),
        (with_file(size_in_bytes=2**50), "size-in-bytes"),
        (with_file(compression="rar"), "compression"),
        (with_file(format="tar"), "members"),
        (with_file(members={"image": "*"}), "members"),
        (with_file(kind="kernel", format="qcow2"), "no image"),
        ([], "not a JSON object"),
        (b'{"format": "image:1", "format": "image:1"}', "twice"),
        (b'{"serial": NaN}', "NaN"),
        (b'{"serial": Infinity}', "Infinity"),
        (b'{"serial": 1e999}', "format"),
        (b'{"serial": ' + b"9" * 5000 + b"}", "JSON"),
        (b'{"a":' * 50_000 + b"0" + b"}" * 50_000, "deep"),
        (b'{"a": [' + b"[]," * 400_000 + b"[]]}", "more values"),
        (b"[" * 90_000, "deep"),
        (b'{"a": "\\ud800", "a": 1}', "twice"),
        (b"\xff", "JSON"),
        (b"<html>", "JSON"),
    ],
)
def test_what_is_not_of_the_format_is_refused_and_said(document: object, said: str) -> None:
    with pytest.raises(DocumentError, match=said) as caught:
        read(document)
    assert not caught.value.retry_helps


def test_an_expired_document_is_refused_with_both_times() -> None:
    with pytest.raises(DocumentError, match=r"2027-02-20T12:00:00Z.*clock says 2027-03") as caught:
        read(DOCUMENT, now_s=1_804_200_000)
    assert "clock" in caught.value.message


def test_a_document_from_the_future_is_refused_with_both_times() -> None:
    """A day ahead is a matter of time zones and lazy clocks; more is a wrong clock."""
    assert read(changed(published="2026-09-22T12:00:00Z"), now_s=NOW_S).serial == 7
    with pytest.raises(DocumentError, match=r"published on 2026-09-23T12:.*clock says 2026-09-21"):
        read(changed(published="2026-09-23T12:00:00Z"), now_s=NOW_S)


def test_another_document_of_the_same_serial_is_taken() -> None:
    """A store signs a document anew before it expires, and need not count that up."""
    check_serial(read(changed(expires="2027-03-20T12:00:00Z")), 7)


def test_an_older_serial_than_seen_before_is_refused() -> None:
    document = read(DOCUMENT)
    check_serial(document, -1)
    check_serial(document, 7)
    with pytest.raises(DocumentError, match="serial is 7, but 8 was seen"):
        check_serial(document, 8)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(DOCUMENT)), _JSON)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    with suppress(DocumentError):
        read({**DOCUMENT, name: value})


@given(st.sampled_from(sorted(FILE)), _JSON)
def test_any_value_in_any_field_of_a_file_is_read_or_refused(name: str, value: object) -> None:
    with suppress(DocumentError):
        read(changed(files=[{**FILE, name: value}]))

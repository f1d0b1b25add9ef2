"""A depot holds what its names say, for its owner alone, and is never half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.disk import DataDirectory
from tests.unit.carrying import a_document, an_image, sha256
from tests.unit.memory import NeverStop

CONTENT = b"content" * 1000
NAME = sha256(CONTENT)


@pytest.fixture
def depot(tmp_path: Path) -> DepotDirectory:
    return DepotDirectory(tmp_path / "cache")


def put(depot: DepotDirectory, content: bytes = CONTENT, used_at_s: float = 5.0) -> Path:
    came = depot.path.parent / "came"
    came.write_bytes(content)
    depot.take(came, sha256(content), used_at_s)
    assert not came.exists()
    found = depot.file(sha256(content))
    assert found
    return found


def test_nothing_is_made_before_something_comes(depot: DepotDirectory) -> None:
    assert not depot.exists()
    assert depot.images() == ()
    assert list(depot.files()) == []
    assert depot.file(NAME) is None
    assert depot.stamp() is None
    depot.drop(NAME)
    depot.use(NAME, 1.0)
    depot.tidy([])
    assert not depot.exists()


def test_a_file_is_moved_in_and_its_time_is_when_it_was_used(depot: DepotDirectory) -> None:
    path = put(depot)
    assert path.read_bytes() == CONTENT
    ((digest, size_bytes, used_at_s),) = (
        (one.digest, one.size_bytes, one.used_at_s) for one in depot.files()
    )
    assert (digest, size_bytes, used_at_s) == (NAME, len(CONTENT), 5.0)
    depot.use(NAME, 9.0)
    assert depot.files()[0].used_at_s == 9.0
    put(depot, used_at_s=11.0)
    assert [one.used_at_s for one in depot.files()] == [11.0]
    depot.drop(NAME)
    assert list(depot.files()) == []


@pytest.mark.parametrize("name", ["", "..", "../state.db", "0" * 63, "A" * 64, "0" * 96, "0" * 129])
def test_no_other_name_is_taken_or_found(depot: DepotDirectory, name: str) -> None:
    put(depot)
    assert depot.file(name) is None
    assert depot.document(name) is None
    with pytest.raises(ValueError, match="not a digest"):
        depot.put_document(name, b"x")
    with pytest.raises(ValueError, match="not a digest"):
        depot.take(depot.path, name, 1.0)


def test_a_link_in_it_is_no_file(depot: DepotDirectory) -> None:
    path = put(depot)
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert depot.file(NAME) is None


def test_the_list_is_another_one_whenever_it_was_saved_and_nothing_else_stays(
    depot: DepotDirectory,
) -> None:
    image = an_image(a_document())
    depot.save([image])
    before = depot.stamp()
    assert depot.images() == (image,)
    depot.save([])
    assert depot.stamp() != before
    assert [path.name for path in depot.path.iterdir()] == ["images.json"]


def test_a_damaged_list_is_named(depot: DepotDirectory) -> None:
    depot.save([])
    (depot.path / "images.json").write_bytes(b"{}")
    with pytest.raises(DocumentError, match=str(depot.path)):
        depot.images()


def test_documents_that_no_image_has_are_removed_and_so_is_what_a_cut_left(
    depot: DepotDirectory,
) -> None:
    document = a_document()
    name = sha256(document.signed_text)
    depot.put_document(name, document.signed_text)
    depot.put_document("0" * 64, b"x")
    (depot.path / "documents" / ("1" * 64 + ".new")).write_bytes(b"half")
    depot.tidy([an_image(document)])
    assert [path.name for path in (depot.path / "documents").iterdir()] == [name]


def test_a_file_that_is_lent_to_a_download_is_whole_and_stays_what_it_is(
    depot: DepotDirectory, tmp_path: Path
) -> None:
    data = DataDirectory(tmp_path / "data")
    source = put(depot)
    half = data.partial("token", "image", len(CONTENT), NeverStop())
    half.begin(resumed=False, validator='"1"')
    half.write(CONTENT[:10])
    assert data.adopt("token", "image", source)
    assert data.adopt("token", "image", source), "a second time is fine"
    lent = data.partial("token", "image", len(CONTENT), NeverStop())
    assert (lent.position, lent.digest_hex()) == (len(CONTENT), NAME)
    lent.discard()
    lent.begin(resumed=False, validator='"2"')
    lent.write(b"something else")
    assert source.read_bytes() == CONTENT
    names = {path.name for path in data.path("token", "image").parent.iterdir()}
    assert names == {"image", "image.validator"}


def test_what_is_lent_and_kept_again_is_one_file(depot: DepotDirectory, tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    source = put(depot)
    data.adopt("token", "image", source)
    depot.take(data.path("token", "image"), NAME, 7.0)
    data.remove("token")
    assert source.read_bytes() == CONTENT
    assert source.stat().st_nlink == 1

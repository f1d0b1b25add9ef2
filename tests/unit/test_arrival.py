"""Archives are taken in as a whole or not at all, whoever wrote them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagestoreproxy.client.arrival import take_in
from imagestoreproxy.client.requests import ClientError
from imagestoreproxy.model.carrying import index_text, read_index
from imagestoreproxy.model.images import FileKind
from tests.unit.carrying import FILES, Believer, a_document, an_image, contents, packed, sha256
from tests.unit.memory import MemoryFetcher, make_document, make_file

DOCUMENT = a_document()
GOOD = packed(contents(DOCUMENT))
Take = Callable[[bytes], object]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def take(data_dir: Path) -> Take:
    believer = Believer(DOCUMENT, a_document(version="2.0", serial=2))
    return lambda content: take_in(io.BytesIO(content), data_dir, believer)


def tree(path: Path) -> dict[str, bytes]:
    found = (one for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path)): one.read_bytes() for one in found}


def test_what_comes_in_lies_there_by_its_digests_for_the_daemon_alone(
    take: Take, data_dir: Path
) -> None:
    take(GOOD)
    carried = data_dir / "carried"
    assert set(tree(carried)) == set(contents(DOCUMENT))
    for path in (carried, *carried.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    (image,) = read_index((carried / "images.json").read_bytes())
    assert image.info == DOCUMENT.info
    assert not (data_dir / "carried.incoming").exists()


def test_what_is_shown_is_what_is_signed_and_not_what_the_list_says(
    take: Take, data_dir: Path
) -> None:
    image = an_image(DOCUMENT)
    lying = replace(image, info=replace(image.info, title="The best image of all"))
    take(packed({**contents(DOCUMENT), "images.json": index_text([lying])}))
    (read,) = read_index((data_dir / "carried" / "images.json").read_bytes())
    assert read.info.title == DOCUMENT.info.title


def test_a_second_archive_is_added_and_a_newer_one_takes_the_place_of_an_older(
    take: Take, data_dir: Path
) -> None:
    take(GOOD)
    newer = a_document(version="2.0", serial=2)
    take(packed(contents(newer)))
    (image,) = read_index((data_dir / "carried" / "images.json").read_bytes())
    assert image.info.version == "2.0"
    assert {path.name for path in (data_dir / "carried" / "documents").iterdir()} == {
        sha256(newer.signed_text)
    }
    other = a_document("http://other.example/api/images/9", version="3.0")
    take_in(io.BytesIO(packed(contents(other))), data_dir, Believer(other))
    both = read_index((data_dir / "carried" / "images.json").read_bytes())
    assert [image.info.version for image in both] == ["2.0", "3.0"]


def test_an_archive_whose_files_are_here_already_is_read_all_the_same(
    take: Take, data_dir: Path
) -> None:
    take(GOOD)
    before = tree(data_dir)
    take(GOOD)
    assert tree(data_dir) == before


@pytest.mark.parametrize("folder", ["files", "documents"])
def test_what_is_damaged_here_is_mended_by_the_same_archive(
    take: Take, data_dir: Path, folder: str
) -> None:
    take(GOOD)
    before = tree(data_dir)
    for path in (data_dir / "carried" / folder).iterdir():
        path.write_bytes(b"?" * path.stat().st_size)
    take(GOOD)
    assert tree(data_dir) == before


def _without(name: str) -> dict[str, bytes]:
    return {key: value for key, value in contents(DOCUMENT).items() if not key.startswith(name)}


KERNEL = f"files/{sha256(FILES[FileKind.KERNEL])}"
OTHER_FILE = make_file(MemoryFetcher(), FileKind.IMAGE, b"another image")
BAD = {
    "nothing": packed({}),
    "no list": packed(_without("images.json")),
    "no document": packed(_without("documents/")),
    "a file less": packed(_without(KERNEL)),
    "a file more": packed({**contents(DOCUMENT), f"files/{'0' * 64}": b"x"}),
    "another folder": packed({**contents(DOCUMENT), "evil/x": b"x"}),
    "a path upwards": packed({**contents(DOCUMENT), "files/../../state.db": b"x"}),
    "an absolute path": packed({**contents(DOCUMENT), "/etc/passwd": b"x"}),
    "a damaged file": packed({**contents(DOCUMENT), KERNEL: b"K" * len(FILES[FileKind.KERNEL])}),
    "a longer file": packed({**contents(DOCUMENT), KERNEL: FILES[FileKind.KERNEL] + b"!"}),
    "a damaged document": packed(
        {**contents(DOCUMENT), f"documents/{sha256(DOCUMENT.signed_text)}": b"{}"}
    ),
    "a document of a stranger": packed(contents(a_document(version="9.9"))),
    "files that are not signed": packed(
        {
            **contents(DOCUMENT),
            "images.json": index_text(
                [replace(an_image(DOCUMENT), files=an_image(make_document([OTHER_FILE])).files)]
            ),
            f"files/{OTHER_FILE.digest}": b"another image",
        }
    ),
    "no images": packed({"images.json": index_text([])}),
    "a list that is none": packed({**contents(DOCUMENT), "images.json": b"[]"}),
    "something behind": GOOD + b"x" * 512,
    "gzip": b"\x1f\x8b" + GOOD,
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_archive_changes_nothing(take: Take, data_dir: Path, what: str) -> None:
    with pytest.raises(ClientError, match="nothing was changed"):
        take(BAD[what])
    assert tree(data_dir) == {}
    assert not (data_dir / "carried").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(take: Take, data_dir: Path, kind: bytes) -> None:
    archive = io.BytesIO(GOOD)
    with tarfile.open(fileobj=archive, mode="a") as tar:
        member = tarfile.TarInfo(KERNEL)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(ClientError, match="nothing was changed"):
        take(archive.getvalue())
    assert tree(data_dir) == {}


def test_a_file_that_stands_there_twice_is_refused(take: Take) -> None:
    archive = io.BytesIO(GOOD)
    with tarfile.open(fileobj=archive, mode="a") as tar:
        member = tarfile.TarInfo(KERNEL)
        member.size = len(FILES[FileKind.KERNEL])
        tar.addfile(member, io.BytesIO(FILES[FileKind.KERNEL]))
    with pytest.raises(ClientError, match="twice"):
        take(archive.getvalue())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_whatever_is_changed_or_cut_it_is_taken_in_right_or_not_at_all(
    tmp_path: Path, at: int, change: int, is_cut: bool
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700, exist_ok=True)
    hurt = GOOD[:at] if is_cut else GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :]
    try:
        take_in(io.BytesIO(hurt), data_dir, Believer(DOCUMENT))
    except ClientError:
        return
    found = tree(data_dir / "carried")
    for name, content in contents(DOCUMENT).items():
        if name != "images.json":
            assert found[name] == content
    (image,) = read_index(found["images.json"])
    assert image.info == DOCUMENT.info


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700, exist_ok=True)
    with pytest.raises(ClientError, match="nothing was changed"):
        take_in(io.BytesIO(content), data_dir, Believer())
    assert tree(data_dir) == {}


def test_an_archive_that_needs_more_room_than_there_is_is_refused_before_it_is_read(
    take: Take, data_dir: Path
) -> None:
    image = an_image(DOCUMENT)
    huge = replace(image, files=(replace(image.files[0], size_bytes=2**40), *image.files[1:]))
    with pytest.raises(ClientError, match="make room"):
        take(packed({"images.json": index_text([huge])}))


def test_what_a_killed_import_left_is_removed_by_the_next(take: Take, data_dir: Path) -> None:
    left = data_dir / "carried.incoming"
    left.mkdir()
    (left / "half").write_bytes(b"x")
    take(GOOD)
    assert not left.exists()


def test_two_imports_at_a_time_are_one_too_many(data_dir: Path) -> None:
    class Nested(Believer):
        async def __call__(self, image, messages):  # type: ignore[no-untyped-def]
            with pytest.raises(ClientError, match="Another import"):
                take_in(io.BytesIO(GOOD), data_dir, Believer(DOCUMENT))
            return await super().__call__(image, messages)

    take_in(io.BytesIO(GOOD), data_dir, Nested(DOCUMENT))
    assert (data_dir / "carried" / "images.json").exists()


def test_a_data_directory_that_others_may_write_to_is_refused(data_dir: Path) -> None:
    data_dir.chmod(0o777)
    with pytest.raises(ClientError, match="chmod"):
        take_in(io.BytesIO(GOOD), data_dir, Believer(DOCUMENT))

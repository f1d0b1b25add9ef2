"""Carried images are believed as their own sources would be, and no further."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.model.carrying import CarriedImage, index_text
from imagestoreproxy.model.errors import DigestError, DocumentError, FetchError, RangesFailedError
from imagestoreproxy.model.images import FileKind, ImageDocument, ImageInfo, Listing
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.localfiles import DirectoryFetcher
from imagestoreproxy.ports import Fetched, Fetcher, Sink, Span
from imagestoreproxy.sources.carried import Carried, Here, Sibling
from imagestoreproxy.sources.catalogue import Catalogue
from imagestoreproxy.sources.document import check_serial
from imagestoreproxy.sources.source import Source
from tests.unit.carrying import FILES, a_document, an_image, reference, sha256
from tests.unit.memory import (
    URI,
    InlineBackground,
    MemoryClock,
    MemoryJournal,
    MemoryPartial,
    MemoryRecords,
    result,
)

BASE = "http://near.example:52780/cache/"


class Signers:
    """Knows what was signed, instead of GnuPG.

    Attributes:
        asked: the URIs whose documents it has read.
    """

    def __init__(self, *documents: ImageDocument) -> None:
        self._documents = {one.signed_text: one for one in documents}
        self.asked: list[str] = []

    async def __call__(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        self.asked.append(image_uri)
        if signed_text not in self._documents:
            raise DocumentError("it is signed by a stranger.")
        return self._documents[signed_text]


class Owner:
    """A store that is configured, and away."""

    name, title, kind, place = "store", "Store", "store", "http://store.example/api"
    interval_s, fetched_at_s, published_s, remark = 600.0, None, 0, ""

    def __init__(self, reread: Signers) -> None:
        self.reread = reread
        self.listing = Listing()
        self.known: tuple[ImageInfo, ...] = ()

    async def load(self) -> None: ...

    async def refresh(self) -> None:
        raise FetchError("No route to store.example.")

    def owns(self, image_uri: str) -> bool:
        return image_uri.startswith("http://store.example/api/")

    def info(self, image_uri: str) -> None: ...

    def versions(self, image_uri: str) -> tuple[ImageInfo, ...]:
        return self.known


class Pages:
    """A sibling's pages."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Fetched]:
        body = self.pages.get(url)
        if body is None:
            return fail(FetchError(f"{url} answers 404.", status=404))
        return succeed(Fetched(url, body))

    def download(self, url: str, sink: Sink, **_: Any) -> Deferred[None]:
        raise AssertionError("not used")


class World:
    """A directory with one carried image, and the source that reads it."""

    def __init__(
        self,
        tmp_path: Path,
        *documents: ImageDocument,
        owner: Owner | None,
        records: MemoryRecords | None = None,
    ) -> None:
        self.journal, self.clock = MemoryJournal(), MemoryClock()
        self.background = InlineBackground(self.journal)
        self.records = records or MemoryRecords()
        self.depot = DepotDirectory(tmp_path / "carried")
        self.signers = Signers(*documents)
        self.put(*documents)
        for content in FILES.values():
            came = tmp_path / "came"
            came.write_bytes(content)
            self.depot.take(came, sha256(content), 1.0)
        self.fetcher = DirectoryFetcher(self.background, self.depot.path)
        here = Here(
            self.depot,
            str(self.depot.path),
            fetcher=self.fetcher,
            base_url=self.fetcher.base_url,
            background=self.background,
        )
        self.source = self.carried(here, owner)
        result(self.source.load())

    def carried(self, holding: Here | Sibling, owner: Owner | None) -> Carried:
        return Carried(
            "carried",
            holding,
            owner=lambda uri: cast(Source, owner) if owner and owner.owns(uri) else None,
            readers={"store": self.signers},
            records=self.records,
            clock=self.clock,
            title="Carried here",
        )

    def put(self, *documents: ImageDocument, images: list[CarriedImage] | None = None) -> None:
        for document in documents:
            self.depot.put_document(sha256(document.signed_text), document.signed_text)
        self.depot.save(images or [an_image(document) for document in documents])


def test_what_lies_there_is_listed_and_what_comes_later_is_seen(tmp_path: Path) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=None)
    source = world.source
    assert [info.uri for info in source.listing.images] == [URI]
    before = source.listing
    result(source.refresh())
    assert source.listing is before
    other = a_document("http://store.example/api/images/2")
    world.put(document, other)
    result(source.refresh())
    assert [info.uri for info in source.listing.images] == [URI, other.uri]
    assert [section.title for section in source.listing.sections] == ["Images"]


def test_nothing_is_listed_where_nothing_was_carried(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    (world.depot.path / "images.json").unlink()
    result(world.source.refresh())
    assert world.source.listing == Listing()


def test_a_damaged_list_is_said_and_the_images_seen_before_stay(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    (world.depot.path / "images.json").write_bytes(b"[]")
    with pytest.raises(DocumentError, match=r"images\.json"):
        result(world.source.refresh())
    assert len(world.source.listing.images) == 1


def test_a_document_is_verified_by_the_source_that_owns_the_image(tmp_path: Path) -> None:
    document = a_document()
    owner = Owner(Signers(document))
    world = World(tmp_path, document, owner=owner)
    found = result(world.source.document(URI))
    assert (found.serial, found.fingerprint) == (document.serial, document.fingerprint)
    assert found.signed_text == document.signed_text
    assert (owner.reread.asked, world.signers.asked) == ([URI], [])
    assert world.records.serials == {("store", URI): 1}


def test_the_own_keyring_is_asked_only_for_what_nobody_owns(tmp_path: Path) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=None)
    result(world.source.document(URI))
    assert world.signers.asked == [URI]
    assert world.records.serials == {("carried", URI): 1}


def test_a_key_that_the_owner_does_not_know_is_refused_whatever_others_believe(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, a_document(), owner=Owner(Signers()))
    with pytest.raises(DocumentError, match="stranger"):
        result(world.source.document(URI))
    assert world.records.serials == {}


def test_what_its_owner_takes_unsigned_is_not_taken_from_whoever_carries_it(
    tmp_path: Path,
) -> None:
    document = replace(a_document(), fingerprint="")
    world = World(tmp_path, document, owner=Owner(Signers(document)))
    with pytest.raises(DocumentError, match="Nobody has signed"):
        result(world.source.document(URI))
    assert world.records.serials == {}


def test_an_older_document_than_its_source_has_given_is_refused(tmp_path: Path) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=Owner(Signers(document)))
    result(world.records.remember_serial("store", URI, 5))
    with pytest.raises(DocumentError, match="older"):
        result(world.source.document(URI))


def test_and_its_source_may_give_no_older_one_than_was_carried(tmp_path: Path) -> None:
    document = a_document(serial=7)
    world = World(tmp_path, document, owner=Owner(Signers(document)))
    result(world.source.document(URI))
    with pytest.raises(DocumentError):
        check_serial(a_document(), result(world.records.highest_serial("store", URI)))


def test_one_that_carries_may_give_no_older_document_than_another_has_given(
    tmp_path: Path,
) -> None:
    older, newer = a_document(serial=1), a_document(version="2.0", serial=2)
    near = World(tmp_path / "near", newer, owner=None)
    far = World(tmp_path / "far", older, owner=None, records=near.records)
    far.source.name = "sibling"
    assert result(near.source.document(URI)).serial == 2
    with pytest.raises(DocumentError, match="its serial is 1, but 2 was seen before"):
        result(far.source.document(URI))


def test_a_version_older_than_its_source_is_known_to_have_signed_is_refused(
    tmp_path: Path,
) -> None:
    document = a_document(version="1.0")
    owner = Owner(Signers(document))
    world = World(tmp_path, document, owner=owner)
    older = ImageInfo(uri=f"{URI}@1.0", version="1.0")
    newer = ImageInfo(uri=f"{URI}@2.0", version="2.0")
    owner.known = (newer, older)
    with pytest.raises(DocumentError, match=r"it is version 1\.0, but Store has signed 2\.0"):
        result(world.source.document(URI))
    for known in ((older,), (replace(newer, refused="not for this cloud"), older)):
        owner.known = known
        assert result(world.source.document(URI)).version == "1.0"


def test_an_older_version_that_is_asked_for_by_name_is_taken(tmp_path: Path) -> None:
    document = a_document(version="1.0")
    owner = Owner(Signers(document))
    world = World(tmp_path, document, owner=owner)
    owner.known = (ImageInfo(uri=f"{URI}@2.0", version="2.0"), ImageInfo(uri=URI, version="1.0"))
    assert result(world.source.document(URI)).version == "1.0"


def test_a_message_that_is_damaged_is_refused(tmp_path: Path) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=None)
    path = world.depot.document(sha256(document.signed_text))
    assert path
    path.write_bytes(b"other")
    with pytest.raises(DocumentError, match="damaged"):
        result(world.source.document(URI))
    path.unlink()
    with pytest.raises(FetchError, match="cannot be read"):
        result(world.source.document(URI))


def test_files_that_a_document_names_and_nobody_carried_are_missed_in_words(
    tmp_path: Path,
) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=None)
    image = an_image(document)
    world.put(document, images=[replace(image, files=image.files[:1])])
    result(world.source.refresh())
    with pytest.raises(DocumentError, match="cloud of another kind"):
        result(world.source.document(URI))


def test_an_image_of_a_kind_of_source_that_is_not_known_here_is_refused(tmp_path: Path) -> None:
    message = b"a catalogue"
    text = reference("http://mirror.example/", sha256(message))
    document = replace(a_document(), signed_text=text)
    world = World(tmp_path, document, owner=None)
    world.depot.put_document(sha256(message), message)
    result(world.source.refresh())
    with pytest.raises(DocumentError, match="simplestreams"):
        result(world.source.document(URI))
    assert world.records.messages == {sha256(message): message}, "what a reader would look for"


def test_its_files_come_from_the_directory_and_from_nowhere_else(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    document = result(world.source.document(URI))
    for file in document.files:
        held: dict[str, bytes] = {}
        sink = MemoryPartial(held, "file", file.size_bytes, "sha256")
        assert result(world.source.may_be_local(file.url))
        result(world.source.fetcher.download(file.url, sink, allow_local=True))
        assert held["file"] == FILES[file.kind]
        assert file.mirrors == ()
    assert not result(world.source.may_be_local("http://127.0.0.1/"))


def test_a_link_or_a_pipe_in_the_directory_is_no_file(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    files = world.depot.path / "files"
    (files / ("a" * 64)).symlink_to("/etc/passwd")
    os.mkfifo(files / ("b" * 64))
    for name in ("a" * 64, "b" * 64):
        sink = MemoryPartial({}, "file", 10**6, "sha256")
        with pytest.raises(FetchError, match="cannot be read"):
            result(world.fetcher.download(world.fetcher.base_url + name, sink, allow_local=True))
        assert world.depot.file(name) is None


def test_a_download_from_a_directory_goes_on_where_it_broke_off_and_gives_parts(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, a_document(), owner=None)
    content = FILES[FileKind.IMAGE]
    url = world.fetcher.base_url + sha256(content)
    held = {"file": content[:100]}
    sink = MemoryPartial(held, "file", len(content), "sha256")
    part = Span(end=200, size_bytes=len(content))
    result(world.fetcher.download(url, sink, allow_local=True, span=part))
    assert held["file"] == content[:200]
    result(world.fetcher.download(url, sink, allow_local=True))
    assert held["file"] == content
    with pytest.raises(RangesFailedError):
        wrong = Span(end=200, size_bytes=1)
        result(world.fetcher.download(url, sink, allow_local=True, span=wrong))


def test_more_than_is_signed_ends_the_download(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    url = world.fetcher.base_url + sha256(FILES[FileKind.IMAGE])
    with pytest.raises(DigestError):
        result(
            world.fetcher.download(url, MemoryPartial({}, "file", 10, "sha256"), allow_local=True)
        )


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://store.example/x", "{base}../../state.db", "{base}x"]
)
def test_no_other_address_is_read(tmp_path: Path, url: str) -> None:
    world = World(tmp_path, a_document(), owner=None)
    sink = MemoryPartial({}, "file", 10, "sha256")
    with pytest.raises(FetchError):
        result(
            world.fetcher.download(
                url.replace("{base}", world.fetcher.base_url), sink, allow_local=True
            )
        )
    with pytest.raises(FetchError):
        result(world.fetcher.get(url, limit_bytes=10, allow_local=True))


def sibling(world: World, pages: dict[str, bytes]) -> Carried:
    shared = Sibling(
        "sibling",
        BASE,
        fetcher=cast(Fetcher, Pages(pages)),
        records=world.records,
        background=world.background,
        clock=world.clock,
    )
    return world.carried(shared, None)


def test_a_sibling_is_asked_below_its_address_and_remembered(tmp_path: Path) -> None:
    document = a_document()
    world = World(tmp_path, document, owner=None)
    name = sha256(document.signed_text)
    pages = {
        f"{BASE}images.json": index_text([an_image(document)]),
        f"{BASE}documents/{name}": document.signed_text,
    }
    source = sibling(world, pages)
    result(source.refresh())
    found = result(source.document(URI))
    assert [file.url for file in found.files] == [f"{BASE}files/{f.digest}" for f in found.files]
    assert result(source.may_be_local(found.files[0].url))
    assert not result(source.may_be_local("http://near.example:52780/healthz"))
    after_restart = sibling(world, {})
    result(after_restart.load())
    assert [info.uri for info in after_restart.listing.images] == [URI]
    with pytest.raises(FetchError):
        result(after_restart.refresh())


def test_a_sibling_that_shares_nothing_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    world = World(tmp_path, a_document(), owner=None)
    page = json.dumps({"error-message": "There is nothing at this address."}).encode()
    with pytest.raises(FetchError, match="--share-cache"):
        result(sibling(world, {f"{BASE}images.json": page}).refresh())


def test_a_carried_image_is_offered_while_its_own_store_is_away(tmp_path: Path) -> None:
    document = a_document()
    owner = Owner(Signers(document))
    world = World(tmp_path, document, owner=owner)
    sources = [cast(Source, owner), world.source]
    catalogue = Catalogue(sources, world.background, world.clock, world.journal)
    result(catalogue.load())
    assert catalogue.source_of(URI) == "carried"
    assert result(catalogue.document("carried", URI)).uri == URI


@pytest.mark.parametrize("own_first", [True, False])
@pytest.mark.parametrize(
    ("own", "listed_version", "expected"),
    [
        ({"version": "1.0"}, "99", "store"),
        ({"version": "1.0"}, "0.9", "store"),
        ({"version": "1.0", "refused": "It is for another cloud."}, "1.0", "store"),
        ({"version": "1.0", "is_unsigned": True}, "1.0", "store"),
        ({"version": "1.0"}, "1.0", ""),
    ],
)
def test_a_list_that_nobody_has_signed_takes_no_image_from_its_own_source(
    tmp_path: Path, own: dict[str, Any], listed_version: str, expected: str, own_first: bool
) -> None:
    document = a_document(version="1.0")
    owner = Owner(Signers(document))
    owner.listing = Listing((ImageInfo(uri=URI, **own),))
    world = World(tmp_path, document, owner=owner)
    image = an_image(document)
    world.put(images=[replace(image, info=replace(image.info, version=listed_version))])
    result(world.source.load())
    sources = [cast(Source, owner), world.source]
    catalogue = Catalogue(
        sources if own_first else sources[::-1], world.background, world.clock, world.journal
    )
    result(catalogue.load())
    assert catalogue.source_of(URI) == (expected or ("store" if own_first else "carried"))

"""A simplestreams source: what it believes, what it keeps, and what an install gets of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable
from email.utils import formatdate
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.model.errors import DocumentError, FetchError, OwnStateError
from imagestoreproxy.ports import Fetched, Kept, Signed
from imagestoreproxy.ports.fetching import WHOLE, Span
from imagestoreproxy.sources.catalogue import Catalogue, _Asking
from imagestoreproxy.sources.simplestreams.mirror import FILES
from imagestoreproxy.sources.simplestreams.source import SimpleStreams
from imagestoreproxy.sources.simplestreams.uris import image_uri
from imagestoreproxy.sources.storeapi import StoreApi
from tests.unit.memory import NOW_S as CLOCK_S
from tests.unit.memory import InlineBackground, MemoryClock, MemoryJournal, MemoryRecords, result
from tests.unit.streaming import NAME, ROOT, catalogue, item, product, version

CONTENT = "com.ubuntu.cloud:released:download"
STEM = f"streams/v1/{CONTENT}"
URI = image_uri(ROOT, CONTENT, NAME)
MIRROR = "https://other.example/copy/"
DAY_S = 86400


def updated(days_ago: float) -> str:
    return formatdate(CLOCK_S - days_ago * DAY_S)


def index(*names: str, days_ago: float = 1, **entries: Any) -> dict[str, Any]:
    listed = {
        name: {"path": f"streams/v1/{name}.sjson", "datatype": "image-downloads"}
        for name in names or (CONTENT,)
    }
    return {"format": "index:1.0", "updated": updated(days_ago), "index": {**listed, **entries}}


def products(*versions: str, days_ago: float = 1, **tags: Any) -> dict[str, Any]:
    made = {name: version(item(path=f"{name}/disk1.img")) for name in versions or ("20240821",)}
    return catalogue({NAME: product(made)}, updated=updated(days_ago), **tags)


def signed(content: object) -> bytes:
    return b"SIGNED " + json.dumps(content).encode()


def seal(content: object) -> bytes:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest().encode()


class Keys:
    """A verifier that believes what begins with a word, or comes with its digest."""

    def verify(self, message: bytes) -> Awaitable[Signed]:
        if not message.startswith(b"SIGNED "):
            return fail(DocumentError("The document is not signed."))
        return succeed(Signed(message.removeprefix(b"SIGNED "), "F" * 40))

    def verify_detached(self, content: bytes, signature: bytes) -> Awaitable[Signed]:
        if hashlib.sha256(content).hexdigest().encode() != signature:
            return fail(DocumentError("The document was changed."))
        return succeed(Signed(content, "D" * 40))


class Pages:
    """A mirror's pages by URL; what is not there is a 404."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception] = {}
        self.asked: list[tuple[str, str]] = []
        self.salt = b""
        self.wholes = 0

    def put(self, path: str, content: object, root: str = ROOT) -> None:
        body = content if isinstance(content, bytes | Exception) else signed(content)
        self.pages[root + path] = body

    def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> Awaitable[Fetched]:
        self.asked.append((url, known))
        page = self.pages.get(url, FetchError(f"{url}: HTTP status 404", status=404))
        if isinstance(page, Exception):
            return fail(page)
        tag = hashlib.md5(self.salt + page).hexdigest()
        headers = {"etag": tag}
        if known == tag:
            return succeed(Fetched(url, b"", headers, is_unchanged=True))
        self.wholes += 1
        return succeed(Fetched(url, page, headers))

    def download(
        self,
        url: str,
        sink: Any,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: Span = WHOLE,
    ) -> Awaitable[None]:
        raise AssertionError("not used")


class Ground:
    """One source over memory; ``again`` is the same after a restart."""

    def __init__(self, records: MemoryRecords | None = None, **options: Any) -> None:
        self.pages = Pages()
        self.clock = MemoryClock()
        self.records = records or MemoryRecords()
        self.options = options
        self.source = SimpleStreams(
            "ubuntu",
            ROOT,
            fetcher=self.pages,
            **{"verifier": Keys(), **options},
            records=self.records,
            background=InlineBackground(MemoryJournal()),
            clock=self.clock,
        )

    def refresh(self) -> None:
        result(self.source.refresh())

    def again(self) -> Ground:
        return Ground(self.records, **self.options)

    def versions(self) -> list[str]:
        return [info.version for info in self.source.listing.images]


def usual(**options: Any) -> Ground:
    ground = Ground(**options)
    ground.pages.put("streams/v1/index.sjson", index())
    ground.pages.put(f"{STEM}.sjson", products())
    return ground


def test_products_of_a_signed_catalogue_are_offered_under_headings() -> None:
    ground = usual()
    ground.refresh()
    (info,) = ground.source.listing.images
    assert (info.uri, info.version, info.is_unsigned) == (URI, "20240821", False)
    assert info.title == "Ubuntu 24.04 LTS (Noble Numbat), amd64"
    assert ground.source.listing.sections[0].image_uris == (URI,)
    assert ground.source.fetched_at_s == ground.clock.now_s()
    assert ground.source.published_s == CLOCK_S - DAY_S


def test_only_what_has_changed_is_fetched_and_read_again() -> None:
    ground = usual()
    ground.refresh()
    listing = ground.source.listing
    ground.pages.asked.clear()
    ground.clock.twisted.advance(60)
    ground.refresh()
    assert len(ground.pages.asked) == 2
    assert all(known for _, known in ground.pages.asked)
    assert ground.source.listing is listing
    assert {kept.fetched_at_s for kept in ground.records.answers.values()} == {ground.clock.now_s()}
    ground.pages.put(f"{STEM}.sjson", products("20240821", "20240901", days_ago=0.5))
    ground.refresh()
    assert ground.versions() == ["20240901"]


def test_without_sjson_the_detached_signature_is_taken() -> None:
    ground = Ground()
    for path, content in (("streams/v1/index", index()), (STEM, products())):
        ground.pages.put(f"{path}.json", json.dumps(content).encode())
        ground.pages.put(f"{path}.json.gpg", seal(content))
    ground.refresh()
    assert ground.versions() == ["20240821"]
    assert result(ground.source.document(URI)).fingerprint == "D" * 40
    ground.pages.put(f"{STEM}.json", json.dumps(products("20250101")).encode())
    with pytest.raises(DocumentError, match="was changed"):
        ground.refresh()
    assert ground.versions() == ["20240821"]


def test_text_and_signature_from_the_middle_of_an_update_are_fetched_once_more() -> None:
    ground = Ground()
    old, new = products(days_ago=2), products("20250101")
    for path, content in (("streams/v1/index", index()), (STEM, old)):
        ground.pages.put(f"{path}.json", json.dumps(content).encode())
        ground.pages.put(f"{path}.json.gpg", seal(content))
    ground.refresh()
    ground.pages.put(f"{STEM}.json", json.dumps(new).encode())
    get = ground.pages.get

    def late(url: str, **options: Any) -> Awaitable[Fetched]:
        got = get(url, **options)
        if url.endswith(f"{CONTENT}.json.gpg"):
            ground.pages.put(f"{STEM}.json.gpg", seal(new))
        return got

    ground.pages.get = late  # type: ignore[method-assign]
    ground.refresh()
    assert ground.versions() == ["20250101"]


def test_the_same_under_another_etag_is_fetched_whole_only_once() -> None:
    ground = usual()
    ground.refresh()
    ground.pages.salt = b"another server"
    for wholes in (2, 0):
        ground.pages.wholes = 0
        ground.refresh()
        assert ground.pages.wholes == wholes


def test_an_sjson_that_may_not_be_read_is_as_one_that_is_not_there() -> None:
    ground = Ground()
    for path, content in (("streams/v1/index", index()), (STEM, products())):
        ground.pages.put(f"{path}.sjson", FetchError("HTTP status 403", status=403))
        ground.pages.put(f"{path}.json", json.dumps(content).encode())
        ground.pages.put(f"{path}.json.gpg", seal(content))
    ground.refresh()
    assert ground.versions() == ["20240821"]


def test_what_is_not_signed_is_refused_and_what_was_good_stays() -> None:
    ground = usual()
    ground.refresh()
    ground.pages.put(f"{STEM}.sjson", json.dumps(products("20250101")).encode())
    with pytest.raises(DocumentError, match=rf"{CONTENT}.sjson is refused: .*not signed"):
        ground.refresh()
    assert ground.versions() == ["20240821"]
    assert result(ground.source.document(URI)).version == "20240821"


def test_an_unsigned_source_says_so_of_everything() -> None:
    ground = Ground(verifier=None)
    ground.pages.put("streams/v1/index.json", json.dumps(index()).encode())
    ground.pages.put(f"{STEM}.json", json.dumps(products()).encode())
    ground.refresh()
    (info,) = ground.source.listing.images
    assert info.is_unsigned
    assert "Not signed" in ground.source.remark
    document = result(ground.source.document(URI))
    assert (document.fingerprint, document.info.is_unsigned) == ("", True)


def test_an_older_publication_is_refused_even_after_a_restart() -> None:
    ground = usual()
    ground.refresh()
    again = ground.again()
    again.pages.put("streams/v1/index.sjson", index())
    again.pages.put(f"{STEM}.sjson", products("20240101", days_ago=30))
    result(again.source.load())
    with pytest.raises(DocumentError, match="older publication"):
        again.refresh()
    assert again.versions() == ["20240821"]


def test_a_publication_from_the_future_is_refused() -> None:
    ground = usual()
    ground.pages.put(f"{STEM}.sjson", products(days_ago=-3))
    with pytest.raises(DocumentError, match="yet to come"):
        ground.refresh()
    assert not ground.versions()


def test_a_source_that_publishes_nothing_any_more_is_told_to_have_stopped() -> None:
    ground = usual()
    ground.pages.put(f"{STEM}.sjson", products(days_ago=100))
    ground.refresh()
    assert "Nothing new was published here since 2026-0" in ground.source.remark


def test_the_catalogue_is_there_after_a_restart_and_verified_once_more() -> None:
    ground = usual()
    ground.refresh()
    again = ground.again()
    result(again.source.load())
    assert again.versions() == ["20240821"]
    assert again.source.fetched_at_s is not None
    again.pages.pages.clear()
    assert result(again.source.document(URI)).version == "20240821"
    for key, kept in list(ground.records.answers.items()):
        ground.records.answers[key] = type(kept)(kept.url, kept.body[1:], "", 1.0)
    with pytest.raises(DocumentError, match="not signed"):
        result(ground.again().source.load())


def test_one_bad_file_of_a_mirror_leaves_the_others_alone() -> None:
    ground = Ground()
    ground.pages.put("streams/v1/index.sjson", index("bad", CONTENT, "gone"))
    ground.pages.put("streams/v1/bad.sjson", b"never signed")
    ground.pages.put(f"{STEM}.sjson", products())
    with pytest.raises(DocumentError, match=r"bad\.sjson is refused"):
        ground.refresh()
    assert ground.versions() == ["20240821"]


def test_a_file_that_the_index_no_longer_names_is_forgotten() -> None:
    ground = usual()
    ground.refresh()
    ground.pages.put("streams/v1/index.sjson", index(other={"path": "streams/v1/x.json",
                     "datatype": "image-ids"}, days_ago=0.5) | {"index": {}})  # fmt: skip
    ground.refresh()
    assert not ground.versions()
    assert [key[1] for key in ground.records.answers] == [f"{ROOT}streams/v1/index.sjson"]


def test_indexes_of_indexes_end_even_where_they_run_in_a_circle() -> None:
    ground = Ground()
    more = {"path": "streams/v1/more.sjson", "format": "index:1.0"}
    back = {"path": "streams/v1/index.sjson", "format": "index:1.0"}
    ground.pages.put("streams/v1/index.sjson", {**index(more=more), "index": {"more": more}})
    ground.pages.put("streams/v1/more.sjson", index(CONTENT, back=back))
    ground.pages.put(f"{STEM}.sjson", products())
    ground.refresh()
    assert ground.versions() == ["20240821"]
    ground.pages.put("streams/v1/more.sjson", index(*(f"n{n}" for n in range(FILES))))
    with pytest.raises(DocumentError, match=f"more than {FILES} files"):
        ground.refresh()


def test_streams_of_ids_are_not_even_fetched() -> None:
    ground = Ground()
    ids = {"path": "streams/v1/aws.sjson", "datatype": "image-ids"}
    ground.pages.put("streams/v1/index.sjson", index(CONTENT, aws=ids))
    ground.pages.put(f"{STEM}.sjson", products())
    ground.refresh()
    assert not [url for url, _ in ground.pages.asked if "aws" in url]


def test_a_mirror_stands_in_for_the_root_and_images_keep_their_names() -> None:
    ground = Ground(mirrors=[MIRROR])
    ground.pages.put("streams/v1/index.sjson", index(), MIRROR)
    ground.pages.put(f"{STEM}.sjson", products(), MIRROR)
    ground.refresh()
    assert [info.uri for info in ground.source.listing.images] == [URI]
    (file,) = result(ground.source.document(URI)).files
    assert file.url == f"{ROOT}20240821/disk1.img"
    assert file.mirrors == (f"{MIRROR}20240821/disk1.img",)
    ground.pages.pages.clear()
    with pytest.raises(FetchError, match=r"mirror\.example.*other\.example"):
        ground.refresh()


def test_an_older_version_is_installed_by_its_own_name() -> None:
    ground = usual()
    ground.pages.put(f"{STEM}.sjson", products("20240701", "20240821"))
    ground.refresh()
    newest, older = ground.source.versions(URI)
    assert (newest.version, older.version) == ("20240821", "20240701")
    assert older.uri == f"{URI}@20240701"
    assert ground.source.owns(older.uri)
    assert ground.source.info(older.uri) == older
    assert ground.source.info(f"{URI}@19990101") is None
    document = result(ground.source.document(older.uri))
    assert (document.uri, document.version) == (older.uri, "20240701")


def test_an_install_goes_on_with_the_version_it_began_with() -> None:
    ground = usual()
    ground.refresh()
    document = result(ground.source.document(URI))
    ground.pages.put(f"{STEM}.sjson", products("20250101", days_ago=0.5))
    ground.refresh()
    again = result(ground.source.reread(URI, document.signed_text))
    assert (again.uri, again.version) == (URI, "20240821")
    assert again.files == document.files
    assert result(ground.source.document(URI)).version == "20250101"
    ground.records.messages.clear()
    with pytest.raises(DocumentError, match="is not here"):
        result(ground.source.reread(URI, document.signed_text))


@pytest.mark.parametrize("uri", [URI, f"{URI}@20240821"])
def test_whoever_carries_a_catalogue_cannot_choose_an_older_version_of_it(uri: str) -> None:
    ground = usual()
    ground.pages.put(f"{STEM}.sjson", products("20240701", "20240821"))
    ground.refresh()
    reference = json.loads(result(ground.source.document(uri)).signed_text)
    older = json.dumps({**reference, "version": "20240701"}).encode()
    with pytest.raises(DocumentError, match="20240701, but in its signed catalogue it is 20240821"):
        result(ground.source.reread(uri, older))


def test_a_product_of_another_catalogue_of_the_same_key_is_refused() -> None:
    ground = usual()
    ground.refresh()
    reference = result(ground.source.document(URI)).signed_text
    other = image_uri(ROOT, "com.ubuntu.cloud:daily:download", NAME)
    with pytest.raises(DocumentError, match=r"of the catalogue 'com\.ubuntu\.cloud:daily"):
        result(ground.source.reread(other, reference))


def test_what_an_install_keeps_is_the_signed_catalogue_word_for_word() -> None:
    ground = usual()
    ground.refresh()
    document = result(ground.source.document(URI))
    (digest,) = json.loads(document.signed_text)["documents"]
    assert ground.records.messages[digest] == ground.pages.pages[f"{ROOT}{STEM}.sjson"]


@pytest.mark.parametrize(
    "uri",
    [
        f"{ROOT}elsewhere",
        f"{URI}@1999",
        image_uri(ROOT, CONTENT, "no such product"),
        image_uri(ROOT, "no such content", NAME),
    ],
)
def test_an_image_that_no_catalogue_has_is_refused(uri: str) -> None:
    ground = usual()
    ground.refresh()
    with pytest.raises((DocumentError, FetchError)):
        result(ground.source.document(uri))


def test_only_a_mirror_on_the_local_net_may_send_there() -> None:
    ground = usual()
    assert result(ground.source.may_be_local(f"{ROOT}a/b"))
    assert not result(ground.source.may_be_local("http://127.0.0.1/a"))


def detached(ground: Ground, content: Any, stem: str = STEM) -> None:
    """Publish a file with its signature beside it, and no longer within it."""
    ground.pages.pages.pop(f"{ROOT}{stem}.sjson", None)
    ground.pages.put(f"{stem}.json", json.dumps(content).encode())
    ground.pages.put(f"{stem}.json.gpg", seal(content))


def test_an_install_gets_what_is_shown_after_a_mirror_went_over_to_detached_signatures() -> None:
    ground = usual()
    ground.refresh()
    detached(ground, index(), "streams/v1/index")
    detached(ground, products("20250101", days_ago=0.5))
    ground.refresh()
    assert ground.versions() == ["20250101"]
    assert result(ground.source.document(URI)).version == "20250101"
    again = ground.again()
    result(again.source.load())
    assert again.versions() == ["20250101"]


def test_an_install_gets_what_is_shown_once_the_disk_has_room_again() -> None:
    ground = usual()
    ground.refresh()
    ground.pages.put(f"{STEM}.sjson", products("20250101", days_ago=0.5))
    keep = ground.records.keep
    ground.records.keep = lambda *_: fail(OwnStateError("No room."))  # type: ignore[method-assign]
    with pytest.raises(OwnStateError):
        ground.refresh()
    assert ground.versions() == ["20250101"]
    ground.records.keep = keep  # type: ignore[method-assign]
    ground.refresh()
    assert result(ground.source.document(URI)).version == "20250101"


def test_a_mirror_that_is_away_does_not_keep_the_detached_form_from_being_found() -> None:
    ground = usual()
    source = SimpleStreams(
        "ubuntu",
        ROOT,
        fetcher=ground.pages,
        verifier=Keys(),
        records=ground.records,
        background=InlineBackground(MemoryJournal()),
        clock=ground.clock,
        mirrors=[MIRROR],
    )
    detached(ground, index(), "streams/v1/index")
    detached(ground, products())
    for suffix in (".sjson", ".json", ".json.gpg"):
        for stem in ("streams/v1/index", STEM):
            ground.pages.put(stem + suffix, FetchError("No route."), MIRROR)
    result(source.refresh())
    assert [info.version for info in source.listing.images] == ["20240821"]


@pytest.mark.parametrize("number", ["24²", "١", "24.²"])
def test_a_release_with_digits_of_other_scripts_is_shown(number: str) -> None:
    ground = usual()
    made = {"20240821": version(item())}
    content = catalogue({NAME: product(made, version=number)}, updated=updated(1))
    ground.pages.put(f"{STEM}.sjson", content)
    ground.refresh()
    assert ground.versions() == ["20240821"]


def test_a_catalogue_of_a_time_that_no_calendar_has_is_refused_as_any_of_the_future() -> None:
    ground = usual()
    content = {**products(), "updated": "Fri, 31 Dec 9999 23:59:59 -2359"}
    ground.pages.put(f"{STEM}.sjson", content)
    with pytest.raises(DocumentError, match="yet to come"):
        ground.refresh()


def test_a_keyring_that_cannot_be_read_any_more_is_what_is_wrong_with_the_source() -> None:
    class Keyless(Keys):
        is_gone = False

        def verify(self, message: bytes) -> Awaitable[Signed]:
            if self.is_gone:
                return fail(OwnStateError("The keyring k.gpg cannot be used: no such file."))
            return super().verify(message)

    keys = Keyless()
    ground = usual(verifier=keys)
    journal = MemoryJournal()
    background = InlineBackground(journal)
    catalogue_of_all = Catalogue([ground.source], background, ground.clock, journal)
    result(catalogue_of_all.dashboard())
    ground.pages.put(f"{STEM}.sjson", products("20250101", days_ago=0.5))
    keys.is_gone = True
    ground.clock.twisted.advance(61)
    offer = result(catalogue_of_all.dashboard())
    assert ground.versions() == ["20240821"]
    assert "The keyring k.gpg cannot be used" in offer.problem


def test_what_nobody_has_signed_takes_no_image_from_a_source_that_signs() -> None:
    ground = usual()
    ground.pages.put("streams/v1/index.json", json.dumps(index()).encode())
    newer = products("20990101")
    ground.pages.put(f"{STEM}.json", json.dumps(newer).encode())
    background = InlineBackground(MemoryJournal())
    unsigned = SimpleStreams(
        "unsigned",
        f"{ROOT}streams/v1/index.json",
        fetcher=ground.pages,
        verifier=None,
        records=ground.records,
        background=background,
        clock=ground.clock,
    )
    for sources in ([ground.source, unsigned], [unsigned, ground.source]):
        both = Catalogue(sources, background, ground.clock, MemoryJournal())
        result(both.dashboard())
        result(both.load())
        assert both.source_of(URI) == "ubuntu"
        info = both.info(URI)
        assert info is not None
        assert (info.version, info.is_unsigned) == ("20240821", False)


def test_what_a_store_finds_does_not_speak_for_an_older_version_of_a_mirror() -> None:
    ground = usual(verifier=None)
    ground.pages.put("streams/v1/index.json", json.dumps(index()).encode())
    several = products("20240701", "20240821")
    ground.pages.put(f"{STEM}.json", json.dumps(several).encode())
    background = InlineBackground(MemoryJournal())
    store = StoreApi(
        "store",
        "http://store.example/api",
        fetcher=ground.pages,
        verifier=Keys(),
        records=ground.records,
        background=background,
        clock=ground.clock,
    )
    older = f"{URI}@20240701"
    found = {"images": [{"uri": older, "title": "Signed by everybody", "version": "9"}]}
    ground.pages.pages[f"{store.api_url}/search?q=x"] = json.dumps(found).encode()
    both = Catalogue([store, ground.source], background, ground.clock, MemoryJournal())
    result(both.dashboard())
    ground.clock.twisted.advance(61)
    result(both._ask(both._watches["store"], "x", _Asking()))
    info = both.info(older)
    assert info is not None
    assert (info.version, info.is_unsigned) == ("20240701", True)


def test_a_text_and_its_signature_are_kept_together_or_not_at_all() -> None:
    ground = Ground()
    detached(ground, index(), "streams/v1/index")
    detached(ground, products())
    ground.refresh()
    detached(ground, products("20250101", days_ago=0.5))
    keep = ground.records.keep
    calls = 0

    def ends_after_one(source: str, *kept: Kept) -> Deferred[None]:
        nonlocal calls
        calls += 1
        return keep(source, *kept) if calls == 1 else fail(OwnStateError("No power."))

    ground.records.keep = ends_after_one  # type: ignore[method-assign]
    ground.refresh()
    again = ground.again()
    result(again.source.load())
    assert again.versions() == ["20250101"]


def test_what_was_kept_of_another_mirror_under_the_same_name_is_dropped() -> None:
    ground = usual()
    ground.refresh()
    foreign = Kept("https://before.example/streams/v1/index.sjson", b"SIGNED {}", "", 1.0)
    result(ground.records.keep("ubuntu", foreign))
    again = ground.again()
    result(again.source.load())
    assert again.versions() == ["20240821"]
    assert again.source.fetched_at_s == ground.clock.now_s()
    assert all(url.startswith(ROOT) for _, url in ground.records.answers)

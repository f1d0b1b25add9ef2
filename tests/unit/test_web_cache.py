"""The pages for carrying: who may ask, what is sent, and how a slow client ends."""

# mypy: allow-untyped-calls

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from imagestoreproxy.install.lending import Lending
from imagestoreproxy.model.carrying import Fetch, index_text, read_index
from imagestoreproxy.model.installs import Progress, Step
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.web.entry.auth import UNSIGNED_CACHE
from imagestoreproxy.web.sending import BLOCK_BYTES, MOST, MOST_OF_ONE, STALL_S
from tests.unit.carrying import FILES, a_document, an_image, sha256
from tests.unit.memory import InlineBackground, MemoryJournal
from tests.unit.memory_store import KARMIC, MemorySite, Reply, Wire, action_path

DOCUMENT = a_document()
LARGE = bytes(range(256)) * 1024  # of several blocks
MESSAGE = sha256(DOCUMENT.signed_text)


@pytest.fixture
def depot(tmp_path: Path) -> DepotDirectory:
    made = DepotDirectory(tmp_path / "cache")
    for content in (*FILES.values(), LARGE):
        came = tmp_path / "came"
        came.write_bytes(content)
        made.take(came, sha256(content), 1.0)
    made.put_document(MESSAGE, DOCUMENT.signed_text)
    made.save([an_image(DOCUMENT)])
    (made.path / "state.db").write_bytes(b"secret")
    return made


@pytest.fixture
def site(depot: DepotDirectory) -> MemorySite:
    lending = Lending([depot], InlineBackground(MemoryJournal()))
    return MemorySite(lending=lending, share_cache=True)


def begun(site: MemorySite, path: str, *headers: str, method: str = "GET", host: str = "") -> Wire:
    wire = site.wire(host)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    wire.send("\r\n".join(lines).encode())
    return wire


def asked(site: MemorySite, path: str, *headers: str) -> Reply:
    wire = begun(site, path, *headers)
    for _ in range(20):
        site.reactor.advance(0)
    return wire.reply()


def test_the_list_the_documents_and_the_files_are_given_to_strangers(site: MemorySite) -> None:
    assert read_index(asked(site, "/cache/images.json").body) == (an_image(DOCUMENT),)
    assert asked(site, f"/cache/documents/{MESSAGE}").body == DOCUMENT.signed_text
    reply = asked(site, f"/cache/files/{sha256(LARGE)}")
    assert (reply.status, reply.body) == (200, LARGE)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["connection"] == "close"
    assert reply.headers["etag"] == f'"{sha256(LARGE)}"'


@pytest.mark.parametrize(
    "path",
    [
        "/cache/state.db",
        "/cache/",
        "/cache",
        "/cache/files/",
        "/cache/files/..%2fstate.db",
        "/cache/files/../state.db",
        f"/cache/files/{'0' * 63}",
        f"/cache/files/{'A' * 64}",
        f"/cache/files/{sha256(LARGE)}/x",
        f"/cache//files/{sha256(LARGE)}",
        f"/cache/documents/{'0' * 128}",
        "/cache/images.json/x",
        "/cache/images%2ejson",
        "/api/cache/images.json",
        f"/api/cache/files/{sha256(LARGE)}",
    ],
)
def test_nothing_else_is_reachable_unsigned(site: MemorySite, path: str) -> None:
    assert asked(site, path).status == 401
    assert UNSIGNED_CACHE.fullmatch(path.encode()) is None


@pytest.mark.parametrize("name", ["files/" + "0" * 64, "documents/" + "0" * 64])
def test_what_is_not_there_is_not_found(site: MemorySite, name: str) -> None:
    assert asked(site, f"/cache/{name}").status == 404


def test_nothing_can_be_changed_by_strangers(site: MemorySite) -> None:
    for name in ("images.json", f"files/{sha256(LARGE)}", f"documents/{MESSAGE}"):
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            reply = begun(site, f"/cache/{name}", method=method).reply()
            assert reply.status == 405, (method, name)
    assert site.store.acted == []


def test_without_sharing_there_is_nothing_and_signed_requests_get_it_all_the_same(
    depot: DepotDirectory,
) -> None:
    site = MemorySite(lending=Lending([depot], InlineBackground(MemoryJournal())))
    assert asked(site, "/cache/images.json").status == 404
    assert asked(site, f"/cache/files/{sha256(LARGE)}").status == 404
    for name, content in (
        ("images.json", index_text([an_image(DOCUMENT)])),
        (f"documents/{MESSAGE}", DOCUMENT.signed_text),
        (f"files/{sha256(LARGE)}", LARGE),
    ):
        wire = site.wire()
        raw = site.signed("GET", f"/api/cache/{name}")
        wire.send(raw)
        site.reactor.advance(0)
        assert wire.reply().body == content
    assert site.ask(raw).status == 403, "the same bytes again are not for whoever saw them"


@pytest.mark.parametrize(
    ("asked_for", "status", "first", "last"),
    [
        ("bytes=0-", 206, 0, len(LARGE) - 1),
        ("bytes=1000-", 206, 1000, len(LARGE) - 1),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=70000-70099", 206, 70000, 70099),
        (f"bytes={len(LARGE) - 1}-{10**14}", 206, len(LARGE) - 1, len(LARGE) - 1),
        ("bytes=5-4", 200, 0, len(LARGE) - 1),
        ("bytes=-5", 200, 0, len(LARGE) - 1),
        ("bytes=0-1,5-6", 200, 0, len(LARGE) - 1),
        ("lines=1-2", 200, 0, len(LARGE) - 1),
    ],
)
def test_a_range_is_given_as_asked_and_what_is_no_range_is_passed_over(
    site: MemorySite, asked_for: str, status: int, first: int, last: int
) -> None:
    reply = asked(site, f"/cache/files/{sha256(LARGE)}", f"Range: {asked_for}")
    assert (reply.status, reply.body) == (status, LARGE[first : last + 1])
    if status == 206:
        assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(LARGE)}"


def test_a_range_behind_the_end_is_refused_and_one_of_another_version_is_not_given(
    site: MemorySite,
) -> None:
    path = f"/cache/files/{sha256(LARGE)}"
    assert asked(site, path, f"Range: bytes={len(LARGE)}-").status == 416
    other = asked(site, path, "Range: bytes=9-", 'If-Range: "other"')
    assert (other.status, other.body) == (200, LARGE)
    same = asked(site, path, "Range: bytes=9-", f'If-Range: "{sha256(LARGE)}"')
    assert (same.status, same.body) == (206, LARGE[9:])


def slowly(site: MemorySite, path: str) -> Wire:
    """Begin an answer, take its first block and then nothing more."""
    wire = begun(site, path)
    wire.transport.is_slow = True
    site.reactor.advance(0)
    return wire


def taken_bytes(wire: Wire) -> int:
    return len(cast(bytes, wire.transport.value()))


def go_on(site: MemorySite, wire: Wire) -> None:
    assert wire.transport.producer is not None
    wire.transport.producer.resumeProducing()
    site.reactor.advance(0)


def test_a_file_is_read_piece_by_piece_and_only_as_the_client_takes_it(site: MemorySite) -> None:
    wire = slowly(site, f"/cache/files/{sha256(LARGE)}")
    first_bytes = taken_bytes(wire)
    assert BLOCK_BYTES <= first_bytes < 2 * BLOCK_BYTES
    site.reactor.advance(STALL_S / 2)
    assert taken_bytes(wire) == first_bytes
    for blocks in range(2, 5):
        go_on(site, wire)
        assert taken_bytes(wire) == first_bytes + (blocks - 1) * BLOCK_BYTES
        site.reactor.advance(STALL_S / 2)
    assert wire.reply().body == LARGE
    site.reactor.advance(10 * STALL_S)


def test_a_client_that_takes_nothing_for_a_minute_is_cut_off(site: MemorySite) -> None:
    wire = slowly(site, f"/cache/files/{sha256(LARGE)}")
    site.reactor.advance(STALL_S - 1)
    assert not wire.transport.aborted
    site.reactor.advance(2)
    assert wire.transport.aborted


def test_a_file_that_is_cut_off_while_it_is_sent_is_not_taken_for_whole(
    site: MemorySite, depot: DepotDirectory
) -> None:
    wire = slowly(site, f"/cache/files/{sha256(LARGE)}")
    path = depot.file(sha256(LARGE))
    assert path
    path.write_bytes(LARGE[:1000])
    go_on(site, wire)
    assert wire.transport.aborted


def test_so_many_files_are_sent_at_a_time_and_a_client_that_goes_makes_room(
    site: MemorySite,
) -> None:
    path = f"/cache/files/{sha256(LARGE)}"
    wires = [begun(site, path, host=f"192.0.2.{n}") for n in range(MOST)]
    assert begun(site, path).reply().status == 503
    assert begun(site, "/cache/images.json").reply().status == 503
    signed = site.wire()
    signed.send(site.signed("GET", "/api/cache/images.json"))
    wires[0].lose()
    wires.append(begun(site, path))
    for _ in range(20):
        site.reactor.advance(0)
    assert [wire.reply().body == LARGE for wire in wires[1:]] == [True] * MOST
    assert signed.reply().status == 200, "strangers take no places from who has signed"


def test_one_client_does_not_take_all_places(site: MemorySite) -> None:
    path = f"/cache/files/{sha256(LARGE)}"
    for _ in range(MOST_OF_ONE):
        begun(site, path, host="192.0.2.1")
    assert begun(site, path, host="192.0.2.1").reply().status == 503
    assert asked(site, path).body == LARGE


def test_a_file_on_its_way_does_not_give_way_to_other_connections(site: MemorySite) -> None:
    wire = begun(site, f"/cache/files/{sha256(LARGE)}")
    for _ in range(site.site.limits.connections + 10):
        begun(site, "/healthz")
    for _ in range(20):
        site.reactor.advance(0)
    assert wire.reply().body == LARGE


def test_a_fetch_is_told_in_json(site: MemorySite) -> None:
    path = action_path(KARMIC, "fetch")
    assert site.post(path).json == {"fetch": {"status": "failed", "error-message": "No net."}}
    site.store.fetched = Fetch(progress=Progress(Step.DOWNLOADING, 40, 40, 100, 8.0, 7.5))
    told = site.post(path).json["fetch"]
    assert (told["status"], told["progress-percentage"]) == ("downloading", 40)
    site.store.fetched = Fetch(image=an_image(DOCUMENT))
    told = site.post(path).json["fetch"]
    assert told["status"] == "fetched"
    assert told["image"]["files"][0]["digest"] == an_image(DOCUMENT).files[0].digest
    assert site.post(action_path(KARMIC, "release")).json == {}
    assert site.store.acted == [("fetch", KARMIC)] * 3 + [("release", KARMIC)]
    assert site.get(path).status == 405
    assert site.post(action_path("http://nowhere.example/x", "fetch")).status == 404

"""What pages tell of the sources, and how fast downloads may be."""

from __future__ import annotations

import pytest

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.web.present import image_json
from tests.unit.memory_store import KARMIC, MemorySite, action_path, info


def test_each_source_is_told_with_times_that_people_and_programs_read() -> None:
    site = MemorySite()
    site.supply.told = [
        SourceStatus("a", "A", "store", "http://a/", 3, 1, 0.0, 1, 1_795_000_000.7, "away"),
        SourceStatus("b", "B", "carried", "/b", is_unsigned=True, fetched_at_s=9e18),
    ]
    first, second = site.get("/api/sources").json["sources"]
    assert first == {
        "name": "a", "title": "A", "type": "store", "url": "http://a/", "images": 3, "refused": 1,
        "unsigned": False, "published-at": "1970-01-01T00:00:01Z",
        "next-refresh-at": "2026-11-18T11:06:40Z", "problem": "away",
    }  # fmt: skip
    assert second["unsigned"] is True
    assert second["fetched-at"].startswith("9999-")
    assert "problem" not in second


def test_bandwidth_is_told_and_changed_while_it_runs() -> None:
    site = MemorySite()
    path = "/api/bandwidth"
    assert site.get(path).json == {"limit-mb-per-s": 0.0}
    changed = site.post(path, pairs=[("limit-mb-per-s", "2.5")])
    assert changed.json == {"limit-mb-per-s": 2.5}
    assert site.supply.limit_bytes_per_s == 2_500_000
    site.post(path, pairs=[("limit-mb-per-s", "0")])
    assert site.supply.limit_bytes_per_s == 0


@pytest.mark.parametrize("given", [[], ["-1"], ["nan"], ["inf"], ["fast"], ["1", "2"], ["1e9"]])
def test_what_is_no_bandwidth_changes_nothing(given: list[str]) -> None:
    site = MemorySite()
    site.supply.limit_bytes_per_s = 7
    reply = site.post("/api/bandwidth", pairs=[("limit-mb-per-s", one) for one in given])
    assert reply.status == 400
    assert "limit-mb-per-s" in reply.error
    assert site.supply.limit_bytes_per_s == 7


def test_what_must_not_be_overlooked_of_an_image_stands_first() -> None:
    plain = image_json(info(KARMIC, summary="A server"))
    assert plain["summary"] == "A server"
    assert not {"unsigned", "refused", "architecture", "releases", "support-ends"} & plain.keys()
    told = image_json(
        ImageInfo(
            KARMIC, summary="A server", refused="It is for armhf.", is_unsigned=True,
            architecture="armhf", releases=("noble",), support_ends="2029-05-31",
        )
    )  # fmt: skip
    assert told["summary"] == (
        "Not signed: nobody vouches for it. Not for this cloud: It is for armhf. A server"
    )
    assert told["refused"] == "It is for armhf."
    assert told["unsigned"] is True
    assert told["releases"] == ["noble"]
    assert told["support-ends"] == "2029-05-31"


def test_an_image_tells_the_versions_that_can_be_installed_by_name() -> None:
    site = MemorySite()
    site.store.older = {KARMIC: [info(KARMIC, version="2"), info(KARMIC + "@1", version="1")]}
    told = site.get(action_path(KARMIC)).json["versions"]
    assert told == [{"version": "2", "uri": KARMIC}, {"version": "1", "uri": KARMIC + "@1"}]

"""H8 and P4: the clock jumps; requests, leases, documents and installs take it as it comes.

In memory, with the clock as a port: to set the real one would stop the machine's other work.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from imagestoreproxy.install.inside import Inside, InstallLimits, Outside
from imagestoreproxy.model.errors import DocumentError, FetchError
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Status
from imagestoreproxy.model.retry import DOWNLOAD
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.ports import Signed, Sources
from imagestoreproxy.sources.document import read_document
from tests.contracts.test_records import INSTALL, open_database
from tests.faults import tally
from tests.faults.faulty_store import Fault, describe
from tests.unit.memory import (
    NOW_S,
    URI,
    Fetching,
    InlineBackground,
    MemoryClock,
    MemoryDisk,
    MemoryJournal,
    NoDiskImages,
    World,
    result,
    trio,
)
from tests.unit.memory_store import MemorySite

HOUR_S = 3600.0
YEAR_S = 365.25 * 24 * HOUR_S
JUMPS_S = (-20 * YEAR_S, -YEAR_S, -HOUR_S, -1.0, 1.0, HOUR_S, YEAR_S, 40 * YEAR_S)


class JumpyClock(MemoryClock):
    """Its time of day can be set; what is measured with it goes on."""

    jump_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.jump_s


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_an_install_goes_on_over_a_jump_of_the_clock(tmp_path: Path, jump_s: float) -> None:
    world, clock, journal = World(MemoryDisk(tmp_path)), JumpyClock(), MemoryJournal()
    document = trio(world.fetcher)
    world.sources.offer(document)
    outside = Outside(
        sources=cast(Sources, Fetching(world.sources, world.fetcher)),
        cloud=world.cloud,
        disk=world.disk,
        depot=DepotDirectory(world.disk.directory / "cache"),
        disk_images=NoDiskImages(),
        records=world.records,
        background=InlineBackground(journal),
        clock=clock,
        journal=journal,
    )
    inside = Inside(outside, InstallLimits())
    result(inside.actions.take_up())
    (image,) = (file for file in document.files if file.kind is FileKind.IMAGE)
    body = world.fetcher.pages[image.url]
    world.fetcher.pages[image.url] = FetchError(f"{image.url} is away")
    result(inside.store.install(URI))
    clock.jump_s = jump_s
    shown = inside.store.states([URI]).states[0]
    assert shown.status is Status.DOWNLOADING
    world.fetcher.pages[image.url] = body
    clock.twisted.pump([1.0] * int(3 * DOWNLOAD.first_s))
    done = inside.store.states([URI]).states[0].status is Status.INSTALLED
    tally.record("clock: jumps in an install", tally.INSTALLED if done else "not installed")
    assert done


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_restart_after_a_jump_takes_up_its_own_installs(tmp_path: Path, jump_s: float) -> None:
    clock = JumpyClock()
    before = open_database(tmp_path / "state.db", clock)
    result(before.save_install(INSTALL))
    before.close()
    clock.jump_s = jump_s
    after = open_database(tmp_path / "state.db", clock)
    taken = list(result(after.load()).installs)
    after.close()
    tally.record("clock: jumps over a restart", tally.SERVED if taken else "forgotten")
    assert taken == [INSTALL]


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_h8_requests_are_refused_with_both_times_until_the_clocks_agree_again(
    jump_s: float,
) -> None:
    site = MemorySite()
    assert site.get("/api/dashboard").status == 200
    client_s = site.clock.now_s()
    site.clock.set_back_s = -jump_s
    reply = site.get("/api/dashboard", now_s=client_s)
    if abs(jump_s) <= 1:
        assert reply.status == 200
        outcome = tally.SERVED
    else:
        assert reply.status in (401, 403)
        for words in ("clock", str(int(site.clock.now_s())), "Expires="):
            assert words in reply.error
        outcome = tally.REFUSED
    # Who has the same time as the proxy is served, whatever time that is.
    assert site.get("/api/dashboard").status == 200
    site.clock.set_back_s = 0.0
    assert site.get("/api/dashboard").status == 200
    tally.record("clock: requests", outcome)


def test_a_clock_that_is_set_back_does_not_let_a_request_be_acted_on_twice() -> None:
    site = MemorySite()
    request = site.signed("GET", "/api/dashboard")
    first = site.ask(request)
    site.clock.time_s += 600
    assert site.ask(request).status in (401, 403)
    site.clock.set_back_s = 600
    again = site.ask(request)
    assert again.status != 200 or again.body == first.body
    tally.record("clock: set back, a request repeated", tally.REFUSED)


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_h8_a_document_that_the_clock_makes_old_is_refused_with_the_clock_in_the_text(
    jump_s: float,
) -> None:
    content = describe(URI, f"{URI}/file", Fault("clock", tally.SERVED))
    content["expires"] = "2027-01-01T00:00:00Z"
    signed = Signed(json.dumps(content).encode(), "F" * 40)
    try:
        document = read_document(signed, b"", URI, NOW_S + jump_s)
        assert document.expires_s > NOW_S + jump_s
        outcome = tally.SERVED
    except DocumentError as error:
        assert "clock" in error.message
        outcome = tally.REFUSED
    tally.record("clock: documents", outcome)

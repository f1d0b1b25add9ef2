"""What has happened is told as a true story, in order, and costs an install nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from imagestoreproxy.model.errors import CloudError, DiskError, FetchError, OwnStateError
from imagestoreproxy.model.history import (
    EVENTS_MOST,
    TEXT_CHARS,
    Happening,
    Outcome,
    Run,
    RunKind,
    What,
)
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Step
from tests.unit.memory import (
    NOW_S,
    URI,
    World,
    make_document,
    make_file,
    result,
    started,
    trio,
)
from tests.unit.memory_store import KARMIC, MemorySite, action_path
from tests.unit.test_actions import Held, hold

TRY = (What.STARTED, What.CHECKED, What.PLANNED, What.DOWNLOADING)
END = (
    What.DOWNLOADED, What.UPLOADING, What.UPLOADED, What.REGISTERING, What.REGISTERED,
    What.INSTALLED,
)  # fmt: skip


def told(world: World) -> list[Run]:
    return list(result(world.records.history_of(URI)))


def whats(run: Run) -> list[What]:
    return [event.what for event in run.events]


def release(held: Held) -> None:
    held._call = ""
    for gate in held.waiting:
        if not gate.called:
            gate.callback(None)


def test_an_install_is_told_from_the_click_to_the_emi(world: World) -> None:
    daemon = started(world)
    done = result(daemon.store.install(URI))
    (run,) = told(world)
    assert whats(run) == [What.ACCEPTED, *TRY, *END]
    assert (run.kind, run.outcome, run.emi) == (RunKind.INSTALL, Outcome.INSTALLED, done.emi)
    assert (run.title, run.version) == ("An image", "1.0")
    sizes = sum(file.size_bytes for file in world.sources.documents[URI].files)
    assert run.fetched_bytes == sizes
    planned = run.last(What.PLANNED)
    downloaded = run.last(What.DOWNLOADED)
    assert planned and planned.size_bytes == sizes
    assert downloaded and downloaded.size_bytes == sizes
    assert done.emi in run.events[-1].text
    assert all(event.text.endswith(".") for event in run.events)


def test_a_cloud_that_bundles_on_the_disk_bundles_when_all_has_come(world: World) -> None:
    world.cloud.bundles_on_disk = True
    seen: list[tuple[Step, int]] = []
    daemon = started(world)
    seal = world.cloud.seal

    def watched(*arguments: Any) -> Any:
        sealed = seal(*arguments)
        (work,) = daemon.inventory.works.values()
        reading = work.meter.reading(0.0)
        seen.append((reading.step, reading.bytes_done))
        return sealed

    world.cloud.seal = watched  # type: ignore[method-assign,assignment]
    result(daemon.store.install(URI))
    (run,) = told(world)
    last = (What.DOWNLOADED, What.BUNDLING, What.REGISTERING, What.REGISTERED, What.INSTALLED)
    assert whats(run) == [What.ACCEPTED, *TRY, *last]
    sizes = sum(file.size_bytes for file in world.sources.documents[URI].files)
    assert {step for step, _ in seen} == {Step.BUNDLING}
    assert seen[-1][1] == sizes


def test_nothing_is_said_to_be_signed_where_nobody_has_signed(world: World) -> None:
    document = world.sources.documents[URI]
    info = replace(document.info, is_unsigned=True)
    world.sources.offer(replace(document, info=info, fingerprint=""))
    result(started(world).store.install(URI))
    (run,) = told(world)
    texts = [event.text for event in run.events if "signed" in event.text]
    assert texts == ["Version 1.0 can be installed here; it is not signed."]


def test_one_file_and_one_image_are_told_as_one_would(world: World) -> None:
    file = make_file(world.fetcher, FileKind.IMAGE, b"x" * 2048)
    world.sources.offer(make_document([file]))
    result(started(world).store.install(URI))
    planned = told(world)[0].last(What.PLANNED)
    assert planned
    assert planned.text == "It takes 1 file of 2.0 KiB, to be made into an image."


def test_a_run_goes_on_as_long_as_its_install_does(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    (run,) = told(world)
    assert (run.outcome, run.ended_at_s) == (Outcome.GOING_ON, 0.0)
    daemon.clock.twisted.advance(7)
    release(held)
    daemon.clock.twisted.pump([0.25] * 4)
    (run,) = told(world)
    downloaded = run.last(What.DOWNLOADED)
    assert downloaded and downloaded.seconds == 7
    assert run.ended_at_s - run.began_at_s == run.events[-1].seconds
    assert 7 <= (run.events[-1].seconds or 0) <= 8


def test_an_uninstall_is_a_run_of_its_own_with_the_version_that_was_there(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    result(daemon.store.uninstall(URI))
    removed, installed = told(world)
    assert installed.outcome is Outcome.INSTALLED
    assert whats(removed) == [What.REMOVING, What.UNINSTALLED]
    assert (removed.kind, removed.outcome) == (RunKind.UNINSTALL, Outcome.UNINSTALLED)
    assert removed.version == "1.0"
    assert removed.token != installed.token


def test_a_failure_is_told_with_its_reason_and_the_next_try_belongs_to_the_same_run(
    world: World,
) -> None:
    daemon = started(world)
    world.cloud.trouble["register"] = CloudError("EC2 is full.")
    result(daemon.store.install(URI))
    (run,) = told(world)
    assert whats(run)[-2:] == [What.FAILED, What.UNDONE]
    assert (run.outcome, run.error) == (Outcome.FAILED, "EC2 is full.")
    assert run.ended_at_s
    came = run.fetched_bytes
    del world.cloud.trouble["register"]
    result(daemon.store.retry(URI))
    (run,) = told(world)
    failed = whats(run).index(What.FAILED)
    assert whats(run)[failed:] == [What.FAILED, What.UNDONE, What.RETRIED, *TRY, *END]
    assert (run.outcome, run.error) == (Outcome.INSTALLED, "")
    assert run.fetched_bytes == came, "what came first was kept"
    downloaded = run.last(What.DOWNLOADED)
    assert downloaded


def test_a_cancel_is_told_and_that_nothing_is_left(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.cancel(URI))
    (run,) = told(world)
    assert whats(run) == [What.ACCEPTED, *TRY, What.CANCELLED, What.UNDONE]
    assert run.outcome is Outcome.CANCELLED
    assert run.ended_at_s


def test_a_pause_is_told_and_the_resume(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    assert told(world)[0].outcome is Outcome.PAUSED
    release(held)
    result(daemon.store.resume(URI))
    (run,) = told(world)
    after = whats(run)[whats(run).index(What.PAUSED) :]
    assert after == [What.PAUSED, What.RESUMED, *TRY, *END]
    assert run.outcome is Outcome.INSTALLED


def test_a_crash_and_a_restart_are_told_and_the_run_goes_on(world: World) -> None:
    held = hold(world, "fetcher", "download")
    started(world)
    daemon = started(world)
    result(daemon.store.install(URI))
    world.fetcher = held._port
    again = started(world)
    (run,) = told(world)
    assert whats(run) == [What.ACCEPTED, *TRY, What.RESTARTED, *TRY, *END]
    assert run.outcome is Outcome.INSTALLED
    assert again.inventory.newest(URI)


def test_what_was_paused_is_still_paused_after_a_restart(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    started(world)
    (run,) = told(world)
    assert run.outcome is Outcome.PAUSED
    assert "still paused" in run.events[-1].text


def test_an_install_from_before_there_was_a_history_is_told_from_now_on(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    world.records.runs.clear()
    started(world)
    (run,) = told(world)
    assert run.events[0].what is What.RESTARTED


def test_what_the_cloud_lost_and_has_again_is_told_after_its_install(world: World) -> None:
    daemon = started(world)
    done = result(daemon.store.install(URI))
    location = world.cloud.registered.pop(done.emi)
    result(daemon.reconciler.once())
    world.cloud.registered[done.emi] = location
    result(daemon.reconciler.once())
    (run,) = told(world)
    assert whats(run)[-3:] == [What.INSTALLED, What.GONE, What.BACK]
    assert done.emi in run.events[-2].text
    assert run.outcome is Outcome.INSTALLED


def test_what_cannot_be_taken_back_is_told_once_however_often_it_is_tried(world: World) -> None:
    daemon = started(world)
    world.cloud.trouble["register"] = CloudError("EC2 is full.")
    world.cloud.trouble["remove"] = CloudError("S3 is away.")
    result(daemon.store.install(URI))
    daemon.clock.twisted.pump([10.0] * 20)
    (run,) = told(world)
    assert whats(run)[-1] is What.FAILED
    assert (run.outcome, run.ended_at_s) == (Outcome.FAILED, 0.0)
    del world.cloud.trouble["remove"]
    daemon.clock.twisted.pump([60.0] * 20)
    (run,) = told(world)
    assert whats(run)[-2:] == [What.FAILED, What.UNDONE]
    assert run.ended_at_s


def test_what_the_cloud_refuses_to_take_back_is_told_as_it_is(world: World) -> None:
    daemon = started(world)
    world.cloud.trouble["register"] = CloudError("EC2 is full.")
    world.cloud.trouble["remove"] = CloudError("Forbidden.", retry_helps=False)
    result(daemon.store.install(URI))
    daemon.clock.twisted.pump([60.0] * 60)
    (run,) = told(world)
    assert What.UNDONE not in whats(run)
    assert "Forbidden" in run.error
    assert run.outcome is Outcome.FAILED
    del world.cloud.trouble["remove"]
    result(daemon.store.clear_error(URI))
    (run,) = told(world)
    assert whats(run)[-2:] == [What.CANCELLED, What.UNDONE]
    assert run.outcome is Outcome.FAILED, "it had failed, whatever was cleared later"


def test_a_cleared_error_is_told(world: World) -> None:
    daemon = started(world)
    world.cloud.trouble["check"] = CloudError("EC2 is away.")
    result(daemon.store.install(URI))
    result(daemon.store.clear_error(URI))
    (run,) = told(world)
    assert whats(run)[-1] is What.UNDONE
    assert "cleared" in run.events[-1].text
    assert run.outcome is Outcome.FAILED


def test_an_installation_that_could_not_be_written_down_is_not_told_as_installed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = started(world)

    async def broken(*_: object) -> int:
        raise OwnStateError("The disk of the records fails.")

    monkeypatch.setattr(world.records, "complete", broken)
    result(daemon.store.install(URI))
    (run,) = told(world)
    assert What.INSTALLED not in whats(run)
    assert run.outcome is Outcome.FAILED
    assert not run.emi


def test_only_what_really_came_is_counted(world: World) -> None:
    image = world.sources.documents[URI].files[2]
    body = world.fetcher.pages[image.url]
    world.fetcher.pages[image.url] = FetchError("away", retry_helps=False)
    daemon = started(world)
    result(daemon.store.install(URI))
    (run,) = told(world)
    others = sum(file.size_bytes for file in world.sources.documents[URI].files[:2])
    assert run.fetched_bytes == others
    world.fetcher.pages[image.url] = body
    result(daemon.store.retry(URI))
    (run,) = told(world)
    assert run.fetched_bytes == others + image.size_bytes


def test_a_full_disk_is_handled_as_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = started(world)

    def full(*_: object) -> Any:
        raise DiskError("The disk is full.")

    monkeypatch.setattr(world.records, "save_install", full)
    with pytest.raises(DiskError):
        result(daemon.store.install(URI))
    assert URI not in daemon.inventory.works
    assert not told(world)


def test_of_too_many_events_the_oldest_are_dropped_and_long_texts_are_cut() -> None:
    run = Run("0", URI, "", "", RunKind.INSTALL, NOW_S)
    for number in range(EVENTS_MOST + 1):
        run = run.with_event(Happening(NOW_S, What.FAILED, f"{number} {'x' * 2 * TEXT_CHARS}"))
    assert len(run.events) == EVENTS_MOST
    assert run.events[0].text.startswith("1 ")
    assert all(len(event.text) == TEXT_CHARS for event in run.events)


class MemoryHistory:
    """Some runs.

    Attributes:
        asked: for which pieces.
    """

    def __init__(self, *runs: Run) -> None:
        self.runs = runs
        self.asked: list[tuple[int, int]] = []

    async def history_of(self, image_uri: str) -> Sequence[Run]:
        return [run for run in self.runs if run.image_uri == image_uri]

    async def history(self, first: int, count: int) -> tuple[Sequence[Run], int]:
        self.asked.append((first, count))
        return [replace(run, events=()) for run in self.runs], 7


SITE_S = MemorySite().clock.now_s()
GOING_ON = Run(
    "ab" * 8, KARMIC, "Ubuntu \ud800", "1.0", RunKind.INSTALL, SITE_S - 12.34,
    events=(
        Happening(SITE_S, What.ACCEPTED, "It was asked for."),
        Happening(SITE_S + 1, What.PLANNED, "A plan.", 0.123, 400),
    ),
)  # fmt: skip
FAILED = replace(
    GOING_ON, outcome=Outcome.FAILED, error="It was away.", emi="emi-1", fetched_bytes=9,
    ended_at_s=SITE_S - 2.34, events=(),
)  # fmt: skip


def test_the_page_of_an_image_tells_its_runs_with_their_events() -> None:
    site = MemorySite(history=MemoryHistory(GOING_ON, FAILED))
    going_on, failed = site.get(action_path(KARMIC, "history")).json["history"]
    assert going_on == {
        "run": "ab" * 8, "image-uri": KARMIC, "title": "Ubuntu ?", "version": "1.0",
        "kind": "install", "outcome": "going-on", "began-at": "2026-11-18T11:06:27Z",
        "seconds": 12.3,
        "events": [
            {"at": "2026-11-18T11:06:40Z", "what": "accepted", "text": "It was asked for."},
            {"at": "2026-11-18T11:06:41Z", "what": "planned", "text": "A plan.", "seconds": 0.1,
             "bytes": 400},
        ],
    }  # fmt: skip
    assert failed == {
        "run": "ab" * 8, "image-uri": KARMIC, "title": "Ubuntu ?", "version": "1.0",
        "kind": "install", "outcome": "failed", "began-at": "2026-11-18T11:06:27Z",
        "ended-at": "2026-11-18T11:06:37Z", "seconds": 10.0, "error-message": "It was away.",
        "emi": "emi-1", "bytes": 9, "events": [],
    }  # fmt: skip


def test_the_page_of_all_runs_gives_a_piece_without_events() -> None:
    history = MemoryHistory(GOING_ON)
    site = MemorySite(history=history)
    content = site.get("/api/history", pairs=[("from", "3"), ("count", "2")]).json
    assert content["history-total"] == 7
    assert "events" not in content["history"][0]
    site.get("/api/history")
    assert history.asked == [(3, 2), (0, 100)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("from", "-1"), ("from", "x"), ("count", "0"), ("count", "501"), ("count", "٣")],
)
def test_a_piece_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    site = MemorySite(history=MemoryHistory())
    reply = site.get("/api/history", pairs=[(name, value)])
    assert reply.status == 400
    assert name in reply.error


def test_an_image_of_which_nothing_is_known_has_no_history() -> None:
    site = MemorySite(history=MemoryHistory(GOING_ON))
    path = action_path("http://store.example/api/images/unknown", "history")
    assert site.get(path).json == {"history": []}
    assert site.get("/api/images/!!/history").status == 404
    assert site.post(action_path(KARMIC, "history")).status == 405

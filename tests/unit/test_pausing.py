"""Installs that are paused, resumed and tried again: nothing is lost, nothing is done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from imagestoreproxy.model.errors import CallerError, Cancelled, CloudError, DiskError
from imagestoreproxy.model.history import Outcome, RunKind
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Action, Install, State, Status, Step
from imagestoreproxy.storage.database import LEASE_S
from tests.unit.memory import (
    LIMITS,
    URI,
    Daemon,
    MemoryDisk,
    World,
    make_document,
    make_file,
    result,
    started,
    trio,
)
from tests.unit.test_actions import Mortal, hold, nothing_is_left, state

OTHER = f"{URI}/other"
EVERYWHERE = [
    ("fetcher", "download"),
    ("cloud", "check"),
    ("cloud", "store"),
    ("records", "save_bundle"),
    ("sources", "document"),
]


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def asked(daemon: Daemon, call: Any, uri: str = URI) -> Deferred[Any]:
    """Click, and let the time pass that a click may take."""
    clicked = Deferred.fromCoroutine(_awaited(call(uri)))
    daemon.clock.twisted.pump([0.05] * 40)
    return clicked


def offer_other(world: World, fetcher: Any) -> None:
    image = make_file(fetcher, FileKind.IMAGE, b"another image" * 500)
    world.sources.offer(make_document([image], uri=OTHER))


@pytest.mark.parametrize(("port", "call"), EVERYWHERE)
def test_what_is_paused_stands_still_and_goes_on_from_there(
    world: World, port: str, call: str
) -> None:
    fetcher = world.fetcher
    held = hold(world, port, call)
    daemon = started(world)
    result(daemon.store.install(URI))
    paused = result(daemon.store.pause(URI))
    assert held.cancelled
    assert (paused.status, paused.actions) == (
        Status.DOWNLOADING,
        (Action.CANCEL, Action.RESUME),
    )
    assert paused.progress
    assert paused.progress.step is Step.PAUSED
    assert world.records.installs[URI].state is State.PAUSED
    held._call = ""
    before = list(fetcher.asked)
    daemon.clock.twisted.pump([10.0] * 20)
    assert fetcher.asked == before, "it went on by itself"
    asked(daemon, daemon.store.resume)
    assert state(daemon).status is Status.INSTALLED
    assert len(world.cloud.registered) == len(world.cloud.stored) == 3
    urls = [url for url, _ in fetcher.asked]
    assert len(urls) == len(set(urls)) == 3, "fetched twice"
    assert not daemon.journal.failures


def test_the_percentage_stays_while_it_is_paused_and_over_a_restart(world: World) -> None:
    hold(world, "cloud", "store")
    daemon = started(world)
    result(daemon.store.install(URI))
    before = state(daemon).progress
    after = result(daemon.store.pause(URI)).progress
    later = state(started(world)).progress
    percents = {one.percent for one in (before, after, later) if one}
    assert len(percents) == 1
    assert percents.pop() > 40
    assert after
    assert (after.bytes_per_second, after.eta_s) == (0, None)


@pytest.mark.parametrize("call", ["seal", "register"])
def test_a_pause_while_the_cloud_registers_is_refused_in_plain_words(
    world: World, call: str
) -> None:
    held = hold(world, "cloud", call)
    daemon = started(world)
    result(daemon.store.install(URI))
    assert Action.PAUSE not in state(daemon).actions
    assert Action.CANCEL in state(daemon).actions
    with pytest.raises(CallerError, match="is registering this image") as caught:
        result(daemon.store.pause(URI))
    assert caught.value.status == 409
    held._call = ""
    for gate in held.waiting:
        gate.callback(None)
    assert state(daemon).status is Status.INSTALLED


def test_a_pause_while_the_installation_is_written_down_is_refused(world: World) -> None:
    held = hold(world, "records", "complete")
    daemon = started(world)
    result(daemon.store.install(URI))
    with pytest.raises(CallerError) as caught:
        result(daemon.store.pause(URI))
    assert caught.value.status == 409
    held.waiting[0].callback(None)
    assert state(daemon).status is Status.INSTALLED


def test_what_is_paused_stays_paused_over_restarts_until_it_is_resumed(world: World) -> None:
    fetcher = world.fetcher
    held = hold(world, "cloud", "store")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    held._call = ""
    for _ in range(2):
        daemon = started(world)
        daemon.clock.twisted.pump([10.0] * 20)
        assert state(daemon).progress == result(daemon.store.pause(URI)).progress
        assert state(daemon).actions == (Action.CANCEL, Action.RESUME)
    assert not world.cloud.registered
    asked(daemon, daemon.store.resume)
    assert state(daemon).status is Status.INSTALLED
    urls = [url for url, _ in fetcher.asked]
    assert len(urls) == len(set(urls)) == 3, "fetched twice"


def test_a_pause_gives_its_place_to_the_next_and_a_resume_waits_for_one(world: World) -> None:
    fetcher = world.fetcher
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    uris = [f"{URI}{number}" for number in range(5)]
    for uri in uris:
        world.sources.offer(make_document(trio(fetcher).files, uri=uri))
        result(daemon.store.install(uri))

    def positions() -> list[int]:
        return [
            one.progress.queue_position for one in daemon.store.states(uris).states if one.progress
        ]

    assert positions() == [0, 0, 1, 2, 3]
    result(daemon.store.pause(uris[0]))
    assert positions() == [0, 0, 0, 1, 2]
    result(daemon.store.pause(uris[3]))
    assert positions() == [0, 0, 0, 0, 1], "what waits can be paused as well"
    waiting = result(daemon.store.resume(uris[0])).progress
    assert waiting
    assert (waiting.step, waiting.queue_position) == (Step.WAITING, 2)
    assert len(held.waiting) == 9, "the files of three installs, of which one was paused"


def test_a_pause_gives_back_the_room_that_was_kept_for_it(world: World) -> None:
    world.disk.free = 64 * 2**20 + 17_000
    fetcher = world.fetcher
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    offer_other(world, fetcher)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    held._call = ""
    assert result(daemon.store.install(OTHER)).status is Status.INSTALLED


@pytest.mark.parametrize(("port", "call"), EVERYWHERE)
def test_p8_a_cancel_of_what_is_paused_leaves_nothing(world: World, port: str, call: str) -> None:
    held = hold(world, port, call)
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    held._call = ""
    asked(daemon, daemon.store.cancel)
    assert state(daemon).status is Status.UNINSTALLED
    assert state(daemon).actions == (Action.INSTALL,)
    assert nothing_is_left(world)


def test_p8_a_cancel_of_what_is_paused_leaves_nothing_after_a_restart(world: World) -> None:
    held = hold(world, "cloud", "store")
    first = started(world)
    result(first.store.install(URI))
    result(first.store.pause(URI))
    held._call = ""
    daemon = started(world)
    asked(daemon, daemon.store.cancel)
    assert nothing_is_left(world)


def test_a_click_on_install_lets_what_is_paused_go_on(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    held._call = ""
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


def test_each_click_twice_is_once(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    for _ in range(2):
        assert result(daemon.store.pause(URI)).actions == (Action.CANCEL, Action.RESUME)
    for _ in range(2):
        assert result(daemon.store.resume(URI)).actions == (Action.CANCEL, Action.PAUSE)
    assert len(held.waiting) == 6, "the files of the first run and of the second"


def refused(daemon: Daemon, action: str, uri: str = URI) -> str:
    """Click, and give the words of the refusal."""
    with pytest.raises(CallerError) as caught:
        result(getattr(daemon.store, action)(uri))
    assert caught.value.status == 409
    return caught.value.message


def test_clicks_that_make_no_sense_are_refused_in_plain_words(world: World) -> None:
    daemon = started(world)
    for action in ("pause", "resume", "retry"):
        assert refused(daemon, action).startswith(f"Nothing to {action}: ")
    hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    assert refused(daemon, "uninstall") == ("An install of this image is paused: cancel it first.")
    assert refused(daemon, "clear_error").startswith("Nothing to clear")
    assert refused(daemon, "retry").startswith("Nothing to retry")
    assert state(daemon).actions == (Action.CANCEL, Action.RESUME)


def test_what_is_installed_or_being_taken_back_can_be_neither_paused_nor_resumed(
    world: World,
) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    for action in ("pause", "resume", "retry"):
        assert refused(daemon, action).startswith(f"Nothing to {action}: ")
    world.cloud.trouble["remove"] = CloudError("S3 went away")
    Deferred.fromCoroutine(_awaited(daemon.store.uninstall(URI)))
    for action in ("pause", "resume"):
        assert "still being uninstalled" in refused(daemon, action)


def test_an_error_can_be_retried_and_nothing_is_downloaded_again(world: World) -> None:
    world.cloud.trouble["store"] = CloudError("no route to S3")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert state(daemon).actions == (Action.INSTALL, Action.RETRY, Action.CLEAR_ERROR)
    for action in ("pause", "resume"):
        assert refused(daemon, action).startswith(f"Nothing to {action}: ")
    world.cloud.trouble.clear()
    after = result(daemon.store.retry(URI))
    assert (after.status, after.error_message) == (Status.INSTALLED, "")
    urls = [url for url, _ in world.fetcher.asked]
    assert len(urls) == len(set(urls)) == 3


def test_only_a_failed_install_is_offered_to_be_retried(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    assert Action.RETRY not in state(daemon).actions
    world.cloud.trouble["store"] = CloudError("no route to S3")
    result(daemon.store.install(URI))
    assert Action.RETRY in state(daemon).actions
    world.sources.offered.clear()
    assert Action.RETRY not in state(daemon).actions, "nobody offers it any more"


class FullDisk:
    """Records that cannot be written for as long as ``is_full``."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.is_full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def save_install(self, install: Install, run: Any = None) -> Any:
        if self.is_full:
            return fail(DiskError("The disk is full."))
        return self._records.save_install(install, run)


def test_a_pause_holds_on_a_full_disk_and_is_written_down_once_there_is_room(
    world: World,
) -> None:
    hold(world, "fetcher", "download")
    records = world.records
    full = FullDisk(records)
    world.records = full  # type: ignore[assignment]
    daemon = started(world)
    result(daemon.store.install(URI))
    full.is_full = True
    with pytest.raises(DiskError):
        result(daemon.store.pause(URI))
    assert state(daemon).actions == (Action.CANCEL, Action.RESUME)
    assert records.installs[URI].state is State.DOWNLOADING
    full.is_full = False
    daemon.clock.twisted.pump([1.0] * 3)
    assert records.installs[URI].state is State.PAUSED


def test_a_resume_that_cannot_be_written_down_leaves_it_paused(world: World) -> None:
    held = hold(world, "fetcher", "download")
    full = FullDisk(world.records)
    world.records = full  # type: ignore[assignment]
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    full.is_full = True
    with pytest.raises(DiskError):
        result(daemon.store.resume(URI))
    assert state(daemon).actions == (Action.CANCEL, Action.RESUME)
    full.is_full = False
    held._call = ""
    assert result(daemon.store.resume(URI)).status is Status.INSTALLED


class Slow(Deferred[None]):
    """Ends only when it is let go, like a thread that is told to stop; then as it was told."""

    is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def let_go(self) -> None:
        if self.is_cancelled:
            self.errback(Cancelled())
        else:
            self.callback(None)


class SlowCloud:
    """A cloud that takes what is stored when it is let go, and says how many stored at once."""

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud
        self.waiting: list[Slow] = []
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud, name)

    def store(self, streams: Any) -> Deferred[Any]:
        gate = Slow()
        self.waiting.append(gate)
        self.most = max(self.most, len(self.waiting))
        return gate.addCallback(lambda _: self._cloud.store(streams))

    def let_go(self) -> None:
        waiting, self.waiting = self.waiting, []
        for gate in waiting:
            gate.let_go()


def with_one_file(world: World) -> SlowCloud:
    """Offer an image of one file, so that one run stores once."""
    world.sources.offer(make_document([make_file(world.fetcher, FileKind.IMAGE, b"x" * 5000)]))
    slow = SlowCloud(world.cloud)
    world.cloud = slow  # type: ignore[assignment]
    return slow


def test_two_runs_of_an_install_never_overlap_however_it_is_clicked(world: World) -> None:
    slow = with_one_file(world)
    daemon = started(world)
    result(daemon.store.install(URI))
    for _ in range(3):
        asked(daemon, daemon.store.pause)
        asked(daemon, daemon.store.resume)
    assert len(slow.waiting) == 1, "the first run has not ended yet"
    slow.let_go()
    daemon.clock.twisted.pump([0.05] * 10)
    assert (len(slow.waiting), slow.most) == (1, 1)
    slow.let_go()
    daemon.clock.twisted.pump([0.05] * 10)
    assert state(daemon).status is Status.INSTALLED
    assert not daemon.journal.failures
    assert len(world.cloud.registered) == 1


def test_a_place_is_free_only_when_what_was_paused_has_really_ended(world: World) -> None:
    fetcher = world.fetcher
    slow = with_one_file(world)
    daemon = started(world, limits=replace(LIMITS, max_installs=1))
    offer_other(world, fetcher)
    result(daemon.store.install(URI))
    result(daemon.store.install(OTHER))
    asked(daemon, daemon.store.pause)
    assert len(slow.waiting) == 1
    slow.let_go()
    daemon.clock.twisted.pump([0.05] * 10)
    slow.let_go()
    assert daemon.store.states([OTHER]).states[0].status is Status.INSTALLED
    assert state(daemon).actions == (Action.CANCEL, Action.RESUME)


class SlowRecords:
    """Takes a row when it is let go; what it is to say was settled when it was given."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.waiting: list[Deferred[None]] = []
        self.is_slow = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def _in_turn(self, write: Callable[..., Any], *what: Any) -> Any:
        if not self.is_slow:
            return write(*what)
        gate: Deferred[None] = Deferred()
        self.waiting.append(gate)
        return gate.addCallback(lambda _: write(*what))

    def save_install(self, *what: Any) -> Any:
        return self._in_turn(self._records.save_install, *what)

    def renew(self, *what: Any) -> Any:
        return self._in_turn(self._records.renew, *what)

    def let_go(self) -> None:
        self.is_slow = False
        for gate in self.waiting:
            gate.callback(None)


@pytest.mark.parametrize("slow_disk", [False, True])
def test_what_came_between_the_click_and_the_end_of_the_transfer_is_remembered(
    world: World, slow_disk: bool
) -> None:
    slow = with_one_file(world)
    records = world.records
    slowly = SlowRecords(records)
    world.records = slowly  # type: ignore[assignment]
    daemon = started(world)
    result(daemon.store.install(URI))
    slowly.is_slow = slow_disk
    before = records.installs[URI].progress_percent
    clicked = asked(daemon, daemon.store.pause)
    daemon.inventory.works[URI].meter.set_done(Step.UPLOADING, "image", 5000)
    slow.let_go()
    slowly.let_go()
    daemon.clock.twisted.pump([0.05] * 40)
    assert clicked.called
    shown = state(daemon).progress
    assert shown
    assert records.installs[URI].progress_percent == shown.percent > before
    assert records.installs[URI].state is State.PAUSED


def test_p8_a_cancel_waits_for_what_was_paused_and_is_ending_still(world: World) -> None:
    slow = with_one_file(world)
    daemon = started(world)
    result(daemon.store.install(URI))
    asked(daemon, daemon.store.pause)
    cancelled = asked(daemon, daemon.store.cancel)
    assert cancelled.called
    assert world.records.installs[URI].state is State.CANCELLING
    assert world.records.bundles, "nothing is taken back while something may still be stored"
    slow.let_go()
    daemon.clock.twisted.pump([0.05] * 10)
    assert nothing_is_left(world)


def test_a_kernel_whose_line_in_the_ledger_a_pause_has_lost_is_claimed_by_nobody(
    world: World,
) -> None:
    image = make_file(world.fetcher, FileKind.IMAGE, b"another image" * 500)
    shared = world.sources.documents[URI].files[:2]
    world.sources.offer(make_document([*shared, image], uri=OTHER))
    result(started(world).store.install(OTHER))
    records = world.records
    held = hold(world, "records", "save_bundle")
    daemon = started(world)
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    assert not daemon.inventory.works[URI].bundles
    assert not records.bundles, "the line was lost"
    held._call = ""
    asked(daemon, daemon.store.resume)
    kinds = [bundle.kind for bundle in records.installations[-1].bundles]
    assert kinds == list(FileKind)


def test_a_newer_version_can_be_paused_and_what_is_installed_stays(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    held = hold(world, "cloud", "store")
    daemon = started(world)
    result(daemon.store.install(URI))
    paused = result(daemon.store.pause(URI))
    assert (paused.is_upgrade, paused.installed_version) == (True, "1.0")
    assert refused(daemon, "uninstall").endswith("is paused: cancel it first.")
    held._call = ""
    asked(daemon, daemon.store.cancel)
    assert set(world.cloud.registered) == {old.emi, old.eki, old.eri}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", ["pause", "resume"])
def test_p4_a_crash_at_any_step_of_a_click_is_paused_or_goes_on(
    tmp_path: Path, action: str, after: bool
) -> None:
    for step in range(1, 80):
        world = World(MemoryDisk(tmp_path))
        world.sources.offer(trio(world.fetcher))
        life = Mortal()
        held = hold(world, "cloud", "store")
        daemon = started(world, around=life.around)
        result(daemon.store.install(URI))
        if action == "resume":
            result(daemon.store.pause(URI))
        held._call = ""
        life.left, life.after = life.count + step, after
        Deferred.fromCoroutine(_awaited(getattr(daemon.store, action)(URI)))
        daemon.clock.twisted.pump([0.05] * 40)
        if not life.dead:
            assert step > (1 if action == "pause" else 8)
            return
        was_heard = step > 1 or after
        later = started(world)
        is_paused = Action.RESUME in state(later).actions
        assert is_paused is ((action == "pause") is was_heard), step
        if is_paused:
            result(later.store.resume(URI))
        assert state(later).status is Status.INSTALLED, step
        assert len(world.cloud.registered) == len(world.cloud.stored) == 3, step
        assert len(world.records.installations) == 1, step
        assert not world.records.installs, step
    raise AssertionError("it never came to an end")


class Counted:
    """Records that count how often each lease was renewed."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.renewed: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def renew(self, image_uri: str, progress_percent: int, run: Any = None) -> Any:
        self.renewed[image_uri] += 1
        return self._records.renew(image_uri, progress_percent, run)


def test_what_stands_still_is_not_written_down_every_other_second(world: World) -> None:
    hold(world, "fetcher", "download")
    counted = Counted(world.records)
    world.records = counted  # type: ignore[assignment]
    daemon = started(world, limits=replace(LIMITS, max_installs=1))
    offer_other(world, world.fetcher)
    waiting = f"{URI}/third"
    world.sources.offer(make_document(world.sources.documents[URI].files, uri=waiting))
    result(daemon.store.install(OTHER))
    result(daemon.store.pause(OTHER))
    for uri in (URI, waiting):
        result(daemon.store.install(uri))
    daemon.clock.twisted.pump([1.0] * 600)
    assert counted.renewed[URI] >= 290, "what runs is remembered with its progress"
    for uri in (OTHER, waiting):
        assert 600 / LEASE_S * 2 <= counted.renewed[uri] <= 600 / 20, "often enough to stay ours"


def without_an_uninstall(world: World) -> Daemon:
    """An image whose uninstall was refused for good, while a newer version is offered."""
    daemon = started(world)
    result(daemon.store.install(URI))
    refusal = CloudError("You may not deregister it.", retry_helps=False)
    world.cloud.trouble["deregister"] = refusal
    asked(daemon, daemon.store.uninstall)
    daemon.clock.twisted.pump([5.0] * 400)
    assert "You may not" in state(daemon).error_message
    world.cloud.trouble.clear()
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    return daemon


@pytest.mark.parametrize("restarted", [False, True])
def test_retry_is_never_an_install_where_an_uninstall_has_failed(
    world: World, restarted: bool
) -> None:
    daemon = without_an_uninstall(world)
    if restarted:
        daemon = started(world)
    assert Action.UNINSTALL in state(daemon).actions
    assert Action.RETRY not in state(daemon).actions
    assert refused(daemon, "retry").startswith("Nothing to retry: no install")
    assert [one.version for one in world.records.installations] == ["1.0"]


def test_an_install_after_a_failed_uninstall_is_told_as_an_install(world: World) -> None:
    daemon = without_an_uninstall(world)
    result(daemon.store.install(URI))
    newest, uninstall, first = result(world.records.history_of(URI))
    assert (newest.kind, newest.outcome) == (RunKind.INSTALL, Outcome.INSTALLED)
    assert (uninstall.kind, uninstall.outcome) == (RunKind.UNINSTALL, Outcome.FAILED)
    assert first.outcome is Outcome.INSTALLED

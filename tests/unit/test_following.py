"""Images that are followed: brought up to date by themselves, and only as was told before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.install.following import AWAY_AGAIN_S, EVERY_S, STEP_S, USED_AGAIN_S
from imagestoreproxy.install.follows import MOST
from imagestoreproxy.model.errors import CallerError, CloudError, FetchError, OwnStateError
from imagestoreproxy.model.follows import Follow, Followed
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Installation, State, Status
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.model.windows import window_of
from tests.unit.memory import (
    NOW_S,
    URI,
    Daemon,
    MemoryDisk,
    World,
    boot,
    make_document,
    make_file,
    result,
    trio,
)
from tests.unit.test_actions import hold

OTHER = "http://store.example/api/images/2"
LATER_S = 2 * 3600
OPENS = f"{datetime.fromtimestamp(NOW_S + LATER_S, UTC):%H:%M}"
CLOSED = f"{OPENS}-{datetime.fromtimestamp(NOW_S + 3 * 3600, UTC):%H:%M}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(MemoryDisk(tmp_path))
    publish(made, 1)
    return made


def publish(world: World, number: int, uri: str = URI) -> None:
    """Offer a version of an image, and have its files on the net."""
    world.sources.offer(trio(world.fetcher, uri=uri, version=f"{number}.0", serial=number))


def started(world: World, window: str = "", **options: Any) -> Daemon:
    daemon = boot(world, **options)
    result(daemon.actions.take_up())
    daemon.follower.window = window_of(window, UTC)
    return daemon


def followed(world: World, window: str = "", *, keep: int = 0, used: bool = False) -> Daemon:
    """Boot a daemon that follows the image, installed in version 1.0."""
    daemon = started(world, window)
    result(daemon.follower.follow(URI, keep=keep, even_if_used=used))
    return daemon


def pass_s(daemon: Daemon, seconds: float) -> None:
    """Let time pass; what is due by then is done."""
    daemon.clock.twisted.advance(seconds)
    result(daemon.follower.once())


def versions(daemon: Daemon, uri: str = URI) -> list[str]:
    return [one.version for one in daemon.inventory.installed.get(uri, ())]


def told(daemon: Daemon) -> Followed:
    (only,) = daemon.follower.follows()
    return only


def upgraded(world: World, daemon: Daemon, *numbers: int) -> list[Installation]:
    for number in numbers:
        publish(world, number)
        pass_s(daemon, EVERY_S)
    return list(daemon.inventory.installed[URI])


def test_an_image_that_is_not_installed_is_installed_at_once_whatever_the_window(
    world: World,
) -> None:
    daemon = followed(world, CLOSED)
    assert versions(daemon) == ["1.0"]
    assert told(daemon).will == ("nothing: 1.0 is the newest",)
    assert daemon.store.states([URI]).states[0].follows


def test_a_newer_version_is_installed_when_the_window_opens_and_told_before(world: World) -> None:
    daemon = followed(world, CLOSED)
    publish(world, 2)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0"]
    before = told(daemon)
    assert before.will == (f"install 2.0 at {OPENS}",)
    assert (before.installed_version, before.offered_version) == ("1.0", "2.0")
    opens_at_s = NOW_S + LATER_S
    assert before.next_check_at_s == opens_at_s - opens_at_s % 60
    assert daemon.store.states([URI]).states[0].is_upgrade
    pass_s(daemon, LATER_S)
    assert versions(daemon) == ["1.0", "2.0"]
    assert told(daemon).will == ("nothing: 2.0 is the newest",)


def test_the_history_says_that_nobody_has_clicked_for_an_update(world: World) -> None:
    daemon = followed(world)
    upgraded(world, daemon, 2)
    update, first = result(world.records.history_of(URI))
    assert first.events[0].text == "The install was asked for."
    assert update.events[0].text == "It is kept up to date, and a newer version came."
    works_again = failing(world, 3)
    pass_s(daemon, EVERY_S)
    works_again()
    pass_s(daemon, 30 * 60)
    texts = [event.text for event in result(world.records.history_of(URI))[0].events]
    assert "It is kept up to date, so it is tried again." in texts
    assert not [text for text in texts if "asked for" in text]


def test_without_a_number_to_keep_nothing_is_ever_removed(world: World) -> None:
    daemon = followed(world)
    upgraded(world, daemon, 2, 3, 4)
    assert versions(daemon) == ["1.0", "2.0", "3.0", "4.0"]


def test_an_image_that_is_not_followed_is_left_alone(world: World) -> None:
    daemon = followed(world)
    publish(world, 1, OTHER)
    result(daemon.store.install(OTHER))
    publish(world, 2, OTHER)
    pass_s(daemon, EVERY_S)
    assert versions(daemon, OTHER) == ["1.0"]


@pytest.mark.parametrize("keep", [1, 2])
def test_the_newest_are_kept_and_older_ones_leave_the_cloud(world: World, keep: int) -> None:
    daemon = followed(world, keep=keep)
    upgraded(world, daemon, 2, 3)
    publish(world, 4)
    assert told(daemon).will[0] == "install 4.0 now"
    pass_s(daemon, EVERY_S)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == [f"{number}.0" for number in (1, 2, 3, 4)[-keep:]]
    emis = {one.emi for one in daemon.inventory.installed[URI]}
    shared = {one.eki for one in daemon.inventory.installed[URI]}
    shared |= {one.eri for one in daemon.inventory.installed[URI]}
    assert set(world.cloud.registered) == emis | shared


def test_p14_what_will_be_removed_after_an_update_is_told_before_it(world: World) -> None:
    daemon = followed(world, CLOSED, keep=1)
    publish(world, 2)
    assert told(daemon).will == (
        f"install 2.0 at {OPENS}",
        "remove 1.0 then, unless an instance was started from it",
    )
    result(daemon.follower.follow(URI, keep=1, even_if_used=True))
    assert told(daemon).will[1:] == ("remove 1.0 then",)


def test_what_an_instance_was_started_from_stays_until_that_is_gone(world: World) -> None:
    daemon = followed(world, keep=1)
    world.cloud.instances["i-1"] = daemon.inventory.installed[URI][0].emi
    upgraded(world, daemon, 2)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0", "2.0"]
    assert told(daemon).will[1:] == ("keep 1.0: instance i-1 was started from it",)
    world.cloud.instances.clear()
    pass_s(daemon, USED_AGAIN_S)
    assert versions(daemon) == ["2.0"]


def test_it_goes_all_the_same_when_told_so(world: World) -> None:
    daemon = followed(world, keep=1, used=True)
    world.cloud.instances["i-1"] = daemon.inventory.installed[URI][0].emi
    world.cloud.trouble["used_ids"] = AssertionError("not to be asked")
    upgraded(world, daemon, 2)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["2.0"]


def test_nothing_is_removed_while_the_cloud_cannot_be_asked_and_later_it_is(world: World) -> None:
    daemon = followed(world, keep=1)
    world.cloud.trouble["used_ids"] = CloudError("The cloud is away.")
    upgraded(world, daemon, 2)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0", "2.0"]
    assert "remove 1.0 at " in told(daemon).will[1]
    assert "The cloud is away." in told(daemon).will[1]
    world.cloud.trouble.clear()
    pass_s(daemon, AWAY_AGAIN_S)
    assert versions(daemon) == ["2.0"]


def test_p4_a_removal_that_broke_off_goes_on_after_a_restart(world: World) -> None:
    daemon = followed(world, keep=1)
    upgraded(world, daemon, 2)
    world.cloud.trouble["remove"] = CloudError("S3 is away.")
    pass_s(daemon, EVERY_S)
    assert len(world.records.installations) == 2
    world.cloud.trouble.clear()
    again = started(world)
    pass_s(again, EVERY_S)
    assert versions(again) == ["2.0"]
    assert len(world.records.installations) == 1
    assert len(world.cloud.registered) == len(world.cloud.stored) == 3


def test_a_kernel_that_newer_versions_share_stays_in_the_cloud(world: World) -> None:
    daemon = followed(world, keep=1)
    (first,) = daemon.inventory.installed[URI]
    upgraded(world, daemon, 2)
    pass_s(daemon, EVERY_S)
    (second,) = daemon.inventory.installed[URI]
    assert second.eki == first.eki
    assert second.eki in world.cloud.registered
    assert first.emi not in world.cloud.registered


def test_what_is_gone_from_the_cloud_does_not_count_as_kept(world: World) -> None:
    daemon = followed(world, keep=1)
    first, second = upgraded(world, daemon, 2)
    daemon.inventory.replace(second, replace(second, gone="The cloud no longer knows it."))
    pass_s(daemon, EVERY_S)
    assert first in daemon.inventory.installed[URI]
    assert first.emi in world.cloud.registered


def failing(world: World, number: int) -> Callable[[], None]:
    """Offer a version whose files cannot be had; give what brings them back."""
    publish(world, number)
    pages = dict(world.fetcher.pages)
    for url in pages:
        world.fetcher.pages[url] = FetchError("404", retry_helps=False)
    return lambda: world.fetcher.pages.update(pages)


def test_p7_an_update_that_fails_waits_longer_each_time_and_says_so(world: World) -> None:
    daemon = followed(world)
    repair = failing(world, 2)
    waits: list[float] = []
    for _ in range(12):
        pass_s(daemon, EVERY_S)
        asked = len(world.fetcher.asked)
        pass_s(daemon, EVERY_S)
        assert len(world.fetcher.asked) == asked, "tried again at once"
        now_s = daemon.clock.now_s()
        shown = told(daemon)
        assert shown.will[0].startswith("wait until 20")
        assert "404" in shown.will[0]
        waits.append(shown.next_check_at_s - now_s + EVERY_S)
        daemon.clock.twisted.advance(shown.next_check_at_s - now_s)
    assert waits[0] == 600
    assert waits[1] == 1200
    assert waits == sorted(waits)
    assert waits[-1] == 86400
    repair()
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0", "2.0"]


def test_after_a_failure_another_version_does_not_wait(world: World) -> None:
    daemon = followed(world)
    repair = failing(world, 2)
    pass_s(daemon, EVERY_S)
    repair()
    publish(world, 3)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0", "3.0"]


def test_p4_after_a_crash_a_failed_update_waits_as_before(world: World) -> None:
    daemon = followed(world)
    failing(world, 2)
    pass_s(daemon, EVERY_S)
    asked = len(world.fetcher.asked)
    again = started(world)
    pass_s(again, EVERY_S)
    assert len(world.fetcher.asked) == asked
    assert told(again).follow.tries == 1


def test_a_clock_that_was_set_back_makes_nothing_wait_for_ever(world: World) -> None:
    daemon = followed(world)
    repair = failing(world, 2)
    daemon.clock.twisted.advance(10 * 86400)
    result(daemon.follower.once())
    repair()
    again = started(world)  # its clock begins anew
    result(again.store.clear_error(URI))
    pass_s(again, EVERY_S)
    assert versions(again) == ["1.0", "2.0"]


def test_an_update_that_cannot_be_written_down_is_not_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = followed(world)
    publish(world, 2)

    async def refuses(_follow: object) -> None:
        raise OwnStateError("The disk is read-only.")

    monkeypatch.setattr(world.records, "follow", refuses)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0"]
    assert daemon.journal.failures


def test_updates_come_one_after_the_other(world: World) -> None:
    daemon = followed(world)
    publish(world, 1, OTHER)
    result(daemon.follower.follow(OTHER, keep=0, even_if_used=False))
    publish(world, 2)
    publish(world, 2, OTHER)
    gates: list[Deferred[None]] = []
    store = world.cloud.store

    def held(streams: Any) -> Deferred[Any]:
        gate: Deferred[None] = Deferred()
        gates.append(gate)
        return gate.addCallback(lambda _: store(streams))

    world.cloud.store = held  # type: ignore[method-assign]
    pass_s(daemon, EVERY_S)
    pass_s(daemon, EVERY_S)
    assert len(daemon.inventory.works) == 1
    firsts = {one.will[0] for one in daemon.follower.follows()}
    assert firsts == {"2.0 is being installed now", "install 2.0 now"}
    while gates:
        gates.pop().callback(None)
    pass_s(daemon, EVERY_S)
    assert len(daemon.inventory.works) == 1
    while gates:
        gates.pop().callback(None)
    assert versions(daemon) == versions(daemon, OTHER) == ["1.0", "2.0"]


def test_p3_an_update_that_cannot_be_taken_back_keeps_no_other_image_waiting(
    world: World,
) -> None:
    daemon = followed(world)
    publish(world, 1, OTHER)
    result(daemon.follower.follow(OTHER, keep=0, even_if_used=False))
    publish(world, 2)
    world.cloud.trouble["register"] = CloudError("The cloud refuses it.")
    world.cloud.trouble["remove"] = CloudError("S3 answers 500.")
    pass_s(daemon, EVERY_S)
    assert daemon.inventory.works[URI].state is State.FAILING
    del world.cloud.trouble["register"]
    publish(world, 2, OTHER)
    pass_s(daemon, EVERY_S)
    assert daemon.inventory.works[URI].state is State.FAILING
    assert versions(daemon, OTHER) == ["1.0", "2.0"]


def test_p8_an_update_that_was_cancelled_does_not_come_back_for_a_day(world: World) -> None:
    daemon = followed(world)
    publish(world, 2)
    gate: Deferred[Any] = Deferred()
    world.cloud.store = lambda streams: gate  # type: ignore[method-assign]
    pass_s(daemon, EVERY_S)
    result_of = Deferred.fromCoroutine(daemon.actions.cancel(URI))
    daemon.clock.twisted.pump([0.1] * 30)
    assert result_of.called
    del world.cloud.store
    pass_s(daemon, 80_000)
    assert versions(daemon) == ["1.0"]
    assert "It was cancelled." in told(daemon).will[0]
    pass_s(daemon, 10_000)
    assert versions(daemon) == ["1.0", "2.0"]


def test_p8_to_cancel_the_first_install_ends_the_following(world: World) -> None:
    gate: Deferred[Any] = Deferred()
    world.cloud.store = lambda streams: gate  # type: ignore[method-assign]
    daemon = followed(world)
    cancelling = Deferred.fromCoroutine(daemon.actions.cancel(URI))
    daemon.clock.twisted.pump([0.1] * 30)
    assert cancelling.called
    assert not daemon.follower.follows()
    assert not world.records.followed


def test_an_image_that_is_no_longer_followed_stays_as_it_is(world: World) -> None:
    daemon = followed(world, keep=1)
    result(daemon.follower.unfollow(URI))
    upgraded(world, daemon, 2)
    assert versions(daemon) == ["1.0"]
    assert not daemon.store.states([URI]).states[0].follows
    with pytest.raises(CallerError, match="not followed"):
        result(daemon.follower.unfollow(URI))


def test_an_image_that_is_uninstalled_is_no_longer_followed_and_stays_away(world: World) -> None:
    daemon = followed(world)
    result(daemon.store.uninstall(URI))
    publish(world, 2)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == []
    assert not daemon.follower.follows()
    assert not world.records.followed


def test_p9_what_a_source_no_longer_offers_stays_and_that_is_said(world: World) -> None:
    daemon = followed(world, keep=1)
    world.sources.offered.clear()
    world.sources.revision += 1
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0"]
    assert told(daemon).will == ("nothing: it is no longer offered; what is installed stays",)


def test_h1_a_source_that_is_away_is_told_and_what_is_installed_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = followed(world)
    away = SourceStatus("store", "Store", "store", "http://store.example/api", problem="No route.")
    monkeypatch.setattr(world.sources, "statuses", lambda: [away])
    assert told(daemon).will == ("nothing: the source cannot be asked: No route.",)
    assert versions(daemon) == ["1.0"]


def test_p14_the_next_check_is_when_the_source_is_asked_if_nothing_is_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = followed(world)
    status = SourceStatus("store", "Store", "store", "http://a/", next_at_s=NOW_S + 500)
    monkeypatch.setattr(world.sources, "statuses", lambda: [status])
    assert told(daemon).next_check_at_s == NOW_S + 500


def test_a_version_that_is_not_for_this_cloud_is_not_tried(world: World) -> None:
    daemon = followed(world)
    publish(world, 2)
    world.sources.offered[URI] = replace(world.sources.offered[URI], refused="It is for armhf.")
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0"]
    assert told(daemon).will == ("nothing: 2.0 is not for this cloud: It is for armhf.",)


def test_what_is_followed_survives_a_restart(world: World) -> None:
    followed(world, keep=3, used=True)
    again = started(world)
    follow = told(again).follow
    assert (follow.keep, follow.even_if_used, follow.since_s) == (3, True, NOW_S)
    assert again.store.states([URI]).states[0].follows


def test_to_follow_what_nobody_offers_is_refused(world: World) -> None:
    daemon = started(world)
    with pytest.raises(CallerError):
        result(daemon.follower.follow(OTHER, keep=0, even_if_used=False))
    with pytest.raises(CallerError, match="1000"):
        result(daemon.follower.follow(URI, keep=1001, even_if_used=False))
    assert not daemon.follower.follows()
    assert versions(daemon) == []


def test_states_are_made_anew_when_an_image_is_followed_or_no_longer(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    seen = {daemon.store.revision}
    result(daemon.follower.follow(URI, keep=0, even_if_used=False))
    seen.add(daemon.store.revision)
    result(daemon.follower.unfollow(URI))
    seen.add(daemon.store.revision)
    assert len(seen) == 3


def test_the_loop_looks_soon_after_a_catalogue_changed_and_ends_when_cancelled(
    world: World,
) -> None:
    daemon = followed(world)
    running = Deferred.fromCoroutine(daemon.follower.run())
    running.addErrback(lambda _: None)
    daemon.clock.twisted.advance(STEP_S)
    publish(world, 2)
    daemon.clock.twisted.advance(STEP_S)
    assert versions(daemon) == ["1.0", "2.0"]
    daemon.follower.window = window_of(CLOSED, UTC)
    publish(world, 3)
    daemon.clock.twisted.pump([STEP_S] * 3)
    assert versions(daemon) == ["1.0", "2.0"]
    daemon.follower.window = window_of("", UTC)
    daemon.clock.twisted.advance(STEP_S)
    assert versions(daemon) == ["1.0", "2.0", "3.0"]
    running.cancel()
    assert running.called


def test_a_failure_nobody_foresaw_ends_no_later_turn(world: World) -> None:
    daemon = followed(world, keep=1)
    running = Deferred.fromCoroutine(daemon.follower.run())
    running.addErrback(lambda _: None)
    world.cloud.trouble["used_ids"] = RuntimeError("nobody foresaw this")
    publish(world, 2)
    daemon.clock.twisted.pump([STEP_S] * 3)
    world.cloud.trouble.clear()
    daemon.clock.twisted.pump([STEP_S] * 40)
    assert versions(daemon) == ["2.0"]
    assert any("nobody foresaw" in str(error) for _, error in daemon.journal.failures)
    running.cancel()


def test_an_installed_image_is_followed_without_another_install(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    asked = len(world.fetcher.asked)
    result(daemon.follower.follow(URI, keep=2, even_if_used=False))
    pass_s(daemon, EVERY_S)
    assert len(world.fetcher.asked) == asked
    assert daemon.store.states([URI]).states[0].status is Status.INSTALLED


def test_the_pause_after_a_failure_begins_at_its_end_however_long_the_try_took(
    world: World,
) -> None:
    daemon = followed(world)
    publish(world, 2)
    gate: Deferred[Any] = Deferred()
    world.cloud.store = lambda streams: gate  # type: ignore[method-assign]
    pass_s(daemon, EVERY_S)
    daemon.clock.twisted.advance(7200)
    gate.errback(CloudError("S3 broke off.", retry_helps=False))
    del world.cloud.store
    daemon.clock.twisted.pump([0.1] * 30)
    shown = told(daemon)
    assert "S3 broke off." in shown.will[0]
    assert 590 < shown.next_check_at_s - daemon.clock.now_s() <= 600
    pass_s(daemon, 590)
    assert versions(daemon) == ["1.0"]
    pass_s(daemon, 20)
    assert versions(daemon) == ["1.0", "2.0"]


def test_the_cloud_is_not_asked_every_minute_for_what_an_instance_keeps(world: World) -> None:
    daemon = followed(world, keep=1)
    world.cloud.instances["i-1"] = daemon.inventory.installed[URI][0].emi
    asked: list[frozenset[str]] = []
    used_ids = world.cloud.used_ids

    def counted(ids: frozenset[str]) -> Any:
        asked.append(ids)
        return used_ids(ids)

    world.cloud.used_ids = counted  # type: ignore[assignment, method-assign]
    upgraded(world, daemon, 2)
    for _ in range(10):
        pass_s(daemon, EVERY_S)
    assert len(asked) == 1
    pass_s(daemon, USED_AGAIN_S)
    assert len(asked) == 2
    upgraded(world, daemon, 3)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0", "3.0"]


def test_an_install_meanwhile_takes_no_kernel_that_is_being_removed(world: World) -> None:
    def document(number: int, kernel: bytes, uri: str = URI) -> None:
        files = [
            make_file(world.fetcher, FileKind.KERNEL, kernel),
            make_file(world.fetcher, FileKind.IMAGE, f"{uri} {number}".encode() * 900),
        ]
        made = make_document(files, uri=uri, version=f"{number}.0", serial=number)
        world.sources.offer(made)

    document(1, b"old kernel" * 99)
    daemon = followed(world, keep=1)
    (first,) = daemon.inventory.installed[URI]
    document(2, b"new kernel" * 99)
    pass_s(daemon, EVERY_S)
    gates: list[Deferred[None]] = []
    deregister = world.cloud.deregister

    def held(image_id: str) -> Deferred[None]:
        gate: Deferred[None] = Deferred()
        gates.append(gate)
        return gate.addCallback(lambda _: deregister(image_id))

    world.cloud.deregister = held  # type: ignore[method-assign]
    trimming = Deferred.fromCoroutine(daemon.follower.once())
    gates[0].callback(None)
    assert len(gates) == 2, "the kernel is not about to go"
    document(1, b"old kernel" * 99, OTHER)
    result(daemon.store.install(OTHER))
    gates[1].callback(None)
    assert trimming.called
    (other,) = daemon.inventory.installed[OTHER]
    assert other.eki != first.eki
    assert other.eki in world.cloud.registered
    assert first.eki not in world.cloud.registered


def test_an_image_that_is_unfollowed_at_the_last_moment_is_not_installed(world: World) -> None:
    daemon = followed(world)
    publish(world, 2)
    gate: Deferred[None] = Deferred()
    follow = world.records.follow
    world.records.follow = lambda row: gate.addCallback(lambda _: follow(row))  # type: ignore[method-assign, assignment]
    daemon.clock.twisted.advance(EVERY_S)
    turn = Deferred.fromCoroutine(daemon.follower.once())
    unfollowing = Deferred.fromCoroutine(daemon.follower.unfollow(URI))
    gate.callback(None)
    assert turn.called
    assert unfollowing.called
    assert versions(daemon) == ["1.0"]
    assert not daemon.follower.follows()


def test_one_more_than_can_be_followed_is_refused_before_anything_is_installed(
    world: World,
) -> None:
    for number in range(MOST):
        result(world.records.follow(Follow(f"http://store.example/gone/{number}", since_s=NOW_S)))
    daemon = started(world)
    with pytest.raises(CallerError, match="as many as can be"):
        result(daemon.follower.follow(URI, keep=0, even_if_used=False))
    assert not versions(daemon)
    assert URI not in daemon.inventory.works


def test_an_update_that_somebody_has_paused_is_not_resumed_by_itself(world: World) -> None:
    daemon = followed(world)
    publish(world, 2)
    held = hold(world, "cloud", "store")
    daemon = started(world)
    pass_s(daemon, EVERY_S)
    result(daemon.store.pause(URI))
    held._call = ""
    for _ in range(3):
        pass_s(daemon, 86400.0)
    assert versions(daemon) == ["1.0"]
    assert told(daemon).will == ("nothing: the install of 2.0 is paused until somebody resumes it",)
    result(daemon.follower.follow(URI, keep=1, even_if_used=False))
    assert versions(daemon) == ["1.0"], "to follow it is no click on Resume"
    later = started(world)
    pass_s(later, EVERY_S)
    assert versions(later) == ["1.0"]
    result(later.store.resume(URI))
    assert versions(later) == ["1.0", "2.0"]


def test_a_paused_update_does_not_keep_other_images_from_theirs(world: World) -> None:
    publish(world, 1, OTHER)
    daemon = followed(world)
    result(daemon.follower.follow(OTHER, keep=0, even_if_used=False))
    publish(world, 2)
    held = hold(world, "cloud", "store")
    daemon = started(world)
    pass_s(daemon, EVERY_S)
    result(daemon.store.pause(URI))
    held._call = ""
    publish(world, 2, OTHER)
    pass_s(daemon, EVERY_S)
    assert versions(daemon) == ["1.0"]
    assert versions(daemon, OTHER) == ["1.0", "2.0"]


def test_a_pause_between_the_decision_and_the_install_holds(world: World) -> None:
    daemon = followed(world)
    publish(world, 2)
    noting = hold(world, "records", "follow")
    storing = hold(world, "cloud", "store")
    daemon = started(world)
    turn = Deferred.fromCoroutine(_once(daemon))
    result(daemon.store.install(URI))
    result(daemon.store.pause(URI))
    noting.waiting[0].callback(None)
    storing._call = ""
    assert turn.called
    assert versions(daemon) == ["1.0"]


async def _once(daemon: Daemon) -> None:
    await daemon.follower.once()

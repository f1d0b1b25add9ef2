"""Installs when things come in an odd order: what changed meanwhile, refused, or was lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.install.inside import InstallLimits
from imagestoreproxy.model.errors import (
    CallerError,
    CloudError,
    DiskError,
    DocumentError,
    OwnStateError,
    UnpackError,
)
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Action, Status
from tests.unit.memory import (
    URI,
    Daemon,
    World,
    boot,
    make_document,
    make_file,
    result,
    started,
    trio,
)
from tests.unit.test_actions import Held, hold, nothing_is_left, state


def test_a_document_that_changed_over_a_restart_takes_the_old_parts_out(world: World) -> None:
    held = hold(world, "cloud", "register")
    daemon = started(world)
    result(daemon.store.install(URI))
    held.waiting[0].callback(None)  # the kernel of 1.0 is registered; then the daemon is gone
    newer = make_document(
        [
            make_file(world.fetcher, FileKind.KERNEL, b"another kernel" * 50),
            make_file(world.fetcher, FileKind.IMAGE, b"image 2.0" * 900),
        ],
        version="2.0",
        serial=2,
    )
    world.sources.documents[URI] = newer
    world.cloud = held._port
    done = state(started(world))
    assert done.status is Status.INSTALLED
    assert set(world.cloud.registered) == {done.emi, done.eki}
    assert not done.eri
    bundles = world.records.installations[0].bundles
    assert [bundle.content.split("/")[0] for bundle in bundles] == [
        file.sha256 for file in newer.files
    ]


def test_a_listing_that_is_ahead_of_what_is_signed_installs_nothing_twice(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    info = replace(world.sources.offered[URI], version="9.9")
    world.sources.offered[URI] = info
    assert state(daemon).is_upgrade
    result(daemon.store.install(URI))
    after = state(daemon)
    assert "still version 1.0 (serial 1)" in after.error_message
    assert len(world.cloud.registered) == 3


def test_files_that_cannot_be_removed_do_not_undo_an_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = started(world)

    def broken(token: str) -> None:
        raise DiskError("read-only")

    monkeypatch.setattr(world.disk, "remove", broken)
    assert result(daemon.store.install(URI)).status is Status.INSTALLED
    assert len(world.cloud.registered) == 3


def test_half_characters_in_an_error_are_stored_as_something_readable(world: World) -> None:
    world.cloud.trouble["store"] = UnpackError("the member 'caf\udce9' is a link")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert state(daemon).error_message.endswith("unpacked: the member 'caf?' is a link")


def test_what_the_cloud_refuses_to_take_back_ends_in_an_error_that_can_be_tried_again(
    world: World,
) -> None:
    world.cloud.trouble["register"] = CloudError("EC2 went away")
    world.cloud.trouble["remove"] = CloudError("S3: access denied", retry_helps=False)
    daemon = started(world)
    result(daemon.store.install(URI))
    daemon.clock.twisted.pump([10.0] * 60)
    stuck = state(daemon)
    assert stuck.status is Status.UNINSTALLED
    assert "EC2 went away" in stuck.error_message
    assert "S3: access denied" in stuck.error_message
    later = started(world)
    assert Action.CLEAR_ERROR in state(later).actions
    world.cloud.trouble.clear()
    cleared = result(later.store.clear_error(URI))
    assert not cleared.error_message
    assert nothing_is_left(world)


def test_two_installs_do_not_count_on_the_same_room(world: World) -> None:
    world.disk.free = 64 * 2**20 + 8000
    hold(world, "fetcher", "download")
    daemon = started(world)
    image = make_file(world.fetcher._port, FileKind.IMAGE, b"x" * 6000)  # type: ignore[attr-defined]
    uris = [f"{URI}{number}" for number in range(2)]
    for uri in uris:
        world.sources.offer(make_document([image], uri=uri))
        result(daemon.store.install(uri))
    states = daemon.store.states(uris).states
    assert states[0].status is Status.DOWNLOADING
    assert "kept for others" in states[1].error_message


def test_three_files_at_a_time_are_stored_so_that_memory_is_bounded(world: World) -> None:
    held = hold(world, "cloud", "store")
    daemon = started(world)
    uris = [f"{URI}{number}" for number in range(2)]
    for number, uri in enumerate(uris):
        world.sources.offer(trio(world.fetcher, version=f"1.{number}", uri=uri))
        result(daemon.store.install(uri))
    daemon.clock.twisted.pump([0.1] * 10)
    assert len(held.waiting) == 3
    while held.waiting:
        held.waiting.pop(0).callback(None)
        daemon.clock.twisted.pump([0.1] * 2)
        assert len(held.waiting) <= 3
    assert [one.status for one in daemon.store.states(uris).states] == [Status.INSTALLED] * 2


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_than_so_many_downloads_run_at_a_time(world: World, most: int) -> None:
    held = hold(world, "fetcher", "download")
    daemon = boot(world, limits=InstallLimits(max_downloads=most))
    result(daemon.actions.take_up())
    uris = [f"{URI}{number}" for number in range(2)]
    for number, uri in enumerate(uris):
        fetcher = held.__dict__["_port"]
        world.sources.offer(trio(fetcher, version=f"1.{number}", uri=uri))
        result(daemon.store.install(uri))
    daemon.clock.twisted.pump([0.1] * 10)
    assert len(held.waiting) == most
    done = 0
    while held.waiting:
        held.waiting.pop(0).callback(None)
        done += 1
        daemon.clock.twisted.pump([0.1] * 2)
        assert len(held.waiting) <= most
    assert done == 6
    assert [one.status for one in daemon.store.states(uris).states] == [Status.INSTALLED] * 2


def test_room_that_is_missing_at_a_restart_does_not_cost_the_downloads(world: World) -> None:
    held = hold(world, "cloud", "store")
    result(started(world).store.install(URI))
    assert held.waiting
    kept = {token: dict(files) for token, files in world.disk.files.items()}
    world.cloud = held._port
    world.disk.free = 1000
    daemon = started(world)
    assert "MiB free" in state(daemon).error_message
    assert world.disk.files == kept


def test_a_cancel_while_the_click_is_written_down_starts_nothing(world: World) -> None:
    held = hold(world, "records", "save_install")
    daemon = started(world)
    clicked = Deferred.fromCoroutine(_awaited(daemon.store.install(URI)))
    cancelled = Deferred.fromCoroutine(_awaited(daemon.store.cancel(URI)))
    held._call = ""
    for gate in held.waiting:
        gate.callback(None)
    daemon.clock.twisted.pump([0.05] * 40)
    assert clicked.called
    assert cancelled.called
    assert not world.fetcher.asked
    assert not daemon.journal.failures
    assert state(daemon).status is Status.UNINSTALLED


def test_an_uninstall_during_the_comparison_with_the_cloud_disturbs_neither(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    held = Held(world.cloud, "is_stored")
    slow = started(world, around=lambda port: held if port is world.cloud else port)
    comparing = Deferred.fromCoroutine(_awaited(slow.store.reconcile()))
    result(slow.store.uninstall(URI))
    held._call = ""
    while held.waiting:
        held.waiting.pop().callback(None)
    assert comparing.called
    assert state(slow).status is Status.UNINSTALLED
    assert nothing_is_left(world)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def test_an_expired_document_is_asked_for_again_after_a_restart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(world, "cloud", "store")
    result(started(world).store.install(URI))
    world.cloud = world.cloud._port  # type: ignore[attr-defined]

    def expired(source: str, image_uri: str, signed_text: bytes) -> Deferred[Any]:
        failing: Deferred[Any] = Deferred()
        failing.errback(DocumentError("it expired"))
        return failing

    monkeypatch.setattr(world.sources, "reread", expired)
    daemon: Daemon = started(world)
    assert state(daemon).status is Status.INSTALLED


def test_a_busy_image_says_so(world: World) -> None:
    world.cloud.trouble["remove"] = CloudError("S3 went away")
    daemon = started(world)
    result(daemon.store.install(URI))
    Deferred.fromCoroutine(_awaited(daemon.store.uninstall(URI)))
    with pytest.raises(CallerError, match="still being uninstalled"):
        result(daemon.store.install(URI))


def test_two_uninstalls_at_once_do_not_both_leave_the_kernel_they_share(world: World) -> None:
    other = f"{URI}0"
    shared = world.sources.documents[URI].files[:2]
    image = make_file(world.fetcher, FileKind.IMAGE, b"another image" * 500)
    world.sources.offer(make_document([*shared, image], uri=other))
    held = Held(world.records, "remove_installation")
    daemon = started(world, around=lambda port: held if port is world.records else port)
    for uri in (URI, other):
        result(daemon.store.install(uri))
    for uri in (URI, other):
        Deferred.fromCoroutine(_awaited(daemon.store.uninstall(uri)))
    held._call = ""
    for gate in held.waiting:
        gate.callback(None)
    daemon.clock.twisted.pump([0.05] * 40)
    assert nothing_is_left(world)


def test_an_uninstall_waits_for_the_undoing_of_a_failed_upgrade(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    world.cloud.trouble["register"] = CloudError("EC2 went away")
    world.cloud.trouble["remove"] = CloudError("S3: denied", retry_helps=False)
    result(daemon.store.install(URI))
    daemon.clock.twisted.pump([10.0] * 60)
    world.cloud.trouble.clear()
    held = hold(world, "cloud", "remove")
    held_daemon = started(world)
    clicked: list[Any] = []
    Deferred.fromCoroutine(_awaited(held_daemon.store.uninstall(URI))).addBoth(clicked.append)
    held_daemon.clock.twisted.pump([0.05] * 40)
    assert "still being taken back" in str(clicked[0].value)
    held._call = ""
    held.waiting[0].callback(None)
    assert result(held_daemon.store.uninstall(URI)).status is Status.UNINSTALLED
    world.cloud = held._port
    assert nothing_is_left(world)
    assert not held_daemon.journal.failures


def test_what_was_deregistered_and_could_not_be_deleted_is_not_taken_for_installed(
    world: World,
) -> None:
    held = hold(world, "cloud", "register")
    daemon = started(world)
    result(daemon.store.install(URI))
    held.waiting[0].callback(None)
    held._port.trouble["remove"] = CloudError("S3: denied", retry_helps=False)
    Deferred.fromCoroutine(_awaited(daemon.store.cancel(URI)))
    daemon.clock.twisted.pump([10.0] * 60)
    assert "S3: denied" in state(daemon).error_message
    held._port.trouble.clear()
    held._call = ""
    done = result(daemon.store.install(URI))
    assert done.status is Status.INSTALLED
    assert {done.emi, done.eki, done.eri} == set(held._port.registered)


def test_a_click_that_cannot_be_written_down_leaves_everything_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.trouble["store"] = CloudError("no route to S3")
    daemon = started(world)
    result(daemon.store.install(URI))

    def full(install: Any, run: Any) -> Deferred[None]:
        return fail(OwnStateError("locked"))

    with monkeypatch.context() as patch:
        patch.setattr(world.records, "save_install", full)
        with pytest.raises(OwnStateError):
            result(daemon.store.install(URI))
    assert state(daemon).error_message == "no route to S3"


def test_a_document_with_another_kernel_takes_the_image_of_the_old_one_out_too(
    world: World,
) -> None:
    held = hold(world, "records", "complete")
    result(started(world).store.install(URI))
    assert held.waiting
    old = world.sources.documents[URI]
    kernel = make_file(world.fetcher, FileKind.KERNEL, b"a newer kernel" * 50)
    newer = make_document([kernel, *old.files[1:]], version="1.1", serial=2)
    world.sources.documents[URI] = newer
    world.records = held._port
    done = state(started(world))
    assert done.status is Status.INSTALLED
    assert world.cloud.kernels[done.emi] == (done.eki, done.eri)
    assert set(world.cloud.registered) == {done.emi, done.eki, done.eri}


def test_one_image_that_cannot_be_looked_at_does_not_hide_another_that_is_gone(
    world: World,
) -> None:
    other = f"{URI}0"
    image = make_file(world.fetcher, FileKind.IMAGE, b"another image" * 500)
    world.sources.offer(make_document([image], uri=other))
    daemon = started(world)
    first = result(daemon.store.install(URI))
    second = result(daemon.store.install(other))
    del world.cloud.registered[second.emi]
    real = world.cloud.is_registered

    def moody(image_id: str) -> Deferred[bool]:
        return fail(CloudError("403")) if image_id == first.eki else real(image_id)

    world.cloud.is_registered = moody  # type: ignore[method-assign]
    listing: Deferred[frozenset[str]] = succeed(frozenset())
    world.cloud.registered_ids = lambda: listing  # type: ignore[method-assign]
    found = result(daemon.store.reconcile())
    assert (found.gone, found.problem) == ((other,), "403")
    assert found.checked == 1

"""Installs from click to EMI, in memory: joins, cancels, failures, crashes."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.model.errors import CallerError, Cancelled, CloudError, DiskError, FetchError
from imagestoreproxy.model.images import Compression, FileKind
from imagestoreproxy.model.installs import Action, ImageState, Status
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


def state(daemon: Daemon) -> ImageState:
    return daemon.store.states([URI]).states[0]


class Held:
    """A port whose named call waits until it is let go, or is cancelled."""

    def __init__(self, port: Any, call: str) -> None:
        self._port, self._call = port, call
        self.waiting: list[Deferred[None]] = []
        self.cancelled = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name != self._call:
            return method

        async def held(*args: Any, **kwargs: Any) -> Any:
            gate: Deferred[None] = Deferred(lambda gate: gate.errback(Cancelled()))
            self.waiting.append(gate)
            try:
                await gate
            except Exception:
                self.cancelled += 1
                raise
            return await method(*args, **kwargs)

        return lambda *args, **kwargs: Deferred.fromCoroutine(held(*args, **kwargs))


def hold(world: World, port: str, call: str) -> Held:
    held = Held(getattr(world, port), call)
    setattr(world, port, held)
    return held


def nothing_is_left(world: World) -> bool:
    records = world.records
    return not (
        world.cloud.stored
        or world.cloud.registered
        or world.disk.files
        or records.installs
        or records.bundles
    )


def test_an_install_ends_with_kernel_ramdisk_and_image_registered_together(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    after = state(daemon)
    assert after.status is Status.INSTALLED
    assert len(world.cloud.registered) == 3
    assert world.cloud.kernels[after.emi] == (after.eki, after.eri)
    assert not world.disk.files
    assert not world.records.installs
    assert world.records.installations[0].document == b'{"version": "1.0"}'


def test_what_the_cloud_has_of_an_image_is_known_until_it_is_removed(world: World) -> None:
    daemon = started(world)
    assert daemon.store.installation(URI) is None
    result(daemon.store.install(URI))
    installation = daemon.store.installation(URI)
    assert installation
    assert installation.emi == state(daemon).emi
    removing = hold(world, "cloud", "deregister")
    daemon = started(world)
    Deferred.fromCoroutine(daemon.store.uninstall(URI))
    assert removing.waiting
    assert daemon.store.installation(URI) is None


def test_an_image_that_no_source_lists_any_more_still_says_whose_it_was(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    installation = daemon.store.installation(URI)
    assert installation
    world.sources.offered.clear()
    (info,) = daemon.store.image(URI).listing.images
    assert info.source == installation.source != ""


def test_what_is_stored_is_what_was_unpacked(world: World) -> None:
    content = b"a file system" * 5000
    packed = gzip.compress(content)
    file = make_file(world.fetcher, FileKind.IMAGE, packed, compression=Compression.GZIP)
    world.sources.offer(make_document([file]))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert list(world.cloud.stored.values()) == [content]


def test_a_second_click_joins_the_first(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    first = result(daemon.store.install(URI))
    second = result(daemon.store.install(URI))
    assert first.status is second.status is Status.DOWNLOADING
    assert second.actions == (Action.CANCEL, Action.PAUSE)
    assert len(held.waiting) == 3, "one download for each file"


def test_an_installed_image_is_not_installed_twice(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    again = result(daemon.store.install(URI))
    assert again.status is Status.INSTALLED
    assert len(world.cloud.registered) == 3


def test_an_image_that_nobody_offers_is_refused(world: World) -> None:
    daemon = started(world)
    with pytest.raises(CallerError) as caught:
        result(daemon.store.install("http://elsewhere.example/1"))
    assert caught.value.status == 404


def test_an_image_that_is_not_for_this_cloud_is_shown_with_the_reason_and_not_installed(
    world: World,
) -> None:
    reason = "It is for armhf."
    world.sources.offered[URI] = replace(world.sources.offered[URI], refused=reason)
    daemon = started(world)
    (state,) = daemon.store.image(URI).states
    assert Action.INSTALL not in state.actions
    with pytest.raises(CallerError) as caught:
        result(daemon.store.install(URI))
    assert caught.value.status == 409
    assert reason in caught.value.message
    assert not world.cloud.registered


@pytest.mark.parametrize(
    ("port", "call"),
    [
        ("fetcher", "download"),
        ("cloud", "check"),
        ("cloud", "store"),
        ("cloud", "register"),
        ("records", "save_bundle"),
        ("sources", "document"),
    ],
)
def test_p8_cancel_leaves_nothing_wherever_the_install_is(
    world: World, port: str, call: str
) -> None:
    held = hold(world, port, call)
    daemon = started(world)
    result(daemon.store.install(URI))
    cancelled = Deferred.fromCoroutine(_awaited(daemon.store.cancel(URI)))
    held._call = ""
    for gate in held.waiting:
        if not gate.called:
            gate.callback(None)
    daemon.clock.twisted.pump([0.05] * 40)
    assert cancelled.called
    assert held.cancelled
    assert state(daemon).status is Status.UNINSTALLED
    assert state(daemon).actions == (Action.INSTALL,)
    assert not state(daemon).error_message
    assert nothing_is_left(world)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def test_an_install_that_waits_for_a_place_can_be_cancelled(world: World) -> None:
    held = hold(world, "fetcher", "download")
    daemon = started(world)
    uris = [f"{URI}{number}" for number in range(3)]
    for uri in uris:
        world.sources.offer(make_document(trio(world.fetcher.__dict__["_port"]).files, uri=uri))
        result(daemon.store.install(uri))
    assert len(held.waiting) == 6, "the files of two installs"
    Deferred.fromCoroutine(_awaited(daemon.store.cancel(uris[2])))
    daemon.clock.twisted.pump([0.05] * 5)
    assert uris[2] not in daemon.inventory.works
    assert len(held.waiting) == 6


def test_nothing_to_cancel_or_to_clear_is_said(world: World) -> None:
    daemon = started(world)
    for call in (daemon.store.cancel, daemon.store.clear_error):
        with pytest.raises(CallerError) as caught:
            result(call(URI))
        assert caught.value.status == 409


def test_h10_s3_and_ec2_are_checked_before_the_first_byte_is_downloaded(world: World) -> None:
    world.cloud.trouble["check"] = CloudError("S3 at http://cloud cannot be reached.")
    daemon = started(world)
    result(daemon.store.install(URI))
    failed = state(daemon)
    assert failed.status is Status.UNINSTALLED
    assert failed.error_message == "S3 at http://cloud cannot be reached."
    assert failed.actions == (Action.INSTALL, Action.RETRY, Action.CLEAR_ERROR)
    assert not world.fetcher.asked


def test_h10_after_a_failed_upload_the_next_try_downloads_nothing_again(world: World) -> None:
    world.cloud.trouble["store"] = CloudError("no route to S3")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert not world.cloud.stored
    assert world.fetcher.asked
    del world.cloud.trouble["store"]
    assert result(daemon.store.install(URI)).status is Status.INSTALLED
    urls = [url for url, _ in world.fetcher.asked]
    assert len(urls) == len(set(urls)) == 3


def test_h16_too_little_disk_is_said_before_the_first_byte(world: World) -> None:
    world.disk.free = 1000
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "MiB free" in state(daemon).error_message
    assert not world.fetcher.asked


def test_p6_a_full_disk_ends_the_install_and_frees_what_is_ours(world: World) -> None:
    url = world.sources.documents[URI].files[2].url
    world.fetcher.pages[url] = DiskError("No space left on device.")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert state(daemon).error_message == "No space left on device."
    assert not world.disk.files


def test_clear_error_forgets_the_error_and_the_files(world: World) -> None:
    world.cloud.trouble["store"] = CloudError("no route to S3")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert world.disk.files
    cleared = result(daemon.store.clear_error(URI))
    assert (cleared.status, cleared.error_message) == (Status.UNINSTALLED, "")
    assert nothing_is_left(world)


def test_an_error_stays_over_a_restart_until_it_is_cleared(world: World) -> None:
    world.cloud.trouble["store"] = CloudError("no route to S3")
    result(started(world).store.install(URI))
    daemon = started(world)
    assert state(daemon).error_message == "no route to S3"
    assert world.disk.files


def test_p7_a_wrong_digest_tries_another_mirror_once_and_then_ends(world: World) -> None:
    mirrors = [f"http://mirror{number}.example/image" for number in range(4)]
    file = make_file(world.fetcher, FileKind.IMAGE, b"right" * 100, mirrors=mirrors)
    for url in (file.url, *mirrors):
        world.fetcher.pages[url] = b"wrong" * 100
    world.sources.offer(make_document([file]))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert [url for url, _ in world.fetcher.asked] == [file.url, mirrors[0]]
    assert "another content than was signed" in state(daemon).error_message
    assert not world.cloud.registered
    assert not world.cloud.stored


@pytest.mark.parametrize("sha256", ["", "0" * 64], ids=["alone", "beside a sha256"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_sha512_is_what_is_checked_where_it_is_signed(
    world: World, sha256: str, keep: bool
) -> None:
    file = make_file(world.fetcher, FileKind.IMAGE, b"right" * 100)
    signed = replace(file, sha256=sha256, sha512=hashlib.sha512(b"right" * 100).hexdigest())
    world.sources.offer(make_document([signed]))
    limits = replace(LIMITS, keep_downloads=keep)
    assert result(started(world, limits=limits).store.install(URI)).status is Status.INSTALLED
    wrong = replace(file, sha512=hashlib.sha512(b"wrong" * 100).hexdigest())
    world.sources.offer(make_document([wrong], version="2", serial=2))
    daemon = started(world, limits=limits)
    result(daemon.store.install(URI))
    assert f"(SHA-512 {signed.sha512[:16]}…" in state(daemon).error_message
    assert len(world.cloud.registered) == 1


def test_a_mirror_stands_in_for_a_url_that_is_gone(world: World) -> None:
    file = make_file(world.fetcher, FileKind.IMAGE, b"right", mirrors=["http://mirror.example/i"])
    world.fetcher.pages["http://mirror.example/i"] = b"right"
    world.fetcher.pages[file.url] = FetchError("404", retry_helps=False)
    world.sources.offer(make_document([file]))
    daemon = started(world)
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


def test_p7_a_broken_link_is_tried_a_bounded_number_of_times(world: World) -> None:
    url = world.sources.documents[URI].files[0].url
    world.fetcher.pages[url] = FetchError(f"{url}: connection reset")
    daemon = started(world)
    result(daemon.store.install(URI))
    daemon.clock.twisted.pump([1.0] * 120)
    assert state(daemon).error_message.endswith("connection reset")
    asked = [one for one, _ in world.fetcher.asked if one == url]
    assert 1 < len(asked) <= 5


def test_an_upgrade_is_offered_and_keeps_the_older_one(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    offered = state(daemon)
    assert (offered.status, offered.is_upgrade) == (Status.UNINSTALLED, True)
    assert offered.installed_version == "1.0"
    assert offered.actions == (Action.INSTALL, Action.UNINSTALL)
    new = result(daemon.store.install(URI))
    assert (new.status, new.is_upgrade) == (Status.INSTALLED, False)
    assert {old.emi, new.emi} <= set(world.cloud.registered)
    assert state(started(world)).emi == new.emi


def test_an_upgrade_comes_from_a_catalogue_that_says_no_date_as_well(tmp_path: Path) -> None:
    world = World(MemoryDisk(tmp_path))
    world.sources.offer(trio(world.fetcher, serial=0))
    daemon = started(world)
    result(daemon.actions.install(URI))
    world.sources.offer(trio(world.fetcher, version="2.0", serial=0))
    result(daemon.actions.install(URI))
    new = state(daemon)
    assert (new.status, new.installed_version, new.error_message) == (Status.INSTALLED, "2.0", "")


def test_an_upgrade_shares_kernel_and_ramdisk_that_did_not_change(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    world.fetcher.asked.clear()
    new = result(daemon.store.install(URI))
    assert (new.eki, new.eri) == (old.eki, old.eri)
    assert new.emi != old.emi
    assert len(world.fetcher.asked) == 1
    assert len(world.cloud.registered) == 4


def test_p11_two_images_share_a_kernel_until_the_last_of_them_is_uninstalled(world: World) -> None:
    other = f"{URI}0"
    shared = world.sources.documents[URI].files[:2]
    image = make_file(world.fetcher, FileKind.IMAGE, b"another image" * 500)
    world.sources.offer(make_document([*shared, image], uri=other))
    daemon = started(world)
    first = result(daemon.store.install(URI))
    second = result(daemon.store.install(other))
    assert first.eki == second.eki
    assert result(daemon.store.uninstall(URI)).status is Status.UNINSTALLED
    assert set(world.cloud.registered) == {second.emi, second.eki, second.eri}
    assert result(started(world).store.uninstall(other)).status is Status.UNINSTALLED
    assert nothing_is_left(world)


def test_a_kernel_that_the_cloud_lost_is_not_shared(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    del world.cloud.registered[old.eki]
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    new = result(daemon.store.install(URI))
    assert new.eki != old.eki
    assert new.eri == old.eri


def test_a_failed_install_leaves_the_kernel_that_it_shared(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    world.cloud.trouble["register"] = CloudError("EC2 went away")
    result(daemon.store.install(URI))
    assert state(daemon).error_message == "EC2 went away"
    assert set(world.cloud.registered) == {old.emi, old.eki, old.eri}


def test_uninstall_takes_all_of_an_image_out_of_the_cloud(world: World) -> None:
    daemon = started(world)
    assert Action.UNINSTALL in result(daemon.store.install(URI)).actions
    after = result(daemon.store.uninstall(URI))
    assert (after.status, after.actions) == (Status.UNINSTALLED, (Action.INSTALL,))
    assert nothing_is_left(world)
    assert not world.records.installations
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


def test_uninstall_makes_no_sense_for_what_is_not_installed_or_going_on(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon = started(world)
    for _ in range(2):
        with pytest.raises(CallerError) as caught:
            result(daemon.store.uninstall(URI))
        assert caught.value.status == 409
        result(daemon.store.install(URI))


def test_an_uninstall_that_the_cloud_interrupts_goes_on_over_a_restart(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.cloud.trouble["remove"] = CloudError("S3 went away")
    Deferred.fromCoroutine(_awaited(daemon.store.uninstall(URI)))
    assert state(daemon).status is Status.INSTALLING
    world.cloud.trouble.clear()
    later = started(world)
    assert state(later).status is Status.UNINSTALLED
    assert nothing_is_left(world)


def test_h11_an_image_deregistered_behind_our_back_is_offered_again(world: World) -> None:
    daemon = started(world)
    old = result(daemon.store.install(URI))
    del world.cloud.registered[old.emi]
    found = result(daemon.store.reconcile())
    assert (found.checked, found.gone) == (1, (URI,))
    gone = state(daemon)
    assert gone.status is Status.UNINSTALLED
    assert gone.actions == (Action.INSTALL, Action.CLEAR_ERROR, Action.FORGET)
    assert f"no longer knows the image {old.emi}" in gone.error_message
    assert state(started(world)).error_message == gone.error_message
    new = result(daemon.store.install(URI))
    assert (new.status, new.error_message) == (Status.INSTALLED, "")
    tidied = result(daemon.store.reconcile())
    assert not tidied.problem, daemon.journal.failures
    assert not tidied.gone
    assert set(world.cloud.registered) == {new.emi, new.eki, new.eri}
    assert len(world.records.installations) == 1


def test_h12_after_a_reinstalled_cloud_everything_can_be_forgotten(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.cloud.registered.clear()
    world.cloud.stored.clear()
    result(daemon.store.reconcile())
    forgotten = result(daemon.store.clear_error(URI))
    assert (forgotten.status, forgotten.error_message) == (Status.UNINSTALLED, "")
    assert nothing_is_left(world)
    assert not world.records.installations


def test_a_manifest_that_vanished_from_s3_is_found_and_so_is_its_return(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    kept = set(world.cloud.sealed)
    world.cloud.sealed.clear()
    assert result(daemon.store.reconcile()).gone == (URI,)
    world.cloud.sealed.update(kept)
    assert result(daemon.store.reconcile()).back == (URI,)
    assert state(daemon).status is Status.INSTALLED


def test_a_cloud_that_cannot_be_asked_changes_nothing(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    world.cloud.registered.clear()
    for call in ("registered_ids", "is_registered"):
        world.cloud.trouble[call] = CloudError("EC2 is away")
    found = result(daemon.store.reconcile())
    assert found.problem == "EC2 is away"
    assert state(daemon).status is Status.INSTALLED


def test_a_bucket_that_no_record_knows_is_reported_and_left_alone(world: World) -> None:
    stranger = "image-store-0123456789abcdef-kernel"
    world.cloud.stored |= {stranger: b"", "somebody-elses": b""}
    daemon = started(world)
    assert result(daemon.store.reconcile()).strangers == (stranger,)
    assert stranger in world.cloud.stored


def test_p9_an_installed_image_stays_when_the_store_no_longer_lists_it(world: World) -> None:
    daemon = started(world)
    emi = result(daemon.store.install(URI)).emi
    world.sources.offered.clear()
    later = state(started(world))
    assert (later.status, later.emi) == (Status.INSTALLED, emi)


def test_a_cloud_that_is_away_does_not_stop_the_undoing_for_good(world: World) -> None:
    world.cloud.trouble["register"] = CloudError("EC2 went away")
    world.cloud.trouble["remove"] = CloudError("S3 went away")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert state(daemon).status is Status.INSTALLING
    assert "S3 went away" in state(daemon).error_message
    with pytest.raises(CallerError) as caught:
        result(daemon.store.install(URI))
    assert caught.value.status == 409
    world.cloud.trouble.clear()
    daemon.clock.twisted.advance(4)
    assert state(daemon).error_message == "EC2 went away"
    assert not world.cloud.stored


def test_progress_never_goes_backwards_over_a_restart(world: World) -> None:
    held = hold(world, "cloud", "register")
    first = started(world)
    result(first.store.install(URI))
    before = state(first).progress
    assert before
    assert before.percent > 40
    hold(world, "fetcher", "download")
    assert held.waiting
    second = started(world)
    after = state(second).progress
    assert after
    assert after.percent >= before.percent


class Mortal:
    """Counts every call that leaves something behind, and dies at one of them."""

    def __init__(self) -> None:
        self.left = 10**9
        self.after = False
        self.count = 0
        self.dead = False

    def around(self, port: Any) -> Any:
        return _Guarded(self, port)


class _Guarded:
    def __init__(self, life: Mortal, port: Any) -> None:
        self._life, self._port = life, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name == "load" or not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            life = self._life
            life.count += 1
            if not life.dead and life.count == life.left:
                life.dead = True
                if life.after:
                    method(*args, **kwargs)
            # What waits for a dead process waits for ever.
            return Deferred() if life.dead else method(*args, **kwargs)

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_p4_a_crash_at_any_step_ends_installed_once_after_a_restart(
    tmp_path: Path, after: bool
) -> None:
    steps = _steps_of_an_install(tmp_path)
    assert steps > 20
    for step in range(1, steps + 1):
        world = World(MemoryDisk(tmp_path))
        world.sources.offer(trio(world.fetcher))
        life = Mortal()
        daemon = started(world, around=life.around)
        life.left, life.after = life.count + step, after
        Deferred.fromCoroutine(_awaited(daemon.store.install(URI)))
        assert life.dead, step
        clicked = URI in world.records.installs or world.records.installations
        later = started(world)
        if not clicked:
            result(later.store.install(URI))
        assert state(later).status is Status.INSTALLED, step
        assert len(world.cloud.registered) == 3, step
        assert len(world.cloud.stored) == 3, step
        assert len(world.records.installations) == 1, step
        assert not world.records.installs, step
        assert not world.disk.files, step


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_p4_a_crash_while_taking_back_leaves_nothing_after_a_restart(
    tmp_path: Path, after: bool
) -> None:
    for step in range(1, 60):
        world = World(MemoryDisk(tmp_path))
        world.sources.offer(trio(world.fetcher))
        life = Mortal()
        held = Held(world.cloud, "register")
        registering = 0

        def around(port: Any, held: Held = held, life: Mortal = life) -> Any:
            return life.around(held if port is held._port else port)

        daemon = started(world, around=around)
        result(daemon.store.install(URI))
        held.waiting[registering].callback(None)  # the kernel is registered, the ramdisk waits
        life.left, life.after = life.count + step, after
        held._call = ""
        Deferred.fromCoroutine(_awaited(daemon.store.cancel(URI)))
        daemon.clock.twisted.pump([0.05] * 40)
        if not life.dead:
            assert step > 8
            assert nothing_is_left(world)
            return
        later = started(world)
        later.clock.twisted.pump([0.05] * 40)
        if step == 1 and not after:  # the cancel itself was lost: the install went on
            assert state(later).status is Status.INSTALLED
            continue
        assert state(later).status is Status.UNINSTALLED, step
        assert nothing_is_left(world), step
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_p4_a_crash_while_uninstalling_leaves_nothing_after_a_restart(
    tmp_path: Path, after: bool
) -> None:
    for step in range(1, 60):
        world = World(MemoryDisk(tmp_path))
        world.sources.offer(trio(world.fetcher))
        life = Mortal()
        daemon = started(world, around=life.around)
        result(daemon.store.install(URI))
        life.left, life.after = life.count + step, after
        Deferred.fromCoroutine(_awaited(daemon.store.uninstall(URI)))
        if not life.dead:
            assert step > 8
            assert nothing_is_left(world)
            return
        later = started(world)
        if step == 1 and not after:  # the click itself was lost
            assert state(later).status is Status.INSTALLED
            continue
        assert state(later).status is Status.UNINSTALLED, step
        assert nothing_is_left(world), step
        assert not world.records.installations, step
    raise AssertionError("it never came to an end")


def _steps_of_an_install(tmp_path: Path) -> int:
    world = World(MemoryDisk(tmp_path))
    world.sources.offer(trio(world.fetcher))
    life = Mortal()
    daemon = started(world, around=life.around)
    before = life.count
    result(daemon.store.install(URI))
    return life.count - before

"""What an install would do, told beforehand: it is what then happens, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from imagestoreproxy.install import previews, together
from imagestoreproxy.model.errors import CallerError, CloudError, DocumentError, FetchError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind, ImageFile
from imagestoreproxy.model.plan import make_plan
from imagestoreproxy.model.previews import PlannedFile, Preview, steps_of
from imagestoreproxy.model.words import size
from tests.unit.memory import (
    LIMITS,
    NOW_S,
    URI,
    Daemon,
    World,
    make_document,
    make_file,
    result,
    started,
    trio,
)
from tests.unit.memory_store import KARMIC, MemorySite, action_path
from tests.unit.test_actions import hold

CACHING = replace(LIMITS, cache_bytes=2**30)
OTHER = f"{URI}0"


def planned(daemon: Daemon, uri: str = URI) -> Preview:
    """Ask for a plan, and let the time pass that it takes."""
    made: list[Any] = []
    Deferred.fromCoroutine(daemon.previews.plan(uri)).addBoth(made.append)
    daemon.clock.twisted.pump([together.POLL_S] * 4)
    assert made, "it waits for something"
    error = getattr(made[0], "value", None)
    if isinstance(error, BaseException):
        raise error
    assert isinstance(made[0], Preview)
    return made[0]


def refused(daemon: Daemon, status: int) -> str:
    with pytest.raises(CallerError) as caught:
        planned(daemon)
    assert caught.value.status == status
    return caught.value.message


def test_a_plan_is_what_the_install_then_does_and_changes_nothing(world: World) -> None:
    daemon = started(world)
    plan = planned(daemon)
    files = world.sources.documents[URI].files
    sizes = {file.kind: file.size_bytes for file in files}
    assert {one.file.kind: one.missing_bytes for one in plan.files} == sizes
    assert plan.fetch_bytes == plan.peak_disk_bytes == sum(sizes.values())
    assert plan.register == [(kind, "") for kind in FileKind]
    assert not plan.problem
    assert plan.has_room
    assert not (world.fetcher.asked or world.records.installs or world.disk.files)
    assert not (world.cloud.stored or daemon.inventory.works)
    result(daemon.store.install(URI))
    assert len(world.fetcher.asked) == len(plan.files)


def test_what_the_cache_has_need_not_come(world: World) -> None:
    daemon = started(world, limits=CACHING)
    result(daemon.store.install(URI))
    result(daemon.store.uninstall(URI))
    plan = planned(daemon)
    assert all(one.is_here for one in plan.files)
    assert plan.fetch_bytes == plan.peak_disk_bytes == 0
    assert "Take 3 files" in plan.steps[0]
    assert not any(step.startswith("Fetch") for step in plan.steps)
    world.fetcher.asked.clear()
    result(daemon.store.install(URI))
    assert not world.fetcher.asked


def test_of_what_a_failed_try_has_left_only_the_rest_is_to_come(world: World) -> None:
    daemon = started(world)
    kernel, *_, image = world.sources.documents[URI].files
    world.fetcher.pages[image.url] = FetchError("away", retry_helps=False)
    result(daemon.store.install(URI))
    (token,) = world.disk.files
    world.disk.files[token][f"image-{image.digest[:16]}"] = b"x" * 100
    plan = planned(daemon)
    missing = {one.file.kind: one.missing_bytes for one in plan.files}
    assert missing[kernel.kind] == 0
    assert missing[image.kind] == image.size_bytes - 100
    assert any("the rest of 1 file" in step for step in plan.steps)


def test_a_kernel_that_another_installation_has_is_shared_and_not_fetched(world: World) -> None:
    daemon = started(world)
    result(daemon.store.install(URI))
    files = (
        *world.sources.documents[URI].files[:2],
        make_file(world.fetcher, FileKind.IMAGE, b"i"),
    )
    world.sources.offer(make_document(files, uri=OTHER))
    plan = planned(daemon, OTHER)
    there = world.records.installations[0]
    assert plan.register == [
        (FileKind.KERNEL, there.eki), (FileKind.RAMDISK, there.eri), (FileKind.IMAGE, ""),
    ]  # fmt: skip
    assert [one.file.kind for one in plan.files] == [FileKind.IMAGE]
    assert f"Use the kernel {there.eki}, which is the same." in plan.steps
    assert plan.steps[-2:] == ("Upload the image.", "Register the image.")
    del world.cloud.registered[there.eki]
    daemon.clock.twisted.advance(previews.KEEP_S)
    assert planned(daemon, OTHER).register[0] == (FileKind.KERNEL, "")


def test_an_upgrade_is_called_one(world: World) -> None:
    daemon = started(world)
    assert not planned(daemon).is_upgrade
    result(daemon.store.install(URI))
    world.sources.offer(trio(world.fetcher, version="1.1", serial=2))
    plan = planned(daemon)
    assert plan.is_upgrade
    assert plan.version == "1.1"


def test_what_install_refuses_has_no_plan(world: World) -> None:
    daemon = started(world)
    with pytest.raises(CallerError) as caught:
        planned(daemon, "http://elsewhere.example/1")
    assert caught.value.status == 404
    offered = world.sources.offered[URI]
    world.sources.offered[URI] = replace(offered, refused="It is for armhf.")
    assert "armhf" in refused(daemon, 409)
    world.sources.offered[URI] = offered
    result(daemon.store.install(URI))
    assert "installed as emi-" in refused(daemon, 409)


def test_while_it_is_being_installed_there_is_nothing_to_plan(world: World) -> None:
    hold(world, "fetcher", "download")
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "downloading" in refused(daemon, 409)


def test_a_document_that_is_not_to_be_had_or_not_newer_is_refused_as_by_install(
    world: World,
) -> None:
    daemon = started(world)
    document = world.sources.documents.pop(URI)
    with pytest.raises(FetchError):
        planned(daemon)
    world.sources.offer(document)
    result(daemon.store.install(URI))
    world.sources.offered[URI] = replace(document.info, version="1.1")
    with pytest.raises(DocumentError, match="still version"):
        planned(daemon)


def test_h11_a_cloud_that_refuses_is_told_and_the_plan_is_there_all_the_same(world: World) -> None:
    daemon = started(world)
    world.cloud.trouble["check"] = CloudError("EC2 says: AuthFailure.")
    plan = planned(daemon)
    assert plan.problem == "EC2 says: AuthFailure."
    assert plan.files


def test_a_cloud_that_is_silent_is_not_waited_for_for_long(world: World) -> None:
    held = hold(world, "cloud", "check")
    daemon = started(world)
    made: list[Preview] = []
    Deferred.fromCoroutine(daemon.previews.plan(URI)).addCallback(made.append)
    daemon.clock.twisted.pump([1.0] * 20)
    assert "did not answer within" in made[0].problem
    assert held.cancelled == 1


def test_a_source_that_is_silent_is_not_waited_for_for_long(world: World) -> None:
    held = hold(world, "sources", "document")
    daemon = started(world)
    failed: list[Any] = []
    Deferred.fromCoroutine(daemon.previews.plan(URI)).addErrback(failed.append)
    daemon.clock.twisted.pump([1.0] * 40)
    assert failed[0].check(FetchError)
    assert failed[0].value.retry_helps
    assert held.cancelled == 1


def test_h16_too_little_room_is_said_with_both_numbers(world: World) -> None:
    world.disk.free = 64 * 2**20 + 1000
    plan = planned(started(world))
    assert not plan.has_room
    assert plan.free_bytes == 1000
    assert "1000 B" in plan.problem
    assert size(plan.peak_disk_bytes) in plan.problem


def test_what_the_cache_would_give_up_counts_as_free(world: World) -> None:
    daemon = started(world, limits=CACHING)
    file = make_file(world.fetcher, FileKind.IMAGE, b"c" * 50)
    world.sources.offer(make_document([file], uri=OTHER))
    result(daemon.store.install(OTHER))
    world.disk.free = 64 * 2**20 + 1000
    assert planned(daemon).free_bytes == 1050


def test_who_asks_for_the_same_plan_shares_it_for_some_seconds(world: World) -> None:
    asked: list[str] = []
    document = world.sources.document

    def noted(source: str, uri: str) -> Any:
        asked.append(uri)
        return document(source, uri)

    world.sources.document = noted  # type: ignore[method-assign, assignment]
    daemon = started(world)
    assert planned(daemon) is planned(daemon)
    assert asked == [URI]
    daemon.clock.twisted.advance(previews.KEEP_S)
    planned(daemon)
    assert asked == [URI, URI]


def test_a_plan_that_failed_is_made_again_at_once(world: World) -> None:
    daemon = started(world)
    document = world.sources.documents.pop(URI)
    with pytest.raises(FetchError):
        planned(daemon)
    world.sources.documents[URI] = document
    assert planned(daemon).files


def test_few_plans_are_made_at_a_time(world: World) -> None:
    hold(world, "sources", "document")
    daemon = started(world)
    for number in range(previews.AT_ONCE + 1):
        uri = f"{URI}{number}"
        world.sources.__dict__["_port"].offer(trio(world.fetcher, uri=uri))
    failed: list[Any] = []
    for number in range(previews.AT_ONCE + 1):
        plan = daemon.previews.plan(f"{URI}{number}")
        Deferred.fromCoroutine(plan).addErrback(failed.append)
    (failure,) = failed
    assert failure.value.status == 503
    daemon.clock.twisted.pump([1.0] * 40)


def test_few_wait_for_plans(world: World) -> None:
    hold(world, "sources", "document")
    daemon = started(world)
    failed: list[Any] = []
    for _ in range(previews.WAITING + 1):
        Deferred.fromCoroutine(daemon.previews.plan(URI)).addErrback(failed.append)
    (failure,) = failed
    assert failure.value.status == 503
    daemon.clock.twisted.pump([1.0] * 40)


def a_file(**fields: Any) -> ImageFile:
    made = ImageFile(FileKind.IMAGE, "http://cdn.example:81/i", "0" * 64, 3 * 2**20)
    return replace(made, **fields)


MEMBERS = ((FileKind.KERNEL, "*vmlinuz*"), (FileKind.IMAGE, "*.img"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"compression": Compression.XZ}, "Unpack the xz-compressed image."),
        ({"format": FileFormat.QCOW2}, "Convert the image from qcow2 to a raw disk."),
        (
            {"format": FileFormat.TAR, "compression": Compression.GZIP, "members": MEMBERS},
            "Take kernel and image out of the gzip-compressed tar.",
        ),
        (
            {"format": FileFormat.TAR, "find_members": True},
            "Look into the tar for kernel, ramdisk and image.",
        ),
    ],
)
def test_each_step_is_a_plain_sentence(fields: dict[str, Any], said: str | None) -> None:
    document = make_document([a_file(**fields)])
    plan = make_plan(document)
    files = [PlannedFile(file) for file in plan.fetches]
    steps = steps_of(document, files, plan.parts, [(FileKind.IMAGE, "")])
    assert steps[0] == "Fetch 1 file, 3.0 MiB, from cdn.example."
    assert steps[1] == f"Check it against the SHA-256 that is signed with the key {'0' * 40}."
    assert list(steps[2:-2]) == ([said] if said else [])


def test_who_has_signed_is_named_and_that_nobody_has_is_said() -> None:
    document = make_document([a_file()])
    files = [PlannedFile(a_file())]
    steps = steps_of(document, files, (), [], "Example Store")
    assert "signed by Example Store" in steps[1]
    unsigned = replace(document, fingerprint="", info=replace(document.info, is_unsigned=True))
    assert "nobody has signed" in steps_of(unsigned, files, (), [])[1]


def test_the_signer_is_named_by_the_key_and_fit_to_be_shown(world: World) -> None:
    daemon = started(world, name_of=lambda key: f"Store\n{key[:4]}")
    plan = planned(daemon)
    assert plan.signer == "Store 0000"
    assert any("signed by Store 0000" in step for step in plan.steps)


def test_many_hosts_are_counted() -> None:
    files = [PlannedFile(a_file(url=f"http://h{number}.example/i")) for number in range(5)]
    (fetch, *_) = steps_of(make_document([a_file()]), files, (), [])
    assert fetch == "Fetch 5 files, 15.0 MiB, from h0.example, h1.example, h2.example and 2 more."


class MemoryPlanning:
    """Gives what it was told to."""

    def __init__(self, make: Callable[[str], Preview]) -> None:
        self._make = make

    async def plan(self, image_uri: str) -> Preview:
        return self._make(image_uri)


def a_preview(uri: str, **fields: Any) -> Preview:
    made = Preview(
        image_uri=uri,
        version="1.0",
        is_upgrade=False,
        architecture="x86_64",
        virtualization="hvm",
        fingerprint="F" * 40,
        signer="",
        published_s=int(NOW_S),
        expires_s=0,
        files=[PlannedFile(a_file(url="http://me:secret@cdn.example/i"), 2**20)],
        peak_disk_bytes=100,
        free_bytes=99,
        conversions=["image: gzip"],
        register=[(FileKind.KERNEL, "eki-1"), (FileKind.IMAGE, "")],
        steps=["Fetch it."],
        problem="",
    )
    return replace(made, **fields)


def test_the_page_of_a_plan_has_all_that_was_agreed_on() -> None:
    site = MemorySite(planning=MemoryPlanning(a_preview))
    assert site.get(action_path(KARMIC, "plan")).json == {
        "plan": {
            "image-uri": KARMIC, "version": "1.0", "is-upgrade": False, "architecture": "x86_64",
            "virtualization": "hvm", "signed-by": {"fingerprint": "F" * 40},
            "published-at": "2026-09-21T14:13:20Z",
            "fetch": [{"kind": "image", "url": "http://***@cdn.example/i", "bytes": 3 * 2**20,
                       "cached": False}],
            "fetch-bytes": 2 * 2**20, "peak-disk-bytes": 100, "free-bytes": 99,
            "enough-room": False, "convert": ["image: gzip"],
            "register": [{"kind": "kernel", "shared-with": "eki-1"}, {"kind": "image"}],
            "steps": ["Fetch it."],
        }
    }  # fmt: skip


def test_the_page_tells_what_else_is_known() -> None:
    planning = MemoryPlanning(
        lambda uri: a_preview(uri, signer="Me", problem="It is full.", expires_s=int(NOW_S))
    )
    plan = MemorySite(planning=planning).get(action_path(KARMIC, "plan")).json["plan"]
    assert plan["signed-by"]["name"] == "Me"
    assert plan["problem"] == "It is full."
    assert plan["expires-at"] == "2026-09-21T14:13:20Z"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CallerError("No store.", 404), 404),
        (CallerError("It is there.", 409), 409),
        (DocumentError("Not to be believed."), 502),
        (FetchError("Away."), 503),
    ],
)
def test_a_refusal_is_told_in_plain_words(error: Exception, status: int) -> None:
    def refuse(uri: str) -> Preview:
        raise error

    reply = MemorySite(planning=MemoryPlanning(refuse)).get(action_path(KARMIC, "plan"))
    assert reply.status == status
    assert reply.error == str(error)


def test_a_plan_is_asked_for_not_done_and_only_where_there_are_plans() -> None:
    site = MemorySite(planning=MemoryPlanning(a_preview))
    assert site.post(action_path(KARMIC, "plan")).status == 405
    assert MemorySite().get(action_path(KARMIC, "plan")).status == 404

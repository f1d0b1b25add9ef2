"""Tarballs whose members nobody signed: looked into, installed, refused, over crashes too."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from imagestoreproxy.install.contents import Contents
from imagestoreproxy.install.feed import FileFeed
from imagestoreproxy.install.tail import Tails
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    ImageDocument,
    ImageFile,
    Virtualization,
)
from imagestoreproxy.model.installs import Status, Step
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Stop
from tests.unit.memory import (
    LIMITS,
    URI,
    InlineBackground,
    MemoryDisk,
    MemoryJournal,
    World,
    make_document,
    make_file,
    result,
    started,
    trio,
)
from tests.unit.test_actions import Mortal, _awaited, hold, nothing_is_left, state
from tests.unit.test_sparse import sparse
from tests.unit.test_unpack import make_tar, member

T = TypeVar("T")

IMAGE = bytes(512) + b"file system" * 300 + bytes(20_000)
SPARSE_IMAGE = sparse("gnu", len(IMAGE), [(512, 3300)], b"file system" * 300, name="c-blank.img")
KERNEL, RAMDISK = b"kernel" * 300, b"ramdisk" * 200


def packed(*members: tuple[str, bytes]) -> bytes:
    """Pack files and, at the end, an image with holes."""
    before = make_tar(*(member(name, content) for name, content in members)).rstrip(b"\0")
    before += bytes(-len(before) % 512)
    return gzip.compress(before + SPARSE_IMAGE)


CIRROS = packed(("c-initrd", RAMDISK), ("README", b"read me"), ("c-vmlinuz", KERNEL))
UBUNTU = packed(("u-floppy", b"no"), ("u-loader", b"loader" * 99), ("u-vmlinuz-virtual", KERNEL))
LOADER = packed(("u-loader", b"loader" * 99))


def tarball(world: World, content: bytes, **options: Any) -> ImageDocument:
    file = make_file(world.fetcher, FileKind.IMAGE, content, compression=Compression.GZIP)
    file = replace(file, format=FileFormat.TAR, find_members=True, **options)
    return make_document([file])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(MemoryDisk(tmp_path))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("archive", "stored"),
    [
        (CIRROS, {"kernel": KERNEL, "ramdisk": RAMDISK, "image": IMAGE}),
        (UBUNTU, {"kernel": KERNEL, "image": IMAGE}),
        (LOADER, {"kernel": b"loader" * 99, "image": IMAGE}),
    ],
    ids=["cirros", "ubuntu", "loader"],
)
def test_what_is_in_a_tarball_is_found_and_registered_together(
    world: World, archive: bytes, stored: dict[str, bytes], keep: bool
) -> None:
    world.sources.offer(tarball(world, archive))
    daemon = started(world, limits=replace(LIMITS, keep_downloads=keep))
    result(daemon.store.install(URI))
    after = state(daemon)
    assert after.status is Status.INSTALLED, after.error_message
    assert {name.rpartition("-")[2]: held for name, held in world.cloud.stored.items()} == stored
    assert len(world.cloud.registered) == len(stored)
    assert world.cloud.kernels[after.emi] == (after.eki, after.eri)
    assert bool(after.eri) == ("ramdisk" in stored)
    assert len(world.fetcher.asked) == 1, "the look has fetched it for all"
    assert not world.disk.files


def test_a_tarball_signed_with_sha512_alone_is_looked_into(world: World) -> None:
    digest = hashlib.sha512(CIRROS).hexdigest()
    world.sources.offer(tarball(world, CIRROS, sha256="", sha512=digest))
    daemon = started(world)
    assert result(daemon.store.install(URI)).status is Status.INSTALLED
    assert world.records.installations[0].bundles[0].content.startswith(f"{digest}/c-vmlinuz/")


class OneWish:
    """A stop that is set after the first block."""

    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks > 4:
            raise Cancelled

    def wait(self, seconds: float) -> None:
        raise AssertionError("not used")


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_a_look_into_a_large_archive_ends_when_it_is_asked_to(
    world: World, compression: Compression
) -> None:
    tar = make_tar(member("big", bytes(2**23)))
    content = tar if compression is Compression.NONE else gzip.compress(tar, 0)
    disk = MemoryDisk(world.disk.directory)
    stop = OneWish()

    class Background(InlineBackground):
        def run(self, work: Callable[[Stop], T]) -> Deferred[T]:
            try:
                return succeed(work(stop))
            except Cancelled as error:
                return fail(error)

    background = Background(MemoryJournal())
    contents = Contents(tails=cast("Tails", None), background=background, max_unpacked_bytes=2**30)
    held = disk.partial("token", "image", len(content), stop)
    held.begin(resumed=False, validator="")
    held.write(content)
    feed = FileFeed(held, lambda: disk.path("token", "image"), len(content), lambda _: None)
    file = replace(tarball(world, content).files[0], compression=compression)
    with pytest.raises(Cancelled):
        result(contents.member_names(file, feed))
    assert stop.checks == 5


def test_names_that_would_be_globs_are_taken_as_they_are(world: World) -> None:
    tar = make_tar(
        member("[v]mlinuz", b"not this one"),
        member("vmlinuz*", b"kernel"),
        member("vmlinuz-2", b"not this one"),
        member("a[bc].img", b"nor this"),
        member("[a-z]?.img", b"image"),
    )
    world.sources.offer(tarball(world, gzip.compress(tar)))
    daemon = started(world)
    assert result(daemon.store.install(URI)).status is Status.INSTALLED
    assert sorted(world.cloud.stored.values()) == [b"image", b"kernel"]


def test_its_progress_goes_from_downloading_over_unpacking_to_uploading(world: World) -> None:
    steps: list[Step] = []
    percents: list[int] = []
    world.sources.offer(tarball(world, CIRROS))
    daemon = started(world)
    save = world.records.save_install

    def noted(install: Any, run: Any = None) -> Any:
        work = daemon.inventory.works.get(URI)
        if work and (not steps or steps[-1] is not work.meter.step):
            steps.append(work.meter.step)
        percents.append(install.progress_percent)
        return save(install, run)

    world.records.save_install = noted  # type: ignore[method-assign]
    result(daemon.store.install(URI))
    assert state(daemon).status is Status.INSTALLED
    assert steps[steps.index(Step.CHECKING) :] == [
        Step.CHECKING,
        Step.DOWNLOADING,
        Step.UNPACKING,
        Step.UPLOADING,
        Step.REGISTERING,
    ]
    assert percents == sorted(percents)


def test_the_members_are_found_only_in_what_was_verified(world: World) -> None:
    document = tarball(world, CIRROS)
    world.fetcher.pages[document.files[0].url] = UBUNTU.ljust(len(CIRROS), b"\0")
    world.sources.offer(document)
    daemon = started(world)
    result(daemon.store.install(URI))
    assert (
        "was signed" in state(daemon).error_message or "are signed" in state(daemon).error_message
    )
    assert not world.cloud.stored
    assert not world.records.bundles


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (make_tar(member("vmlinuz", b"x")), "no image: none of its files is named '*.img'"),
        (make_tar(member("a.img", b"x")), "no kernel"),
        (make_tar(member("vmlinuz", b"x"), member("a.img", b"x")) + b"<html>", "follows its end"),
        (make_tar(member("vmlinuz", b"x"), member("../a.img", b"x")), "'..' in its name"),
        (sparse("gnu", 2**60, [(0, 2**59)], b""), "map of a sparse member is broken"),
        (b"<html>404</html>".ljust(600), "looks like an HTML"),
    ],
)
def test_a_hostile_tarball_ends_in_one_sentence_and_nothing_in_the_cloud(
    world: World, tar: bytes, words: str
) -> None:
    world.sources.offer(tarball(world, gzip.compress(tar)))
    daemon = started(world)
    result(daemon.store.install(URI))
    said = state(daemon).error_message
    assert said.startswith("The image from http://store.example/files/image-")
    assert "cannot be unpacked: " in said
    assert words in said
    assert said.isprintable()
    assert not world.cloud.stored
    assert not world.records.bundles
    result(daemon.store.clear_error(URI))
    assert nothing_is_left(world)


def test_a_hole_larger_than_an_image_may_be_leaves_nothing_in_the_cloud(world: World) -> None:
    tar = make_tar(member("vmlinuz", KERNEL)).rstrip(b"\0")
    tar += bytes(-len(tar) % 512) + sparse("gnu", 2**60, [(0, 512)], bytes(512))
    world.sources.offer(tarball(world, gzip.compress(tar)))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "--max-unpacked-size" in state(daemon).error_message
    assert not world.cloud.stored
    assert not world.records.bundles


def test_a_kernel_that_is_there_twice_is_refused(world: World) -> None:
    kernel = make_file(world.fetcher, FileKind.KERNEL, b"kernel")
    tar = tarball(world, CIRROS)
    world.sources.offer(replace(tar, files=(kernel, *tar.files)))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "more than one kernel" in state(daemon).error_message
    assert not world.cloud.stored


def test_h16_too_little_disk_is_said_before_the_first_byte_whatever_is_kept(world: World) -> None:
    world.sources.offer(tarball(world, CIRROS))
    world.disk.free = 64 * 2**20 + len(CIRROS) - 1
    daemon = started(world, limits=replace(LIMITS, keep_downloads=False))
    result(daemon.store.install(URI))
    assert "MiB free" in state(daemon).error_message
    world.disk.free = 10**12
    world.cloud.trouble["check"] = CloudError("S3 cannot be reached.")
    result(daemon.store.install(URI))
    assert state(daemon).error_message == "S3 cannot be reached."
    assert not world.fetcher.asked


@pytest.mark.parametrize(("port", "call"), [("fetcher", "download"), ("cloud", "store")])
def test_p8_cancel_leaves_nothing_wherever_it_is(world: World, port: str, call: str) -> None:
    world.sources.offer(tarball(world, CIRROS))
    held = hold(world, port, call)
    daemon = started(world)
    result(daemon.store.install(URI))
    assert held.waiting
    cancelled = Deferred.fromCoroutine(_awaited(daemon.store.cancel(URI)))
    daemon.clock.twisted.pump([0.05] * 40)
    assert cancelled.called
    assert held.cancelled
    assert state(daemon).status is Status.UNINSTALLED
    assert not state(daemon).error_message
    assert nothing_is_left(world)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_p4_a_crash_at_any_step_ends_installed_once_after_a_restart(
    tmp_path: Path, after: bool, keep: bool
) -> None:
    limits = replace(LIMITS, keep_downloads=keep)
    for step in range(1, 200):
        world = World(MemoryDisk(tmp_path))
        world.sources.offer(tarball(world, CIRROS))
        life = Mortal()
        daemon = started(world, around=life.around, limits=limits)
        life.left, life.after = life.count + step, after
        Deferred.fromCoroutine(_awaited(daemon.store.install(URI)))
        if not life.dead:
            assert step > 20
            return
        clicked = URI in world.records.installs or world.records.installations
        later = started(world, limits=limits)
        if not clicked:
            result(later.store.install(URI))
        assert state(later).status is Status.INSTALLED, step
        assert sorted(world.cloud.stored.values()) == sorted([KERNEL, RAMDISK, IMAGE]), step
        assert len(world.cloud.registered) == 3, step
        assert len(world.records.installations) == 1, step
        assert not world.records.installs, step
        assert not world.disk.files, step
        assert len(world.fetcher.asked) <= 2, step
    raise AssertionError("it never came to an end")


OLD = Taking(virtualizations=frozenset({Virtualization.PARAVIRTUAL}))
STRICT = Taking(needs_ramdisk=True)


def without_ramdisk(document: ImageDocument) -> ImageDocument:
    files: Sequence[ImageFile] = [file for file in document.files if file.kind != "ramdisk"]
    return replace(document, files=tuple(files))


@pytest.mark.parametrize(
    ("taking", "change", "words"),
    [
        (OLD, {"virtualization": Virtualization.HVM}, "it is hvm, but the cloud takes paravirtual"),
        (Taking(), {"architecture": Architecture.AARCH64}, "the cloud takes i386 and x86_64"),
        (Taking(architectures=frozenset()), {}, "it is for x86_64, but the cloud takes none"),
        (STRICT, None, "it is paravirtual and has no ramdisk"),
        (
            Taking(max_image_bytes=5000),
            {},
            "it unpacks to 7.9 KiB, but the cloud takes images of at most 4.9 KiB; where it takes "
            "larger ones, say so with --cloud-max-image-size",
        ),
    ],
)
def test_what_the_cloud_cannot_run_is_refused_before_the_first_byte(
    world: World, taking: Taking, change: dict[str, Any] | None, words: str
) -> None:
    document = trio(world.fetcher)
    world.sources.offer(
        without_ramdisk(document) if change is None else replace(document, **change)
    )
    world.cloud.taking = taking
    daemon = started(world)
    result(daemon.store.install(URI))
    assert state(daemon).error_message.startswith("An image cannot run in this cloud: ")
    assert words in state(daemon).error_message
    assert not world.fetcher.asked
    assert not world.cloud.stored
    world.cloud.taking = Taking(architectures=frozenset(Architecture))
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


def test_a_tarball_that_turns_out_to_have_no_ramdisk_is_refused_where_one_is_needed(
    world: World,
) -> None:
    world.cloud.taking = STRICT
    world.sources.offer(tarball(world, UBUNTU))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "it is paravirtual and has no ramdisk" in state(daemon).error_message
    assert not world.cloud.stored
    assert not world.records.bundles
    world.sources.offer(tarball(world, CIRROS))
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


@pytest.mark.parametrize("form", ["member", "gzip", "pipe"])
def test_an_image_that_proves_to_be_too_large_is_refused_and_nothing_stays(
    world: World, form: str
) -> None:
    """What it unpacks to is known before the end of the install, and is said with the setting."""
    world.cloud.taking = Taking(max_image_bytes=len(IMAGE) - 1)
    if form == "member":
        world.sources.offer(tarball(world, CIRROS))
    else:
        file = make_file(
            world.fetcher, FileKind.IMAGE, gzip.compress(IMAGE), compression=Compression.GZIP
        )
        world.sources.offer(make_document([file]))
    daemon = started(world, limits=replace(LIMITS, keep_downloads=form != "pipe"))
    result(daemon.store.install(URI))
    assert "too large for this cloud: it unpacks to" in state(daemon).error_message
    assert "--cloud-max-image-size" in state(daemon).error_message
    assert not world.cloud.stored
    assert not world.cloud.registered
    assert not world.records.bundles
    world.cloud.taking = Taking(max_image_bytes=0)
    assert result(daemon.store.install(URI)).status is Status.INSTALLED


def test_a_tarball_of_kernel_and_file_system_is_no_hvm_disk(world: World) -> None:
    document = tarball(world, CIRROS)
    world.sources.offer(replace(document, virtualization=Virtualization.HVM))
    daemon = started(world)
    result(daemon.store.install(URI))
    assert "it is hvm, one bootable disk" in state(daemon).error_message
    assert not world.fetcher.asked


def test_a_restart_does_not_fetch_a_tarball_again(world: World) -> None:
    held = hold(world, "cloud", "register")
    world.sources.offer(tarball(world, CIRROS))
    result(started(world).store.install(URI))
    assert held.waiting
    world.cloud = held._port
    daemon = started(world)
    assert state(daemon).status is Status.INSTALLED
    assert len(world.fetcher.asked) == 1
    assert len(world.cloud.registered) == 3

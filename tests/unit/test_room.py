"""Room on the disk: each byte of an install counts once, whether it lies there or is promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.room import SPARE_BYTES, Room
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.model.images import FileFormat, FileKind
from imagestoreproxy.model.plan import Plan, bucket_name, download_name
from tests.unit.memory import (
    InlineBackground,
    MemoryCloud,
    MemoryDisk,
    MemoryFetcher,
    MemoryJournal,
    make_file,
    result,
)

GIB = 2**30
FIRST, SECOND = "a" * 16, "b" * 16


def work_of(token: str) -> Work:
    return cast(Work, SimpleNamespace(install=SimpleNamespace(token=token)))


def plan_of(peak_disk_bytes: int) -> Plan:
    return Plan("uri", "1", (), (), 0, peak_disk_bytes)


def no_room(_size_bytes: int, *, besides: object) -> None:
    """A cache that has nothing to give up."""


def room_of(disk: MemoryDisk, cloud: MemoryCloud) -> Room:
    cache = cast(Cache, SimpleNamespace(make_room=no_room, has=lambda _file: False))
    return Room(disk, cache, cloud, InlineBackground(MemoryJournal()))


def test_what_a_conversion_has_written_is_no_longer_promised(tmp_path: Path) -> None:
    disk = MemoryDisk(tmp_path)
    disk.free = 10 * 2**20 + SPARE_BYTES
    room = room_of(disk, MemoryCloud())
    file = make_file(MemoryFetcher(), FileKind.IMAGE, b"disk")
    file = replace(file, format=FileFormat.QCOW2)
    result(room.take(work_of(FIRST), replace(plan_of(8 * 2**20), fetches=(file,))))
    disk.path(FIRST, f"{download_name(file)}.raw").write_bytes(b"r" * 4 * 2**20)
    disk.free -= 4 * 2**20
    result(room.take(work_of(SECOND), plan_of(2 * 2**20)))
    with pytest.raises(DiskError, match="4 MiB are kept for others"):
        result(room.take(work_of(SECOND), plan_of(3 * 2**20)))


def test_what_tools_have_laid_down_is_no_longer_promised(tmp_path: Path) -> None:
    disk, cloud = MemoryDisk(tmp_path), MemoryCloud()
    disk.free = 10 * GIB + SPARE_BYTES
    room = room_of(disk, cloud)
    result(room.take(work_of(FIRST), plan_of(6 * GIB)))
    with pytest.raises(DiskError, match="6144 MiB are kept for others"):
        result(room.take(work_of(SECOND), plan_of(5 * GIB)))
    room.give_back(work_of(SECOND))
    # Four of the six are written: six are free, of which two are promised.
    disk.free -= 4 * GIB
    cloud.laid_down[bucket_name(FIRST, FileKind.IMAGE)] = 3 * GIB
    cloud.laid_down[bucket_name(FIRST, FileKind.KERNEL)] = GIB
    result(room.take(work_of(SECOND), plan_of(4 * GIB)))
    with pytest.raises(DiskError, match="2048 MiB are kept for others"):
        result(room.take(work_of(SECOND), plan_of(4 * GIB + 1)))

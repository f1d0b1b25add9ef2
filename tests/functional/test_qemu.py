"""Conversion of qcow2 disks, and helper programs, with the real things."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.model.errors import Cancelled, UnpackError
from imagestoreproxy.outside import process, qemu
from imagestoreproxy.outside.background import StopFlag, Threads
from imagestoreproxy.outside.process import Bounds, Processes
from imagestoreproxy.outside.qemu import QemuImg
from imagestoreproxy.ports.programs import ProgramMissingError, ProgramStuckError
from tests.functional.reactor_thread import in_reactor, running_reactor

LIMIT = 64 << 20
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img (package qemu-utils) is not installed"
)


@pytest.fixture
def images() -> Iterator[QemuImg]:
    threads = Threads(running_reactor(), size=2)
    yield QemuImg(threads)
    threads.close()


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, timeout=30)


@needs_qemu
def test_a_qcow2_disk_becomes_the_same_raw_bytes_with_holes(
    images: QemuImg, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    with raw.open("wb") as file:
        file.write(os.urandom(100_000))
        file.seek(20 << 20)
        file.write(os.urandom(4096))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", raw, tmp_path / "disk")
    target = tmp_path / "out"
    assert in_reactor(images.to_raw, tmp_path / "disk", target, LIMIT) == raw.stat().st_size
    assert target.read_bytes() == raw.read_bytes()
    assert target.stat().st_blocks * 512 < 2 << 20
    assert target.stat().st_mode & 0o777 == 0o600


@needs_qemu
@pytest.mark.parametrize(
    "options", [["-b", "/etc/passwd", "-F", "raw"], ["-o", "data_file=elsewhere,data_file_raw=on"]]
)
def test_disks_that_name_other_files_are_refused(
    images: QemuImg, tmp_path: Path, options: list[str]
) -> None:
    disk = tmp_path / "disk"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(disk), "8M"],
        check=True,
        cwd=tmp_path,
        timeout=30,
    )
    with pytest.raises(UnpackError, match="refers to another file"):
        in_reactor(images.to_raw, disk, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


@needs_qemu
def test_a_disk_larger_than_the_limit_is_refused_before_a_byte_is_written(
    images: QemuImg, tmp_path: Path
) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk", "1T")
    with pytest.raises(UnpackError, match=f"1099511627776 bytes; at most {LIMIT}"):
        in_reactor(images.to_raw, tmp_path / "disk", tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


@needs_qemu
def test_a_broken_disk_is_an_unpack_error_and_leaves_nothing(
    images: QemuImg, tmp_path: Path
) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk", "8M")
    with (tmp_path / "disk").open("r+b") as file:
        file.seek(36)
        file.write(struct.pack(">I", 0xFFFFFFFF))  # the length of the first table
    with pytest.raises(UnpackError, match="could not be read by qemu-img"):
        in_reactor(images.to_raw, tmp_path / "disk", tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


def test_what_is_no_qcow2_is_said_to_be_none(images: QemuImg, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"\0" * 4096)
    with pytest.raises(UnpackError, match="disk is not in the format qcow2"):
        in_reactor(images.to_raw, tmp_path / "disk", tmp_path / "out", LIMIT)


def test_a_missing_qemu_img_names_the_package(
    images: QemuImg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = b"QFI\xfb" + struct.pack(">IQI4xQI", 3, 0, 0, 1 << 20, 0) + bytes(80)
    (tmp_path / "disk").write_bytes(header)
    monkeypatch.setattr(process, "ENVIRONMENT", {"PATH": str(tmp_path)})
    with pytest.raises(UnpackError, match="package qemu-utils"):
        in_reactor(images.to_raw, tmp_path / "disk", tmp_path / "out", LIMIT)


def test_an_encrypted_disk_is_refused(images: QemuImg, tmp_path: Path) -> None:
    header = b"QFI\xfb" + struct.pack(">IQI4xQI", 3, 0, 0, 1 << 20, 2)  # LUKS
    (tmp_path / "disk").write_bytes(header + bytes(80))
    with pytest.raises(UnpackError, match="is encrypted"):
        in_reactor(images.to_raw, tmp_path / "disk", tmp_path / "out", LIMIT)


def test_the_header_alone_tells_of_an_external_data_file(tmp_path: Path) -> None:
    header = b"QFI\xfb" + struct.pack(">IQI4xQI", 3, 0, 0, 1 << 20, 0)
    disk = tmp_path / "disk"
    disk.write_bytes(header.ljust(72, b"\0") + struct.pack(">Q", 0b100))
    with pytest.raises(UnpackError, match="data-file"):
        qemu._check_header(disk, LIMIT)


def test_a_program_gets_no_environment_and_its_streams_are_kept_apart() -> None:
    done = Processes().run(
        ["sh", "-c", "env; echo oops >&2; exit 3"], StopFlag(), silence_s=10, limit_bytes=1000
    )
    assert done.status == 3
    assert done.errors == "oops\n"
    names = {line.split(b"=")[0] for line in done.output.splitlines()}
    assert names <= {b"LC_ALL", b"PATH", b"PWD", b"SHLVL", b"_", b"OLDPWD"}


@pytest.mark.parametrize(
    ("bounds", "limit", "work"),
    [
        (Bounds(memory_bytes=64 << 20), "DATA", "bytearray(256 << 20)"),
        (
            Bounds(file_bytes=1000),
            "FSIZE",
            "open('big', 'wb', buffering=0).write(bytes(5000)) == 5000 or exit(1)",
        ),
        (Bounds(cpu_s=1), "CPU", "[0 for _ in iter(int, 1)]"),
    ],
    ids=["memory", "file", "processor"],
)
def test_a_program_cannot_use_more_than_its_bounds(
    tmp_path: Path, bounds: Bounds, limit: str, work: str
) -> None:
    # It waits for its bounds, which come a moment after its start.
    wait = (
        f"import time, os, resource; os.chdir({str(tmp_path)!r})\n"
        f"while resource.getrlimit(resource.RLIMIT_{limit})[0] == -1: time.sleep(0.01)\n"
    )
    program = [sys.executable, "-c", f"{wait}{work}; print('all of it')"]
    done = Processes().run(program, StopFlag(), silence_s=20, bounds=bounds)
    assert done.status != 0
    assert b"all of it" not in done.output
    assert not list(tmp_path.glob("core*"))


@needs_qemu
@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_a_compressed_disk_of_a_large_size_is_converted_within_the_bounds(
    images: QemuImg, tmp_path: Path, compression: str
) -> None:
    raw = tmp_path / "raw"
    with raw.open("wb") as file:
        file.write(b"data" * 10_000_000)
        file.truncate(20 << 30)
    how = ["-c", "-o", f"compression_type={compression}", "-f", "raw", "-O", "qcow2"]
    qemu_img("convert", *how, raw, tmp_path / "disk")
    target = tmp_path / "out"
    assert in_reactor(images.to_raw, tmp_path / "disk", target, 20 << 30) == 20 << 30
    with target.open("rb") as file:
        assert file.read(40_000_000) == b"data" * 10_000_000
        assert not file.read(1 << 20).strip(b"\0")


@needs_qemu
@pytest.mark.parametrize("how", ["snapshot", "v2"])
def test_other_kinds_of_qcow2_become_the_same_raw_bytes(
    images: QemuImg, tmp_path: Path, how: str
) -> None:
    disk, raw, target = tmp_path / "disk", tmp_path / "raw", tmp_path / "out"
    raw.write_bytes(os.urandom(8 << 20))
    version = "compat=0.10" if how == "v2" else "compat=1.1"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", version, raw, disk)
    if how == "snapshot":
        qemu_img("snapshot", "-c", "one", disk)
    assert in_reactor(images.to_raw, disk, target, LIMIT) == 8 << 20
    assert target.read_bytes() == raw.read_bytes()


def test_a_program_that_talks_too_much_is_not_kept_whole() -> None:
    done = Processes().run(
        ["sh", "-c", "yes | head -c 1000000"], StopFlag(), silence_s=10, limit_bytes=1000
    )
    assert len(done.output) == 1000


def test_a_missing_program_is_told_from_one_that_fails() -> None:
    with pytest.raises(ProgramMissingError):
        Processes().run(["no-such-program-here"], StopFlag(), silence_s=1)


def test_p3_a_silent_program_is_ended() -> None:
    with pytest.raises(ProgramStuckError, match="did nothing"):
        Processes().run(["sleep", "60"], StopFlag(), silence_s=0.2)


def test_p8_a_cancel_ends_the_program_and_its_children(tmp_path: Path) -> None:
    stop = StopFlag()
    pids = tmp_path / "pids"
    script = f"sleep 61 & echo $! > {pids}.new; mv {pids}.new {pids}; wait"

    def cancel_when_it_runs() -> None:
        while not pids.exists():
            stop.wait(0.02)
        stop.set()

    threading.Thread(target=cancel_when_it_runs, daemon=True).start()
    with pytest.raises(Cancelled):
        Processes().run(["sh", "-c", script], stop, silence_s=10)
    status = Path(f"/proc/{int(pids.read_text())}/stat")
    until_s = time.monotonic() + 10  # it was killed, and may still be on its way out
    while is_running(status) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not is_running(status)


def is_running(status: Path) -> bool:
    try:
        return status.read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

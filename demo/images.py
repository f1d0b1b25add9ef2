"""Sample images, made from what this machine has: a kernel, a ramdisk and an ext4 file system.

They are for the demo, the tests and the benchmarks: real formats and real contents, but nothing
that boots. Made anew on the same machine they hold the same files; an image's time stamps differ.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import random
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from isal import igzip
except ImportError:  # no build for this processor
    igzip = None  # type: ignore[assignment]

MIB = 1 << 20
KERNEL_BYTES = 6 * MIB
RAMDISK_BYTES = 4 * MIB
TREES = (Path("/usr/bin"), Path("/usr/lib"), Path("/usr/share"))
EPOCH_S = 1_262_304_000
IDENTIFIER = "5a3c1f0e-6d1b-4c53-9c1e-2f8f4f1d9a77"
RECIPE = 2


@dataclass(frozen=True)
class Samples:
    """Where the three files are; the directory is what ``fakestoreapi.py`` wants."""

    directory: Path
    kernel: Path
    ramdisk: Path
    image: Path


def make_samples(directory: Path, image_mib: int = 256, ending: str = ".gz") -> Samples:
    """Make the three files in ``directory``, unless an earlier call with these sizes did.

    Args:
        image_mib: size of the unpacked file system, in MiB; at least 4.
        ending: of the image: ``.gz``, ``.xz`` or empty.

    Raises:
        RuntimeError: mke2fs is missing or failed.
    """
    samples = Samples(
        directory,
        kernel=directory / "kernel",
        ramdisk=directory / "ramdisk",
        image=directory / f"image{ending}",
    )
    recipe = json.dumps({"recipe": RECIPE, "image_mib": image_mib, "ending": ending})
    made = directory / "made-from.json"
    if made.is_file() and made.read_text() == recipe:
        return samples
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    samples.kernel.write_bytes(kernel_bytes(KERNEL_BYTES))
    with _writer(".gz")(samples.ramdisk) as file:
        for block in cpio_archive(_ramdisk_files(RAMDISK_BYTES)):
            file.write(block)
    _make_image(samples.image, image_mib, ending)
    made.write_text(recipe)
    return samples


def kernel_bytes(size_bytes: int) -> bytes:
    """Give what ``file`` takes for a Linux kernel: the header of a bzImage, and noise.

    The header is told in the kernel's Documentation/arch/x86/boot.rst.
    """
    head = bytearray(2048)
    head[0x1F1] = 3  # sectors of set-up code behind the first
    head[0x1FE:0x200] = b"\x55\xaa"
    head[0x202:0x206] = b"HdrS"
    head[0x206:0x208] = struct.pack("<H", 0x020F)
    head[0x20E:0x210] = struct.pack("<H", 0x400)  # where the version is, less 0x200
    head[0x211] = 1  # loaded high: a bzImage
    version = b"6.1.0-sample (demo@image-store)\0"
    head[0x600 : 0x600 + len(version)] = version
    return bytes(head) + random.Random(size_bytes).randbytes(size_bytes - len(head))


def cpio_archive(files: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """Give a cpio archive (newc) of (name, mode, contents)."""
    for number, (name, mode, contents) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, EPOCH_S, len(contents), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        yield _padded(header + name.encode() + b"\0") + _padded(contents)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _ramdisk_files(limit_bytes: int) -> Iterator[tuple[str, int, bytes]]:
    yield "init", stat.S_IFREG | 0o755, b"#!/bin/sh\necho 'A sample ramdisk: it boots nothing.'\n"
    for path in _files((Path("/usr/bin"), Path("/usr/lib")), limit_bytes):
        yield path.name, stat.S_IFREG | 0o755, path.read_bytes()


def _files(trees: Iterable[Path], limit_bytes: int) -> Iterator[Path]:
    """Give readable files, none of them very large, of about ``limit_bytes`` together."""
    largest_bytes = limit_bytes // 16
    for tree in trees:
        for folder, names, files in os.walk(tree):
            names.sort()
            for path in (Path(folder, name) for name in sorted(files)):
                if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                    continue
                # On a disk it takes whole blocks.
                size_bytes = -(-path.stat().st_size // 4096) * 4096
                if size_bytes > largest_bytes:
                    continue
                limit_bytes -= size_bytes
                if limit_bytes < 0:
                    return
                yield path


def _make_image(target: Path, image_mib: int, ending: str) -> None:
    tool = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        raise RuntimeError("mke2fs is missing; install it with: apt-get install e2fsprogs")
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        tree, raw = Path(name, "tree"), Path(name, "raw")
        count = _copy(TREES, tree, limit_bytes=image_mib * MIB * 55 // 100)
        command = [tool, "-q", "-F", "-t", "ext4", "-d", str(tree), "-L", "sample", "-m", "0"]
        command += ["-U", IDENTIFIER, "-E", f"hash_seed={IDENTIFIER},lazy_itable_init=0"]
        command += ["-N", str(count + 1024), str(raw), f"{image_mib}M"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH_S)},
        )
        if done.returncode:
            raise RuntimeError(f"mke2fs failed: {done.stderr.strip()}")
        with raw.open("rb") as source, _writer(ending)(target) as file:
            shutil.copyfileobj(source, file, MIB)


def _copy(trees: Iterable[Path], target: Path, limit_bytes: int) -> int:
    """Copy files below ``target``; give the number of files and folders."""
    folders = {target}
    target.mkdir()
    count = 0
    for path in _files(trees, limit_bytes):
        copy = target / path.relative_to("/")
        for folder in reversed(copy.parents):
            if folder not in folders and target in folder.parents:
                folder.mkdir()
                folders.add(folder)
        shutil.copy2(path, copy)
        count += 1
    return count + len(folders)


def _writer(ending: str) -> Callable[[Path], Any]:
    if ending == ".gz":
        kind = igzip.IGzipFile if igzip else gzip.GzipFile
        # Neither name nor time in the header, so that the same contents give the same bytes.
        return lambda path: _Closing(kind, path)
    if ending == ".xz":
        return lambda path: lzma.open(path, "wb", preset=0)
    if ending == "":
        return lambda path: path.open("wb")
    raise ValueError(f"An image may end in .gz, .xz or nothing, not in '{ending}'.")


class _Closing:
    """A gzip file that closes the file below it too."""

    def __init__(self, kind: Any, path: Path) -> None:
        self._below = path.open("wb")
        self._file = kind(filename="", mode="wb", compresslevel=1, fileobj=self._below, mtime=0)

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._below.close()

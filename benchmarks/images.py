"""The images that are installed: one ext4 file system in every form that a store may offer."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from demo.images import MIB, make_samples

HUGE_MIB = 16 * 1024


@dataclass(frozen=True)
class Image:
    """A file that a store offers.

    Args:
        raw: what it unpacks to.
        compression, format: as the store's documents say it.
        unpack: the command by which a user makes the file ``image`` of the file ``source``.
    """

    id: str
    title: str
    path: Path
    raw: Path
    compression: str
    format: str = "raw"
    unpack: str = "mv source image"

    @property
    def raw_bytes(self) -> int:
        return self.raw.stat().st_size

    @property
    def path_bytes(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Form:
    """One way to pack a raw image."""

    name: str
    ending: str
    compression: str
    pack: str
    unpack: str
    format: str = "raw"


FORMS = {
    form.name: form
    for form in (
        Form("gzip", ".gz", "gzip", 'pigz -6nc "$RAW" >"$PATH_"', "gunzip -c source >image"),
        Form("xz", ".xz", "xz", 'xz -T0 -0 -c "$RAW" >"$PATH_"', "xz -dc source >image"),
        Form("zstd", ".zst", "zstd", 'zstd -qT0 "$RAW" -o "$PATH_"', "zstd -dcq source >image"),
        Form("raw", "", "none", "", "mv source image"),
        Form("qcow2", ".qcow2", "none", 'qemu-img convert -c -O qcow2 "$RAW" "$PATH_"',
             "qemu-img convert -O raw source image", format="qcow2"),
    )
}  # fmt: skip


class Images:
    """Makes images below a directory, each when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ext4(self, mib: int, form: str) -> Image:
        """Give a file system of /usr's files in one of ``FORMS``."""
        if mib >= HUGE_MIB:
            return self._huge(mib)
        kind = FORMS[form]
        raw = make_samples(self._directory / f"ext4-{mib}", mib, "").image
        path = raw.with_name(f"image{kind.ending}")
        _made(path, kind.pack, raw)
        title = f"{size(mib)} ext4, {form}"
        return Image(f"{form}-{mib}", title, path, raw, kind.compression, kind.format, kind.unpack)

    def noise(self, mib: int) -> Image:
        """Give random bytes in a gzip."""
        raw = self._directory / f"noise-{mib}"
        path = raw.with_name(f"noise-{mib}.gz")
        if not raw.exists():
            raw.parent.mkdir(parents=True, exist_ok=True)
            with raw.open("wb") as file:
                for _ in range(mib):
                    file.write(os.urandom(MIB))
        kind = FORMS["gzip"]
        _made(path, kind.pack.replace("-6", "-1"), raw)
        title = f"{size(mib)} noise, gzip"
        return Image(f"noise-{mib}", title, path, raw, "gzip", unpack=kind.unpack)

    def _huge(self, mib: int) -> Image:
        # Unpacked it is never on the disk: nothing but its memory and room is measured.
        path = make_samples(self._directory / f"ext4-{mib}", mib, ".gz").image
        return Image(f"gzip-{mib}", f"{size(mib)} ext4, gzip", path, path, "gzip")


def size(mib: int) -> str:
    """Tell a size."""
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def zeros_percent(path: Path) -> int:
    """Give the share of pages that hold nothing but zeros."""
    empty, count = bytes(4096), 0
    with path.open("rb") as file:
        while page := file.read(4096):
            count += page == empty
    return round(100 * count * 4096 / path.stat().st_size)


def _made(path: Path, command: str, raw: Path) -> None:
    if command and not path.exists():
        unfinished = path.with_name(f"{path.name}.unfinished")
        environment = {**os.environ, "RAW": str(raw), "PATH_": str(unfinished)}
        subprocess.run(["sh", "-euc", command], env=environment, check=True)
        unfinished.rename(path)

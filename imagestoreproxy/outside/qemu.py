"""Bootable disks in qcow2, by ``qemu-img``.

Fields of ``qemu-img info --output=json``: ``ImageInfo`` in QEMU's ``qapi/block-core.json``;
the header: QEMU's ``docs/interop/qcow2.txt``.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DiskError, UnpackError
from imagestoreproxy.outside.process import Bounds, Processes
from imagestoreproxy.ports.programs import Finished, ProgramMissingError, ProgramStuckError

_NAMES_OTHER_FILES = ("backing-filename", "full-backing-filename", "data-file")
_HEADER = struct.Struct(">4sIQI4xQI")  # magic, version, backing file, its length, size, encryption
_FEATURES = struct.Struct(">Q")
_FEATURES_AT = 72
_HARMLESS_FEATURES = 0b11011  # dirty, corrupt, zstd, extended L2; bit 2 is an external data file
# Its tables and caches take some 100 MiB for any disk that is taken here.
_MEMORY_BYTES = 1 << 30
_LOOK = Bounds(memory_bytes=_MEMORY_BYTES, file_bytes=1, cpu_s=30)
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "Read-only file system")


class QemuImg:
    """``ports.DiskImages``.

    Args:
        background: where the waiting is done.
        silence_s: how long ``qemu-img`` may go without moving.
    """

    def __init__(self, background: ports.Background, *, silence_s: float = 120.0) -> None:
        self._background = background
        self._silence_s = silence_s

    async def to_raw(self, source: Path, target: Path, limit_bytes: int) -> int:
        """Convert a qcow2 file to a sparse raw one; see ``ports.DiskImages``.

        Raises:
            UnpackError: broken, too large, naming other files, or ``qemu-img`` is missing.
            DiskError: no room for ``target``.
        """

        def convert(stop: ports.Stop) -> int:
            done = False
            try:
                size_bytes = self._convert(source.absolute(), target.absolute(), limit_bytes, stop)
                done = True
            finally:
                if not done:
                    target.unlink(missing_ok=True)
            return size_bytes

        return await self._background.run(convert)

    def _convert(self, source: Path, target: Path, limit_bytes: int, stop: ports.Stop) -> int:
        _check_header(source, limit_bytes)
        # -f: guessing the format would let a "raw" disk claim, by its first bytes, to be anything.
        seen = self._run(stop, _LOOK, "info", "--output=json", "-f", "qcow2", str(source))
        size_bytes = _checked_size(seen.output, source.name, limit_bytes)
        target.touch(mode=0o600)
        # -p: a long conversion then says something, and only a stuck one is silent.
        how = ["-p", "-f", "qcow2", "-O", "raw", "-S", "4k"]
        # Never a bound on its time: only silence tells a stuck conversion from a long one.
        bounds = Bounds(memory_bytes=_MEMORY_BYTES, file_bytes=max(size_bytes, 1))
        self._run(stop, bounds, "convert", *how, str(source), str(target))
        return size_bytes

    def _run(self, stop: ports.Stop, bounds: Bounds, *arguments: str) -> Finished:
        try:
            finished = Processes().run(
                ["qemu-img", *arguments], stop, silence_s=self._silence_s, bounds=bounds
            )
        except ProgramMissingError as error:
            raise UnpackError(
                "A qcow2 disk can only be converted with the program qemu-img, which is not "
                "installed here; install the package qemu-utils."
            ) from error
        except ProgramStuckError as error:
            raise UnpackError(f"The conversion of a qcow2 disk was ended: {error}.") from error
        if finished.status:
            said = finished.errors.strip().splitlines() or [f"exit status {finished.status}"]
            if any(words in finished.errors for words in _NO_ROOM):
                raise DiskError(f"A qcow2 disk could not be written out: {said[-1][:300]}.")
            raise UnpackError(f"A qcow2 disk could not be read by qemu-img: {said[-1][:300]}.")
        return finished


def _check_header(source: Path, limit_bytes: int) -> None:
    """Refuse what names other files before ``qemu-img`` has a chance to open them."""
    with source.open("rb") as file:
        head = file.read(_FEATURES_AT + _FEATURES.size)
    if len(head) < _FEATURES_AT + _FEATURES.size or not head.startswith(b"QFI\xfb"):
        raise UnpackError(f"The disk {source.name} is not in the format qcow2.")
    _, version, backing, backing_length, size_bytes, encryption = _HEADER.unpack_from(head)
    features = _FEATURES.unpack_from(head, _FEATURES_AT)[0] if version > 2 else 0
    facts = {
        "virtual-size": size_bytes,
        "encrypted": encryption != 0,
        "backing-filename": backing or backing_length,
        "data-file": features & ~_HARMLESS_FEATURES,
    }
    _checked_size(json.dumps(facts).encode(), source.name, limit_bytes)


def _checked_size(info: bytes, name: str, limit_bytes: int) -> int:
    """Judge what ``qemu-img info`` says; give the virtual size in bytes."""
    try:
        facts: dict[str, Any] = json.loads(info)
        size_bytes = int(facts["virtual-size"])
        specific: dict[str, Any] = dict(facts.get("format-specific", {}).get("data", {}))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UnpackError(
            f"The disk {name}: qemu-img gave an answer that is not understood."
        ) from error
    for key in _NAMES_OTHER_FILES:
        if facts.get(key) or specific.get(key):
            raise UnpackError(
                f"The disk {name} refers to another file ({key}), which could be any file of "
                "this machine; only disks that are whole in themselves are taken."
            )
    if facts.get("encrypted") or specific.get("encrypt"):
        raise UnpackError(f"The disk {name} is encrypted; only plain disks are taken.")
    if size_bytes > limit_bytes:
        raise UnpackError(
            f"The disk {name} would unpack to {size_bytes} bytes; at most {limit_bytes} are taken: "
            "the least of --max-unpacked-size, --cloud-max-image-size and the room on the disk."
        )
    return size_bytes

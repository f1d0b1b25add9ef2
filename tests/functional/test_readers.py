"""The gzip and the tar in a bundle, read by the programs that people and clouds read them with."""

from __future__ import annotations

import gzip
import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imagestoreproxy.clouds.bundle import Tally, packed_archive
from imagestoreproxy.model.bundles import Chunk

MIB = 2**20
CONTENT = random.Random(4).randbytes(MIB + 512) + bytes(3 * MIB) + b"work and play\n" * 100_000
CONTENT += bytes(-len(CONTENT) % 512) + b"TAIL" * 128

READERS = {
    "gzip, tar": "gzip -dc packed | tar -xO",
    "tar -z": "tar -xzOf packed",
    "tar of a file": "gzip -dc packed > plain && tar -xOf plain",
    "pigz, tar": "pigz -dc packed | tar -xO",
    "busybox": "busybox tar -xzOf packed",
    "bsdtar": "bsdtar -xOf packed",
}


def kept(source: bytes) -> list[Chunk]:
    return [Chunk(b"", source[:1000]), Chunk(CONTENT, source[1000:])]


MADE: dict[str, tuple[Callable[[], list[Chunk]], bool]] = {
    "kept, gzip -1": (lambda: kept(gzip.compress(CONTENT, 1)), True),
    "kept, gzip -9": (lambda: kept(gzip.compress(CONTENT, 9)), True),
    "compressed anew": (lambda: [Chunk(CONTENT)], False),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("made", MADE)
def test_a_bundles_archive_is_read_whole(made: str, reader: str, tmp_path: Path) -> None:
    command = READERS[reader]
    programs = [part.split()[0] for part in command.replace("&&", "|").split("|")]
    if missing := [name for name in programs if not shutil.which(name)]:
        pytest.skip(f"{missing[0]} is not installed")
    chunks, has_gzip = MADE[made]
    tar = Tally()
    packed = b"".join(packed_archive("image", len(CONTENT), chunks(), tar, has_gzip=has_gzip))
    (tmp_path / "packed").write_bytes(packed)
    read = subprocess.run(
        ["sh", "-euc", command], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (read.returncode, read.stderr) == (0, b"")
    assert read.stdout == CONTENT
    assert hashlib.sha1(gzip.decompress(packed)).hexdigest() == tar.sha1_hex

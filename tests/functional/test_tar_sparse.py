"""Archives with holes as GNU tar really writes them."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.unit.unpacking import members

FORMS = [
    ["--format=gnu"],
    ["--format=oldgnu"],
    *(["--format=pax", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
]


def make_files(directory: Path) -> None:
    """Make a file with many holes, one that is a hole, one that ends in one, and one without."""
    noise = random.Random(5)
    with (directory / "disk.img").open("wb") as file:
        for number in range(60):
            file.seek(number * 400_000 - number * 400_000 % 4096)
            file.write(noise.randbytes(4096 * (number % 3 + 1)))
        file.seek(30_000_000)
        file.write(b"the end")
    for name, content in (("hole", b""), ("tail", b"x" * 5000)):
        with (directory / name).open("wb") as file:
            file.write(content)
            file.truncate(9_000_001)
    (directory / "whole").write_bytes(noise.randbytes(3000))


@pytest.mark.parametrize("detection", ["seek", "raw"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[-1])
def test_what_tar_packs_with_holes_is_what_comes_out(
    form: list[str], detection: str, tmp_path: Path
) -> None:
    make_files(tmp_path)
    names = ["disk.img", "hole", "tail", "whole"]
    command = ["tar", "-S", f"--hole-detection={detection}", *form, "-cf", "a.tar", *names]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    packed = (tmp_path / "a.tar").read_bytes()
    assert len(packed) < 2_000_000, "it has holes"
    found = members((packed[at : at + 5000] for at in range(0, len(packed), 5000)), names)
    for name in names:
        assert found[name] == (tmp_path / name).read_bytes(), name

"""What is installed from a built wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Other tests write it at the same time.
PASSING = shutil.ignore_patterns("__pycache__", "dropin.cache*")


def test_a_wheel_has_the_files_of_the_page_and_the_keys_of_ubuntu_and_no_link_to_them(
    tmp_path: Path,
) -> None:
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "image-store-key.asc"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("imagestoreproxy", "twisted"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=PASSING)
    subprocess.run(
        [sys.executable, "-c", "from setuptools.build_meta import build_wheel\nbuild_wheel('out')"],
        cwd=tmp_path, check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        content = packed.read("imagestoreproxy/keys/ubuntu-cloud-images.asc")
        names = set(packed.namelist())
    page = ROOT / "imagestoreproxy" / "web" / "page"
    files = {f"imagestoreproxy/web/page/{path.name}" for path in page.iterdir()}
    assert "imagestoreproxy/web/page/index.html" in files
    assert files <= names
    assert content == (ROOT / "image-store-key.asc").read_bytes()

"""What the package says is what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import imagestoreproxy
from imagestoreproxy.config.settings import parse

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"


def test_the_package_has_the_version_of_the_program() -> None:
    first = (DEBIAN / "changelog").read_text().split("\n")[0]
    version = re.sub(r"\.(dev\d+)$", r"~\1", imagestoreproxy.__version__)
    assert first.startswith(f"image-store-proxy ({version}) ")


def test_the_defaults_set_no_option_and_name_no_http_proxy() -> None:
    text = (DEBIAN / "image-store-proxy.default").read_text()
    said = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert said == ['DAEMON_OPTS=""']
    assert "http_proxy" not in text.lower()
    assert "--http-proxy" not in text


def test_every_example_of_options_is_taken_by_the_program(tmp_path: Path) -> None:
    """Also over two lines, split as a shell splits them."""
    text = (DEBIAN / "image-store-proxy.default").read_text()
    examples = re.findall(r'^#   DAEMON_OPTS="([^"]*)"', text, re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        words = example.replace("\n#", " ").split()
        settings = parse([*words, f"--config={_empty(tmp_path)}"])
        assert settings.arguments[: len(words)] == tuple(words)


def _empty(directory: Path) -> Path:
    path = directory / "config.toml"
    path.touch()
    return path


def test_no_file_of_the_package_names_a_place_that_packages_are_fetched_from() -> None:
    files = [path for path in DEBIAN.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in [*files, ROOT / "Containerfile", ROOT / "tools" / "deb.sh"]:
        if "build" not in path.parts:
            text = path.read_text(errors="replace")
            assert "index-url" not in text, path
            assert not re.search(r"https?://(?!localhost|www\.debian\.org/doc)", text), path

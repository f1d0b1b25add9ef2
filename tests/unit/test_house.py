"""The house keeps its own rules: sizes, imports that import-linter cannot see, and documents."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.keys import UBUNTU

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "imagestoreproxy"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES = 400


def imported(path: Path) -> Iterator[str]:
    """Give every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def runtime_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.split(r"[\[<>=!; ]", entry)[0] for entry in project["dependencies"]]


def test_every_runtime_dependency_has_a_lower_bound_and_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(">=" in entry for entry in project["dependencies"])
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert [name for name in runtime_dependencies() if f"`{name}" not in pages] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_every_runtime_dependency_with_hashes_and_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==[^ ]+", text, re.MULTILINE)
    wanted = {re.sub(r"[._]", "-", name).lower() for name in runtime_dependencies()}
    assert wanted <= set(pinned)
    assert len(re.findall(r"^[a-z0-9-]+==[^\n]*\\\n    --hash=", text, re.MULTILINE)) == len(pinned)
    assert "://" not in text
    assert "-index" not in text


def test_no_file_of_the_package_is_too_long() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_only_main_imports_the_reactor() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.startswith("twisted.internet.reactor") for name in imported(path))
    }
    assert found <= {"main.py"}


def test_the_fake_store_imports_the_standard_library_alone() -> None:
    roots = {name.partition(".")[0] for name in imported(ROOT / "fakestoreapi.py")}
    assert roots <= sys.stdlib_module_names


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
    }
    assert packages <= set(project["tool"]["setuptools"]["packages"])


def test_the_packaged_key_of_ubuntu_is_the_one_at_the_root() -> None:
    assert UBUNTU.read_bytes() == (ROOT / "image-store-key.asc").read_bytes()
    assert b"\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n" in UBUNTU.read_bytes()


def test_every_note_of_the_news_is_one_paragraph() -> None:
    notes = sorted((ROOT / "NEWS.d").iterdir())
    assert notes
    for note in notes:
        assert re.fullmatch(r"[a-z0-9-]+\.(feature|fix|removal|doc)\.md", note.name), note.name
        text = note.read_text()
        assert text.endswith(".\n"), note.name
        assert "\n\n" not in text, note.name


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_programs_can_be_run() -> None:
    for name in ("bin/image-store-proxy", "tools/setup.sh", "tools/lock.sh", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111 == 0o111, name

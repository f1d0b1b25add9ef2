"""The description of the API that the daemon serves is a true one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from twisted.web.resource import Resource

from imagestoreproxy import __version__
from imagestoreproxy.model.installs import Action, Status, Step
from imagestoreproxy.web.pages.apidocument import api_document
from tests.unit.memory_store import CLIENT, NOW_S, SECRET, MemorySite

ROOT = Path(__file__).parents[2]
DOCUMENT = api_document()
PATHS: dict[str, Any] = DOCUMENT["paths"]


def test_everybody_may_read_it_and_it_names_the_version() -> None:
    reply = MemorySite().ask(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert reply.status == 200
    assert reply.json == DOCUMENT
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", __version__)


def test_every_reference_in_it_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for piece in text.split('"$ref": "#/')[1:]:
        found: Any = DOCUMENT
        for step in piece.partition('"')[0].split("/"):
            found = found[step]
        assert found


def test_the_words_of_a_state_are_those_of_the_model() -> None:
    properties = DOCUMENT["components"]["schemas"]["State"]["properties"]
    assert properties["status"]["enum"] == list(Status)
    assert set(properties["stage"]["enum"]) == set(Step)
    assert set(properties["actions"]["properties"]) == set(Action)


def test_every_action_is_described() -> None:
    described = {path.rpartition("/")[2] for path in PATHS if path.startswith("/api/images/{id}/")}
    assert set(Action) <= described


def leaves(resource: Resource, path: str = "") -> list[str]:
    """Give the paths of a tree that have a page of their own."""
    found = [] if resource.__class__.__name__ in {"Folder", "Images"} else [path]
    for name, child in cast(dict[bytes, Resource], resource.children).items():
        found += leaves(child, f"{path}/{name.decode()}")
    return found


def test_every_page_of_the_api_is_described() -> None:
    tree = cast(Any, MemorySite().site.resource)._tree
    pages = {path for path in leaves(tree) if path.startswith(("/api/", "/healthz", "/readyz"))}
    missing = {path for path in pages if path not in PATHS and not path.startswith("/api/cache")}
    assert missing == set()


def test_the_reference_in_docs_is_made_from_it() -> None:
    done = subprocess.run(
        [sys.executable, "tools/make_api.py", "--check"], cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, "run: make docs"


def test_the_example_of_a_signature_in_docs_is_believed() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    said: dict[str, Any] = {}
    exec(program, said)
    said["time"] = type("Clock", (), {"time": staticmethod(lambda: NOW_S)})
    pairs = [("q", "10.04"), ("ü b", "~*"), ("q", "😀"), ("q", "ｚ")]
    query = said["sign"](SECRET, CLIENT, "GET", "localhost:52780", "/api/search", pairs)
    raw = f"GET /api/search?{query} HTTP/1.1\r\nHost: localhost:52780\r\n\r\n"
    assert MemorySite().ask(raw.encode()).status == 200

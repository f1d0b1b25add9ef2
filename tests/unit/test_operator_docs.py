"""What operators read is true: messages are the software's own, options and commands exist."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from imagestoreproxy.client.parsing import parser as client_parser
from imagestoreproxy.client.table import COMMANDS
from imagestoreproxy.config.settings import _parser as daemon_parser

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "imagestoreproxy"
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
QUOTING = ("troubleshooting.md", "upgrading.md")
# What may stand where two texts meet.
SEAMS = " .,;:()'?"
LEAST_CHARS = 12


def messages(page: str) -> list[str]:
    """Give what a page quotes: each paragraph that begins with ``>``, on one line."""
    quoted: list[str] = []
    before = ""
    for line in page.split("\n"):
        if line.startswith("> ") and before.startswith("> "):
            quoted[-1] += line[1:]
        elif line.startswith("> "):
            quoted.append(line[2:])
        before = line
    return quoted


def fixed_parts(message: str) -> list[str]:
    """Give what is the same each time: what differs stands between asterisks."""
    return [part for part in re.split(r"\*[^*]+\*", message) if part]


@cache
def said_by_the_package() -> str:
    """Give the fixed parts of every text in the package's source, docstrings left out."""
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found += _texts(ast.parse(path.read_text()))
    for path in sorted((PACKAGE / "web" / "page").glob("*.js")):
        found += re.findall(r'"((?:[^"\\\n]|\\.)*)"', path.read_text())
        for template in re.findall(r"`([^`]*)`", path.read_text()):
            found += re.split(r"\$\{[^}]*\}", template)
    return "\0".join(["", *(one.strip(SEAMS) for one in found), ""])


def _texts(tree: ast.AST) -> Iterator[str]:
    described = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, described) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str):
            yield from re.split(r"\{[a-z_]+\}", node.value)


def is_said(part: str) -> bool:
    """Tell whether a text is of the package, or is put together of two that meet at their ends."""
    said, part = said_by_the_package(), part.strip(SEAMS)
    if not part or part in said:
        return True
    halves = [(part[:at].rstrip(SEAMS), part[at:].lstrip(SEAMS)) for at in range(1, len(part))]
    return any(f"{before}\0" in said and f"\0{after}" in said for before, after in halves)


@pytest.mark.parametrize("page", QUOTING)
def test_every_message_that_is_quoted_is_one_of_the_software(page: str) -> None:
    found = messages((ROOT / "docs" / page).read_text())
    assert found
    unknown = [part for message in found for part in fixed_parts(message) if not is_said(part)]
    assert unknown == []
    empty = [one for one in found if max(map(len, fixed_parts(one)), default=0) < LEAST_CHARS]
    assert empty == []


def test_a_message_that_nobody_says_is_found() -> None:
    assert not is_said("the moon is too far away for this to be installed")
    assert not is_said(", a source on the public net may send this machine")


def known_options() -> set[str]:
    client = client_parser({})
    parsers: list[argparse.ArgumentParser] = [daemon_parser(), client]
    for action in client._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers += action.choices.values()
    return {name for one in parsers for action in one._actions for name in action.option_strings}


# Of other programs.
FOREIGN = {
    "--fault",  # fakestoreapi.py
    "--allow-downgrades",  # apt
    *("--show-keys", "--with-fingerprint", "--dearmor", "--quick-generate-key"),  # gpg
    *("--now", "--user", "--runtime", "--offline"),  # systemctl, systemd-analyze
    *("--get-credentials", "--cred-account", "--cred-user"),  # euca_conf
    # euca2ools
    *("--kernel", "--ramdisk", "--name", "--description", "--virtualization-type"),
    *("--product-codes", "--productcodes", "--local-manifest", "--help", "--region"),
}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_option_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text()))
    assert named - known_options() - FOREIGN == set()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = set(
        re.findall(r"(?:^ {4}|`)image-store ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)
    )
    assert named - {entry.name for entry in COMMANDS} == set()


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        target = page.parent / name if name else page
        made = re.findall(r'<a id="([^"]+)">', target.read_text())
        assert anchor in anchors(target) | set(made), f"{name}#{anchor}"


def test_every_document_is_named_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [page.name for page in PAGES if page.name not in index]
    assert set(missing) <= {"README.md"}


# What users of such software ran into (H1-H16) and ask for (P1-P14): the heading under which each
# ends, and words that must stand there.
STORIES = {
    "H1": ("The store cannot be reached", "has no address here"),
    "H2": ("Is it my network, or the store?", "the store was not reached at all"),
    "H3": ("The Store tab or the command line is refused", "The request expired"),
    "H4": ("An HTTP proxy is in the way", "Nothing is set by the package"),
    "H5": ("TLS errors behind an HTTP proxy", "answered in clear text"),
    "H6": ("Certificates", "was issued by nobody that"),
    "H7": ("Certificates", "No certificate authorities were found"),
    "H8": ("No credentials", "is probably registered with 127.0.0.1"),
    "H9": (
        "The store cannot be reached",
        "names the URL, the address that was tried, the HTTP proxy",
    ),
    "H10": ("The cloud refuses, or is away", "before the first byte"),
    "H11": ("Installed, but not in the cloud", "The cloud no longer knows the"),
    "H12": ("Installed, but not in the cloud", "`image-store forget` gives it up"),
    "H13": ("An installed image does not run, or cannot be reached", "complete commands to copy"),
    "H14": ("An installed image does not run, or cannot be reached", "needs these ports open"),
    "H15": ("Removing all of it", "`apt purge image-store-proxy` removes"),
    "H16": ("The disk", "before the first byte"),
    "P1": ("A download is slow, stalls or breaks off", "from the byte where it broke off"),
    "P2": ("A download is slow, stalls or breaks off", "no limit on the time of a download"),
    "P3": ("An install does not move", "one image never holds up another"),
    "P4": ("An install does not move", "After a restart or a crash"),
    "P5": ("An install does not move", "only when the cloud itself has listed the image"),
    "P6": ("The disk", "the disk is full; make room there"),
    "P7": ("The file is another one", "It is not tried again and again"),
    "P8": ("An install does not move", "removes what it has left"),
    "P9": ("Installed, but not in the cloud", "that a source no longer lists stays installed"),
    "P10": ("A download is slow, stalls or breaks off", "Bytes, rate and time left"),
    "P11": ("The same files come again and again", "`--cache-size=20`"),
    "P12": ("Images of my own, a mirror of my own", "nothing has to be built anew"),
    "P13": ("Images of my own, a mirror of my own", "`image-store publish`"),
    "P14": ("What happens when", "`image-store follow`"),
}


@pytest.mark.parametrize("story", STORIES)
def test_every_story_of_users_ends_in_troubleshooting(story: str) -> None:
    heading, words = STORIES[story]
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, heading
    section = re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], flags=re.MULTILINE)[0]
    assert words in " ".join(section.split()), f"{story}: {heading}"

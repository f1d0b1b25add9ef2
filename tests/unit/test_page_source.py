"""What the files of the page must be like, as far as reading them tells."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import imagestoreproxy.web

PAGE = Path(imagestoreproxy.web.__file__).parent / "page"
FILES = {path.name: path.read_text("utf-8") for path in sorted(PAGE.iterdir()) if path.is_file()}
MODULES = {name: text for name, text in FILES.items() if name.endswith(".js")}
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|document\.write"
    r"|\beval\(|new Function|srcdoc|setHTML"
)
AT_ONCE = re.compile(r'^(?:import .*|} )from "([^"]+)";', re.MULTILINE)
LATER = re.compile(r'import\("([^"]+)"\)')


def imported(name: str) -> set[str]:
    """Give what a module imports, at once or later."""
    return {*AT_ONCE.findall(MODULES[name]), *LATER.findall(MODULES[name])}


@pytest.mark.parametrize("name", MODULES)
def test_modules_make_no_markup_of_text(name: str) -> None:
    """What a store says can become text only: nothing in the page takes text for markup."""
    assert not MARKUP.search(MODULES[name])


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_what_is_there(name: str) -> None:
    """An import that leads nowhere would leave an empty page."""
    for address in imported(name):
        assert address.startswith("/page/")
        assert address.removeprefix("/page/") in MODULES


def test_every_module_is_reached_from_the_first() -> None:
    """No file is left over."""
    seen, waiting = {"theme.js"}, ["main.js"]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [address.removeprefix("/page/") for address in imported(name)]
    assert seen == set(MODULES)


def test_index_holds_no_script_style_or_handler() -> None:
    """The policy of the page refuses them, and so would a part of it be missing."""
    index = FILES["index.html"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", index)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", index, re.DOTALL)
    assert scripts
    for attributes, content in scripts:
        assert 'src="/page/' in attributes
        assert not content.strip()


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    """A site without internet shows the whole page, and nobody else learns who looks at it."""
    found = re.findall(
        r"""(?:src=|href=|url\(|fetch\(|import )["']?(?:https?:)?//[^\s"')]+""", FILES[name]
    )
    assert not found


def test_index_fetches_ahead_only_what_is_there() -> None:
    """What is named to be fetched ahead exists, and the first view needs it."""
    named = re.findall(r'rel="modulepreload" href="/page/([^"]+)"', FILES["index.html"])
    needed, waiting = set[str](), ["main.js"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [one.removeprefix("/page/") for one in AT_ONCE.findall(MODULES[name])]
    assert set(named) == needed - {"main.js"}


def test_page_remembers_the_theme_alone() -> None:
    """No key, no session and nothing of an account is kept where other scripts could read it."""
    kept = [line for text in MODULES.values() for line in text.splitlines() if "Storage" in line]
    assert kept
    assert all(re.search(r'localStorage\.[gs]etItem\("theme"', line) for line in kept)
    assert not any(re.search(r"indexedDB|document\.cookie|caches\.", t) for t in MODULES.values())


def test_page_is_small() -> None:
    """The whole page is 124 KiB at most, and 47 as it is sent."""
    sizes = [len(text.encode()) for text in FILES.values()]
    sent = [len(gzip.compress(text.encode())) for text in FILES.values()]
    assert sum(sizes) <= 124 * 1024
    assert sum(sent) <= 47 * 1024

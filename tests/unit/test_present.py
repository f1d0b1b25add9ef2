"""What a page shows is bounded, harmless, and has the keys of the UI API."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import ImageInfo, Listing, Provider, Section
from imagestoreproxy.model.installs import Action, ImageState, Progress, Status, Step
from imagestoreproxy.shop import Shelf
from imagestoreproxy.web.answers import encode
from imagestoreproxy.web.present import (
    base_url,
    checked_external_url,
    image_json,
    problems_json,
    sanitised,
    state_json,
)
from imagestoreproxy.web.shelves import AT_A_STRETCH, shelf_body
from tests.unit.memory import MemoryClock, result
from tests.unit.memory_store import KARMIC, LUCID

BASE = "http://localhost:52780"


class CountingClock(MemoryClock):
    turns = 0

    def sleep(self, seconds: float) -> Deferred[None]:
        self.turns += 1
        return super().sleep(seconds)


def shown(shelf: Shelf) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(result(shelf_body(shelf, BASE, MemoryClock())))
    return content


def test_an_image_has_the_keys_of_the_store_tab() -> None:
    info = ImageInfo(
        KARMIC,
        "Karmic",
        "Koala",
        "<p>Hi</p>",
        "9.10",
        300,
        "https://x/icon.png",
        ("server", "lts"),
        Provider("Canonical", "http://www.canonical.com/"),
    )
    assert image_json(info) == {
        "uri": KARMIC,
        "title": "Karmic",
        "summary": "Koala",
        "description-html": "<p>Hi</p>",
        "version": "9.10",
        "size-in-mb": 300,
        "icon-uri": "https://x/icon.png",
        "tags": ["server", "lts"],
        "provider": {"title": "Canonical", "uri": "http://www.canonical.com/"},
    }


@pytest.mark.parametrize(
    "link",
    [
        "",
        "javascript:alert(1)",
        "/x",
        "//x/y",
        "data:,",
        "http://x/\"'><b>",
        "http://x/ y",
        "ftp://x",
        "http://x/" + "y" * 2000,
        "http://x/é",
        "http://x/'",
    ],
)
def test_a_link_that_is_not_plain_http_is_left_out(link: str) -> None:
    content = image_json(ImageInfo(KARMIC, icon_uri=link, provider=Provider("p", link)))
    assert "icon-uri" not in content
    assert content["provider"] == {"title": "p"}


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>a<br>b</p>", "<p>a<br>b</p>"),
        ("<script>alert(1)</script>x", "x"),
        ("<style>*{}</style>x", "x"),
        ("<b onclick='x()'>y</b>", "<b>y</b>"),
        ("<img src=x onerror=x()>z", "z"),
        ("<svg><script>1</script></svg>", ""),
        ("<iframe src='http://x'></iframe>", ""),
        ("<p style='position:fixed' class=a id=b>t</p>", "<p>t</p>"),
        ("<a href='javascript:x()'>y</a>", '<a rel="noopener noreferrer">y</a>'),
        ("<a href=' java\tscript:x()'>y</a>", '<a rel="noopener noreferrer">y</a>'),
        ("<a href='/api/x'>y</a>", '<a rel="noopener noreferrer">y</a>'),
        ("<a href='//x/'>y</a>", '<a rel="noopener noreferrer">y</a>'),
        (
            "<a href='http://x/' target=_top>y</a>",
            '<a href="http://x/" rel="noopener noreferrer">y</a>',
        ),
        ("<h1>a</h1><h3>b</h3>", "a<h3>b</h3>"),
        ("<form action=x><input name=y></form>", ""),
        ("<!-- c -->1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("<ul><li>a", "<ul><li>a</li></ul>"),
    ],
)
def test_html_of_a_store_can_neither_run_nor_mislead(html: str, shown: str) -> None:
    assert sanitised(html) == shown


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_of_a_store_becomes_ascii_json(text: str) -> None:
    info = ImageInfo(KARMIC, text, text, text, text, 1, text, (text,), Provider(text, text))
    state = ImageState(KARMIC, Status.INSTALLED, error_message=text, installed_version=text)
    shelf = Shelf(Listing((info,), (Section(text, text, (KARMIC,)),)), [state], text)
    content = shown(shelf)
    assert content["images"][0]["uri"] == KARMIC
    # No lone surrogates: strict readers refuse them.
    assert str(content).encode()


def test_texts_and_lists_are_bounded() -> None:
    long = "x" * 100_000
    info = ImageInfo(KARMIC, long, long, long, long, 1, "", (long,) * 1000, Provider(long))
    assert len(encode(image_json(info))) < 40_000
    state = ImageState(KARMIC, Status.UNINSTALLED, error_message=long)
    assert len(state_json(state, BASE)["error-message"]) == 2000


def test_what_the_store_tab_could_not_take_is_left_out() -> None:
    uris = (KARMIC, "", "http://x/é", "urn:x")
    shelf = Shelf(
        Listing(tuple(ImageInfo(uri) for uri in uris), (Section("s", "", uris),)),
        [ImageState(uri, Status.UNINSTALLED) for uri in uris],
    )
    content = shown(shelf)
    assert [image["uri"] for image in content["images"]] == [KARMIC]
    assert [state["image-uri"] for state in content["states"]] == [KARMIC]
    assert content["sections"][0]["image-uris"] == [KARMIC]
    assert "error-message" not in content


def test_a_large_shelf_leaves_turns_of_the_reactor_to_others() -> None:
    count = AT_A_STRETCH + 10
    infos = tuple(ImageInfo(f"http://x/{number}\\") for number in range(count))
    uris = tuple(info.uri for info in infos)
    shelf = Shelf(
        Listing(infos, (Section("all", image_uris=uris), Section("none"))),
        [ImageState(uri, Status.UNINSTALLED) for uri in uris],
    )
    clock, bodies = CountingClock(), list[bytes]()
    Deferred.fromCoroutine(shelf_body(shelf, BASE, clock)).addCallback(bodies.append)
    clock.twisted.advance(0)
    assert clock.turns == 3
    content = json.loads(bodies[0])
    assert [image["uri"] for image in content["images"]] == list(uris)
    assert [state["image-uri"] for state in content["states"]] == list(uris)
    assert [section["image-uris"] for section in content["sections"]] == [list(uris), []]
    assert content["sections"][1] == {"title": "none", "summary": "", "image-uris": []}


def test_what_went_wrong_with_a_store_is_said_beside_what_is_known() -> None:
    content = shown(Shelf(Listing(), [], "store.example cannot be reached."))
    assert content == {
        "images": [],
        "states": [],
        "sections": [],
        "error-message": "store.example cannot be reached.",
    }


def test_an_installed_image_names_what_it_became_and_no_progress() -> None:
    state = ImageState(
        LUCID,
        Status.INSTALLED,
        (Action.INSTALL,),
        Progress(Step.DOWNLOADING, 100),
        is_upgrade=True,
        emi="emi-1",
        eki="eki-2",
        eri="eri-3",
        installed_version="1.0",
    )
    content = state_json(state, BASE)
    assert content["actions"]["install"].startswith(BASE)
    assert {k: v for k, v in content.items() if k not in {"actions", "image-uri"}} == {
        "status": "installed",
        "is-upgrade": True,
        "emi": "emi-1",
        "eki": "eki-2",
        "eri": "eri-3",
        "installed-version": "1.0",
    }


@pytest.mark.parametrize("status", list(Status))
def test_progress_is_there_while_work_goes_on_and_an_emi_only_when_installed(
    status: Status,
) -> None:
    state = ImageState(KARMIC, status, progress=Progress(Step.WAITING, 3), emi="emi-1")
    content = state_json(state, BASE)
    working = status in {Status.DOWNLOADING, Status.INSTALLING}
    assert ("progress-percentage" in content) == ("stage" in content) == working
    assert ("emi" in content) == (status is Status.INSTALLED)
    bare = state_json(ImageState(KARMIC, status), BASE)
    assert bare.get("progress-percentage") == (0 if working else None)


@pytest.mark.parametrize("odd", [math.inf, math.nan, -math.inf])
def test_odd_numbers_do_not_break_the_json(odd: float) -> None:
    progress = Progress(Step.DOWNLOADING, 140, 1, 2, odd, odd)
    content = state_json(ImageState(KARMIC, Status.DOWNLOADING, progress=progress), BASE)
    assert content["progress-percentage"] == 100
    assert content["bytes-per-second"] == 0
    assert "eta-seconds" not in content
    assert encode(content)


def test_a_base_always_names_its_port() -> None:
    assert base_url("a", secure=False) == "http://a:80"
    assert base_url("a", secure=True) == "https://a:443"
    assert base_url("a:5", secure=True) == "https://a:5"
    assert base_url("[::1]", secure=False) == "http://localhost:80"
    assert base_url("[::1]:52780", secure=True) == "https://localhost:52780"


def test_an_ipv6_address_never_gets_into_an_action_uri() -> None:
    for address in ("2001:db8::1", "::", "::2", "1:2", "...", "::ffff:10.0.0.1"):
        assert base_url(f"[{address}]:52780", secure=False) == ""
    state = ImageState(KARMIC, Status.UNINSTALLED, (Action.INSTALL,))
    assert state_json(state, "")["actions"] == {}
    assert "--external-url" in problems_json("", "")["error-message"]
    with pytest.raises(SettingsError, match="IPv4"):
        checked_external_url("http://[::1]:80")
    assert checked_external_url("") == ""
    assert checked_external_url("http://a:5/") == "http://a:5"


@pytest.mark.parametrize(
    "url", ["a:5", "ftp://a", "http://", "http://a/b", "http://a:0", "http://é"]
)
def test_an_external_url_with_more_or_less_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        checked_external_url(url)

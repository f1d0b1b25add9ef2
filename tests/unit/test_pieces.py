"""A page is given as much of a catalogue as it shows, and all that is going on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagestoreproxy.model.images import Section
from imagestoreproxy.model.installs import Action, ImageState, Status
from tests.unit.memory_store import MemorySite, MemoryStore, Reply, action_path, info

URIS = [f"http://store.example/{number}" for number in range(7)]


def site() -> MemorySite:
    """Seven images: the even ones are in one section, backwards, the fourth in two."""
    store = MemoryStore(
        [info(uri, f"Image {n}", description_html="<p>x</p>") for n, uri in enumerate(URIS)]
    )
    store.sections = (
        Section("Even", "By two", (*reversed(URIS[::2]), "http://store.example/unknown")),
        Section("Four", "", (URIS[4],)),
        Section("Four", "Again", (URIS[4], URIS[1])),
    )
    return MemorySite(store)


def ask(at: MemorySite, path: str, **pairs: object) -> Reply:
    names = [(name.rstrip("_"), str(value)) for name, value in pairs.items()]
    return at.get(path, pairs=names)


def shown(reply: Reply) -> list[int]:
    return [int(image["uri"][-1]) for image in reply.json["images"]]


def test_without_a_word_of_pieces_all_is_as_it_was() -> None:
    whole = ask(site(), "/api/dashboard").json
    assert "images-total" not in whole
    assert len(whole["sections"][0]["image-uris"]) == len(whole["images"]) == 7
    assert {"description-html"} <= whole["images"][0].keys()


def test_a_window_has_its_images_and_states_and_tells_how_many_there_are() -> None:
    reply = ask(site(), "/api/dashboard", from_=2, count=3)
    assert shown(reply) == [2, 3, 4]
    assert [state["image-uri"] for state in reply.json["states"]] == URIS[2:5]
    assert reply.json["images-total"] == 7
    assert reply.json["sections"] == [
        {"title": "Even", "summary": "By two", "image-count": 5},
        {"title": "Four", "summary": "", "image-count": 1},
        {"title": "Four", "summary": "Again", "image-count": 2},
    ]
    assert "description-html" in reply.json["images"][0]


@pytest.mark.parametrize(
    ("first", "count", "numbers"),
    [(0, 1, [0]), (6, 500, [6]), (7, 1, []), (10_000_000, 500, []), (0, 500, list(range(7)))],
)
def test_a_window_ends_where_the_listing_ends(first: int, count: int, numbers: list[int]) -> None:
    reply = ask(site(), "/api/dashboard", from_=first, count=count)
    assert (shown(reply), reply.json["images-total"]) == (numbers, 7)


def test_brief_images_have_no_description() -> None:
    for path in ("/api/dashboard", "/api/search"):
        reply = ask(site(), path, brief=1)
        assert len(reply.json["images"]) == 7
        assert not any("description-html" in image for image in reply.json["images"])
    assert all("description-html" in one for one in ask(site(), path, brief=0).json["images"])


def test_a_section_has_its_own_order_and_each_image_once() -> None:
    assert shown(ask(site(), "/api/dashboard", section="Even")) == [6, 4, 2, 0]
    reply = ask(site(), "/api/dashboard", section="Four", count=1)
    assert (shown(reply), reply.json["images-total"]) == ([4], 2)
    reply = ask(site(), "/api/dashboard", section="None such")
    assert (shown(reply), reply.json["images-total"]) == ([], 0)
    assert reply.json["sections"]


def test_a_search_in_a_section_finds_what_is_in_both() -> None:
    at = site()
    at.store.images[URIS[2]] = replace(at.store.images[URIS[2]], title="Other")
    reply = ask(at, "/api/search", q="image", section="Even", from_=1, count=5)
    assert (shown(reply), reply.json["images-total"]) == ([4, 0], 3)
    assert [one["image-count"] for one in reply.json["sections"]] == [5, 1, 2]


def test_what_is_going_on_or_has_failed_comes_beside_every_window() -> None:
    at = site()
    at.post(action_path(URIS[6], "install"))
    failed = ImageState(URIS[5], Status.UNINSTALLED, (Action.INSTALL,), error_message="No net.")
    at.store.state_of[URIS[5]] = failed
    reply = ask(at, "/api/search", q="Image 0", count=1)
    assert reply.json["images-total"] == 1
    assert shown(reply) == [0, 5, 6]
    assert [state["image-uri"][-1] for state in reply.json["states"]] == ["0", "5", "6"]
    assert shown(ask(at, "/api/dashboard", from_=6, count=1)) == [6, 5]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", "-1"),
        ("from", "x"),
        ("from", ""),
        ("from", "10000001"),
        ("from", "9" * 5000),
        ("from", "٣"),
        ("count", "0"),
        ("count", "501"),
        ("count", "1.5"),
        ("brief", "yes"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_in_plain_words(name: str, value: str) -> None:
    for path in ("/api/dashboard", "/api/search", "/api/installed"):
        reply = site().get(path, pairs=[(name, value)])
        assert (reply.status, f"Give {name} as" in reply.error) == (400, True)


def test_what_is_installed_is_told_newest_first_and_brief() -> None:
    at = site()
    assert ask(at, "/api/installed").json == {"images": [], "states": [], "images-total": 0}
    for number in (3, 1, 5):
        at.store.state_of[URIS[number]] = ImageState(
            URIS[number], Status.INSTALLED, emi=f"emi-{number}", updated_at_s=100.0 + number
        )
    reply = ask(at, "/api/installed")
    assert (shown(reply), reply.json["images-total"]) == ([5, 3, 1], 3)
    assert [state["emi"] for state in reply.json["states"]] == ["emi-5", "emi-3", "emi-1"]
    assert "description-html" not in reply.json["images"][0]
    reply = ask(at, "/api/installed", from_=1, count=1)
    assert (shown(reply), reply.json["images-total"]) == ([3], 3)

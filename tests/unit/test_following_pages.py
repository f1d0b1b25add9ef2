"""What pages and the command line say of images that are followed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from imagestoreproxy.client.requests import MISUSED, ClientError
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.installs import Action, ImageState, Status
from tests.unit.memory_store import KARMIC, LUCID, MemorySite, action_path
from tests.unit.test_client import Captured, Run, run, site

__all__ = ["run", "site"]  # fixtures

UNKNOWN = "http://store.example/api/images/unknown"


def test_an_image_is_followed_as_asked_and_told_with_what_will_be_done() -> None:
    site = MemorySite()
    pairs = [("keep", "2"), ("even-if-used", "1")]
    told = site.post(action_path(KARMIC, "follow"), pairs=pairs).json["follow"]
    assert told == {
        "image-uri": KARMIC, "title": "Ubuntu", "keep": 2, "even-if-used": True,
        "followed-since": "2026-11-18T11:06:40Z", "next-check-at": "2026-11-18T11:07:40Z",
        "will": ["install 2.0 at 02:00"], "installed-version": "1.0", "offered-version": "2.0",
    }  # fmt: skip
    assert site.get("/api/follows").json == {"follows": [told]}
    assert site.post(action_path(KARMIC, "unfollow")).json == {"unfollowed": KARMIC}
    assert site.get("/api/follows").json == {"follows": []}
    assert site.post(action_path(KARMIC, "unfollow")).status == 409


def test_without_more_words_all_installations_are_kept() -> None:
    site = MemorySite()
    site.post(action_path(KARMIC, "follow"))
    assert site.following.followed[KARMIC].follow == Follow(KARMIC, since_s=site.clock.now_s())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keep", "-1"), ("keep", "2.5"), ("keep", "all"), ("keep", "99999"), ("keep", "٣"),
        ("keep", ""), ("even-if-used", "2"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_follows_nothing_and_is_named(name: str, value: str) -> None:
    site = MemorySite()
    reply = site.post(action_path(KARMIC, "follow"), pairs=[(name, value)])
    assert reply.status == 400
    assert name in reply.error
    assert not site.following.followed


def test_an_unknown_image_or_address_is_not_found() -> None:
    site = MemorySite()
    assert site.post(action_path(UNKNOWN, "follow")).status == 404
    assert site.post("/api/images/!!/follow").status == 404
    assert site.post(action_path(KARMIC, "followed")).status == 404
    assert site.get(action_path(KARMIC, "follow")).status == 405


def test_a_state_tells_that_its_image_is_followed_and_is_as_before_otherwise() -> None:
    site = MemorySite()
    plain = site.get(action_path(KARMIC)).json["state"]
    assert "follows" not in plain
    site.store.state_of[KARMIC] = replace(site.store.state_of[KARMIC], follows=True)
    assert site.get(action_path(KARMIC)).json["state"] == {**plain, "follows": True}


def test_all_sources_are_asked_by_one_request_and_told() -> None:
    site = MemorySite()
    assert site.get("/api/sources/refresh").status == 405
    assert site.post("/api/sources/refresh").json == {"sources": []}
    assert site.supply.refreshed == 1


def test_follow_says_what_will_be_done(run: Run, site: MemorySite, capsys: Captured) -> None:
    run("follow", "karmic", "--keep", "3")
    assert capsys.readouterr().out == f"Followed: Ubuntu ({KARMIC}).\n  install 2.0 at 02:00\n"
    assert site.following.followed[KARMIC].follow.keep == 3
    run("follow", "karmic", "--keep", "1", "--even-if-used", "--json")
    assert json.loads(capsys.readouterr().out)["follow"]["even-if-used"] is True


def test_follow_without_an_image_is_a_table_of_all_that_are_followed(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    run("follow")
    assert capsys.readouterr().out == "No image is followed.\n"
    run("follow", "karmic", "--keep", "1")
    run("follow", "lucid")
    capsys.readouterr()
    run("follow")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "TITLE", "KEEP", "INSTALLED", "OFFERED", "NEXT", "CHECK", "URI",
    ]  # fmt: skip
    assert lines[1].split()[:4] == ["Ubuntu", "1", "1.0", "2.0"]
    assert lines[2].split()[:2] == ["Ubuntu", "all"]
    assert [line.split()[-1] for line in lines[1:3]] == [KARMIC, LUCID]
    assert lines[3:5] == ["Ubuntu:", "  install 2.0 at 02:00"]
    run("follow", "--json")
    assert len(json.loads(capsys.readouterr().out)["follows"]) == 2


def test_unfollow_says_that_the_image_stays(run: Run, site: MemorySite, capsys: Captured) -> None:
    run("follow", "karmic")
    run("unfollow", "karmic")
    assert capsys.readouterr().out.endswith(f"No longer followed: {KARMIC}. It stays as it is.\n")
    assert not site.following.followed
    with pytest.raises(ClientError, match="not followed"):
        run("unfollow", "karmic")


@pytest.mark.parametrize(
    "words", [["--keep", "2"], ["--even-if-used"], ["karmic", "--even-if-used"]]
)
def test_options_that_make_no_sense_are_misuse(
    run: Run, site: MemorySite, words: list[str]
) -> None:
    with pytest.raises(ClientError) as caught:
        run("follow", *words)
    assert caught.value.exit_status == MISUSED
    assert not site.following.followed


def test_show_tells_that_an_image_is_followed(run: Run, site: MemorySite, capsys: Captured) -> None:
    run("show", "karmic")
    assert "Followed" not in capsys.readouterr().out
    site.store.state_of[KARMIC] = replace(site.store.state_of[KARMIC], follows=True)
    run("show", "karmic")
    assert "Followed:    yes\n" in capsys.readouterr().out


def test_uninstall_says_that_an_image_is_no_longer_followed(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of[KARMIC] = ImageState(
        KARMIC, Status.INSTALLED, (Action.UNINSTALL,), emi="emi-1", follows=True
    )
    run("uninstall", "karmic", "--yes")
    assert "no longer followed" in capsys.readouterr().out


def test_sources_can_be_asked_now(run: Run, site: MemorySite, capsys: Captured) -> None:
    run("sources", "--refresh")
    assert site.supply.refreshed == 1
    run("sources")
    assert site.supply.refreshed == 1
    assert capsys.readouterr().out

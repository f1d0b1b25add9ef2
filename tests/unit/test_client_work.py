"""Commands about work that goes on, several images at once, plans, histories and the log."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.client.catalogue import PIECE, listing, told_apart
from imagestoreproxy.client.cli import said
from imagestoreproxy.client.command import Command
from imagestoreproxy.client.commands.completion import completion
from imagestoreproxy.client.display import Bars, ManyLines
from imagestoreproxy.client.paint import Paint
from imagestoreproxy.client.parsing import parser
from imagestoreproxy.client.requests import FAILED, MISUSED, UNREACHABLE, ClientError, Connection
from imagestoreproxy.client.watch import AWAY_S
from imagestoreproxy.model.installs import Action, ImageState, Progress, Status, Step
from tests.unit.memory_store import CLIENT, KARMIC, LUCID, SECRET, MemorySite, info
from tests.unit.test_client import BUSY, DONE, LOGIN, Captured, MemoryConnection, never

FAILED_STATE = ImageState(
    LUCID, Status.UNINSTALLED, (Action.RETRY, Action.INSTALL), error_message="The disk is full."
)
PAUSED = replace(BUSY, progress=Progress(Step.PAUSED, 40), actions=(Action.CANCEL, Action.RESUME))


class Told(Connection):
    """A proxy that answers what it is told to; a list is used up, the last stays."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("http://localhost:52780", CLIENT, SECRET)
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    def _ask(self, method: str, path: str, pairs: Any, also: Any = ()) -> dict[str, Any]:
        self.asked.append((path, dict(pairs)))
        name = path.rpartition("/")[2]
        answer = self.answers.get(name, {})
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)


def command(connection: Connection, *arguments: str, sleep: Callable[[float], None] = never) -> Any:
    options = parser({}).parse_args(arguments)
    return options.entry.load()(Command(options, connection, LOGIN, sleep=sleep))


class Steps:
    """Sleeps change the states of a site, one set of them after the other."""

    def __init__(self, site: MemorySite, *steps: dict[str, ImageState]) -> None:
        self.site = site
        self.steps = list(steps)

    def __call__(self, seconds: float) -> None:
        self.site.store.state_of.update(self.steps.pop(0))


@pytest.fixture
def site() -> MemorySite:
    return MemorySite()


def test_the_titles_alone_are_for_a_shell_that_completes(
    site: MemorySite, capsys: Captured
) -> None:
    command(MemoryConnection(site), "list", "--names")
    assert capsys.readouterr().out == "Ubuntu 9.10\nUbuntu 10.04\n"
    completion(parser({}).parse_args(["completion", "zsh", "--json"]))
    told = json.loads(capsys.readouterr().out)
    assert "list --names" in told["script"]
    assert told["shell"] == "zsh"


def test_several_are_installed_at_once_and_each_end_is_told(
    site: MemorySite, capsys: Captured
) -> None:
    karmic = replace(DONE, image_uri=KARMIC, emi="emi-2")
    steps = Steps(site, {KARMIC: karmic}, {LUCID: DONE})
    command(MemoryConnection(site), "install", "karmic", "lucid", "karmic", sleep=steps)
    out = capsys.readouterr().out
    assert [re.sub(":.*", "", line) for line in out.splitlines()] == [
        "Ubuntu 9.10", "Ubuntu 10.04", "Ubuntu 9.10", "Ubuntu 10.04", "To run one of them"
    ]  # fmt: skip
    assert "Ubuntu 9.10: installed emi-2\n" in out
    assert site.store.acted == [("install", KARMIC), ("install", LUCID)]


def test_one_that_fails_hinders_no_other_and_the_exit_status_tells(
    site: MemorySite, capsys: Captured
) -> None:
    steps = Steps(site, {LUCID: FAILED_STATE}, {KARMIC: replace(DONE, image_uri=KARMIC)})
    with pytest.raises(ClientError) as caught:
        command(MemoryConnection(site), "install", "karmic", "lucid", "--json", sleep=steps)
    assert caught.value.exit_status == FAILED
    assert caught.value.message == "1 of 2 images could not be installed."
    assert list(caught.value.hints) == ["image-store history lucid", "image-store retry lucid"]
    installs = caught.value.content["installs"]
    assert [one.get("error-message") for one in installs] == [
        None,
        f"The install of {LUCID} failed: The disk is full.",
    ]
    assert "emi-1234ABCD" in installs[0]["run-command"]


def test_an_unknown_name_among_several_begins_nothing(site: MemorySite) -> None:
    with pytest.raises(ClientError, match="No image has"):
        command(MemoryConnection(site), "install", "karmic", "zzzzzzzzz")
    with pytest.raises(ClientError, match="--version is for one image") as caught:
        command(MemoryConnection(site), "install", "karmic", "lucid", "--version", "1")
    assert caught.value.exit_status == MISUSED
    assert site.store.acted == []


def test_all_that_is_offered_is_asked_for_once_for_several_names(site: MemorySite) -> None:
    connection = MemoryConnection(site)
    command(connection, "install", "karmic", "lucid", "--no-wait")
    assert len([sent for sent in connection.sent if "/api/dashboard" in sent]) == 1


def test_a_listing_comes_in_pieces_without_descriptions_and_in_order() -> None:
    def image(number: int) -> dict[str, str]:
        return {"uri": f"http://x/{number}", "title": f"Image {number}"}

    def state(number: int) -> dict[str, str]:
        return {"image-uri": f"http://x/{number}", "status": "uninstalled"}

    # What is under way comes behind each piece: 501 is of the second, 900 of none.
    sizes = (range(PIECE), range(PIECE, PIECE + 3))
    pieces = [
        {
            "images": [*map(image, size), image(501), image(900)],
            "states": [*map(state, size), state(501), state(900)],
            "images-total": PIECE + 3,
        }
        for size in sizes
    ]
    connection = Told(dashboard=list(pieces))
    content = listing(connection, "/api/dashboard")
    wanted = [f"http://x/{number}" for number in (*range(PIECE + 3), 900)]
    assert [one["uri"] for one in content["images"]] == wanted
    assert len(content["states"]) == len(wanted)
    assert [asked for _, asked in connection.asked] == [
        {"brief": "1", "from": first, "count": str(PIECE)} for first in ("0", str(PIECE))
    ]
    # One that knows no pieces gives all at once; one that promises more than it has ends it too.
    assert listing(Told(dashboard={"images": [image(1)]}), "/api/dashboard")["images"] == [image(1)]
    assert listing(Told(dashboard={"images": [], "images-total": 7}), "/api/search")["images"] == []


def test_show_has_the_description_that_listings_leave_out(
    site: MemorySite, capsys: Captured
) -> None:
    site.store.images[LUCID] = info(LUCID, "Lucid", description_html="<p>Long-lived.</p>")
    command(MemoryConnection(site), "show", "lucid")
    assert "Description: Long-lived." in capsys.readouterr().out
    command(MemoryConnection(site), "show", "lucid", "--json")
    assert "Long-lived" in json.loads(capsys.readouterr().out)["image"]["description-html"]


def test_a_cloud_that_is_played_is_said_to_be_none_beside_the_lines_that_run_an_image(
    capsys: Captured,
) -> None:
    done = {"image-uri": LUCID, "status": "installed", "emi": "emi-1", "actions": {}}
    dashboard = {"images": [{"uri": LUCID, "title": "Lucid"}], "states": [done]}
    for told, is_said in (
        ({"overview": {"cloud": "fake"}}, True),
        ({"overview": {"cloud": "ec2"}}, False),
        (ClientError("away", UNREACHABLE), False),
    ):
        command(Told(dashboard=dashboard, overview=told), "install", "lucid")
        assert ("a cloud that does not exist" in capsys.readouterr().out) is is_said


def test_what_is_paused_is_said_with_the_way_on(site: MemorySite, capsys: Captured) -> None:
    site.store.state_of[LUCID] = replace(BUSY, actions=(Action.CANCEL, Action.PAUSE))
    command(MemoryConnection(site), "pause", "lucid")
    assert capsys.readouterr().out == (
        f"Paused Ubuntu 10.04 ({LUCID}).\nTo go on: image-store resume lucid\n"
    )
    with pytest.raises(ClientError, match="cannot be paused") as caught:
        command(MemoryConnection(site), "pause", "karmic")
    assert list(caught.value.hints) == ["image-store status karmic"]
    site.store.state_of[LUCID] = PAUSED
    command(MemoryConnection(site), "resume", "lucid", "--no-wait")
    with pytest.raises(ClientError, match="is not paused"):
        command(MemoryConnection(site), "resume", "karmic")
    site.store.state_of[LUCID] = FAILED_STATE
    command(MemoryConnection(site), "retry", "lucid", "--no-wait")
    assert [action for action, _ in site.store.acted] == ["pause", "resume", "retry"]
    with pytest.raises(ClientError, match="no failed install") as caught:
        command(MemoryConnection(site), "retry", "karmic")
    assert list(caught.value.hints) == ["image-store install karmic"]


def test_h10_a_failed_install_says_where_to_look_and_how_to_try_again(site: MemorySite) -> None:
    with pytest.raises(ClientError, match="The disk is full") as caught:
        command(
            MemoryConnection(site), "install", "lucid", sleep=Steps(site, {LUCID: FAILED_STATE})
        )
    assert list(caught.value.hints) == ["image-store history lucid", "image-store retry lucid"]
    assert caught.value.content["installs"][0]["image-uri"] == LUCID


def test_who_watches_is_told_each_end_and_leaves_when_nothing_goes_on(
    site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of |= {LUCID: BUSY, KARMIC: replace(BUSY, image_uri=KARMIC)}
    steps = Steps(site, {LUCID: DONE}, {KARMIC: replace(FAILED_STATE, image_uri=KARMIC)})
    with pytest.raises(ClientError, match="1 image failed") as caught:
        command(MemoryConnection(site), "watch", sleep=steps)
    assert list(caught.value.hints) == [f"image-store history {KARMIC}"]
    out = capsys.readouterr().out
    assert "Ubuntu 10.04: installed emi-1234ABCD\n" in out
    assert out.endswith("Ubuntu 9.10: failed: The disk is full.\n")
    command(MemoryConnection(site), "watch")
    assert capsys.readouterr().out == "Nothing is going on.\n"


def test_what_is_paused_does_not_keep_a_watch_going(site: MemorySite, capsys: Captured) -> None:
    site.store.state_of[LUCID] = PAUSED
    command(MemoryConnection(site), "watch", "--json")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["state"]["stage"] == "paused"


def test_a_watch_outlives_a_restart_and_not_a_proxy_that_stays_away(
    site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of[LUCID] = BUSY
    connection = MemoryConnection(site)
    refused = ConnectionRefusedError(111, "Connection refused")
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        if not connection.troubles and now_s < AWAY_S / 2:
            connection.troubles = [refused] * 3
        elif not connection.troubles:
            site.store.state_of[LUCID] = DONE

    options = parser({}).parse_args(["watch"])
    clock = {"sleep": sleep, "monotonic": lambda: now_s}
    options.entry.load()(Command(options, connection, LOGIN, **clock))  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert "cannot be reached; trying again" in out
    assert out.endswith("installed emi-1234ABCD\n")
    site.store.state_of[LUCID] = BUSY
    now_s = AWAY_S
    connection.troubles = [*[refused] * 1000]
    with pytest.raises(ClientError) as caught:
        options.entry.load()(Command(options, connection, LOGIN, **clock))  # type: ignore[arg-type]
    assert caught.value.exit_status == UNREACHABLE


@pytest.mark.parametrize("words", [("watch", "--forever"), ("logs", "-f")])
def test_what_goes_on_until_ctrl_c_waits_for_a_proxy_without_end(
    words: Sequence[str], capsys: Captured
) -> None:
    away = [ClientError("away", UNREACHABLE)] * 3
    answers = [{"states": [], "log": [], "last-number": 0}, *away, KeyboardInterrupt()]
    connection = Told(states=list(answers), log=list(answers))
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += 10 * AWAY_S

    options = parser({}).parse_args(words)
    with contextlib.suppress(KeyboardInterrupt):
        options.entry.load()(
            Command(options, connection, LOGIN, sleep=sleep, monotonic=lambda: now_s)
        )
    assert len(connection.asked) == len(answers)
    said = capsys.readouterr()
    assert (said.out + said.err).count("The proxy cannot be reached; trying again ...") == 1


OVERVIEW = {
    "installed": 0,
    "queue": {"running": ["a", "b"], "running-most": 2, "waiting": ["c"], "paused": []},
    "disk": {"path": "/var/x", "free-bytes": 5 << 30, "total-bytes": 20 << 30, "downloads-bytes": 0,
             "cache-bytes": 1 << 30, "cache-limit-bytes": 10 << 30},
}  # fmt: skip


def test_status_shows_the_queue_and_the_disk_and_where_to_begin(capsys: Captured) -> None:
    command(Told(states={"states": []}, overview={"overview": OVERVIEW}), "status")
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "No install is going on, and none has failed.",
        "Queue: 2 of 2 places taken, 1 waiting, 0 paused.",
        "Disk: 5.0 GiB free of 20.0 GiB at /var/x; downloads 0 B, cache 1.0 GiB of 10.0 GiB.",
    ]
    assert shown.err == "Nothing is installed yet. Next: image-store list\n"
    waiting = {"image-uri": "http://x/", "status": "downloading", "stage": "waiting",
               "progress-percentage": 0, "queue-position": 2}  # fmt: skip
    command(Told(states={"states": [waiting]}), "status")
    assert "0 % waiting place 2 in the queue" in capsys.readouterr().out


IMAGES = {"images": [{"uri": LUCID, "title": "Lucid"}], "states": []}
PLAN = {
    "image-uri": LUCID, "version": "2.0", "is-upgrade": True, "signed-by": {"fingerprint": "AB"},
    "fetch": [{"kind": "image", "url": "http://x/i", "bytes": 3 << 20, "cached": False},
              {"kind": "kernel", "url": "http://x/k", "bytes": 1 << 20, "cached": True}],
    "fetch-bytes": 3 << 20, "peak-disk-bytes": 5 << 20, "free-bytes": 1 << 20,
    "enough-room": False, "register": [{"kind": "kernel", "shared-with": "eki-1"}],
    "steps": ["Fetch it.", "Register it."],
}  # fmt: skip


def test_a_plan_tells_what_comes_and_whether_there_is_room(capsys: Captured) -> None:
    command(Told(dashboard=IMAGES, plan={"plan": PLAN}), "plan", "lucid")
    out = capsys.readouterr().out
    for said_of_it in (
        "Lucid 2.0 (an upgrade)\n",
        "To fetch:    3.0 MiB of 4.0 MiB\n",
        "Disk:        5.0 MiB needed at the most, 1.0 MiB free: not enough\n",
        "Registers:   kernel (is there: eki-1)\n",
        "  1. Fetch it.\n  2. Register it.\nTo do it: image-store install lucid\n",
    ):
        assert said_of_it in out


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_plan_that_would_fail_says_why_in_its_exit_status_too(
    words: Sequence[str], capsys: Captured
) -> None:
    told = {"plan": {**PLAN, "problem": "The cloud is away."}}
    with pytest.raises(ClientError) as caught:
        command(Told(dashboard=IMAGES, plan=told), "plan", "lucid", *words)
    assert caught.value.exit_status == FAILED
    if words:
        assert json.loads(capsys.readouterr().out) == told
    else:
        assert caught.value.message == "It would fail now: The cloud is away."


RUN = {
    "run": "r1", "image-uri": LUCID, "title": "Lucid", "version": "2.0", "kind": "install",
    "outcome": "failed", "began-at": "2026-11-29T13:00:00Z", "seconds": 65, "bytes": 3 << 20,
    "error-message": "No route.",
    "events": [{"at": "2026-11-29T13:00:01Z", "what": "planned", "text": "It takes 3.0 MiB.",
                "bytes": 3 << 20},
               {"at": "2026-11-29T13:01:05Z", "what": "failed", "text": "It\x1b[2J failed.",
                "seconds": 64, "bytes": 3 << 20}],
}  # fmt: skip


def test_a_history_tells_the_steps_of_one_and_the_runs_of_all(capsys: Captured) -> None:
    told = Told(dashboard=IMAGES, history={"history": [RUN], "history-total": 3})
    command(told, "history", "lucid")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("install of Lucid 2.0, 2026-")
    assert lines[0].endswith(": failed after 1:05")
    assert [line[12:] for line in lines[1:-1]] == [
        "It takes 3.0 MiB.",
        "It[2J failed. (3.0 MiB, 1:04)",
    ]
    assert lines[-1] == "  No route."
    command(told, "history", "--count", "1")
    lines = capsys.readouterr().out.splitlines()
    assert re.split(" {2,}", lines[1])[1:] == [
        "install", "failed", "1:05", "3.0 MiB", "Lucid 2.0", LUCID
    ]  # fmt: skip
    assert lines[-1].startswith("and 2 older: ")
    assert told.asked[-1][1] == {"from": "0", "count": "1"}
    command(Told(dashboard=IMAGES, history={"history": []}), "history")
    assert capsys.readouterr().err == "Next: image-store list\n"


def entry(number: int, text: str) -> dict[str, Any]:
    return {"number": number, "at": "2026-11-29T13:00:00Z", "level": "info", "text": text}


def test_a_log_is_followed_from_where_it_was_read_also_over_a_restart(capsys: Captured) -> None:
    away = ClientError("away", UNREACHABLE)
    connection = Told(
        log=[
            {"log": [entry(7, "seven")], "last-number": 7},
            away,
            {"log": [entry(1, "anew")], "last-number": 1},
            KeyboardInterrupt(),
        ]
    )
    with pytest.raises(KeyboardInterrupt):
        command(connection, "logs", "-f", "--level", "info", sleep=lambda seconds: None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in lines] == [["info", "seven"], ["info", "anew"]]
    assert [asked.get("since") for _, asked in connection.asked] == [None, "7", "7", "1"]
    assert connection.asked[0][1] == {"count": "100", "level": "info"}


def test_h3_a_refusal_names_what_signed_and_how_far_the_clocks_are_apart(site: MemorySite) -> None:
    connection = MemoryConnection(site, "wrong")
    connection._origin = "IMAGE_STORE_SECRET"
    for ahead_s, words in (
        (400.2, "400 seconds behind the proxy's"),
        (-5.0, "5 seconds ahead of the proxy's"),
        (0.5, "agree"),
    ):
        connection.ahead_s = ahead_s
        with pytest.raises(ClientError, match=words) as caught:
            connection.get("/api/dashboard")
        assert "It was signed with IMAGE_STORE_SECRET." in caught.value.message
        assert "wrong" not in caught.value.message


def test_the_next_command_reaches_the_same_proxy_with_the_same_keys() -> None:
    whole = parser({"IMAGE_STORE_URL": "http://a:1"})
    options = whole.parse_args(["--profile", "my cloud", "--url", "http://b:2", "status"])
    made = Command(options, Told(), LOGIN, said=said(whole, options))
    assert made.again("retry", "x y") == (
        "image-store --url http://b:2 --profile 'my cloud' retry 'x y'"
    )
    options = whole.parse_args(["status"])
    assert said(whole, options) == []


def states(count: int) -> list[tuple[str, dict[str, Any]]]:
    state = {"status": "downloading", "stage": "downloading", "progress-percentage": 50}
    return [(f"image {n}", state) for n in range(count)]


def test_images_with_the_same_title_are_told_apart() -> None:
    titles = {"http://a": "Same", "http://b": "Same", "http://c": "Other"}
    names = {"http://a": "Same http://a", "http://b": "Same http://b", "http://c": "Other"}
    assert told_apart(titles) == names


def test_bars_are_drawn_over_themselves_and_leave_what_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    stream = io.StringIO()
    bars = Bars(stream)
    bars.show(states(3))
    bars.tell("image 0", "installed\x1b[2J")
    bars.show(states(2))
    bars.end()
    written = stream.getvalue()
    assert re.findall("\x1b\\[([0-9]+)A", written) == ["3", "2", "2"]
    assert "\x1b[3Aimage 0: installed[2J\x1b[K\nimage 1  [####" in written
    assert written.endswith("\x1b[2A\x1b[J")


@pytest.mark.parametrize("columns", [1, 2, 5, 10, 30, 100])
def test_bars_fit_into_any_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    stream = io.StringIO()
    Bars(stream, Paint(is_on=True)).show(states(2))
    shown = re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", stream.getvalue()).strip("\r\n").splitlines()
    assert len(shown) == 2
    assert all(len(line) <= max(columns, 2) for line in shown)


def test_more_bars_than_the_terminal_is_high_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "6")
    stream = io.StringIO()
    Bars(stream).show(states(9))
    lines = [line.removesuffix("\x1b[K") for line in stream.getvalue()[1:].splitlines()]
    assert lines[3:] == ["and 6 more", "\x1b[J"]
    assert all(len(line) < 60 for line in lines)


def test_in_a_pipe_each_line_says_of_which_image_it_is() -> None:
    stream = io.StringIO()
    lines = ManyLines(stream)
    lines.show(states(2))
    lines.show(states(2))
    lines.tell("image 1", "installed")
    assert [line.split(":")[0] for line in stream.getvalue().splitlines()] == [
        "image 0", "image 1", "image 1"
    ]  # fmt: skip


def test_what_could_not_be_written_is_not_fetched_for_an_archive(tmp_path: Path) -> None:
    connection = Told(dashboard=IMAGES)
    with pytest.raises(ClientError, match="cannot be written: No such file or directory"):
        command(connection, "export", "lucid", str(tmp_path / "nowhere" / "x.tar"))
    assert [path for path, _ in connection.asked] == ["/api/dashboard"]

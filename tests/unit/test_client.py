"""The command line, against the real site in memory."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from imagestoreproxy.client.catalogue import find_image
from imagestoreproxy.client.command import Command
from imagestoreproxy.client.display import Bar, Lines
from imagestoreproxy.client.login import Login
from imagestoreproxy.client.parsing import parser
from imagestoreproxy.client.requests import (
    ATTEMPTS,
    FAILED,
    MISUSED,
    UNREACHABLE,
    ClientError,
    Connection,
)
from imagestoreproxy.client.watch import AWAY_S, follow
from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.images import Provider
from imagestoreproxy.model.installs import (
    Action,
    ImageState,
    Progress,
    Reconciliation,
    Status,
    Step,
)
from imagestoreproxy.model.running import Place
from imagestoreproxy.model.upstreams import SourceStatus
from tests.unit.memory_store import CLIENT, KARMIC, LUCID, SECRET, MemorySite, MemoryStore, info

DONE = ImageState(LUCID, Status.INSTALLED, emi="emi-1234ABCD", eki="eki-1", eri="eri-1")
BUSY = ImageState(
    LUCID,
    Status.DOWNLOADING,
    (Action.CANCEL,),
    Progress(Step.DOWNLOADING, 40, 42 << 20, 100 << 20, 12.3 * (1 << 20), 65.0),
)
LOGIN = Login(CLIENT, SECRET, Place(eucarc="/creds/eucarc"))


class MemoryConnection(Connection):
    """Reaches a site in memory; ``troubles`` are raised first, one for each request."""

    def __init__(
        self, site: MemorySite, secret: str = SECRET, url: str = "http://localhost:52780"
    ) -> None:
        super().__init__(url, CLIENT, secret)
        self.site = site
        self.sent: list[str] = []
        self.troubles: list[Exception] = []
        self.body: bytes | None = None

    def _send_once(self, method: str, path: str, form: str) -> tuple[int, bytes]:
        self.sent.append(f"{method} {path} {form}")
        if self.troubles:
            raise self.troubles.pop(0)
        if self.body is not None:
            return 200, self.body
        self.site.clock.time_s = time.time()
        head = f"Host: localhost:52780\r\nContent-Length: {len(form)}\r\n\r\n"
        raw = (
            f"GET {path}?{form} HTTP/1.1\r\nHost: localhost:52780\r\n\r\n"
            if method == "GET"
            else f"POST {path} HTTP/1.1\r\n{head}{form}"
        )
        reply = self.site.ask(raw.encode("ascii"))
        return reply.status, reply.body


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


@pytest.fixture
def site() -> MemorySite:
    return MemorySite()


@pytest.fixture
def run(site: MemorySite) -> Callable[..., None]:
    def run(*arguments: str, secret: str = SECRET, sleep: Callable[[float], None] = never) -> None:
        options = parser().parse_args(arguments)
        connection = MemoryConnection(site, secret)
        options.entry.load()(Command(options, connection, LOGIN, sleep=sleep))

    return run


Run = Callable[..., None]
Captured = pytest.CaptureFixture[str]


def test_list_is_a_table_whose_uris_can_be_copied(run: Run, capsys: Captured) -> None:
    run("list")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["TITLE", "VERSION", "SIZE", "STATUS", "URI"]
    assert lines[1].startswith("Ubuntu 9.10   1.0      300 MiB  uninstalled  ")
    assert [line.split()[-1] for line in lines[1:]] == [KARMIC, LUCID]


def test_json_gives_what_the_proxy_says(run: Run, site: MemorySite, capsys: Captured) -> None:
    run("--json", "list")
    content = json.loads(capsys.readouterr().out)
    assert content.keys() == {"images", "states", "sections"}
    run("search", "9.10", "--json")
    assert [i["uri"] for i in json.loads(capsys.readouterr().out)["images"]] == [KARMIC]
    run("show", "karmic", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["image"]["uri"] == content["state"]["image-uri"] == KARMIC
    run("install", "karmic", "--json", "--no-wait")
    assert json.loads(capsys.readouterr().out)["state"]["status"] == "downloading"
    run("status", "--json")
    assert json.loads(capsys.readouterr().out)["states"][0]["image-uri"] == KARMIC
    run("cancel", "karmic", "--json")
    assert json.loads(capsys.readouterr().out)["state"]["status"] == "uninstalled"
    assert site.store.acted == [("install", KARMIC), ("cancel", KARMIC)]
    site.store.state_of[LUCID] = DONE
    run("install", "lucid", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["state"]["emi"] == "emi-1234ABCD"
    assert content["run-command"] == LOGIN.run_line("emi-1234ABCD", {"uri": LUCID})


def test_h13_h14_an_installed_image_comes_with_the_lines_that_run_it(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.images[LUCID] = info(LUCID, "Lucid", login_user="admin", ports=(80,))
    site.store.state_of[LUCID] = DONE
    for command in ("install", "show"):
        run(command, "lucid")
        told = capsys.readouterr().out.partition("To run it:\n")[2]
        commands, _, notes = told.partition("Notes:\n")
        lines = commands.splitlines()
        assert lines[0] == "  . /creds/eucarc"
        assert "  euca-authorize -P tcp -p 80 -s 0.0.0.0/0 default" in lines
        assert any("euca-run-instances" in line and "emi-1234ABCD" in line for line in lines)
        assert lines[-1] == '  ssh -i ~/image-store.pem admin@"$ADDRESS"'
        assert "  Log in as admin, " in notes
        assert "  It needs these ports open: 80.\n" in notes
        # They lie here: nothing else has to be loaded.
        assert "The first line" not in notes
    assert site.store.acted == []


def test_show_tells_all_in_plain_text(run: Run, site: MemorySite, capsys: Captured) -> None:
    site.store.images[LUCID] = info(
        LUCID,
        "Lucid\x1b[2J\u202eevil",
        description_html="<p>Runs &amp; <b>runs</b></p>",
        provider=Provider("Canonical"),
        tags=("a", "b"),
    )
    run("show", LUCID)
    out = capsys.readouterr().out
    assert "Title:       Lucid[2Jevil\n" in out
    assert "Description: Runs & runs\n" in out
    assert "Tags:        a, b\n" in out
    assert "\x1b" not in out


def test_a_store_that_is_away_is_told_beside_what_is_known(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.trouble = FetchError("store.example cannot be reached.")
    with pytest.raises(ClientError) as caught:
        run("list")
    assert caught.value.message == "store.example cannot be reached."
    assert caught.value.exit_status == FAILED


def test_status_without_names_shows_what_goes_on(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    run("status")
    shown = capsys.readouterr()
    assert shown.out.startswith("No install is going on, and none has failed.\n")
    site.store.state_of[LUCID] = BUSY
    site.store.state_of[KARMIC] = ImageState(
        KARMIC, Status.UNINSTALLED, (Action.INSTALL,), error_message="The disk is full."
    )
    run("status")
    shown = capsys.readouterr()
    assert [re.split(" {2,}", line) for line in shown.out.splitlines()[:4]] == [
        ["TITLE", "STATUS", "URI"],
        ["Ubuntu 9.10", "failed", KARMIC],
        ["Ubuntu 10.04", "40 % downloading 42.0 MiB of 100.0 MiB 12.3 MiB/s 1:05 left", LUCID],
        ["Ubuntu 9.10: The disk is full."],
    ]
    assert shown.err == f"  Next: image-store install {KARMIC}\n"


@pytest.mark.parametrize(
    "name", [LUCID, "Ubuntu 10.04", "ubuntu 10.04", "10.04", "LUCID?v", "images/lucid"]
)
def test_an_image_is_named_by_its_uri_or_a_part_only_it_has(site: MemorySite, name: str) -> None:
    assert find_image(MemoryConnection(site), name).uri == LUCID


def test_an_exact_title_is_preferred_to_a_part_of_others() -> None:
    store = MemoryStore([info(KARMIC, "Ubuntu"), info(LUCID, "Ubuntu 10.04")])
    assert find_image(MemoryConnection(MemorySite(store)), "ubuntu").uri == KARMIC


def test_an_ambiguous_name_lists_the_near_ones(site: MemorySite) -> None:
    with pytest.raises(ClientError) as caught:
        find_image(MemoryConnection(site), "ubuntu")
    assert caught.value.exit_status == MISUSED
    assert KARMIC in caught.value.message
    assert LUCID in caught.value.message


def test_a_misspelt_name_lists_the_near_ones(site: MemorySite) -> None:
    with pytest.raises(ClientError) as caught:
        find_image(MemoryConnection(site), "Ubunto 10.4")
    assert caught.value.exit_status == FAILED
    assert LUCID in caught.value.message
    with pytest.raises(ClientError) as caught:
        find_image(MemoryConnection(site), "zzzzzzzz\x1b")
    assert caught.value.hints == ["image-store list"]


def test_a_misspelt_word_of_a_title_is_enough(site: MemorySite) -> None:
    with pytest.raises(ClientError, match="Did you mean") as caught:
        find_image(MemoryConnection(site), "ubutnu")
    assert KARMIC in caught.value.message
    assert LUCID in caught.value.message


def test_a_uri_that_no_store_lists_is_taken_as_it_is(site: MemorySite) -> None:
    found = find_image(MemoryConnection(site), "http://x/other")
    assert (found.uri, found.state["status"]) == ("http://x/other", "uninstalled")


def test_what_cannot_be_done_now_is_said(run: Run) -> None:
    with pytest.raises(ClientError, match="no store offers it"):
        run("install", "http://x/other")
    with pytest.raises(ClientError, match="nothing going on"):
        run("cancel", "lucid")


GONE = ImageState(
    LUCID,
    Status.UNINSTALLED,
    (Action.INSTALL, Action.CLEAR_ERROR, Action.FORGET),
    error_message="emi-1234ABCD is no longer registered.",
)
REMOVING = ImageState(
    LUCID,
    Status.INSTALLING,
    (),
    Progress(Step.REMOVING, 0),
    error_message="S3 does not answer.",
)


class Terminal(io.StringIO):
    """Somebody types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("n\n", False), ("", False)])
def test_an_uninstall_asks_first_on_a_terminal(
    run: Run, site: MemorySite, monkeypatch: pytest.MonkeyPatch, typed: str, done: bool
) -> None:
    site.store.state_of[LUCID] = replace(DONE, actions=(Action.UNINSTALL,))
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setattr("sys.stderr", shown := Terminal())
    if done:
        run("uninstall", "lucid")
    else:
        with pytest.raises(ClientError, match="Nothing was done"):
            run("uninstall", "lucid")
    assert shown.getvalue() == "Uninstall Ubuntu 10.04 emi-1234ABCD? [y/N] "
    assert site.store.acted == [("uninstall", LUCID)] * done


def test_an_uninstall_without_a_terminal_needs_yes(
    run: Run, site: MemorySite, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    site.store.state_of[LUCID] = replace(DONE, actions=(Action.UNINSTALL,))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ClientError, match="--yes") as caught:
        run("uninstall", "lucid")
    assert caught.value.exit_status == MISUSED
    assert site.store.acted == []
    run("uninstall", "lucid", "--yes")
    assert capsys.readouterr().out == f"Removed Ubuntu 10.04 ({LUCID}).\n"
    with pytest.raises(ClientError, match="not installed"):
        run("uninstall", "lucid", "--yes")


def test_p4_an_uninstall_is_followed_to_its_end_and_tells_what_hinders_it_once(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of[LUCID] = replace(REMOVING, error_message="")
    end = ImageState(LUCID, Status.UNINSTALLED, (Action.INSTALL,))
    run("uninstall", "lucid", sleep=Timeline(site, [REMOVING, REMOVING, end]).sleep)
    assert capsys.readouterr().out.splitlines() == [
        "0 %  removing".rjust(15),
        "S3 does not answer.",
        f"Removed Ubuntu 10.04 ({LUCID}).",
    ]
    assert site.store.acted == []
    site.store.state_of[LUCID] = REMOVING
    failed = replace(DONE, actions=(Action.UNINSTALL,), error_message="It is in use.")
    with pytest.raises(ClientError, match=r"could not be removed: It is in use\."):
        run("uninstall", "lucid", sleep=Timeline(site, [failed]).sleep)


def test_h11_what_is_gone_is_said_and_can_be_forgotten_or_its_error_cleared(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of[LUCID] = GONE
    run("status")
    assert capsys.readouterr().out == (
        "TITLE         STATUS               URI\n"
        f"Ubuntu 10.04  gone from the cloud  {LUCID}\n"
        "Ubuntu 10.04: emi-1234ABCD is no longer registered.\n"
    )
    run("clear-error", "lucid")
    assert capsys.readouterr().out == f"Cleared the error of Ubuntu 10.04 ({LUCID}).\n"
    site.store.state_of[LUCID] = GONE
    run("forget", "lucid", "--json")
    assert json.loads(capsys.readouterr().out)["state"]["status"] == "uninstalled"
    assert [action for action, _ in site.store.acted] == ["clear-error", "uninstall"]
    with pytest.raises(ClientError, match="not gone"):
        run("forget", "lucid")
    with pytest.raises(ClientError, match="no error"):
        run("clear-error", "lucid")


def test_h11_a_comparison_with_the_cloud_tells_what_it_found(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.found = Reconciliation(3, (KARMIC,), (LUCID,), ("image-store-x",))
    run("reconcile")
    assert capsys.readouterr().out.splitlines() == [
        "Installed images looked for: 3.",
        f"  gone from the cloud: {KARMIC}",
        f"  there again: {LUCID}",
        "  looks like ours, and nobody knows it; left alone: image-store-x",
    ]
    site.store.found = Reconciliation(problem="S3 does not answer.")
    with pytest.raises(ClientError, match=r"S3 does not answer\.") as caught:
        run("reconcile")
    assert caught.value.exit_status == FAILED
    capsys.readouterr()
    with pytest.raises(ClientError):
        run("reconcile", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["reconciliation"]["problem"] == "S3 does not answer."


def test_h8_a_check_shows_each_finding_and_fails_if_one_is_a_problem(capsys: Captured) -> None:
    fine = Finding("disk", note="5 GiB are free")
    site = MemorySite(findings=[fine])
    options = parser().parse_args(["check"])
    options.entry.load()(Command(options, MemoryConnection(site), LOGIN))
    assert capsys.readouterr().out == "ok       disk: 5 GiB are free\n"
    site = MemorySite(findings=[fine, Finding("cloud", "S3_URL is\x1b[2J missing.")])
    with pytest.raises(ClientError) as caught:
        options.entry.load()(Command(options, MemoryConnection(site), LOGIN))
    assert (caught.value.message, caught.value.exit_status) == ("", FAILED)
    assert capsys.readouterr().out.splitlines()[1] == "PROBLEM  cloud: S3_URL is[2J missing."


def test_a_proxy_asked_by_an_ipv6_address_says_why_nothing_can_be_done(site: MemorySite) -> None:
    connection = MemoryConnection(site)
    connection.body = json.dumps(
        {
            "images": [{"uri": LUCID}],
            "states": [{"image-uri": LUCID, "status": "uninstalled", "actions": {}}],
            "error-message": "Give it --external-url.",
        }
    ).encode()
    options = parser().parse_args(["install", "lucid"])
    with pytest.raises(ClientError, match="--external-url"):
        options.entry.load()(Command(options, connection, LOGIN))


def test_h3_a_refusal_is_passed_on_in_the_words_of_the_proxy(run: Run) -> None:
    with pytest.raises(ClientError, match="secret key is not the one") as caught:
        run("list", secret="wrong")
    assert caught.value.exit_status == UNREACHABLE
    assert "wrong" not in caught.value.message


def test_h9_a_proxy_that_cannot_be_reached_is_named_with_the_cause(site: MemorySite) -> None:
    connection = MemoryConnection(site)
    for trouble, cause in (
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError("timed out"), "no answer within 60 seconds"),
        (OSError(-2, "Name or service not known"), "Name or service not known"),
    ):
        connection.troubles = [trouble]
        with pytest.raises(ClientError) as caught:
            connection.get("/api/dashboard")
        assert caught.value.exit_status == UNREACHABLE
        assert "http://localhost:52780" in caught.value.message
        assert cause in caught.value.message
        assert caught.value.hints == ["image-store-proxy --help"]
    # Nothing that is typed here starts one elsewhere.
    elsewhere = MemoryConnection(site, url="http://store.invalid:1")
    elsewhere.troubles = [OSError(-2, "Name or service not known")]
    with pytest.raises(ClientError) as caught:
        elsewhere.get("/api/dashboard")
    assert not caught.value.hints


def test_a_connection_closed_without_an_answer_is_tried_again_with_the_same_bytes(
    site: MemorySite,
) -> None:
    connection = MemoryConnection(site)
    connection.troubles = [ConnectionResetError()] * (ATTEMPTS - 1)
    assert connection.get("/api/dashboard")["images"]
    assert len(connection.sent) == ATTEMPTS
    assert len(set(connection.sent)) == 1
    connection.troubles = [ConnectionResetError()] * ATTEMPTS
    with pytest.raises(ClientError):
        connection.get("/api/dashboard")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff"])
def test_something_else_that_answers_is_no_proxy(site: MemorySite, body: bytes) -> None:
    connection = MemoryConnection(site)
    connection.body = body
    with pytest.raises(ClientError, match="no image store proxy"):
        connection.get("/api/dashboard")


@pytest.mark.parametrize(
    "url",
    ["", "localhost:52780", "ftp://x", "http://", "http://x/y", "http://x:y", "http://x:99999"],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ClientError) as caught:
        Connection(url, "id", "secret")
    assert caught.value.exit_status == MISUSED


def test_odd_characters_of_an_argument_are_signed_as_they_are_sent(
    run: Run, site: MemorySite
) -> None:
    run("search", "a b+c&d=é~*\udce9😀")
    assert site.store.asked[0] == "a b+c&d=é~*?😀"


class Timeline:
    """Time that passes only in ``sleep``; after each the store's next state is in place."""

    def __init__(self, site: MemorySite, states: Sequence[ImageState]) -> None:
        self.site = site
        self.states: Iterator[ImageState] = iter(states)
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.site.store.state_of[LUCID] = next(self.states)

    def monotonic(self) -> float:
        return self.now_s


def followed(
    site: MemorySite, connection: Connection, states: Sequence[ImageState], display: Any
) -> dict[str, Any]:
    timeline = Timeline(site, states)
    first = {"status": "downloading"}
    return dict(
        follow(
            connection,
            LUCID,
            first,
            display,
            sleep=timeline.sleep,
            monotonic=timeline.monotonic,
        )
    )


def stages() -> list[ImageState]:
    assert BUSY.progress is not None
    return [
        replace(BUSY, progress=replace(BUSY.progress, step=step, percent=percent))
        for step, percent in (
            (Step.DOWNLOADING, 10),
            (Step.DOWNLOADING, 11),
            (Step.UPLOADING, 60),
            (Step.UPLOADING, 75),
        )
    ]


def test_p10_progress_in_a_pipe_is_a_line_for_whatever_is_new(site: MemorySite) -> None:
    stream = io.StringIO()
    state = followed(site, MemoryConnection(site), [*stages(), DONE], Lines(stream))
    assert state["emi"] == "emi-1234ABCD"
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[:2] for line in map(str.strip, lines)] == [
        ["0 %", "downloading"],
        ["10 %", "downloading"],
        ["60 %", "uploading"],
        ["75 %", "uploading"],
    ]
    assert lines[1].endswith("42.0 MiB of 100.0 MiB  12.3 MiB/s  1:05 left")
    assert "\r" not in stream.getvalue()


def test_an_install_that_somebody_pauses_is_waited_for_and_says_so(site: MemorySite) -> None:
    stream = io.StringIO()
    paused = replace(BUSY, progress=Progress(Step.PAUSED, 11), actions=(Action.RESUME,))
    states = [*stages()[:2], *[paused] * 300, *stages()[2:], DONE]
    assert followed(site, MemoryConnection(site), states, Lines(stream))["emi"]
    lines = [line.split("  ")[:2] for line in map(str.strip, stream.getvalue().splitlines())]
    assert lines.count(["11 %", "paused"]) == 1
    assert lines[-1] == ["75 %", "uploading"]


def test_an_install_of_what_is_paused_lets_it_go_on(run: Run, site: MemorySite) -> None:
    site.store.state_of[LUCID] = replace(BUSY, image_uri=LUCID, actions=(Action.RESUME,))
    run("install", "lucid", "--no-wait")
    assert site.store.acted == [("resume", LUCID)]


def test_p10_progress_on_a_terminal_is_one_line_drawn_again(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    followed(site, MemoryConnection(site), [*stages(), DONE], Bar(stream))
    drawn = stream.getvalue().split("\r")[1:]
    assert len(drawn) == 5
    assert drawn[3].startswith("[###...]  60 %  uploading")
    assert all("1:05 left" in line for line in drawn[1:])
    assert all(len(line.removesuffix("\n").removesuffix("\x1b[K")) < 60 for line in drawn)
    assert stream.getvalue().endswith("\x1b[K\n")


def test_a_proxy_that_is_restarted_is_waited_for_and_one_that_stays_away_is_not(
    site: MemorySite,
) -> None:
    connection = MemoryConnection(site)
    connection.troubles = [ConnectionRefusedError(111, "Connection refused")] * 20
    stream = io.StringIO()
    assert followed(site, connection, [*[BUSY] * 20, DONE], Lines(stream))["emi"]
    assert stream.getvalue().count("The proxy cannot be reached; trying again ...\n") == 1
    connection.troubles = [ConnectionRefusedError(111, "Connection refused")] * 1000
    with pytest.raises(ClientError) as caught:
        followed(site, connection, [BUSY] * 1000, Lines(io.StringIO()))
    assert caught.value.exit_status == UNREACHABLE
    assert 1000 - len(connection.troubles) == int(AWAY_S) + 1


@pytest.mark.parametrize(
    ("message", "words"), [("The cloud refused the manifest.", "failed"), ("", "cancelled")]
)
def test_h10_an_install_that_ends_in_an_error_fails_with_its_sentence(
    run: Run, site: MemorySite, message: str, words: str
) -> None:
    end = ImageState(LUCID, Status.UNINSTALLED, (Action.INSTALL,), error_message=message)
    with pytest.raises(ClientError, match=words) as caught:
        run("install", "lucid", sleep=Timeline(site, [BUSY, end]).sleep)
    assert caught.value.exit_status == FAILED
    assert message in caught.value.message
    assert site.store.acted == [("install", LUCID)]


def test_h13_an_install_is_followed_to_its_end_and_to_the_line_that_runs_it(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    run("install", "lucid", sleep=Timeline(site, [BUSY, DONE]).sleep)
    shown = capsys.readouterr().out
    assert "40 B of 100 B" in shown
    assert "Ubuntu 10.04: installed emi-1234ABCD\nTo run it:\n  . /creds/eucarc\n" in shown


def test_ctrl_c_says_that_the_install_goes_on_and_how_to_stop_it(
    run: Run, capsys: Captured
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("install", "lucid", sleep=interrupted)
    said = capsys.readouterr().err
    assert "goes on" in said
    assert f"image-store cancel '{LUCID}'" in said


def test_an_install_that_goes_on_already_is_joined(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.store.state_of[LUCID] = BUSY
    run("install", "lucid", "--no-wait")
    assert site.store.acted == []
    assert capsys.readouterr().out == "Ubuntu 10.04: downloading 40 %\n"


def test_sources_are_told_with_problems_in_sentences_and_the_next_refresh(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    site.supply.told = [
        SourceStatus(
            "ubuntu", "Ubuntu", "simplestreams", "https://u.example/", 5, 2,
            next_at_s=1_795_000_000.0, problem="u.example cannot be reached.", is_unsigned=True,
        )
    ]  # fmt: skip
    run("sources")
    out = capsys.readouterr().out
    assert "never" in out
    assert "ubuntu cannot be asked or believed: u.example cannot be reached.\n" in out
    assert "ubuntu is not signed" in out
    assert "ubuntu will be asked again at 2026-11-1" in out


def test_bandwidth_is_changed_until_the_next_start_which_is_said(
    run: Run, site: MemorySite, capsys: Captured
) -> None:
    run("bandwidth", "2.5")
    out = capsys.readouterr().out
    assert "at most 2.5 MB/s" in out
    assert "until the next start" in out
    assert site.supply.limit_bytes_per_s == 2_500_000
    run("bandwidth", "none")
    run("bandwidth")
    assert capsys.readouterr().out.endswith("as fast as it can.\n")


def test_a_version_is_installed_by_its_name_and_one_that_is_not_there_lists_the_others(
    run: Run, site: MemorySite
) -> None:
    older = f"{KARMIC}@0.9"
    site.store.older = {KARMIC: [info(KARMIC, version="1.0"), info(older, version="0.9")]}
    site.store.images[older] = info(older, version="0.9")
    site.store.state_of[older] = ImageState(older, Status.UNINSTALLED, (Action.INSTALL,))
    run("install", KARMIC, "--version", "0.9", "--no-wait")
    assert site.store.acted == [("install", older)]
    with pytest.raises(ClientError, match=r"1\.0, 0\.9"):
        run("install", KARMIC, "--version", "7")

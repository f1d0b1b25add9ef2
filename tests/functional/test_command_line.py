"""``image-store`` beside the real daemon: the whole life of an image, and what a terminal shows."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from imagestoreproxy.client.shapes import schema
from imagestoreproxy.client.table import COMMANDS
from tests.functional import warm
from tests.functional.rig import CLIENT_ID, ROOT, SECRET, Rig, fake_rig, wait_for

TIME_LIMIT_S = 60
SERVER, DATABASE, WEB = "Example Server", "Example Database", "Example Web Server"
SHAPE_OF = {entry.name: entry.shape for entry in COMMANDS}


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    with fake_rig(tmp_path, images) as made:
        yield made


def program(rig: Rig, *words: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "bin" / "image-store"),
        f"--url=http://127.0.0.1:{rig.daemon.port}",
        f"--client-id={CLIENT_ID}",
        *words,
    ]


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "IMAGE_STORE_SECRET": SECRET, "TERM": "xterm", "COLUMNS": "120", **more}


def run(rig: Rig, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return warm.run(program(rig, *words), environment(**more), timeout_s=TIME_LIMIT_S)


def told(rig: Rig, *words: str, status: int = 0) -> dict[str, Any]:
    """Run a command with ``--json``, and check what it says against its described shape."""
    done = run(rig, "--json", *words)
    assert done.returncode == status, done.stdout + done.stderr
    content = json.loads(done.stdout)
    check("failure" if "error-message" in content and status else SHAPE_OF[words[0]], content)
    return dict(content)


def check(shape: str, content: Any) -> None:
    jsonschema_rs.validator_for(schema(shape, closed=True)).validate(content)


@contextmanager
def going(rig: Rig, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside others."""
    process = subprocess.Popen(
        program(rig, *words),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_whole_life_of_an_image_in_json_as_it_is_described(rig: Rig) -> None:
    listed = told(rig, "list")
    assert {SERVER, DATABASE} <= {image["title"] for image in listed["images"]}
    assert [i["title"] for i in told(rig, "search", "database")["images"]] == [DATABASE]
    assert told(rig, "sources")["sources"][0]["images"] == len(listed["images"])
    assert told(rig, "check")["ready"]
    assert told(rig, "status")["states"] == []

    plan = told(rig, "plan", DATABASE)["plan"]
    assert plan["enough-room"]
    assert plan["fetch-bytes"] > 0
    assert told(rig, "status")["states"] == []

    # Paused in mid-download, it is left alone until it is resumed.
    rig.store.control(fault="slow", path="image.gz", rate=200_000)
    begun = told(rig, "install", DATABASE, "--no-wait")
    assert begun["state"]["status"] == "downloading"
    uri = begun["state"]["image-uri"]
    wait_for("some bytes", lambda: rig.daemon.state(uri).get("stage") == "downloading")
    told(rig, "pause", DATABASE)
    wait_for("the pause", lambda: rig.daemon.state(uri).get("stage") == "paused")
    (paused,) = told(rig, "status")["states"]
    assert "resume" in paused["actions"]
    rig.store.control(reset=True)
    done = told(rig, "resume", DATABASE)
    assert done["state"]["status"] == "installed"
    assert done["state"]["emi"] in done["run-command"]
    assert told(rig, "status", DATABASE)["states"][0]["emi"] == done["state"]["emi"]
    shown = told(rig, "show", DATABASE)
    assert shown["state"]["emi"] == done["state"]["emi"]

    runs = told(rig, "history", DATABASE)["history"]
    assert [run["outcome"] for run in runs] == ["installed"]
    assert {"paused", "resumed", "installed"} <= {event["what"] for event in runs[0]["events"]}
    assert told(rig, "history")["history-total"] == 1

    assert told(rig, "follow", DATABASE)["follow"]["image-uri"] == uri
    assert told(rig, "follow")["follows"][0]["will"]
    assert told(rig, "unfollow", DATABASE)["unfollowed"] == uri
    assert told(rig, "reconcile")["reconciliation"]["checked"] == 1
    assert told(rig, "bandwidth")["limit-mb-per-s"] == 0

    assert "--yes" in told(rig, "uninstall", DATABASE, status=2)["error-message"]
    assert told(rig, "uninstall", DATABASE, "--yes")["state"]["status"] == "uninstalled"
    assert told(rig, "history")["history"][0]["kind"] == "uninstall"
    assert told(rig, "logs")["log"]


def test_what_fails_says_why_and_its_next_commands_help(rig: Rig) -> None:
    rig.store.control(fault="corrupt", path="image.gz")
    failed = told(rig, "install", SERVER, status=1)
    assert "another content than was signed" in failed["error-message"]
    after = [command.split(" ")[-3:] for command in failed["next-commands"]]
    assert ["history", "'Example", "Server'"] in after
    assert ["retry", "'Example", "Server'"] in after
    assert told(rig, "history", SERVER)["history"][0]["outcome"] == "failed"
    (state,) = told(rig, "status")["states"]
    assert state["error-message"] in failed["error-message"]
    rig.store.control(reset=True)
    assert told(rig, "retry", SERVER)["state"]["status"] == "installed"

    rig.store.control(fault="slow", path="image.gz", rate=100_000)
    told(rig, "install", WEB, "--no-wait")
    assert told(rig, "cancel", WEB)["states"][0]["image-uri"]
    wait_for("the end", lambda: told(rig, "status", WEB)["states"][0]["status"] == "uninstalled")
    assert told(rig, "clear-error", WEB, status=1)["next-commands"]


def test_several_are_installed_at_once_and_one_that_fails_hinders_none(rig: Rig) -> None:
    done = told(rig, "install", SERVER, DATABASE)
    assert [one["state"]["status"] for one in done["installs"]] == ["installed"] * 2
    assert "state" not in done
    rig.store.control(fault="500", path="b5d8")
    failed = told(rig, "install", WEB, SERVER, status=1)
    assert [bool(one.get("error-message")) for one in failed["installs"]] == [True, False]
    assert failed["error-message"] == "1 of 2 images could not be installed."


def test_whoever_watches_sees_all_that_goes_on_over_a_restart_of_the_daemon(rig: Rig) -> None:
    rig.store.control(fault="slow", path="image.gz", rate=300_000)
    for title in (SERVER, DATABASE):
        told(rig, "install", title, "--no-wait")
    with going(rig, "watch", "--json") as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        rig.daemon.end(signal.SIGKILL)
        rig.store.control(reset=True)
        rig.daemon.start()
        rest, said = watching.communicate(timeout=TIME_LIMIT_S)
    assert watching.returncode == 0, said
    states = [json.loads(line) for line in [first, *rest.splitlines()]]
    for state in states:
        check("watch", state)
    ended = {one["state"]["image-uri"] for one in states if one["state"]["status"] == "installed"}
    assert len(ended) == 2


def test_the_log_is_followed_as_it_is_written(rig: Rig) -> None:
    with going(rig, "logs", "-f", "--json", "--level=info") as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        told(rig, "install", SERVER)
        for line in following.stdout:
            entry = json.loads(line)
            assert entry["number"] > first["number"]
            if "is installed as" in entry["text"]:
                break
        following.send_signal(signal.SIGINT)
        assert following.wait(TIME_LIMIT_S) == 130


def on_a_terminal(command: Sequence[str], **more: str) -> tuple[int, str]:
    """Run a command on a terminal of its own, and give its exit status and all that it shows."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command,
        env=environment(**more),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    ends_s = time.monotonic() + TIME_LIMIT_S
    try:
        while select.select([main], [], [], max(0.0, ends_s - time.monotonic()))[0]:
            try:
                piece = os.read(main, 65_536)
            except OSError:  # the program is gone, and with it the terminal
                break
            if not piece:
                break
            shown += piece
        return process.wait(TIME_LIMIT_S), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(main)


def test_a_terminal_gets_colours_and_a_bar_for_each_install(rig: Rig) -> None:
    status, shown = on_a_terminal(program(rig, "list"))
    assert status == 0
    assert "\x1b[1mTITLE\x1b[0m" in shown
    rig.store.control(fault="slow", path="image.gz", rate=4_000_000)
    status, shown = on_a_terminal(program(rig, "install", SERVER, DATABASE))
    assert status == 0, shown
    assert re.search(r"Example Server +\[.*\n?Example Database +\[", shown.replace("\r", ""))
    assert "\x1b[2A" in shown  # both lines are drawn again
    assert "\x1b[32mExample Server: installed emi-" in shown
    status, shown = on_a_terminal(program(rig, "status", SERVER), NO_COLOR="1")
    assert "\x1b" not in shown
    status, shown = on_a_terminal(program(rig, "install", WEB), TERM="dumb")
    assert status == 0
    assert "\x1b" not in shown
    assert "installed emi-" in shown


def test_a_pipe_gets_no_colours_unless_they_are_asked_for(rig: Rig) -> None:
    assert "\x1b" not in run(rig, "list").stdout
    assert "\x1b[1mTITLE" in run(rig, "list", "--color=always").stdout


def test_a_plan_and_a_history_can_be_read_by_people(rig: Rig) -> None:
    shown = run(rig, "plan", SERVER)
    assert shown.returncode == 0
    assert "To fetch:" in shown.stdout
    assert shown.stdout.endswith(f"install '{SERVER}'\n")
    run(rig, "install", SERVER)
    shown = run(rig, "history", SERVER)
    assert re.match(rf"install of {SERVER} .*: installed emi-", shown.stdout), shown.stdout
    assert run(rig, "history").stdout.splitlines()[0].split()[:3] == ["BEGAN", "WHAT", "OUTCOME"]


def test_status_shows_the_disk_and_says_where_to_begin(rig: Rig) -> None:
    status = run(rig, "status")
    assert re.search(r"\nDisk: [0-9.]+ .iB free of [0-9.]+ .iB at /", status.stdout), status.stdout
    assert status.stderr.endswith(" list\n")
    assert told(rig, "status")["overview"]["queue"]["running"] == []
    told(rig, "install", SERVER)
    assert run(rig, "status").stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_completes_is_understood_by_the_shell(shell: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bin" / "image-store"), "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "clear-error" in script
    assert "--no-wait" in script or "no-wait" in script
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script)
    checked = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bin" / "image-store"), "completion", "bash"]
    file = tmp_path / "script"
    file.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    asked = f"""
    . {file}
    COMP_WORDS=(image-store "$@"); COMP_CWORD=$#; COMPREPLY=()
    $(complete -p image-store | sed 's/.* -F \\([^ ]*\\).*/\\1/')
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    for words, wanted in ((["inst"], "install"), (["install", "--no"], "--no-wait")):
        done = subprocess.run(
            ["bash", "-c", asked, "bash", *words], capture_output=True, text=True, timeout=30
        )
        assert wanted in done.stdout.split(), done.stderr


def test_an_output_that_is_full_is_said_in_a_sentence() -> None:
    command = [sys.executable, str(ROOT / "bin" / "image-store"), "completion", "bash"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "image-store: The output cannot be read or written: No space left on device.\n"
    )


def test_bash_completes_titles_as_the_shell_takes_them(tmp_path: Path) -> None:
    """With spaces and odd characters, unquoted and within quotes."""
    titles = ["Example Server", "Example Web (2)", "Example $(touch x)", "Other"]
    command = [sys.executable, str(ROOT / "bin" / "image-store"), "completion", "bash"]
    file = tmp_path / "script"
    file.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    (tmp_path / "titles").write_text("".join(f"{title}\n" for title in titles))
    program = tmp_path / "image-store"
    program.write_text(f'#!/bin/sh\n[ "$3" = list ] && exec cat {tmp_path}/titles\n')
    program.chmod(0o755)
    asked = f"""
    . {file}
    COMP_WORDS=(image-store "$@"); COMP_CWORD=$#; COMPREPLY=()
    $(complete -p image-store | sed 's/.* -F \\([^ ]*\\).*/\\1/')
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    quoted = [r"Example\ Server", r"Example\ Web\ \(2\)", r"Example\ \$\(touch\ x\)"]
    for words, wanted in (
        (["show", "Exa"], quoted),
        (["install", r"Example\ Server", r"Example\ W"], quoted[1:2]),
        (["show", '"Exa'], titles[:2]),
        (["show", "'Example S"], titles[:1]),
        (["show", "x"], [""]),
    ):
        done = subprocess.run(
            ["bash", "-c", asked, "bash", *words],
            env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout.splitlines() == wanted, (words, done.stderr)


@pytest.mark.parametrize("page", ["image-store.1", "image-store-proxy.8"])
def test_a_manual_page_is_shown_without_a_warning(page: str) -> None:
    file = str(ROOT / "docs" / "man" / page)
    linters = {
        "groff": ["groff", "-man", "-ww", "-z", "-Tutf8", file],
        "mandoc": ["mandoc", "-Tlint", "-Wwarning", file],
        "man": ["man", "--warnings", "-l", "-P", "cat", file],
    }
    found = [command for name, command in linters.items() if shutil.which(name)]
    if not found:
        pytest.skip("neither groff, mandoc nor man is installed")
    for command in found:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_the_help_imports_nothing_that_takes_long() -> None:
    """A shell that completes, and a person who reads, do not wait for what they do not use."""
    asked = "import sys; import imagestoreproxy.client.cli as c\n"
    asked += "try: c.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    slow = {"twisted", "boto3", "botocore", "nh3", "ssl", "http.client", "cryptography", "shtab"}
    assert "usage: image-store" in done.stdout
    assert slow & set(done.stdout.splitlines()[-1].split()) == set()

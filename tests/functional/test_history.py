"""Plan, history and overview of a real daemon: what is foretold happens, what happens is told."""

from __future__ import annotations

import base64
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy import __version__
from imagestoreproxy.install.tail import TAIL_BYTES
from tests.functional.rig import Rig, fake_rig, wait_for
from tests.functional.test_daemon import TRIO, sent_bytes

TRY = ["started", "checked", "planned", "downloading"]
END = ["downloaded", "uploading", "uploaded", "registering", "registered", "installed"]
FILES = ("kernel", "ramdisk.gz", "image.gz")

Json = dict[str, Any]


@pytest.fixture
def rig(tmp_path: Path, images: Path) -> Iterator[Rig]:
    with fake_rig(tmp_path, images, "--cache-size=1") as made:
        yield made


def ask(rig: Rig, uri: str, what: str) -> Any:
    name = base64.urlsafe_b64encode(uri.encode()).decode().rstrip("=")
    return rig.daemon.proxy.get(f"/api/images/{name}/{what}")[what]


def whats(run: Json) -> list[str]:
    return [event["what"] for event in run["events"]]


def sent(rig: Rig) -> int:
    return sum(sent_bytes(rig, name) for name in FILES)


def test_the_bytes_of_a_plan_are_those_that_then_come_and_nothing_comes_for_the_plan(
    rig: Rig,
) -> None:
    uri = rig.image(TRIO)
    plan = ask(rig, uri, "plan")
    assert sent(rig) == 0
    assert not rig.daemon.files()
    assert plan["enough-room"]
    assert re.fullmatch("[0-9A-F]{40}", plan["signed-by"]["fingerprint"])
    assert [one["kind"] for one in plan["register"]] == ["kernel", "ramdisk", "image"]
    assert "problem" not in plan
    rig.daemon.act(uri, "install")
    done = rig.daemon.wait(uri, "installed")
    assert plan["fetch-bytes"] == sum(one["bytes"] for one in plan["fetch"])
    # The ends of the two gzip files are asked for by themselves.
    assert 0 <= sent(rig) - plan["fetch-bytes"] <= 2 * TAIL_BYTES
    (run,) = ask(rig, uri, "history")
    assert run["bytes"] == plan["fetch-bytes"]
    other = next(
        image["uri"]
        for image in rig.daemon.proxy.get("/api/dashboard")["images"]
        if image["title"] == "Example Web Server"
    )
    shared = {one["kind"]: one.get("shared-with") for one in ask(rig, other, "plan")["register"]}
    assert shared == {"kernel": done["eki"], "ramdisk": done["eri"], "image": None}
    rig.daemon.act(uri, "uninstall")
    rig.daemon.wait(uri, "uninstalled")
    overview = rig.daemon.proxy.get("/api/overview")["overview"]
    assert overview["installed"] == 0
    assert overview["disk"]["cache-bytes"] >= plan["fetch-bytes"]
    assert overview["disk"]["cache-limit-bytes"] == 2**30
    again = ask(rig, uri, "plan")
    assert again["fetch-bytes"] == 0
    assert all(one["cached"] for one in again["fetch"])


def test_what_happens_reads_as_a_true_story_over_failure_kill_and_cancel(rig: Rig) -> None:
    uri, daemon = rig.image(TRIO), rig.daemon
    rig.store.control(fault="corrupt", path="image.gz")
    daemon.act(uri, "install")
    wait_for("the failure", lambda: "retry" in daemon.state(uri)["actions"])
    (failed,) = ask(rig, uri, "history")
    assert whats(failed)[:5] == ["accepted", *TRY]
    assert whats(failed)[-2:] == ["failed", "undone"]
    assert failed["outcome"] == "failed"
    assert "another content than was signed" in failed["error-message"]

    rig.store.control(fault="none")
    rig.store.control(fault="slow", path="image.gz", rate=1_000_000)
    daemon.act(uri, "retry")
    wait_for("some bytes", lambda: daemon.state(uri).get("bytes-done", 0) > 2_000_000)
    daemon.end(signal.SIGKILL)
    daemon.start()
    wait_for("the restart", lambda: "restarted" in whats(ask(rig, uri, "history")[0]))
    rig.store.control(fault="none")
    done = daemon.wait(uri, "installed")
    (run,) = ask(rig, uri, "history")
    after = whats(run)[whats(run).index("retried") :]
    assert after == ["retried", *TRY, "restarted", *TRY, *END]
    assert (run["outcome"], run["emi"]) == ("installed", done["emi"])
    assert "error-message" not in run
    times = [event["at"] for event in run["events"]]
    assert times == sorted(times)

    daemon.act(uri, "uninstall")
    daemon.wait(uri, "uninstalled")
    rig.store.control(newer=True)
    other = rig.image("Example Database")
    daemon.act(other, "install")
    daemon.wait(other, "installed")
    told = daemon.proxy.get("/api/history", [("count", "2")])
    assert told["history-total"] == 3
    assert [(one["kind"], one["outcome"]) for one in told["history"]] == [
        ("install", "installed"),
        ("uninstall", "uninstalled"),
    ]
    assert not any("events" in one for one in told["history"])
    assert whats(ask(rig, uri, "history")[0]) == ["removing", "uninstalled"]


def test_the_overview_tells_how_the_daemon_is(rig: Rig) -> None:
    uri, daemon = rig.image(TRIO), rig.daemon
    rig.store.control(fault="slow", path="image.gz", rate=500_000)
    uris = [image["uri"] for image in daemon.proxy.get("/api/dashboard")["images"]]
    for one in uris:
        daemon.act(one, "install")
    wait_for("some bytes", lambda: daemon.state(uri).get("bytes-done", 0) > 500_000)
    overview = daemon.proxy.get("/api/overview")["overview"]
    assert overview["cloud"] == "fake"
    assert overview["version"] == __version__
    assert overview["queue"]["running"] == uris[:2]
    assert overview["queue"]["waiting"] == uris[2:]
    assert (overview["installed"], overview["failed"]) == (0, 0)
    disk = overview["disk"]
    assert disk["path"] == str(daemon.data_dir)
    assert disk["downloads-bytes"] > 0
    assert 0 < disk["free-bytes"] < disk["total-bytes"]
    assert disk["database-bytes"] > 0
    started, compared = overview["started-at"], overview["next-comparison-at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", started)
    assert started < compared


def test_a_cancel_and_what_was_paused_over_a_restart_are_told(rig: Rig) -> None:
    uri, daemon = rig.image(TRIO), rig.daemon
    rig.store.control(fault="slow", path="image.gz", rate=500_000)
    daemon.act(uri, "install")
    wait_for("some bytes", lambda: daemon.state(uri).get("bytes-done", 0) > 1_000_000)
    daemon.act(uri, "pause")
    queue = daemon.proxy.get("/api/overview")["overview"]["queue"]
    assert queue == {"running": [], "running-most": 2, "waiting": [], "paused": [uri]}
    daemon.end()
    daemon.start()
    (run,) = ask(rig, uri, "history")
    assert run["outcome"] == "paused"
    assert whats(run)[-2:] == ["paused", "restarted"]
    daemon.act(uri, "resume")
    wait_for("a place", lambda: whats(ask(rig, uri, "history")[0])[-1] == "downloading")
    daemon.act(uri, "cancel")
    daemon.wait(uri, "uninstalled")
    (run,) = ask(rig, uri, "history")
    assert run["outcome"] == "cancelled"
    assert whats(run)[-2:] == ["cancelled", "undone"]
    assert 0 < run["bytes"] < 12_000_000

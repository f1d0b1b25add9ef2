"""The log of the real daemon: what its lines are, and what its page tells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.functional.ports import free_port
from tests.functional.rig import ROOT, SECRET, Process, fake_rig, wait_for

TRIO = "Example Server"


def json_lines(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"at", "level", "text", "namespace"} <= line.keys() for line in lines)
    return lines


def test_every_line_is_json_and_the_page_tells_the_same(tmp_path: Path, images: Path) -> None:
    with fake_rig(tmp_path, images, "--log-format=json") as rig:
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        done = rig.daemon.wait(uri, "installed")
        told = rig.daemon.proxy.get("/api/log", [("count", "1000"), ("level", "info")])["log"]
        assert rig.daemon.end() == 0
        lines = json_lines(rig.daemon.said())
    installed = next(line for line in lines if line["text"].startswith(f"{uri} is installed as"))
    assert installed["emi"] == done["emi"]
    assert installed["image"] == uri
    logged = [line["text"] for line in lines if line["level"] != "debug"]
    texts = [entry["text"] for entry in told]
    # The page begins a moment later than the log, and ends before it.
    assert installed["text"] in texts
    assert "\n".join(texts) in "\n".join(logged)
    assert SECRET not in rig.daemon.said()
    assert "Signature=" not in rig.daemon.said()


def test_twist_logs_the_same_json_lines(tmp_path: Path) -> None:
    port = free_port()
    process = Process(
        [
            *(sys.executable, "-m", "twisted", "image-store-proxy", "--log-format=json"),
            *(f"--data-dir={tmp_path / 'data'}", "--fake-eucalyptus=x"),
            *("--api-url=http://127.0.0.1:1/api", f"--keyring={ROOT / 'fake-pubring.gpg'}"),
            f"--listen=tcp:{port}:interface=127.0.0.1",
        ],
        tmp_path / "twist.log",
    )
    process.start()
    try:
        wait_for("the plugin", lambda: "listening on IPv4Address" in process.said())
    finally:
        process.end()
    listening = [line for line in json_lines(process.said()) if "listening on" in line["text"]]
    assert str(port) in listening[0]["address"]
    assert listening[0]["level"] == "info"


def test_what_is_no_format_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bin" / "image-store-proxy"), "--log-format=xml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "--log-format" in done.stderr

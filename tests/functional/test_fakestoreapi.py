"""The fake store as a process, asked over HTTP and checked with gpgv."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.functional.rig import wait_for

ROOT = Path(__file__).parents[2]
IMAGE = bytes(range(256)) * 4096


class Client:
    """Asks the fake store; each request on a connection of its own, limited in time."""

    def __init__(self, address: str, timeout_s: float = 10) -> None:
        self.address = address
        self.timeout_s = timeout_s

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=self.timeout_s)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        return json.loads(self.ask(path)[1])

    def control(self, **wish: Any) -> Any:
        answer, body = self.ask("/control", method="POST", body=json.dumps(wish).encode())
        assert answer.status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    (path / "kernel").write_bytes(b"kernel" * 100)
    (path / "ramdisk.gz").write_bytes(b"ramdisk" * 100)
    (path / "image").write_bytes(IMAGE)
    return path


@pytest.fixture(scope="module")
def process(directory: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    command = [sys.executable, "-I", str(ROOT / "fakestoreapi.py"), str(directory), "--port=0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line
            yield running, Client(urlsplit(found[0]).netloc)
        finally:
            running.terminate()
            assert running.wait(10) == 0


@pytest.fixture
def store(process: tuple[subprocess.Popen[str], Client]) -> Iterator[Client]:
    client = process[1]
    client.control(reset=True, newer=False)
    yield client
    client.control(reset=True, newer=False)


def verify(document: bytes, tmp_path: Path) -> dict[str, Any] | None:
    """Give what gpgv says was signed by the published test key, or None."""
    command = ["gpgv", "--keyring", str(ROOT / "fake-pubring.gpg"), "--output", "-"]
    done = subprocess.run(
        command,
        input=document,
        capture_output=True,
        timeout=30,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GNUPGHOME": str(tmp_path)},
    )
    return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def test_a_kill_while_it_signs_leaves_no_agent_and_no_key(directory: Path) -> None:
    gpg = shutil.which("gpg")
    # Not below pytest's own: the agent's socket must have a short name.
    with TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "bin").mkdir()
        (Path(name) / "homes").mkdir()
        killing = Path(name) / "bin" / "gpg"
        killing.write_text(f'#!/bin/sh\n"{gpg}" "$@"\nkill -9 $PPID\n')
        killing.chmod(0o755)
        environment = {"PATH": f"{killing.parent}:{os.environ['PATH']}", "TMPDIR": f"{name}/homes"}
        command = [sys.executable, "-I", str(ROOT / "fakestoreapi.py"), str(directory), "--port=0"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as running:
            assert running.stdout is not None
            found = re.search(r"http://\S+", running.stdout.readline())
            assert found
            client = Client(urlsplit(found[0]).netloc)
            first = client.json("/api/dashboard")["images"][0]
            with suppress(OSError, http.client.HTTPException):
                client.ask(urlsplit(first["uri"]).path)
            assert running.wait(20) == -9

        def left() -> list[str]:
            said = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
            agents = [line for line in said.stdout.splitlines() if f"{name}/homes" in line]
            return [*agents, *map(str, Path(name, "homes").iterdir())]

        wait_for("the end of what it has left", lambda: not left())


def test_documents_are_signed_and_name_the_uri_that_was_asked_for(
    store: Client, tmp_path: Path
) -> None:
    for shown in store.json("/api/dashboard")["images"]:
        signed = verify(store.ask(urlsplit(shown["uri"]).path)[1], tmp_path)
        assert signed is not None
        assert signed["format"] == "image:1"
        assert signed["uri"] == shown["uri"]
        assert signed["version"] == shown["version"]
        assert signed["published"] < signed["expires"]
        kinds = [file["kind"] for file in signed["files"]]
        assert kinds == (["image"] if signed["virtualization"] == "hvm" else kinds)


def test_files_are_those_of_the_directory_and_match_the_document(
    store: Client, directory: Path, tmp_path: Path
) -> None:
    signed = verify(store.ask("/api/images/7c41")[1], tmp_path)
    assert signed is not None
    for file in signed["files"]:
        for url in (file["url"], *file["mirrors"]):
            body = store.ask(urlsplit(url).path)[1]
            assert body == (directory / Path(url).name).read_bytes()
            assert hashlib.sha256(body).hexdigest() == file["sha256"]
            assert len(body) == file["size-in-bytes"]
    assert [file["compression"] for file in signed["files"]] == ["none", "gzip", "none"]


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=10-19", 206, IMAGE[10:20]),
        (f"bytes={len(IMAGE) - 5}-", 206, IMAGE[-5:]),
        ("bytes=-7", 206, IMAGE[-7:]),
        (f"bytes=0-{len(IMAGE) * 2}", 206, IMAGE),
        ("bytes=0-1,4-5", 200, IMAGE),
        (f"bytes={len(IMAGE)}-", 416, b""),
    ],
)
def test_ranges(store: Client, asked: str, status: int, expected: bytes) -> None:
    answer, body = store.ask("/api/files/image", Range=asked)
    assert (answer.status, body) == (status, expected)
    if status == 206:
        first, last, size = map(int, re.findall(r"\d+", str(answer.headers["Content-Range"])))
        assert IMAGE[first : last + 1] == expected
        assert size == len(IMAGE)
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(IMAGE)}"


def test_if_range_with_another_tag_gives_the_whole_file(store: Client) -> None:
    tag = str(store.ask("/api/files/image", method="HEAD")[0].headers["ETag"])
    assert not tag.startswith("W/")
    assert store.ask("/api/files/image", Range="bytes=5-", If_Range=tag)[0].status == 206
    assert store.ask("/api/files/image", Range="bytes=5-", If_Range='"old"')[0].status == 200


def test_uris_follow_the_host_that_was_asked(store: Client) -> None:
    asked = json.loads(store.ask("/api/search?q=web", Host="store.example:8080")[1])
    assert asked["images"][0]["uri"].startswith("http://store.example:8080/api/images/")
    senseless = json.loads(store.ask("/api/search?q=web", Host='x"><script>')[1])
    assert senseless["images"][0]["uri"].startswith(f"http://{store.address}/api/images/")


def test_a_newer_version_has_a_higher_serial(store: Client, tmp_path: Path) -> None:
    before = verify(store.ask("/api/images/e310")[1], tmp_path)
    store.control(newer=True)
    after = verify(store.ask("/api/images/e310")[1], tmp_path)
    assert before is not None
    assert after is not None
    assert after["serial"] > before["serial"]
    assert after["version"] != before["version"]


def test_faults_of_documents(store: Client, tmp_path: Path) -> None:
    good = verify(store.ask("/api/images/7c41")[1], tmp_path)
    store.control(fault="stale", times=1)
    stale = verify(store.ask("/api/images/7c41")[1], tmp_path)
    store.control(fault="rollback", times=1)
    older = verify(store.ask("/api/images/7c41")[1], tmp_path)
    store.control(fault="wrong-signature", times=1)
    wrong = store.ask("/api/images/7c41")[1]
    assert good is not None
    assert stale is not None
    assert older is not None
    assert stale["expires"] < good["published"]
    assert older["serial"] < good["serial"]
    assert wrong.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----")
    assert verify(wrong, tmp_path) is None
    assert verify(store.ask("/api/images/7c41")[1], tmp_path) == good


def test_faults_of_files(store: Client) -> None:
    store.control(fault="corrupt", path="image", times=1, at=1000)
    corrupt = store.ask("/api/files/image")[1]
    assert [at for at in range(len(IMAGE)) if corrupt[at] != IMAGE[at]] == [1000]

    store.control(fault="cut", path="image", times=1, at=300_000)
    with pytest.raises(http.client.IncompleteRead) as caught:
        store.ask("/api/files/image")
    assert caught.value.partial == IMAGE[:300_000]

    store.control(fault="no-ranges", times=1)
    answer, body = store.ask("/api/files/image", Range="bytes=10-19")
    assert (answer.status, body) == (200, IMAGE)
    assert "Accept-Ranges" not in answer.headers

    store.control(fault="slow", times=1, rate=2000)
    assert store.ask("/api/files/kernel")[1] == b"kernel" * 100


def test_faults_of_answers(store: Client) -> None:
    store.control(fault="500", times=1)
    answer, body = store.ask("/api/dashboard")
    assert answer.status == 500
    assert "error-message" in json.loads(body)

    store.control(fault="redirect", path="kernel", times=1, to="http://169.254.1.1/")
    answer, _ = store.ask("/api/files/kernel")
    assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.1.1/")

    store.control(fault="silent", path="kernel", times=1)
    with pytest.raises(TimeoutError):
        Client(store.address, timeout_s=0.2).ask("/api/files/kernel")
    assert store.ask("/api/files/kernel")[0].status == 200


def test_it_counts_what_it_served(store: Client) -> None:
    store.ask("/api/files/kernel")
    store.ask("/api/files/kernel", Range="bytes=0-9")
    account = store.json("/control")
    assert account["requests"] == {"/api/files/kernel": 2}
    assert account["bytes"]["/api/files/kernel"] == 610


def test_senseless_wishes_are_refused_in_words(store: Client) -> None:
    answer, body = store.ask("/control", method="POST", body=b'{"fault": "sloow"}')
    assert answer.status == 400
    assert "sloow" in json.loads(body)["error-message"]
    answer, body = store.ask("/api/nothing")
    assert (answer.status, "error-message" in json.loads(body)) == (404, True)

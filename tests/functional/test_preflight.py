"""``--check`` and ``/readyz`` on real parts: what they see, and what they leave alone."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.functional import warm
from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.ports import free_port
from tests.functional.rig import ROOT, SECRET, FakeStore, Rig, ec2_rig, fake_rig

TIME_LIMIT_S = 60


def looked(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    return warm.run(
        [sys.executable, ROOT / "bin" / "image-store-proxy", "--check", *options],
        {**outside, **environment},
        timeout_s=TIME_LIMIT_S,
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[bool, str]]:
    """Give each finding by its name; checks that there is nothing but findings."""
    assert done.stderr == ""
    found = {}
    for line in done.stdout.splitlines():
        word, rest = line[:7].strip(), line[9:]
        assert word in {"ok", "PROBLEM"}, line
        name, _, said = rest.partition(": ")
        found[name] = (word == "ok", said)
    return found


def fake_options(directory: Path, api_url: str, *more: str) -> list[str]:
    keyring = f"--keyring={ROOT / 'fake-pubring.gpg'}"
    data = f"--data-dir={directory / 'data'}"
    return [f"--api-url={api_url}", f"--fake-eucalyptus={SECRET}", keyring, data, *more]


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in directory.rglob("*")
        # What the daemon itself writes from time to time.
        if path.is_file() and not path.name.startswith(("state.db-", "state.db.copy"))
    }


def readiness(rig: Rig) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{rig.daemon.port}/readyz") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_check_beside_the_running_daemon_finds_all_well_and_leaves_it_alone(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images) as rig:
        rig.image("Example Server")
        before = snapshot(rig.daemon.data_dir)
        done = looked(*fake_options(tmp_path, rig.store.url))
        found = lines_of(done)
        assert done.returncode == 0, done.stdout
        assert all(ok for ok, _ in found.values())
        assert "C199B478C44E1812533F752F1A569EF2A2E0EF45" in found["gpg and keyring"][1]
        assert f"{rig.store.url}/dashboard" in found["image store"][1]
        assert "the same" in found["clock"][1]
        assert "is sound" in found["database"][1]
        assert snapshot(rig.daemon.data_dir) == before
        status, content = readiness(rig)
        assert status == 200
        assert rig.store.url not in json.dumps(content)
        assert str(tmp_path) not in json.dumps(content)
        signed = rig.daemon.proxy.get("/readyz")
        assert rig.store.url in json.dumps(signed)
        uri = rig.image("Example Server")
        rig.daemon.act(uri, "install")
        assert rig.daemon.wait(uri, "installed")["emi"]


def test_a_check_before_the_first_start_makes_nothing(tmp_path: Path, images: Path) -> None:
    store = FakeStore(tmp_path, images)
    try:
        store.start()
        done = looked(*fake_options(tmp_path, store.url))
    finally:
        store.end()
    assert done.returncode == 0, done.stdout
    assert "not there yet" in lines_of(done)["data directory"][1]
    assert not (tmp_path / "data").exists()


def test_h1_h4_a_store_and_a_proxy_that_are_away_are_named_and_no_password_is(
    tmp_path: Path,
) -> None:
    proxy = f"http://me:geheim@127.0.0.1:{free_port()}"
    url = "http://store.invalid/api"
    done = looked(*fake_options(tmp_path, url, f"--http-proxy={proxy}"))
    found = lines_of(done)
    assert done.returncode == 1
    assert not found["image store"][0]
    assert url in found["image store"][1]
    assert found["HTTP proxy"][1] == proxy.replace("me:geheim@", "***@")
    assert "geheim" not in done.stdout + done.stderr
    done = looked(*fake_options(tmp_path, url, "--http-proxy=http://"))
    assert "no HTTP proxy" in lines_of(done)["HTTP proxy"][1]


def test_h9_what_answers_and_is_no_store_is_named(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.pages["/api/dashboard"] = Page(b"<html>Log in to this network</html>")
        found = lines_of(looked(*fake_options(tmp_path, server.url("/api"))))
    assert not found["image store"][0]
    assert f"{server.url('/api/dashboard')} answered, but not as" in found["image store"][1]


def test_what_is_wrong_here_is_said_with_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "state.db").write_bytes(b"no database at all" * 100)
    data.chmod(0o777)
    (tmp_path / "empty.pem").write_text("nothing\n")
    done = looked(
        f"--api-url=http://127.0.0.1:{free_port()}/api",
        f"--fake-eucalyptus={SECRET}",
        f"--data-dir={data}",
        f"--keyring={tmp_path / 'none.gpg'}",
        f"--ca-bundle={tmp_path / 'empty.pem'}",
        PATH="/nonexistent",
    )
    found = lines_of(done)
    assert done.returncode == 1
    assert {name for name, (ok, _) in found.items() if not ok} == {
        "data directory", "database", "gpg and keyring", "CA store", "image store",
    }  # fmt: skip
    assert "chmod go-w" in found["data directory"][1]
    assert "--keyring" in found["gpg and keyring"][1]
    assert "--ca-bundle" in found["CA store"][1]
    data.chmod(0o700)
    (data / "state.db").unlink()
    with closing(sqlite3.connect(data / "state.db")) as newer:
        newer.execute("PRAGMA user_version = 999")
    said = lines_of(looked(*fake_options(tmp_path, f"http://127.0.0.1:{free_port()}/api")))
    assert "newer version" in said["database"][1]


def test_h8_h10_a_cloud_that_is_away_or_has_no_object_store_is_named_with_the_setting(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with ec2_rig(tmp_path, images, moto_url) as rig:
        options = [
            f"--api-url={rig.store.url}",
            "--cloud=ec2",
            f"--credentials-dir={tmp_path / 'credentials'}",
            f"--keyring={ROOT / 'fake-pubring.gpg'}",
            f"--data-dir={rig.daemon.data_dir}",
        ]
        done = looked(*options)
        assert done.returncode == 0, done.stdout
        assert moto_url in lines_of(done)["cloud"][1]
        assert readiness(rig)[0] == 200
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            away = f"http://127.0.0.1:{taken.getsockname()[1]}"
            found = lines_of(looked(*options, f"--s3-url={away}"))
        assert not found["cloud"][0]
        assert away in found["cloud"][1]
    eucarc = tmp_path / "credentials" / "eucarc"
    eucarc.write_text(
        "\n".join(line for line in eucarc.read_text().splitlines() if "S3_URL" not in line)
    )
    found = lines_of(looked(*options))
    assert not found["credentials"][0]
    assert "S3_URL" in found["credentials"][1]
    assert "--s3-url" in found["credentials"][1]


@pytest.mark.parametrize("option", ["--frobnicate", "--api-url=ftp://x"])
def test_wrong_options_end_with_status_2(tmp_path: Path, option: str) -> None:
    done = looked(*fake_options(tmp_path, "http://127.0.0.1:9/api"), option)
    assert done.returncode == 2
    assert done.stdout == ""

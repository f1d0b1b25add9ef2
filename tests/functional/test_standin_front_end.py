"""The stand-ins for a front end's own programs: other tests may only lean on what is shown here."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.standins.front_end import ACCOUNT, FRONT_ENDS, FrontEnd, install_front_end

EC2, S3 = "http://127.0.0.1:1/services/Eucalyptus", "http://127.0.0.1:1/services/Walrus"
WITH_EUCA_CONF = FRONT_ENDS[:-1]


def front_end(place: Path, version: str, **settings: Any) -> FrontEnd:
    return install_front_end(
        place / "eucalyptus",
        version,
        EC2,
        S3,
        access_key="AKI",
        secret_key="its-secret",
        **settings,
    )


def run(front: FrontEnd, tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [front.prefix / "usr/sbin" / tool, *arguments],
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fetched(front: FrontEnd, archive: Path) -> dict[str, str]:
    done = run(front, "euca_conf", "--get-credentials", archive)
    assert done.returncode == 0, done
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


@pytest.mark.parametrize("version", WITH_EUCA_CONF)
def test_the_first_archive_is_whole(tmp_path: Path, version: str) -> None:
    files = fetched(front_end(tmp_path, version), tmp_path / "first.zip")
    assert f"export EC2_URL={EC2}" in files["eucarc"]
    assert "export EC2_ACCESS_KEY='AKI'" in files["eucarc"]
    assert "BEGIN CERTIFICATE" in files["cloud-cert.pem"]
    assert len([name for name in files if name.startswith("euca2-")]) == 2
    assert ("iamrc" in files) == (version >= "3.0")
    # 1.5 tells the account in an alias alone.
    telling = [line for line in files["eucarc"].splitlines() if ACCOUNT in line]
    assert telling
    assert any(line.startswith("export ") for line in telling) == (version != "1.5")


@pytest.mark.parametrize("version", WITH_EUCA_CONF)
def test_what_a_second_fetch_changes_depends_on_the_version(tmp_path: Path, version: str) -> None:
    front = front_end(tmp_path, version)
    fetched(front, tmp_path / "first.zip")
    again = fetched(front, tmp_path / "second.zip")
    assert len(front.state["keys"]) == (2 if version < "2" else 1)
    certificates = 1 if version in ("4.1", "4.2") else 2
    assert len(front.state["certificates"]) == certificates
    assert len(front.state["valid"]) == (1 if version == "2.0" else certificates)
    assert any(name.startswith("euca2-") for name in again) == (certificates == 2)
    assert ("EC2_CERT=" in again["eucarc"]) == (certificates == 2)
    assert front.state["archives"] == 2


@pytest.mark.parametrize("version", ["1.6", "4.1"])
def test_an_archive_that_is_there_already_is_left_alone(tmp_path: Path, version: str) -> None:
    archive = tmp_path / "there.zip"
    archive.write_text("mine")
    done = run(front_end(tmp_path, version), "euca_conf", "--get-credentials", archive)
    assert done.returncode == 1
    assert "already exists" in done.stdout + done.stderr
    assert archive.read_text() == "mine"


def test_a_failed_fetch_leaves_an_empty_archive(tmp_path: Path) -> None:
    archive = tmp_path / "empty.zip"
    done = run(front_end(tmp_path, "2.0", empty=True), "euca_conf", "--get-credentials", archive)
    assert done.returncode == 1
    assert archive.read_bytes() == b""


def test_a_path_with_spaces_goes_elsewhere_before_4_0(tmp_path: Path) -> None:
    (tmp_path / "a place").mkdir()
    archive = tmp_path / "a place" / "archive.zip"
    done = run(front_end(tmp_path, "3.4"), "euca_conf", "--get-credentials", archive)
    assert done.returncode == 1
    assert not archive.exists()


def test_accounts_are_unknown_before_3_0(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    asked = ("--get-credentials", archive, "--cred-account", "eucalyptus", "--cred-user", "admin")
    assert run(front_end(tmp_path / "2", "2.0"), "euca_conf", *asked).returncode == 1
    assert not archive.exists()
    assert run(front_end(tmp_path / "3", "3.0"), "euca_conf", *asked).returncode == 0


def test_without_an_object_store_the_eucarc_has_no_address_of_one(tmp_path: Path) -> None:
    files = fetched(front_end(tmp_path, "4.1", no_object_store=True), tmp_path / "archive.zip")
    assert "S3_URL=" not in files["eucarc"]
    assert "echo WARN:" in files["eucarc"]


@pytest.mark.parametrize("version", ["4.2", "5.1"])
def test_the_successor_prints_the_same_keys_each_time(tmp_path: Path, version: str) -> None:
    front = front_end(tmp_path, version)
    first, second = (run(front, "clcadmin-assume-system-credentials") for _ in range(2))
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert 'export EC2_ACCESS_KEY="AKI";' in first.stdout
    assert 'export AWS_SECRET_ACCESS_KEY="its-secret";' in first.stdout
    assert "EC2_URL" not in first.stdout
    assert run(front, "clcadmin-assume-system-credentials", "--help").returncode == 1
    assert [call["tool"] for call in front.calls()][-1] == "clcadmin-assume-system-credentials"


def test_only_the_programs_of_a_version_are_there(tmp_path: Path) -> None:
    found = {
        version: {
            path.name
            for path in (front_end(tmp_path / version, version).prefix / "usr/sbin").iterdir()
        }
        for version in ("1.6", "4.2", "5.1")
    }
    successor = "clcadmin-assume-system-credentials"
    assert found == {"1.6": {"euca_conf"}, "4.2": {"euca_conf", successor}, "5.1": {successor}}


def test_new_keys_are_in_the_next_archive(tmp_path: Path) -> None:
    front = front_end(tmp_path, "3.4")
    fetched(front, tmp_path / "first.zip")
    front.renew_keys("AKI2", "another-secret")
    files = fetched(front, tmp_path / "second.zip")
    assert "export EC2_ACCESS_KEY='AKI2'" in files["eucarc"]

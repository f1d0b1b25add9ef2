"""Credentials from the programs of each version of Eucalyptus, as stand-ins play them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.frontend.found import FoundWallet
from imagestoreproxy.clouds.frontend.lending import FrontEnd
from imagestoreproxy.clouds.frontend.search import Places, Search
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.outside.process import Processes
from tests.functional.rig import wait_for
from tests.standins.front_end import ACCOUNT, FRONT_ENDS, install_front_end
from tests.standins.front_end import FrontEnd as StandIn
from tests.standins.frontend.program import VERSIONS
from tests.unit.memory import NeverStop

STOP = NeverStop()
EC2_URL, S3_URL = "http://127.0.0.1:1/services/Eucalyptus", "http://127.0.0.1:1/services/Walrus"


def installed(tmp_path: Path, version: str, **settings: Any) -> StandIn:
    return install_front_end(tmp_path / "prefix", version, EC2_URL, S3_URL, **settings)


def front_end(tmp_path: Path, data: str = "data") -> FrontEnd:
    return FrontEnd(tmp_path / "prefix", tmp_path / data, Processes())


def found_by(ends: FrontEnd, *, anew: bool = False) -> Credentials:
    found = ends.find(STOP, anew=anew)
    assert found is not None
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_hands_out_is_complete_and_asked_for_once_and_again_when_refused(
    version: str, tmp_path: Path
) -> None:
    """Also after a second archive bundles are signed with a certificate that the cloud takes."""
    cloud = installed(tmp_path, version)
    found = found_by(front_end(tmp_path))
    assert found.missing() == []
    assert (found.ec2_url, found.s3_url, found.account) == (EC2_URL, S3_URL, ACCOUNT)
    assert bundle_keys(found)
    ends = front_end(tmp_path)
    assert found_by(ends) == found
    assert [call["tool"] for call in cloud.calls()] == ["euca_conf"]
    assert cloud.calls()[0]["arguments"][0] == "--get-credentials"
    cloud.renew_keys("NEW", "of-the-new")
    found = found_by(ends, anew=True)
    assert cloud.state["archives"] == 2
    assert found.missing() == []
    assert bundle_keys(found)
    assert found.user_certificate.decode() in cloud.state["valid"]
    assert not found.is_own_certificate
    if not VERSIONS[version].new_key:
        assert (found.access_key, found.secret_key) == ("NEW", "of-the-new")


def test_a_day_of_restarts_and_refusals_makes_few_calls(tmp_path: Path) -> None:
    """In 2.0 each of them revokes the certificates of the administrator's other tools."""
    cloud = installed(tmp_path, "2.0")
    prefix, clock = tmp_path / "prefix", SimpleNamespace(now_s=1_800_000_000.0)
    places = Places(data_dir=tmp_path / "data", environ={}, prefix=prefix, system=tmp_path)
    for _ in range(24 * 4):
        search = Search(places, Processes(), now_s=lambda: clock.now_s)
        wallet = FoundWallet(search, lambda: clock.now_s)
        for _ in range(3):
            wallet.refused(wallet.credentials(STOP))
            clock.now_s += 300
    assert 2 < cloud.state["archives"] < 10
    assert len(cloud.calls()) == cloud.state["archives"]


@pytest.mark.parametrize("version", ["1.6", "4.1"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("not_started", r"still starting"),
        ("empty", r"does not give them out \(yet\)"),
    ],
)
def test_h8_what_goes_wrong_is_told_for_each_version(
    wrong: str, said: str, version: str, tmp_path: Path
) -> None:
    cloud = installed(tmp_path, version, **{wrong: True})
    # That of 4.2 has a successor, which is asked then.
    (cloud.prefix / "usr/sbin/clcadmin-assume-system-credentials").unlink(missing_ok=True)
    with pytest.raises(CloudError, match=said):
        front_end(tmp_path).find(STOP, anew=False)


@pytest.mark.parametrize("version", ["1.6", "2.0", "4.1"])
def test_h8_a_cloud_without_an_object_store_still_has_keys(version: str, tmp_path: Path) -> None:
    installed(tmp_path, version, no_object_store=True)
    found = found_by(front_end(tmp_path))
    assert found.access_key
    (missing,) = found.missing()
    assert "S3_URL is missing" in missing
    assert "reload the proxy" in missing


@pytest.mark.parametrize("version", ["1.6", "3.4", "4.2"])
def test_a_whole_archive_is_believed_whatever_the_exit_status(version: str, tmp_path: Path) -> None:
    installed(tmp_path, version, fails_after=True)
    assert found_by(front_end(tmp_path)).missing() == []


@pytest.mark.parametrize("version", ["1.6", "4.0"])
def test_a_data_directory_with_spaces_is_no_trouble(version: str, tmp_path: Path) -> None:
    installed(tmp_path, version)
    assert found_by(front_end(tmp_path, "data of the proxy")).missing() == []


@pytest.mark.parametrize("version", ["2.0", "4.2", "5.1"])
def test_a_program_that_hangs_is_ended_by_a_cancel(version: str, tmp_path: Path) -> None:
    cloud = installed(tmp_path, version, hang=True)

    class Stop(NeverStop):
        def check(self) -> None:
            if cloud.calls():
                raise Cancelled

    with pytest.raises(Cancelled):
        front_end(tmp_path).find(Stop(), anew=False)
    process = cloud.calls()[0]["process"]
    wait_for("its end", lambda: not Path(f"/proc/{process}").exists(), 10)
    assert not list((tmp_path / "data").glob("*/*"))


@pytest.mark.parametrize("version", [one for one in FRONT_ENDS if one > "4.2"])
def test_system_credentials_are_completed(version: str, tmp_path: Path) -> None:
    cloud = installed(tmp_path, version, access_key="SYSTEM")
    places = Places(
        data_dir=tmp_path / "data",
        environ={},
        prefix=tmp_path / "prefix",
        system=tmp_path,
    )
    found = Search(places, Processes(), lambda found, stop: ACCOUNT).find(STOP)
    assert found.access_key == "SYSTEM"
    assert found.missing() == []
    assert found.ec2_url == "http://127.0.0.1:8773/services/compute/"
    assert bundle_keys(found)
    assert cloud.calls()[0]["arguments"] == []
    assert {"EUCALYPTUS", "HOME", "LC_ALL", "PATH", "TMPDIR"} >= set(
        cloud.calls()[0]["environment"]
    )


@pytest.mark.parametrize("wrong", ["not_started", "not_root"])
def test_h8_a_clcadmin_without_keys_is_told(wrong: str, tmp_path: Path) -> None:
    installed(tmp_path, "5.1", **{wrong: True})
    with pytest.raises(CloudError, match="gave no keys"):
        front_end(tmp_path).find(STOP, anew=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_what_root_fetches_belongs_to_whom_the_data_directory_belongs(tmp_path: Path) -> None:
    installed(tmp_path, "1.6")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 1234, 1235)
    found_by(front_end(tmp_path))
    for path in (data / "credentials", *(data / "credentials").iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)

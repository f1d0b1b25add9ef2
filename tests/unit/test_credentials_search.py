"""Where credentials are looked for, in which order, and that a change of them is noticed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagestoreproxy.clouds.frontend.found import FoundWallet
from imagestoreproxy.clouds.frontend.search import Places, Search
from imagestoreproxy.model.errors import CloudError, SettingsError
from tests.unit.memory import MemoryPrograms, NeverStop

STOP = NeverStop()
OF_ENVIRONMENT = {
    "EC2_ACCESS_KEY": "of-environment",
    "EC2_SECRET_KEY": "s",
    "EC2_URL": "http://environment",
    "EC2_USER_ID": "1",
}


def eucarc(directory: Path, access_key: str) -> Path:
    directory.mkdir(exist_ok=True)
    new = directory / "new"
    new.write_text(f"export EC2_ACCESS_KEY={access_key}\nexport EC2_SECRET_KEY=s\n")
    new.rename(directory / "eucarc")
    return directory


def profile(home: Path, name: str, *lines: str) -> None:
    (home / ".aws").mkdir(exist_ok=True)
    with (home / ".aws" / "credentials").open("a") as file:
        keys = (f"aws_access_key_id = of-{name}", "aws_secret_access_key = s")
        file.write("\n".join([f"[{name}]", *keys, *lines, ""]))


def ini(home: Path, name: str, text: str) -> None:
    (home / ".euca").mkdir(exist_ok=True)
    (home / ".euca" / name).write_text(text)


USER = """
[user 123456789012:admin]
key-id = of-ini
secret-key = s
account-id = 123456789012
"""
REGION = """
[region cloud.example]
ec2-url = http://ec2.cloud.example:8773/
s3-url = http://s3.cloud.example:8773/
iam-url = http://iam.cloud.example:8773/
user = 123456789012:admin
"""


def search(home: Path, environ: Mapping[str, str] = {}, **named: str) -> Search:
    places = Places(
        data_dir=home / "data",
        environ={"HOME": str(home), **environ},
        prefix=home / "prefix",
        system=home / "system",
        **named,  # type: ignore[arg-type]
    )
    return Search(places, MemoryPrograms(), lambda found, stop: "1")


def test_the_first_place_that_has_some_is_taken(tmp_path: Path) -> None:
    """From the last to the first: each one added counts more than those before."""
    kept = eucarc(tmp_path / "data", "x")
    eucarc(kept / "credentials", "of-kept")
    assert search(tmp_path).find(STOP).access_key == "of-kept"
    ini(tmp_path, "cloud.ini", USER + REGION)
    assert search(tmp_path).find(STOP).access_key == "of-ini"
    profile(tmp_path, "default", "ec2_url = http://lab/")
    assert search(tmp_path).find(STOP).access_key == "of-default"
    assert search(tmp_path, OF_ENVIRONMENT).find(STOP).access_key == "of-environment"
    profile(tmp_path, "lab")
    by_profile = search(tmp_path, OF_ENVIRONMENT, profile="lab").find(STOP)
    assert by_profile.access_key == "of-lab"
    named = eucarc(tmp_path / "named", "of-directory")
    by_directory = search(tmp_path, OF_ENVIRONMENT, directory=str(named)).find(STOP)
    assert by_directory.access_key == "of-directory"


def test_options_count_more_than_what_is_found(tmp_path: Path) -> None:
    found = search(tmp_path, OF_ENVIRONMENT, ec2_url="http://option", s3_url="http://s3").find(STOP)
    assert (found.ec2_url, found.s3_url) == ("http://option", "http://s3")


def test_h8_without_any_each_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as caught:
        search(tmp_path).find(STOP)
    for part in (
        "No credentials for the cloud were found: none in the environment",
        f"{tmp_path}/.aws/credentials",
        "~/.euca/*.ini",
        "usr/sbin/euca_conf nor ",
        "usr/sbin/clcadmin-assume-system-credentials is there",
        "--eucalyptus",
        "--credentials-dir",
    ):
        assert part in caught.value.message
    assert not caught.value.retry_helps


@pytest.mark.parametrize(
    "named", [{"directory": "/nowhere"}, {"profile": "nobody"}], ids=["directory", "profile"]
)
def test_what_an_option_names_is_not_replaced_by_anything_else(
    named: dict[str, str], tmp_path: Path
) -> None:
    ini(tmp_path, "cloud.ini", USER + REGION)
    with pytest.raises(SettingsError):
        search(tmp_path, OF_ENVIRONMENT, **named).find(STOP)


def test_half_a_pair_in_the_environment_is_no_reason_to_look_elsewhere(tmp_path: Path) -> None:
    ini(tmp_path, "cloud.ini", USER + REGION)
    with pytest.raises(SettingsError, match="No secret key in the environment"):
        search(tmp_path, {"EC2_ACCESS_KEY": "a"}).find(STOP)


def test_a_profile_of_another_cloud_is_left_alone(tmp_path: Path) -> None:
    """Most of them are for Amazon, and say nothing of it."""
    profile(tmp_path, "default")
    with pytest.raises(CloudError, match="that names its ec2_url"):
        search(tmp_path).find(STOP)
    told = search(tmp_path, {"EC2_URL": "http://lab"}).find(STOP)
    assert told.access_key == "of-default"
    profile(tmp_path, "lab", "ec2_url = http://lab/")
    assert search(tmp_path, {"AWS_PROFILE": "lab"}).find(STOP).access_key == "of-lab"


def test_the_files_of_euca2ools_are_read_as_it_reads_them(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("C")
    ini(tmp_path, "user.ini", USER + "certificate = ~/cert.pem\nprivate-key = ~/cert.pem\n")
    ini(
        tmp_path,
        "z.ini",
        "[global]\ndefault-region = cloud.example\n[region *]\ncertificate = ~/cert.pem\n" + REGION,
    )
    system = tmp_path / "system" / "conf.d"
    system.mkdir(parents=True)
    (system / "localhost.ini").write_text("[region localhost]\nec2-url = http://127.0.0.1/\n")
    found = search(tmp_path).find(STOP)
    assert found.access_key == "of-ini"
    assert found.ec2_url == "http://ec2.cloud.example:8773/"
    assert found.s3_url == "http://s3.cloud.example:8773/"
    assert found.account == "123456789012"
    assert found.user_certificate == found.user_private_key == found.cloud_certificate == b"C"
    assert found.origin == (
        f"user '123456789012:admin' of {tmp_path}/.euca/user.ini, region 'cloud.example'"
    )
    there = search(tmp_path, {"AWS_DEFAULT_REGION": "123456789012:admin@localhost"}).find(STOP)
    assert there.ec2_url == "http://127.0.0.1/"


def test_a_user_who_is_named_and_has_no_keys_is_told(tmp_path: Path) -> None:
    ini(tmp_path, "a.ini", USER + REGION.replace("user = 1", "user = 2"))
    with pytest.raises(SettingsError, match="'223456789012:admin' is named in"):
        search(tmp_path).find(STOP)


def test_a_home_that_cannot_be_looked_into_keeps_nobody_from_looking_elsewhere(
    tmp_path: Path,
) -> None:
    """As that of root, whose environment a service may have."""
    eucarc(eucarc(tmp_path / "data", "x") / "credentials", "of-kept")
    nowhere = {"HOME": f"/{'x' * 300}"}
    assert search(tmp_path, nowhere).find(STOP).access_key == "of-kept"


def test_a_fault_of_the_disk_is_told_and_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = search(tmp_path, OF_ENVIRONMENT)

    def broken(stop: object, *, anew: bool) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(one, "find", broken)
    with pytest.raises(CloudError, match=r"could not be looked for: .*Input/output error"):
        FoundWallet(one).credentials(STOP)


def test_of_several_users_one_has_to_be_named(tmp_path: Path) -> None:
    ini(tmp_path, "a.ini", USER + USER.replace("admin", "other"))
    with pytest.raises(SettingsError, match="keys of 2 users, and do not say which"):
        search(tmp_path).find(STOP)
    ini(tmp_path, "b.ini", REGION)
    assert search(tmp_path).find(STOP).ec2_url == "http://ec2.cloud.example:8773/"
    ini(tmp_path, "c.ini", "what is this")
    with pytest.raises(SettingsError, match=r"c\.ini is not a configuration file of euca2ools"):
        search(tmp_path).find(STOP)


def test_changed_keys_are_noticed_and_a_broken_file_takes_none_away(tmp_path: Path) -> None:
    now_s = [0.0]
    directory = eucarc(tmp_path / "named", "first")
    wallet = FoundWallet(search(tmp_path, directory=str(directory)), lambda: now_s[0])
    assert wallet.credentials(STOP).access_key == "first"
    eucarc(directory, "second")
    assert wallet.credentials(STOP).access_key == "second"
    (directory / "eucarc").write_text("export EC2_ACCESS_KEY='thi")
    assert wallet.credentials(STOP).access_key == "second"
    assert "cannot be read" in wallet.problem
    eucarc(directory, "third")
    assert wallet.credentials(STOP).access_key == "third"
    assert wallet.problem == ""


def test_nothing_is_read_while_nothing_changes(tmp_path: Path) -> None:
    directory = eucarc(tmp_path / "named", "first")
    wallet = FoundWallet(search(tmp_path, directory=str(directory)), lambda: 0.0)
    first = wallet.credentials(STOP)
    assert wallet.credentials(STOP) is first


def test_a_certificate_that_changes_is_noticed(tmp_path: Path) -> None:
    directory = eucarc(tmp_path / "named", "first")
    with (directory / "eucarc").open("a") as file:
        file.write("export EC2_CERT=${EUCA_KEY_DIR}/cert.pem\n")
    (directory / "cert.pem").write_text("one")
    wallet = FoundWallet(search(tmp_path, directory=str(directory)), lambda: 0.0)
    assert wallet.credentials(STOP).user_certificate == b"one"
    (directory / "cert.pem").write_text("two")
    os.utime(directory / "cert.pem", (1, 1))
    assert wallet.credentials(STOP).user_certificate == b"two"


def test_a_better_place_is_taken_when_it_comes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    eucarc(tmp_path / "data" / "credentials", "of-kept")
    wallet = FoundWallet(search(tmp_path), lambda: 0.0)
    assert wallet.credentials(STOP).access_key == "of-kept"
    ini(tmp_path, "cloud.ini", USER + REGION)
    assert wallet.credentials(STOP).access_key == "of-ini"

"""Credentials from a directory, the environment or a profile, and what is said when they lack."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from imagestoreproxy.clouds.credentials import (
    Credentials,
    from_directory,
    from_environment,
    from_profile,
)
from imagestoreproxy.clouds.eucarc import parse_eucarc
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.model.errors import CloudError, SettingsError

SAMPLES = Path(__file__).parents[3] / "shared/data/eucarc-samples"
ACCESS_KEY = "WKy3rMzOWPouVOxK1p3Ar1C2uRBwa2FBXnCw"
SECRET_KEY = "UZGgLPYNTnfOWjkQHDBSOTWRcEpqPdGtvNQfA"


def unpacked(era: str, tmp_path: Path) -> Path:
    archive = SAMPLES / f"{era}.zip"
    if not archive.exists():
        pytest.skip("the sample archives are not beside this project (../shared)")
    with zipfile.ZipFile(archive) as samples:
        samples.extractall(tmp_path)
    return next(tmp_path.rglob("eucarc")).parent


@pytest.mark.parametrize("era", ["1.5", "1.6", "2.0", "3.0", "3.2", "3.4", "4.0", "4.1", "4.1-dns"])
def test_the_archive_of_every_era_is_complete(era: str, tmp_path: Path) -> None:
    credentials = from_directory(unpacked(era, tmp_path))
    assert credentials.missing() == []
    assert (credentials.access_key, credentials.secret_key) == (ACCESS_KEY, SECRET_KEY)
    assert credentials.ec2_url.startswith("http://")
    assert credentials.s3_url.startswith("http://")
    assert credentials.account in ("000100729354", "000123456789")
    assert b"CERTIFICATE" in credentials.user_certificate
    assert b"PRIVATE KEY" in credentials.user_private_key
    assert b"CERTIFICATE" in credentials.cloud_certificate
    assert credentials.warnings() == []


@pytest.mark.parametrize("era", ["1.6-no-walrus", "2.0-no-walrus", "4.1-no-osg"])
def test_h8_an_unregistered_object_store_is_named_with_the_setting(
    era: str, tmp_path: Path
) -> None:
    credentials = from_directory(unpacked(era, tmp_path))
    (missing,) = credentials.missing()
    assert missing.startswith("S3_URL is missing in credentials directory ")
    assert "register" in missing
    assert "--s3-url" in missing
    assert credentials.with_urls(s3_url="http://192.168.7.7:8773/services/Walrus").missing() == []


@pytest.mark.parametrize("era", ["4.1-second-download", "4.2-second-download"])
def test_h8_a_second_archive_without_certificates_says_so(era: str, tmp_path: Path) -> None:
    credentials = from_directory(unpacked(era, tmp_path))
    certificate, key = credentials.missing()
    assert certificate.startswith("EC2_CERT is missing")
    assert key.startswith("EC2_PRIVATE_KEY is missing")
    assert "only once" in certificate
    with pytest.raises(CloudError, match="EC2_CERT is missing"):
        bundle_keys(credentials)


def test_eucarc_is_parsed_and_never_sourced() -> None:
    text = """
EUCA_KEY_DIR=$(cd $(dirname ${BASH_SOURCE:-$0}); pwd -P)
echo WARN: export NOT=this >&2
export PLAIN=one two
  export SINGLE='${PLAIN} $(reboot)'
export DOUBLE="${PLAIN}/${EUCA_KEY_DIR};x"
export COMMAND=$(reboot)
export END=value;
export EMPTY=
alias export=rm
"""
    assert parse_eucarc(text, Path("/keys")) == {
        "PLAIN": "one",
        "SINGLE": "${PLAIN} $(reboot)",
        "DOUBLE": "one//keys;x",
        "COMMAND": "$(reboot)",
        "END": "value",
        "EMPTY": "",
        "EC2_USER_ID": "",
    }


def test_the_output_of_the_later_command_is_parsed_alike() -> None:
    sample = SAMPLES / "clcadmin-assume-system-credentials.out"
    if not sample.exists():
        pytest.skip("the sample is not beside this project (../shared)")
    values = parse_eucarc(sample.read_text(), Path("/keys"))
    assert values["EC2_ACCESS_KEY"] == ACCESS_KEY
    assert values["EC2_SECRET_KEY"] == SECRET_KEY


def test_no_eucarc_no_keys_and_a_lost_file_are_each_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"eucarc .*No such file"):
        from_directory(tmp_path)
    (tmp_path / "eucarc").write_text("export EC2_URL=http://localhost/\n")
    with pytest.raises(SettingsError, match="No access key in credentials directory"):
        from_directory(tmp_path)
    (tmp_path / "eucarc").write_text(
        "export EC2_ACCESS_KEY=a\nexport EC2_SECRET_KEY=hush-hush\n"
        "export EC2_CERT=${EUCA_KEY_DIR}/gone.pem\n"
    )
    with pytest.raises(SettingsError, match=r"gone\.pem \(EC2_CERT of .*No such file") as caught:
        from_directory(tmp_path)
    assert "hush-hush" not in caught.value.message


def test_a_huge_eucarc_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eucarc").write_bytes(b"#" * (256 * 1024 + 1))
    with pytest.raises(SettingsError, match="it has more than"):
        from_directory(tmp_path)


@pytest.mark.parametrize(
    ("access", "secret"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
        ("EC2_ACCESS_KEY", "EC2_SECRET_KEY"),
    ],
)
def test_the_environment_may_use_any_of_the_usual_names(access: str, secret: str) -> None:
    credentials = from_environment(
        {
            access: "a",
            secret: "s",
            "AWS_SESSION_TOKEN": "t",
            "EC2_URL": "http://ec2",
            "S3_URL": "http://s3",
            "EC2_USER_ID": "1234-5678-9012",
        }
    )
    assert (credentials.access_key, credentials.secret_key) == ("a", "s")
    assert credentials.session_token == "t"
    assert (credentials.ec2_url, credentials.s3_url) == ("http://ec2", "http://s3")
    assert credentials.account == "123456789012"
    overridden = credentials.with_urls("http://other")
    assert (overridden.ec2_url, overridden.s3_url) == ("http://other", "http://s3")


def test_an_account_that_is_no_number_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"EC2_USER_ID of the environment .*digits"):
        from_environment({"EC2_ACCESS_KEY": "a", "EC2_SECRET_KEY": "s", "EC2_USER_ID": "admin"})


def test_a_profile_has_the_keys_and_the_environment_the_rest(tmp_path: Path) -> None:
    file = tmp_path / ".aws" / "credentials"
    file.parent.mkdir()
    file.write_text(
        "[default]\naws_access_key_id = x\naws_secret_access_key = y\n"
        "[lab]\naws_access_key_id = a\naws_secret_access_key = s%s\ns3_url = http://lab/s3\n"
    )
    environ = {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SESSION_TOKEN": "other",
        "EC2_URL": "http://ec2",
        "S3_URL": "http://s3",
    }
    credentials = from_profile("lab", environ)
    assert (credentials.access_key, credentials.secret_key) == ("a", "s%s")
    assert credentials.session_token == ""
    assert (credentials.ec2_url, credentials.s3_url) == ("http://ec2", "http://lab/s3")
    with pytest.raises(SettingsError, match=r"no profile 'none': add \[none\]"):
        from_profile("none", environ)
    with pytest.raises(SettingsError, match="elsewhere"):
        from_profile("lab", {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "elsewhere")})
    file.write_text("what is this")
    with pytest.raises(SettingsError, match="not an AWS-style"):
        from_profile("lab", environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_h8_an_object_store_on_the_loopback_of_another_machine_is_pointed_out(host: str) -> None:
    credentials = Credentials(
        "the environment",
        "a",
        "s",
        ec2_url="http://192.168.7.7:8773/services/Eucalyptus",
        s3_url=f"http://{host}:8773/services/Walrus",
    )
    (warning,) = credentials.warnings()
    assert "--s3-url" in warning
    both = credentials.with_urls(ec2_url=f"http://{host}:8773/services/Eucalyptus")
    assert both.warnings() == []


def test_no_secret_is_shown_when_credentials_are_printed() -> None:
    shown = repr(Credentials("x", "access", "SECRET-1", "SECRET-2", user_private_key=b"SECRET-3"))
    assert "access" in shown
    assert "SECRET" not in shown

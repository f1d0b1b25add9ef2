"""Credentials are found where their owners keep them, and never said aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.client.login import find_login
from imagestoreproxy.client.requests import MISUSED, ClientError

EUCARC = "export EC2_ACCESS_KEY='AK'\nexport EC2_SECRET_KEY='SK'\nexport EC2_URL=http://10.0.0.1/\n"


def test_h13_a_credentials_directory_signs_and_its_run_line_loads_it(tmp_path: Path) -> None:
    directory = tmp_path / "my creds"
    directory.mkdir()
    (directory / "eucarc").write_text(EUCARC)
    login = find_login({"IMAGE_STORE_SECRET": "no"}, directory=str(directory))
    assert (login.client_id, login.secret) == ("AK", "SK")
    lines = login.run_line("emi-1").splitlines()
    assert lines[:2] == [f". '{directory}/eucarc'", "export EC2_URL=http://10.0.0.1/"]
    assert any("euca-run-instances -t m1.small -k image-store emi-1" in line for line in lines)
    assert find_login({}, file=str(directory / "eucarc")) == login
    assert find_login({}, directory=str(directory), client_id="other").client_id == "other"


def test_h13_an_aws_style_file_signs_and_its_run_line_names_it(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id=AK\naws_secret_access_key=SK\nec2_url=http://10.0.0.1/\n"
    )
    login = find_login({}, file=str(file))
    assert (login.client_id, login.secret) == ("AK", "SK")
    lines = login.run_line("emi-1").splitlines()
    assert lines[0] == f"export AWS_SHARED_CREDENTIALS_FILE={file} AWS_PROFILE=default"
    started = (
        "aws ec2 run-instances --endpoint-url http://10.0.0.1/ --region us-east-1 "
        "--instance-type m1.small --key-name image-store --image-id emi-1"
    )
    assert any(started in line for line in lines)
    with pytest.raises(ClientError, match="other") as caught:
        find_login({}, file=str(file), profile="other")
    assert caught.value.exit_status == MISUSED


def test_h13_variables_sign_and_the_run_line_loads_them(tmp_path: Path) -> None:
    login = find_login({"IMAGE_STORE_SECRET": "s", "HOME": str(tmp_path)})
    assert (login.client_id, login.secret) == ("admin", "s")
    assert login.run_line("emi-1").startswith(". ~/.euca/eucarc\n")
    named = {"IMAGE_STORE_SECRET": "s", "IMAGE_STORE_CLIENT_ID": "me", "EC2_ACCESS_KEY": "AK"}
    assert find_login(named).client_id == "me"
    euca = {
        "EC2_ACCESS_KEY": "AK",
        "EC2_SECRET_KEY": "SK",
        "EC2_URL": "http://10.0.0.1/",
        "EC2_CERT": "/no/such/file",
    }
    login = find_login(euca)
    assert (login.client_id, login.secret) == ("AK", "SK")
    assert login.run_line("emi-1").startswith(
        'export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-$EC2_ACCESS_KEY}"'
        ' AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-$EC2_SECRET_KEY}"\n'
    )
    assert "run-instances --endpoint-url http://10.0.0.1/" in login.run_line("emi-1")
    aws = {
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "SK",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    assert "aws ec2 run-instances --region eu-west-1 " in find_login(aws).run_line("ami-1")
    (tmp_path / ".euca").mkdir()
    (tmp_path / ".euca" / "eucarc").write_text(EUCARC)
    login = find_login({"IMAGE_STORE_SECRET": "s", "HOME": str(tmp_path)})
    assert login.run_line("emi-1").startswith(f". {tmp_path}/.euca/eucarc\n")


@pytest.mark.parametrize(
    ("environ", "directory"), [({}, ""), ({"EC2_ACCESS_KEY": "AK"}, ""), ({}, "/no/such/directory")]
)
def test_h13_missing_credentials_are_a_wrong_use_that_says_what_to_do(
    environ: dict[str, str], directory: str
) -> None:
    with pytest.raises(ClientError) as caught:
        find_login(environ, directory=directory)
    assert caught.value.exit_status == MISUSED
    assert directory in caught.value.message


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    login = find_login({"IMAGE_STORE_SECRET": "hush", "HOME": str(tmp_path)})
    assert "hush" not in repr(login)


def test_an_id_in_a_run_line_cannot_run_anything_else(tmp_path: Path) -> None:
    login = find_login({"IMAGE_STORE_SECRET": "s", "HOME": str(tmp_path)})
    assert " -k image-store 'emi-1; rm -rf /' |" in login.run_line("emi-1; rm -rf /")
    odd = login.run_line("emi-1", {"login-user": "a b", "ports": ["$(x)"], "uri": 7})
    assert odd == login.run_line("emi-1")

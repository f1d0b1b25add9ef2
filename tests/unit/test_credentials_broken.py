"""Archives and eucarc files that are not as they should be: each is refused in a plain sentence."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imagestoreproxy.clouds.credentials import Credentials, from_directory
from imagestoreproxy.clouds.eucarc import parse_eucarc
from imagestoreproxy.clouds.frontend.archive import unpack
from imagestoreproxy.clouds.frontend.iam import account_number
from imagestoreproxy.model.errors import CloudError, SettingsError
from tests.unit.memory import NeverStop

KEYS = "export EC2_ACCESS_KEY='access'\nexport EC2_SECRET_KEY='hush-hush'\n"


def zipped(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "into"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("export EC2_URL=http://a/", "http://a/"),
        ("export EC2_URL='http://a/'", "http://a/"),
        ('export EC2_URL="http://a/"', "http://a/"),
        ("export EC2_URL=http://'a'\"/\"", "http://a/"),
        ("export EC2_URL=http://a\\ b/", "http://a b/"),
        ('export EC2_URL="say \\"a\\""', 'say "a"'),
        ("export EC2_URL=http://a/;", "http://a/"),
        ("export EC2_URL=http://a/ # theirs", "http://a/"),
        ("\texport  EC2_URL=http://a/\r", "http://a/"),
        ("export OTHER=1 EC2_URL=http://a/", "http://a/"),
        ("export EC2_URL=$EUCA_KEY_DIR/x", "/with spaces/x"),
        ('export EC2_URL="${EUCA_KEY_DIR}"/x', "/with spaces/x"),
        ("export EC2_URL='${EUCA_KEY_DIR}/x'", "${EUCA_KEY_DIR}/x"),
        ("export EC2_URL=", ""),
        ("export EC2_URL=''", ""),
        ("export EC2_URL=a\nunset EC2_URL;", None),
        ("EC2_URL=http://a/", None),
        ("echo export EC2_URL=http://a/", None),
    ],
)
def test_a_value_is_read_as_a_shell_would(line: str, value: str | None) -> None:
    assert parse_eucarc(line, Path("/with spaces")).get("EC2_URL") == value


@pytest.mark.parametrize(
    "value", ["'hush-hush", '"hush-hush', "hush-hush'", "\u201chush-hush\u201d", '"hush\\"']
)
def test_wrong_quotes_are_named_with_line_and_variable_and_not_with_the_secret(value: str) -> None:
    text = f"export EC2_URL=http://a/\nexport EC2_SECRET_KEY={value}\n"
    with pytest.raises(SettingsError) as caught:
        parse_eucarc(text, Path("/keys"))
    assert caught.value.message.startswith("Line 2 of /keys/eucarc cannot be read: ")
    assert "EC2_SECRET_KEY" in caught.value.message
    assert "hush" not in caught.value.message


def test_wrong_quotes_of_what_nobody_needs_are_passed_over() -> None:
    assert parse_eucarc("export PS1='don't\nexport EC2_URL=a", Path("/"))["EC2_URL"] == "a"


def test_what_an_editor_puts_before_the_first_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "eucarc").write_bytes(b"\xef\xbb\xbf" + KEYS.encode())
    assert from_directory(tmp_path).access_key


@pytest.mark.parametrize("url", ["http://[x", "http://u:hush@iam:port/", "iam:8773", ""])
def test_an_address_that_is_no_url_is_told_with_its_setting(url: str) -> None:
    credentials = Credentials("here", "a", "b", iam_url=url)
    with pytest.raises(CloudError, match=r"IAM \(AWS_IAM_URL\) must be a URL") as caught:
        account_number(credentials, "us-east-1", "", NeverStop())
    assert "hush" not in caught.value.message


def test_an_address_that_is_none_takes_no_credentials_away(tmp_path: Path) -> None:
    (tmp_path / "eucarc").write_text(f"{KEYS}export EC2_URL=http://[x\nexport S3_URL=http://[y\n")
    assert from_directory(tmp_path).warnings() == []


def test_a_directory_whose_path_has_spaces_is_read(tmp_path: Path) -> None:
    directory = tmp_path / "the keys of 'admin'"
    directory.mkdir()
    (directory / "cert.pem").write_text("CERTIFICATE")
    (directory / "eucarc").write_text(f"{KEYS}export EC2_CERT=${{EUCA_KEY_DIR}}/cert.pem\n")
    assert from_directory(directory).user_certificate == b"CERTIFICATE"


def test_an_archive_in_place_of_a_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unpack the credentials archive"):
        from_directory(zipped(tmp_path / "admin.zip", eucarc=KEYS))


def test_what_is_unpacked_is_private(tmp_path: Path, into: Path) -> None:
    unpack(zipped(tmp_path / "a.zip", **{"eucarc": KEYS, "cloud-cert.pem": "C"}), into, "euca_conf")
    assert sorted(path.name for path in into.iterdir()) == ["cloud-cert.pem", "eucarc"]
    for path in into.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def write_nothing(path: Path) -> None:
    path.touch()


def write_no_zip(path: Path) -> None:
    path.write_text("<html>502 Bad Gateway</html>")


def write_half(path: Path) -> None:
    zipped(path, eucarc=KEYS * 50)
    path.write_bytes(path.read_bytes()[:-30])


def write_empty_zip(path: Path) -> None:
    zipped(path)


def write_many(path: Path) -> None:
    zipped(path, **{f"file{number}": "" for number in range(33)})


def write_large(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eucarc", b"#" * (256 * 1024 + 1))


def write_large_together(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            archive.writestr(f"file{number}", b"#" * (128 * 1024))


def write_wrong_sum(path: Path) -> None:
    zipped(path, eucarc=KEYS)
    path.write_bytes(path.read_bytes().replace(b"access", b"excess"))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_nothing, "not a zip archive"),
        (write_no_zip, "not a zip archive"),
        (write_half, "not a zip archive"),
        (write_wrong_sum, "not a zip archive"),
        (write_empty_zip, "is empty"),
        (write_many, "more than 32 files"),
        (write_large, "more than is believed"),
        (write_large_together, "more than is believed"),
    ],
)
def test_a_broken_archive_is_refused(
    write: Callable[[Path], None], said: str, tmp_path: Path, into: Path
) -> None:
    write(tmp_path / "a.zip")
    with pytest.raises(CloudError, match=said) as caught:
        unpack(tmp_path / "a.zip", into, "/usr/sbin/euca_conf")
    assert "/usr/sbin/euca_conf" in caught.value.message


@pytest.mark.parametrize(
    "name", ["../eucarc", "/etc/passwd", "a/b", "..", ".bashrc", "a\\b", "a b", "x" * 101, "a\nb"]
)
def test_no_file_of_an_archive_lands_elsewhere(name: str, tmp_path: Path, into: Path) -> None:
    zipped(tmp_path / "a.zip", **{name: "x"})
    with pytest.raises(CloudError, match="is not believed"):
        unpack(tmp_path / "a.zip", into, "euca_conf")
    assert list(into.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "into"]


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, into: Path) -> None:
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "a.zip", "w") as archive,
    ):
        archive.writestr("eucarc", "1")
        archive.writestr("eucarc", "2")
    with pytest.raises(CloudError, match="could not be unpacked"):
        unpack(tmp_path / "a.zip", into, "euca_conf")


def test_a_link_in_an_archive_is_but_a_file(tmp_path: Path, into: Path) -> None:
    link = zipfile.ZipInfo("eucarc")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/shadow")
    unpack(tmp_path / "a.zip", into, "euca_conf")
    assert not (into / "eucarc").is_symlink()
    assert (into / "eucarc").read_text() == "/etc/shadow"


@pytest.mark.parametrize("named", ["~nobody-at-all/cert.pem", "a\0b", "/" + "x" * 5000])
def test_a_name_of_a_file_that_is_none_is_told(named: str, tmp_path: Path) -> None:
    (tmp_path / "eucarc").write_text(f"{KEYS}export EC2_CERT='{named}'\n")
    with pytest.raises(SettingsError, match="EC2_CERT"):
        from_directory(tmp_path)

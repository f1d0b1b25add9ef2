"""Files from outside: only regular ones are opened, and no more is read than is believed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from imagestoreproxy.clouds.administrators import Administrators
from imagestoreproxy.clouds.credentials import from_directory, from_values, profiles
from imagestoreproxy.clouds.frontend.inifiles import from_ini_files
from imagestoreproxy.config.file import Defaults, read_config
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.outside.castore import ca_store
from imagestoreproxy.regular import NotRegularError, read_regular


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))  # a long name is none for a socket


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "directory": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": a_socket,
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "eucarc"
    ODD[request.param](path)
    return path


def test_what_is_no_regular_file_is_not_waited_for(odd: Path) -> None:
    with pytest.raises(NotRegularError, match="it is not a regular file"):
        read_regular(odd, 100)


def test_a_file_is_read_through_a_link_and_only_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 10) == b"0123456789"
    with pytest.raises(OSError, match="it has more than 9 bytes"):
        read_regular(tmp_path / "link", 9)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 9)


def test_the_null_device_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "masked").symlink_to(os.devnull)
    for path in (Path(os.devnull), tmp_path / "masked"):
        assert read_regular(path, 0) == b""


@pytest.mark.parametrize(
    "read",
    [
        lambda path: from_directory(path.parent),
        lambda path: profiles(path, "a profile"),
        lambda path: from_values(
            {"EC2_ACCESS_KEY": "a", "EC2_SECRET_KEY": "b", "EC2_PRIVATE_KEY": str(path)}, "here"
        ),
        lambda path: read_config(path, Defaults(path), must_exist=True),
    ],
    ids=["eucarc", "profiles", "private key", "configuration"],
)
def test_each_kind_of_file_says_so_in_a_sentence(read: Callable[[Path], object], odd: Path) -> None:
    with pytest.raises(SettingsError, match=r"it is not a regular file\.$") as caught:
        read(odd)
    assert str(odd) in caught.value.message


def test_what_is_no_ini_file_is_passed_over(odd: Path) -> None:
    assert from_ini_files([odd], {}) is None


def test_a_file_of_administrators_that_is_none_has_no_administrators(odd: Path) -> None:
    people = Administrators(odd)
    people.look()
    assert people.problem.endswith("it is not a regular file.")
    assert people.secrets == {}


def test_a_ca_bundle_is_a_file_or_a_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="give --ca-bundle a file"):
        ca_store(str(tmp_path / "pipe"))
    assert ca_store(str(tmp_path)) == tmp_path

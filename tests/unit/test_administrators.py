"""Several administrators who may sign requests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestoreproxy.clouds.administrators import MOST, Administrators

TWO = """
[ann]
aws_access_key_id = of-ann
aws_secret_access_key = hush-ann
[bob]
aws_access_key_id = of-bob
aws_secret_access_key = hush%bob
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "administrators"
    made.write_text(TWO)
    made.chmod(0o600)
    return made


def rewrite(file: Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(file)


def test_each_profile_is_an_administrator(file: Path) -> None:
    people = Administrators(file)
    assert people.look()
    assert people.secrets == {"of-ann": "hush-ann", "of-bob": "hush%bob"}
    assert not people.problem
    assert not people.warning


def test_the_file_is_read_again_only_when_it_changes(file: Path) -> None:
    people = Administrators(file)
    people.look()
    assert not people.look()
    rewrite(file, TWO.partition("[bob]")[0])
    assert people.look()
    assert people.secrets == {"of-ann": "hush-ann"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ann]\naws_access_key_id = a\n", "[ann] of "),
        ("nonsense", "not an AWS-style"),
        (
            TWO + "[eve]\naws_access_key_id = of-bob\naws_secret_access_key = hush",
            "same access key",
        ),
        (
            "".join(f"[{n}]\naws_access_key_id={n}\naws_secret_access_key=s\n" for n in range(101)),
            f"at most {MOST}",
        ),
        ("#" * (256 * 1024 + 1), "it has more than"),
    ],
)
def test_a_file_that_is_wrong_takes_nobody_out(text: str, said: str, file: Path) -> None:
    people = Administrators(file)
    people.look()
    rewrite(file, text)
    assert people.look()
    assert said in people.problem
    assert "hush" not in people.problem
    assert len(people.secrets) == 2


def test_a_file_that_is_gone_takes_everybody_out(file: Path) -> None:
    people = Administrators(file)
    people.look()
    file.unlink()
    assert people.look()
    assert people.secrets == {}
    assert "No such file" in people.problem


def test_a_file_that_others_can_read_is_pointed_out(file: Path) -> None:
    file.chmod(0o644)
    os.utime(file)
    people = Administrators(file)
    people.look()
    assert "chmod 600" in people.warning

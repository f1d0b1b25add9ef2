"""The table of commands: all that is said of them is true."""

from __future__ import annotations

import pytest

from imagestoreproxy.client.entry import FAMILIES
from imagestoreproxy.client.failure import MISUSED, ClientError
from imagestoreproxy.client.parsing import parser
from imagestoreproxy.client.table import COMMANDS


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_each_command_has_a_family_and_something_that_runs_it(entry: object) -> None:
    (found,) = [one for one in COMMANDS if one is entry]
    assert found.family in FAMILIES
    assert callable(found.load())


def test_a_misspelt_command_names_the_near_ones() -> None:
    with pytest.raises(ClientError, match="Did you mean: install") as caught:
        parser({}).parse_args(["isntall", "x"])
    assert caught.value.exit_status == MISUSED
    with pytest.raises(ClientError) as caught:
        parser({}).parse_args(["zzz"])
    assert "Did you mean" not in caught.value.message
    assert caught.value.hints == ["image-store --help"]


@pytest.mark.parametrize("limit", ["x", "-1", "1e9", "nan", ""])
def test_a_limit_that_is_none_is_wrong_use(limit: str) -> None:
    with pytest.raises(ClientError, match="must be a number up to 100000, or 'none'") as caught:
        parser({}).parse_args(["bandwidth", "--", limit])
    assert caught.value.exit_status == MISUSED
    assert parser({}).parse_args(["bandwidth", "2.5"]).limit == "2.5"


def test_wrong_options_are_told_with_the_usage() -> None:
    with pytest.raises(ClientError, match=r"usage: image-store install") as caught:
        parser({}).parse_args(["install"])
    assert caught.value.exit_status == MISUSED

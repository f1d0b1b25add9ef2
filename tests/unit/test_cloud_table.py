"""The table of the contract suite in docs/clouds.md."""

from __future__ import annotations

from tests.standins.install import EUCA2OOLS
from tools.cloud_table import sentences, table, written

KINDS = ["fake", "ec2", *(f"euca2ools {one}" for one in EUCA2OOLS)]


def test_the_table_has_each_test_and_each_cloud_and_all_of_them_passed() -> None:
    outcomes = {name: dict.fromkeys(KINDS, True) for name in sentences()}
    assert written() == table(outcomes, KINDS), "write it anew: python -m tools.cloud_table"


def test_what_fails_is_told() -> None:
    outcomes = {name: dict.fromkeys(KINDS, True) for name in sentences()}
    name, sentence = next(iter(sentences().items()))
    outcomes[name]["ec2"] = False
    row = next(line for line in table(outcomes, KINDS).splitlines() if sentence in line)
    assert row.split(" | ")[1:3] == ["yes", "**no**"]

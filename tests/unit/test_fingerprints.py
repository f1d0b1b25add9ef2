"""Fingerprints as people write them."""

from __future__ import annotations

import pytest

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.fingerprints import normal_fingerprint

WHOLE = "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81"


@pytest.mark.parametrize(
    "written",
    [
        WHOLE,
        WHOLE.lower(),
        "0x" + WHOLE,
        "D2EB 4462 6FDD C30B 513D  5BB7 1A5D 6C4C 7DB8 7C81",
        f" {WHOLE}\n",
    ],
)
def test_spaces_and_case_do_not_matter(written: str) -> None:
    assert normal_fingerprint(written) == WHOLE


@pytest.mark.parametrize(
    "written", ["", "1A5D6C4C7DB87C81", WHOLE[1:], WHOLE + "0", "G" + WHOLE[1:]]
)
def test_less_than_a_whole_fingerprint_is_refused(written: str) -> None:
    with pytest.raises(SettingsError, match="40 hex digits"):
        normal_fingerprint(written)


def test_a_fingerprint_of_a_newer_kind_is_told_apart() -> None:
    with pytest.raises(SettingsError, match="version 5 or 6"):
        normal_fingerprint("a1" * 32)

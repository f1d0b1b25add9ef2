"""How much of the disk is counted, and that nothing which comes or goes meanwhile ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.outside import usage
from imagestoreproxy.outside.usage import taken_bytes, usage_of


def test_files_count_with_what_they_take_and_links_lead_nowhere(tmp_path: Path) -> None:
    below = tmp_path / "one" / "two"
    below.mkdir(parents=True)
    (below / "full").write_bytes(b"x" * 100_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**9)
    (tmp_path / "away").symlink_to("/usr", target_is_directory=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert 100_000 <= taken_bytes(tmp_path) < 200_000


def test_of_too_many_files_the_rest_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").write_bytes(b"x" * 4096)
    whole = taken_bytes(tmp_path)
    monkeypatch.setattr(usage, "FILES", 6)
    assert 0 < taken_bytes(tmp_path) < whole


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    found = usage_of(tmp_path)
    assert 0 < found.free <= found.total
    assert taken_bytes(tmp_path / "missing") == 0
    with pytest.raises(DiskError):
        usage_of(tmp_path / "missing")

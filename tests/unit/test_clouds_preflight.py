"""A good check counts for a minute; clocks are compared within bounds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, cast

import pytest

from imagestoreproxy.clouds.calls import Patience
from imagestoreproxy.clouds.clients import Clients
from imagestoreproxy.clouds.clouderrors import Endpoint
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.preflight import Preflight
from imagestoreproxy.model.errors import CloudError
from tests.functional.inline_background import Flag

ENDPOINT = Endpoint("S3", "http://s3/", "S3_URL or --s3-url")
CREDENTIALS = Credentials("here", "access", "secret")


@dataclass
class Tried(Preflight):
    """Counts how often the cloud is asked."""

    now_s: float = 1000.0
    problem: CloudError | None = None
    asked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        clients = Clients(
            CREDENTIALS, region="", ca_bundle="", public_read_fallback=False, patience=Patience()
        )
        super().__init__(clients, CREDENTIALS, lambda: self.now_s)

    def _tried(self, stop: Any) -> CloudError | None:
        self.asked.append(self.now_s)
        return self.problem


def test_a_good_outcome_counts_for_a_minute() -> None:
    preflight = Tried()
    for now_s in (1000.0, 1030.0, 1059.0, 1060.0):
        preflight.now_s = now_s
        preflight.run(Flag())
    assert preflight.asked == [1000.0, 1060.0]


def test_a_bad_outcome_is_never_kept() -> None:
    preflight = Tried(problem=CloudError("S3 is down.", retry_helps=False))
    for now_s in (1000.0, 1001.0):
        preflight.now_s = now_s
        with pytest.raises(CloudError, match="S3 is down") as caught:
            preflight.run(Flag())
        assert not caught.value.retry_helps
    assert preflight.asked == [1000.0, 1001.0]


def test_what_fails_meanwhile_ends_a_good_outcome() -> None:
    preflight = Tried()
    preflight.run(Flag())
    preflight.forget()
    preflight.run(Flag())
    assert len(preflight.asked) == 2


def answered(difference_s: float) -> dict[str, Any]:
    date = formatdate(time.time() - difference_s, usegmt=True)
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


@pytest.mark.parametrize("difference_s", [0.0, 50.0, -50.0])
def test_clocks_that_agree_are_not_mentioned(difference_s: float) -> None:
    preflight = Tried()
    cast(Any, preflight)._compare_clocks(ENDPOINT, answered(difference_s))
    assert preflight.warnings == []


@pytest.mark.parametrize(("difference_s", "word"), [(200.0, "ahead"), (-200.0, "behind")])
def test_h3_clocks_that_begin_to_differ_are_a_warning(difference_s: float, word: str) -> None:
    preflight = Tried()
    cast(Any, preflight)._compare_clocks(ENDPOINT, answered(difference_s))
    (warning,) = preflight.warnings
    assert word in warning
    assert "S3 at http://s3/" in warning


@pytest.mark.parametrize("difference_s", [310.0, -310.0])
def test_h3_clocks_too_far_apart_are_a_problem_told_with_both_times(difference_s: float) -> None:
    with pytest.raises(CloudError) as caught:
        cast(Any, Tried())._compare_clocks(ENDPOINT, answered(difference_s))
    ours, theirs = (
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(at_s))
        for at_s in (time.time(), time.time() - difference_s)
    )
    assert ours[:13] in caught.value.message
    assert theirs[:13] in caught.value.message
    assert "set both by NTP" in caught.value.message

"""Which images instances were started from: all pages, and nothing believed that is no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.instances import AT_ONCE, PAGES, used_ids
from imagestoreproxy.model.errors import CloudError


class StraightCalls:
    """Sends each request once, and waits for nothing."""

    endpoint = "EC2"

    def call(self, what: str, request: Callable[[], Any]) -> Any:
        return request()

    def is_no_service(self) -> CloudError:
        return CloudError("That is no EC2.")


class StubEc2:
    """Gives one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def describe_instances(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def page(*instances: tuple[str, str, str], token: str = "") -> dict[str, Any]:
    return {
        "Reservations": [
            {"Instances": [{"InstanceId": name, "ImageId": image, "State": {"Name": state}}]}
            for name, image, state in instances
        ],
        **({"NextToken": token} if token else {}),
    }


def used(ec2: StubEc2, *ids: str) -> dict[str, str]:
    return dict(used_ids(ec2, cast(Calls, StraightCalls()), ids))


def test_all_pages_are_read() -> None:
    ec2 = StubEc2(
        page(("i-1", "emi-1", "running"), token="more"), page(("i-2", "emi-2", "stopped"))
    )
    assert used(ec2, "emi-1", "emi-2", "emi-3") == {"emi-1": "i-1", "emi-2": "i-2"}
    assert [one.get("NextToken") for one in ec2.asked] == [None, "more"]


def test_an_old_cloud_that_filters_nothing_does_no_harm() -> None:
    ec2 = StubEc2(page(("i-1", "emi-9", "running"), ("i-2", "emi-1", "terminated")))
    assert used(ec2, "emi-1") == {}


def test_many_ids_are_asked_for_some_at_a_time() -> None:
    ec2 = StubEc2(page())
    used(ec2, *(f"emi-{number:08x}" for number in range(AT_ONCE + 1)))
    assert [len(one["Filters"][0]["Values"]) for one in ec2.asked] == [AT_ONCE, 1]


def test_an_answer_that_is_none_is_not_taken_for_no_instances() -> None:
    with pytest.raises(CloudError, match="no EC2"):
        used(StubEc2({"ResponseMetadata": {}}), "emi-1")
    assert used(StubEc2({"ResponseMetadata": {"RequestId": "1"}}), "emi-1") == {}


def test_a_list_without_end_is_given_up() -> None:
    ec2 = StubEc2(page(token="more"))
    with pytest.raises(CloudError, match="without end"):
        used(ec2, "emi-1")
    assert len(ec2.asked) == PAGES

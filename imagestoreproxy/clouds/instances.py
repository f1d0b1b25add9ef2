"""The instances that EC2 knows: only which images they were started from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.clouderrors import is_not_understood
from imagestoreproxy.model.errors import CloudError

# EC2 takes 200 values in a filter.
AT_ONCE = 100
PAGES = 1000
OVER = "terminated"


def used_ids(ec2: Any, calls: Calls, image_ids: Collection[str]) -> Mapping[str, str]:
    """Give those of these ids that instances were started from, each with one such instance.

    Instances that are terminated do not count; those that are stopped do. Blocks.

    Args:
        ec2: a boto3 client.

    Raises:
        CloudError: EC2 cannot be asked, or does not tell all.
    """
    wanted = sorted(image_ids)
    found: dict[str, str] = {}
    for begin in range(0, len(wanted), AT_ONCE):
        some = wanted[begin : begin + AT_ONCE]
        for instance in _instances(ec2, calls, some):
            # Compared here as well: from a cloud that knows no filters there are all.
            image_id = str(instance.get("ImageId"))
            state = (instance.get("State") or {}).get("Name")
            if image_id in some and state != OVER:
                found.setdefault(image_id, str(instance.get("InstanceId")))
    return found


def _instances(ec2: Any, calls: Calls, image_ids: list[str]) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"Filters": [{"Name": "image-id", "Values": image_ids}]}
    for _ in range(PAGES):
        answer = calls.call("list instances", partial(_answer, ec2, request))
        # A web page parses, too, and "none" would be believed: images in use would be removed.
        if "Reservations" not in answer and not answer.get("ResponseMetadata", {}).get("RequestId"):
            raise calls.is_no_service()
        for reservation in answer.get("Reservations", ()):
            yield from reservation.get("Instances", ())
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]
    raise CloudError(
        f"{calls.endpoint} lists instances without end: which images are used is not known."
    )


def _answer(ec2: Any, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any]
    try:
        answer = ec2.describe_instances(**request)
    except ClientError as error:
        if not ("Filters" in request and is_not_understood(error)):
            raise
        del request["Filters"]  # Eucalyptus before 3.3 knows none
        answer = ec2.describe_instances(**request)
    return answer

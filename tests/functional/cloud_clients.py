"""boto3's clients for what tests look at in a cloud: made once for an address, at 0.2 s each."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3

from tests.functional.rig import CLIENT_ID, SECRET


@cache
def client(service: str, url: str) -> Any:
    """Give a client of ``s3`` or ``ec2`` with the keys of the rigs."""
    return _session().client(service, endpoint_url=url)


@cache
def _session() -> Any:
    return boto3.session.Session(CLIENT_ID, SECRET, region_name="us-east-1")

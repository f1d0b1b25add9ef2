"""A look at one bundle that went into the sink: what is measured must be right, too."""

from __future__ import annotations

import filecmp
import time
from pathlib import Path

import boto3

from benchmarks.ground import ground
from benchmarks.images import Image
from benchmarks.report import Report, Row
from tests.functional.unbundle import unbundle


def check(work: Path, image: Image, report: Report) -> None:
    """Install into a sink that keeps everything, unpack what is there, and compare.

    Raises:
        AssertionError: the bundle does not hold the image.
    """
    with ground(work, [image], keep=True) as place:
        place.install(place.uris[0])
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        ec2 = boto3.client("ec2", endpoint_url=place.cloud_url, **keys)
        (registered,) = ec2.describe_images(Owners=["self"])["Images"]
        out = place.work / "unbundled"
        out.mkdir()
        began_s = time.perf_counter()
        bundle = unbundle(
            boto3.client("s3", endpoint_url=place.cloud_url, **keys),
            registered["ImageLocation"],
            out,
            private_key=place.credentials.cloud_key,
            whose="ec2",
            certificate=place.credentials.user_cert,
        )
        assert filecmp.cmp(bundle.image, image.raw, shallow=False), "the bundle holds another image"
        took_s = time.perf_counter() - began_s
    report.add(Row("bundle", image.title, "unpacked again, the same", took_s, "s", note="1 round"))

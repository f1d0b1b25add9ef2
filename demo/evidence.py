"""What the cloud itself says about an installed image: EC2's entry, and S3's bytes."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from demo.certificates import Credentials
from tests.functional.unbundle import unbundle

KINDS = {"kernel": "kernel", "ramdisk": "ramdisk", "machine": "image"}


@dataclass(frozen=True)
class Stored:
    """A bundle that was fetched back, opened with the cloud's key, and compared.

    Args:
        kind: ``kernel``, ``ramdisk`` or ``image``.
        same: whether the bytes are those of the source, unpacked.
    """

    location: str
    kind: str
    parts: int
    stored_bytes: int
    image_bytes: int
    same: bool


def clients(url: str, access_key: str, secret_key: str) -> tuple[Any, Any]:
    """Give clients for EC2 and S3 that never look for other credentials."""
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    session = boto3.session.Session(region_name="us-east-1", **keys)
    return session.client("ec2", endpoint_url=url), session.client("s3", endpoint_url=url)


def load(url: str, access_key: str, secret_key: str) -> None:
    """Ask both services something: moto loads each when it is asked for the first time."""
    ec2, s3 = clients(url, access_key, secret_key)
    ec2.describe_images(Owners=["self"])
    s3.list_buckets()


def registered(ec2: Any, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Give EC2's entries for these ids."""
    answer = ec2.describe_images(ImageIds=ids)
    return {entry["ImageId"]: entry for entry in answer["Images"]}


def stored(s3: Any, credentials: Credentials, contents: Mapping[str, Path]) -> list[Stored]:
    """Fetch every bundle back and compare it with its source.

    Args:
        contents: the source of each kind; files in .gz are unpacked for that.

    Raises:
        AssertionError: a bundle that cannot be opened, or whose signature or digests are wrong.
    """
    found = []
    for bucket in s3.list_buckets()["Buckets"]:
        keys = [entry["Key"] for entry in _contents(s3, bucket["Name"])]
        for key in (key for key in keys if key.endswith(".manifest.xml")):
            with tempfile.TemporaryDirectory(dir=next(iter(contents.values())).parent) as work:
                bundle = unbundle(
                    s3,
                    f"{bucket['Name']}/{key}",
                    Path(work),
                    private_key=credentials.cloud_key,
                    whose="ec2",
                    certificate=credentials.user_cert,
                )
                kind = KINDS[bundle.fields["image/type"]]
                found.append(
                    Stored(
                        location=f"{bucket['Name']}/{key}",
                        kind=kind,
                        parts=sum(".part." in key for key in keys),
                        stored_bytes=int(bundle.fields["image/bundled_size"]),
                        image_bytes=bundle.image.stat().st_size,
                        same=_same(bundle.image, contents[kind], Path(work)),
                    )
                )
    return found


def _contents(s3: Any, bucket: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry for page in pages for entry in page.get("Contents", [])]


def _same(image: Path, source: Path, work: Path) -> bool:
    unpacked = source
    if source.suffix == ".gz":
        unpacked = work / "source"
        with gzip.open(source) as compressed, unpacked.open("wb") as out:
            shutil.copyfileobj(compressed, out, 1 << 20)
    with image.open("rb") as ours, unpacked.open("rb") as theirs:
        while True:
            block = ours.read(1 << 20)
            if block != theirs.read(1 << 20):
                return False
            if not block:
                return True

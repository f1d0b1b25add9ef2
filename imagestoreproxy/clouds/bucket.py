"""One bucket of S3 that holds one bundle and is ours alone."""

from __future__ import annotations

from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.clouderrors import code_of, status_of
from imagestoreproxy.model.errors import CloudError

EC2_MAY_READ = "aws-exec-read"
ALL_MAY_READ = "public-read"
# What services say to an ACL that they do not have.
ACL_REFUSED = (
    "400",
    "AccessControlListNotSupported",
    "BadRequest",
    "InvalidArgument",
    "InvalidRequest",
    "MalformedACLError",
    "NotImplemented",
)
GONE = ("NoSuchBucket", "NoSuchKey", "404", "NotFound")


class Bucket:
    """Its objects; every call blocks and raises ``CloudError``.

    Args:
        s3: a boto3 client.
        region: where a new bucket is made.
        public_read_fallback: whether objects may be readable by all where the service does not know
            how to let only EC2 read them.
    """

    def __init__(
        self,
        name: str,
        s3: Any,
        calls: Calls,
        *,
        region: str,
        public_read_fallback: bool,
    ) -> None:
        self.name = name
        self._s3 = s3
        self._calls = calls
        self._region = region
        self._fallback = public_read_fallback
        self._acl = EC2_MAY_READ

    def make(self) -> None:
        """Create it, or make sure that it is ours."""
        more: dict[str, Any] = {}
        if self._region != "us-east-1":
            more["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
        try:
            self._calls.call(
                f"create the bucket {self.name}",
                lambda: self._s3.create_bucket(Bucket=self.name, **more),
                allowed=("BucketAlreadyOwnedByYou", "BucketAlreadyExists"),
            )
        except ClientError:
            ours = self._calls.call("list buckets", self._s3.list_buckets)
            if self.name not in (bucket["Name"] for bucket in ours.get("Buckets", ())):
                raise CloudError(
                    f"{self._calls.endpoint} has a bucket {self.name} of another account; "
                    "install again, then another name is chosen."
                ) from None

    def put(self, key: str, content: memoryview | bytes) -> None:
        """Store an object that EC2 may read."""
        try:
            self._put(key, content)
        except ClientError as error:
            if not self._fallback:
                raise CloudError(
                    f"{self._calls.endpoint} does not take the ACL {EC2_MAY_READ}, with which EC2 "
                    f"may read an image ({status_of(error)} {code_of(error)}); allow "
                    f"that all may read it ({ALL_MAY_READ}) with --public-read-fallback.",
                    retry_helps=False,
                ) from None
            self._acl = ALL_MAY_READ
            self._put(key, content)

    def _put(self, key: str, content: memoryview | bytes) -> None:
        self._calls.call(
            f"store {self.name}/{key}",
            lambda: self._s3.put_object(
                Bucket=self.name, Key=key, ACL=self._acl, Body=self._calls.body(content)
            ),
            allowed=ACL_REFUSED if self._acl == EC2_MAY_READ else (),
        )

    def sizes(self) -> dict[str, int]:
        """Give the size in bytes of each object, all of them; a bucket that is gone has none."""
        sizes: dict[str, int] = {}
        marker = ""
        while True:
            # The first version of the call: older clouds have no other.
            listing = partial(self._s3.list_objects, Bucket=self.name, Marker=marker)
            try:
                page = self._calls.call(f"list the bucket {self.name}", listing, allowed=GONE)
            except ClientError:
                return {}
            found = {entry["Key"]: int(entry["Size"]) for entry in page.get("Contents", ())}
            sizes |= found
            if not page.get("IsTruncated") or not found or max(found) <= marker:
                return sizes
            marker = max(found)

    def size(self, key: str) -> int:
        """Give the size of one object in bytes, asked for by its name; -1 if it is not there."""
        try:
            head = self._calls.call(
                f"read {self.name}/{key}",
                lambda: self._s3.head_object(Bucket=self.name, Key=key),
                allowed=GONE,
            )
        except ClientError:
            return -1
        return int(head["ContentLength"])

    def empty(self) -> None:
        """Delete all objects."""
        for key in self.sizes():
            self._gone(f"delete {self.name}/{key}", self._s3.delete_object, Key=key)

    def remove(self) -> None:
        """Delete all objects and the bucket itself; what is not there is fine."""
        for _ in range(3):
            self.empty()
            # A part whose upload was broken off may have arrived just now.
            if self._gone(f"delete the bucket {self.name}", self._s3.delete_bucket):
                return
        raise CloudError(f"{self._calls.endpoint} keeps the bucket {self.name}: it is never empty.")

    def _gone(self, what: str, request: Any, **arguments: str) -> bool:
        try:
            self._calls.call(
                what,
                lambda: request(Bucket=self.name, **arguments),
                allowed=(*GONE, "BucketNotEmpty"),
            )
        except ClientError as error:
            return code_of(error) != "BucketNotEmpty"
        return True

"""One bucket of S3 that holds one bundle and is ours alone."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError

from imagestoreproxy.clouds.calls import Calls
from imagestoreproxy.clouds.clouderrors import Endpoint, code_of, status_of
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
# Said by a service that speaks S3; a bare 404 may be any web server's.
GONE = ("NoSuchBucket", "NoSuchKey", "NoSuchEntity")
# The answer to HEAD has no body, and so no code.
GONE_OR_404 = (*GONE, "404", "NotFound")
# Parts of 10 MiB: far beyond any image.
MAX_OBJECTS = 100_000
MAKE_LIMIT_S = 60.0
REMOVE_TRIES = 5
_MD5 = re.compile(r"[0-9a-f]{32}")


class _Taker(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Content(bytearray):
    update = bytearray.extend


Taker = TypeVar("Taker", bound=_Taker)


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object as S3 describes it; ``md5_hex`` is empty where its ETag cannot be one."""

    size_bytes: int
    md5_hex: str = ""

    def may_be(self, sent: S3Object) -> bool:
        """Tell whether nothing speaks against its being what was sent."""
        known = not self.md5_hex or self.md5_hex == sent.md5_hex
        return known and self.size_bytes == sent.size_bytes


def measured(content: memoryview | bytes) -> S3Object:
    """Give what S3 has to say of this content."""
    return S3Object(len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def own_buckets(s3: Any, calls: Calls) -> dict[str, Any]:
    """Ask for the account's buckets; the answer has ``Buckets`` with ``Name`` each.

    Raises:
        CloudError: S3 cannot be asked, or what answers is none.
    """
    answer: dict[str, Any] = calls.call("list buckets", s3.list_buckets)
    if not answer.keys() & {"Buckets", "Owner"}:
        raise calls.is_no_service()
    return answer


class Readers:
    """Who may read objects, in the words that the service knows; found out once for all buckets."""

    def __init__(self) -> None:
        self.acl = EC2_MAY_READ


class Bucket:
    """Its objects; every call blocks and raises ``CloudError``.

    Args:
        s3: a boto3 client.
        region: where a new bucket is made.
        public_read_fallback: whether objects may be readable by all where the service does not know
            how to let only EC2 read them.
        sent: told how many bytes an object has that was taken.
    """

    def __init__(
        self,
        name: str,
        s3: Any,
        calls: Calls,
        *,
        region: str,
        readers: Readers,
        public_read_fallback: bool,
        sent: Callable[[int], None],
    ) -> None:
        self.name = name
        self._s3 = s3
        self._calls = calls
        self._region = region
        self._fallback = public_read_fallback
        self._readers = readers
        self._sent = sent

    @property
    def acl(self) -> str:
        """Who may read what is stored in it, in S3's words."""
        return self._readers.acl

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return self._calls.endpoint

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
                # Left behind, it would come into being after its undoing.
                leave_s=MAKE_LIMIT_S,
            )
        except ClientError:
            if not self._is_ours():
                raise CloudError(
                    f"{self._calls.endpoint} has a bucket {self.name} of another account; "
                    "clear the error and install again, then another name is chosen."
                ) from None

    def put(self, key: str, content: memoryview | bytes, sent: S3Object) -> None:
        """Store an object that EC2 may read; ``sent`` is what ``measured`` says of it."""
        try:
            self._put(key, content, sent)
        except ClientError as error:
            if not self._fallback:
                raise CloudError(
                    f"{self._calls.endpoint} does not take the ACL {EC2_MAY_READ}, with which EC2 "
                    f"may read an image ({status_of(error)} {code_of(error)}); allow "
                    f"that all may read it ({ALL_MAY_READ}) with --public-read-fallback.",
                    retry_helps=False,
                ) from None
            self._readers.acl = ALL_MAY_READ
            self._put(key, content, sent)
        self._sent(sent.size_bytes)

    def _put(self, key: str, content: memoryview | bytes, sent: S3Object) -> None:
        # The MD5 is there for the comparison with the ETag anyway; so sent along it costs nothing,
        # and a service that heeds it stores no part that the way there has altered.
        md5 = b64encode(bytes.fromhex(sent.md5_hex)).decode()
        acl = self._readers.acl
        self._calls.call(
            f"store {self.name}/{key}",
            lambda: self._s3.put_object(
                Bucket=self.name,
                Key=key,
                ACL=acl,
                ContentMD5=md5,
                Body=self._calls.body(content),
            ),
            allowed=ACL_REFUSED if acl == EC2_MAY_READ else (),
        )

    def objects(self) -> dict[str, S3Object] | None:
        """Describe each object by its key, all of them; None when there is no such bucket."""
        objects: dict[str, S3Object] = {}
        marker = ""
        while True:
            # The first version of the call: older clouds have no other.
            after = {"Marker": marker} if marker else {}
            listing = partial(self._s3.list_objects, Bucket=self.name, **after)
            try:
                page = self._calls.call(f"list the bucket {self.name}", listing, allowed=GONE)
            except ClientError:
                return None
            if not page.keys() & {"Name", "Contents", "IsTruncated"}:
                raise self._calls.is_no_service()
            entries = page.get("Contents", ())
            found = {entry["Key"]: _stored(entry["Size"], entry) for entry in entries}
            objects |= found
            if len(objects) > MAX_OBJECTS:
                raise CloudError(
                    f"{self._calls.endpoint} lists more than {MAX_OBJECTS} objects in the bucket "
                    f"{self.name}, which is ours alone; look what they are."
                )
            if not page.get("IsTruncated") or not found or max(found) <= marker:
                return objects
            marker = max(found)

    def stored(self, key: str) -> S3Object | None:
        """Describe one object, asked for by its name; None if it is not there."""
        try:
            head = self._calls.call(
                f"read {self.name}/{key}",
                lambda: self._s3.head_object(Bucket=self.name, Key=key),
                allowed=GONE_OR_404,
            )
        except ClientError:
            # Any web server says 404; that it is S3, which misses it, shows in the listing.
            return (self.objects() or {}).get(key)
        return _stored(head["ContentLength"], head)

    def sha1_hex(self, key: str, limit_bytes: int) -> str:
        """Read an object and give its digest; empty when it is not there or is larger."""
        digest = self._read(key, limit_bytes, lambda: hashlib.sha1(usedforsecurity=False))
        return digest.hexdigest() if digest else ""

    def content(self, key: str, limit_bytes: int) -> bytes | None:
        """Read a small object; None when it is not there or is larger."""
        content = self._read(key, limit_bytes, _Content)
        return bytes(content) if content is not None else None

    def _read(self, key: str, limit_bytes: int, fresh: Callable[[], Taker]) -> Taker | None:
        def read() -> Taker | None:
            taker, left_bytes = fresh(), limit_bytes
            with closing(self._s3.get_object(Bucket=self.name, Key=key)["Body"]) as body:
                while chunk := body.read(min(left_bytes + 1, 1 << 20)):
                    self._calls.going_on()
                    taker.update(chunk)
                    left_bytes -= len(chunk)
                    if left_bytes < 0:
                        return None
            return taker

        try:
            return self._calls.call(f"read {self.name}/{key}", read, allowed=GONE)
        except ClientError:
            return None

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is fine."""
        self._delete(f"delete {self.name}/{key}", self._s3.delete_object, Key=key)

    def remove(self, stem: str = "") -> None:
        """Delete objects and the bucket itself, until S3 says that there is none.

        What somebody else has put into it stays, and so does then the bucket; a bucket of another
        account, which we could not make, is none of ours.

        Args:
            stem: what the names of our objects begin with.
        """
        try:
            self._remove(stem)
        except CloudError as error:
            if error.retry_helps or self._is_ours():
                raise

    def _remove(self, stem: str) -> None:
        for tried in range(REMOVE_TRIES):
            # A part whose upload was broken off may have arrived just now.
            if tried > 1:
                self._calls.pause(tried)
            objects = self.objects()
            if objects is None:
                return
            ours = [key for key in objects if key.startswith(stem)]
            for key in ours:
                self.delete(key)
            if len(ours) < len(objects):
                return
            self._delete(f"delete the bucket {self.name}", self._s3.delete_bucket)
        raise CloudError(
            f"{self._calls.endpoint} keeps the bucket {self.name}, though it was deleted; see what "
            "is in it."
        )

    def _is_ours(self) -> bool:
        answer = own_buckets(self._s3, self._calls)
        return self.name in (bucket.get("Name") for bucket in answer.get("Buckets", ()))

    def _delete(self, what: str, request: Any, **arguments: str) -> None:
        with suppress(ClientError):  # the next listing tells
            self._calls.call(
                what,
                lambda: request(Bucket=self.name, **arguments),
                allowed=(*GONE, "BucketNotEmpty"),
            )


def _stored(size_bytes: Any, entry: dict[str, Any]) -> S3Object:
    # Of an object in several parts, or of one by other means, the ETag is something else.
    etag = str(entry.get("ETag") or "").strip('"').lower()
    return S3Object(int(size_bytes), etag if _MD5.fullmatch(etag) else "")

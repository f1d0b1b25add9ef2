"""euca-upload-bundle and euca-delete-bundle."""

from __future__ import annotations

import os
import sys
import time

from .arguments import Arguments, UsageError
from .elements import read
from .generations import Family, Generation
from .reporting import FailedError, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .traps import Traps
    from .wire import Wire

    Say = Callable[[str], None]


class Store:
    """A bucket's bundle, sent or taken away as a generation does it."""

    def __init__(
        self, generation: Generation, arguments: Arguments, wire: Wire, traps: Traps, say: Say
    ) -> None:
        self._generation, self._arguments, self._wire = generation, arguments, wire
        self._traps, self._say = traps, say
        self._bucket, _, prefix = arguments.get("bucket").partition("/")
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._new = generation.family is Family.REQUESTS
        if prefix and not self._new:
            # boto makes this a bucket's name, which no cloud takes.
            self._bucket, self._prefix = f"{self._bucket}/{prefix}", ""

    def upload(self) -> None:
        manifest = self._arguments.get("manifest")
        if not os.path.isfile(manifest):
            raise self._no_such_manifest(manifest)
        directory = self._arguments.get("directory") or os.path.dirname(manifest)
        headers = {"x-amz-acl": self._arguments.get("acl") or "aws-exec-read"}
        self._ensure_bucket(headers)
        self._traps.pause()
        parts = parts_of(content_of(manifest))
        if self._traps.on("sent_nothing"):
            self._done(manifest)
            return
        if not self._new:
            self._say("Uploading manifest file")
            self._put(manifest, headers)
        for part in parts[: -1 if self._traps.on("lost_part") else None]:
            if not self._new:
                self._say(f"Uploading part: {part}")
            path = os.path.join(directory, part)
            if not os.path.isfile(path):
                raise FailedError(f"no such part: '{path}'")
            self._put(path, headers)
            self._traps.pause()
        if self._new:
            self._put(manifest, headers)
        self._done(manifest)

    def delete(self) -> None:
        if self._new:
            self._delete_new()
            return
        try:
            self._wire.s3("HEAD", f"/{self._bucket}")
        except RefusedError:
            raise FailedError(f"Unable to get bucket {self._bucket}", 0) from None
        given = self._arguments.get("manifest")
        if given and not os.path.isfile(given):
            raise self._no_such_manifest(given)
        directory = os.path.dirname(given) if given else os.environ.get("TMPDIR") or "/tmp"
        for name in self._manifests_to_delete():
            local = os.path.join(directory, name)
            try:
                manifest = self._wire.s3("GET", f"/{self._bucket}/{name}")
            except RefusedError as error:
                # The local file has been opened for writing by then, and goes.
                _remove(local)
                self._complain(error, f"unable to download manifest {name}")
            else:
                with open(local, "wb") as file:
                    file.write(manifest)
                for part in parts_of(manifest):
                    self._wire.s3("DELETE", f"/{self._bucket}/{part}")
            self._wire.s3("DELETE", f"/{self._bucket}/{name}")
            if not given:
                _remove(local)
        if "clear" in self._arguments.values:
            try:
                self._wire.s3("DELETE", f"/{self._bucket}")
            except RefusedError as error:
                self._complain(error, f"unable to delete bucket {self._bucket}")

    def _complain(self, error: RefusedError, sentence: str) -> None:
        """Say what went wrong, and go on."""
        where = sys.stderr if self._generation.errors_on_stderr else sys.stdout
        print(f"{error.by_boto.rstrip()}\n{sentence}", file=where)

    def _no_such_manifest(self, manifest: str) -> Exception:
        if self._new:
            return FailedError(f"No such file or directory: {manifest}")
        if self._generation.family is Family.ROBOTO:
            return FailedError("manifest should be of type file")
        return FailedError("Invalid manifest")

    def _ensure_bucket(self, headers: Mapping[str, str]) -> None:
        if not self._new:
            self._say(f"Checking bucket: {self._bucket}")
        try:
            if self._traps.on("refused_upload"):
                raise RefusedError(403, "AccessDenied", "Access Denied")
            self._look_at_bucket()
        except RefusedError as error:
            if error.status == 404:
                self._create_bucket(headers)
                return
            if self._new:
                raise
            forbidden = f"You do not have permission to access bucket: {self._bucket}"
            raise self._refusal(error, forbidden) from None

    def _look_at_bucket(self) -> None:
        if self._new:
            self._wire.s3("GET", f"/{self._bucket}", query="max-keys=0")
        else:
            self._wire.s3("HEAD", f"/{self._bucket}")

    def _refusal(self, error: RefusedError, forbidden: str) -> FailedError:
        """What 1.x and 2.x make of S3's answer."""
        if self._generation.family is Family.SCRIPTS:
            return FailedError(forbidden if error.status == 403 else error.by_boto, 0)
        # 2.x stumbles over its own sentence when it is about to print it.
        return FailedError("" if error.status == 403 else error.by_boto, 1)

    def _create_bucket(self, headers: Mapping[str, str]) -> None:
        if self._new:
            self._wire.s3("PUT", f"/{self._bucket}")
            return
        self._say(f"Creating bucket: {self._bucket}")
        try:
            self._wire.s3("PUT", f"/{self._bucket}", headers=headers)
        except RefusedError as error:
            if error.status != 409:
                # Not foreseen: 1.x shows a traceback.
                raise FailedError(error.by_boto) from None
            status = 0 if self._generation.family is Family.SCRIPTS else 1
            raise FailedError(f"Unable to create bucket {self._bucket}", status) from None

    def _put(self, path: str, headers: Mapping[str, str]) -> None:
        key = f"{self._prefix}{os.path.basename(path)}"
        try:
            self._wire.s3("PUT", f"/{self._bucket}/{key}", content_of(path), headers)
        except RefusedError as error:
            if self._new:
                raise
            raise self._refusal(error, f"Permission denied while writing: {key}") from None

    def _done(self, manifest: str) -> None:
        location = f"{self._bucket}/{self._prefix}{os.path.basename(manifest)}"
        self._say(f"Uploaded {location}" if self._new else f"Uploaded image as {location}")

    def _manifests_to_delete(self) -> list[str]:
        if given := self._arguments.get("manifest"):
            return [os.path.basename(given)]
        if prefix := self._arguments.get("prefix"):
            return [f"{prefix}.manifest.xml"]
        if self._generation.name == "2.1":
            self._say("Neither a manifestpath nor a prefix was specified.")
            self._say(f"All bundles in bucket {self._bucket} will be deleted.")
            time.sleep(10)
        listed = read(self._wire.s3("GET", f"/{self._bucket}"))
        keys = [element.text for element in listed.all("Key")]
        return [key for key in keys if "manifest" in key]

    def _delete_new(self) -> None:
        base = f"/{self._bucket}/{self._prefix}"
        given = self._arguments.get("manifest")
        local = self._arguments.get("local-manifest")
        if self._generation.name == "3.0":
            self._look_at_bucket()
            local, given = given, ""
            if local and not os.path.isfile(local):
                raise UsageError(
                    "usage: euca-delete-bundle [...]\neuca-delete-bundle: error: "
                    f"manifest file '{local}' does not exist."
                )
        if prefix := self._arguments.get("prefix"):
            given = f"{prefix}.manifest.xml"
        if local:
            text = content_of(local)
            given = os.path.basename(local)
        else:
            try:
                text = self._wire.s3("GET", base + given)
            except RefusedError as error:
                if self._generation.name != "3.0" and error.status == 404:
                    # Even with --clear, which leaves the bucket then.
                    path = base.removeprefix("/") + given
                    raise FailedError(f"manifest '{path}' does not exist on the server") from None
                raise
        for part in parts_of(text):
            self._wire.s3("DELETE", base + part)
        self._wire.s3("DELETE", base + given)
        if "clear" in self._arguments.values:
            self._wire.s3("DELETE", f"/{self._bucket}")


def parts_of(manifest: bytes) -> list[str]:
    """The names of the parts that a manifest lists."""
    return [element.text for element in read(manifest).all("filename")]


def content_of(path: str) -> bytes:
    """A whole file; parts are at most 10 MiB."""
    with open(path, "rb") as file:
        return file.read()


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)

"""An S3 and an EC2 that know little more than an install asks for, and look at no signature."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import gmtime, strftime
from urllib.parse import unquote
from xml.sax.saxutils import escape

S3_XML = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
EC2_XML = 'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'


@dataclass(frozen=True)
class Stored:
    """An object; ``body`` is None where it was thrown away."""

    size_bytes: int
    etag: str
    body: bytes | Path | None

    def content(self) -> bytes | None:
        return self.body.read_bytes() if isinstance(self.body, Path) else self.body


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/xml"
    headers: tuple[tuple[str, str], ...] = ()


class Cloud:
    """Buckets, objects and registered images."""

    def __init__(self, keep: Path | None = None) -> None:
        self.keep = keep
        self.account: Counter[str] = Counter()
        self._buckets: dict[str, dict[str, Stored]] = {}
        self._made: dict[str, str] = {}
        self._images: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def s3(self, method: str, path: str, sent: Stored) -> Answer:
        """Answer a request of S3; ``sent`` is its body."""
        name, _, key = unquote(path).lstrip("/").partition("/")
        with self._lock:
            if not name:
                return self._list_buckets()
            if not key and method == "PUT":
                self._buckets.setdefault(name, {})
                self._made.setdefault(name, strftime("%Y-%m-%dT%H:%M:%S.000Z", gmtime()))
                return Answer(200, headers=(("Location", f"/{name}"),))
            if name not in self._buckets:
                return _s3_error(404, "NoSuchBucket")
            return self._on_object(method, name, key, sent) if key else self._on(method, name)

    def _on(self, method: str, name: str) -> Answer:
        if method == "DELETE":
            if self._buckets[name]:
                return _s3_error(409, "BucketNotEmpty")
            del self._buckets[name]
            return Answer(204)
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{self._made[name]}</LastModified>"
            f"<ETag>&quot;{one.etag}&quot;</ETag><Size>{one.size_bytes}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key, one in sorted(self._buckets[name].items())
        )
        return _xml(
            f"<ListBucketResult {S3_XML}><Name>{escape(name)}</Name><Marker></Marker>"
            f"<IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        )

    def _on_object(self, method: str, name: str, key: str, sent: Stored) -> Answer:
        objects = self._buckets[name]
        if method == "PUT":
            objects[key] = sent
            return Answer(200, headers=(("ETag", f'"{sent.etag}"'),))
        if method == "DELETE":
            objects.pop(key, None)
            return Answer(204)
        found = objects.get(key)
        if found is None:
            return _s3_error(404, "NoSuchKey")
        content = found.content()
        if method != "HEAD" and content is None:
            return _s3_error(410, "ThrownAway")
        headers = (("ETag", f'"{found.etag}"'), ("Content-Length", str(found.size_bytes)))
        return Answer(200, content or b"", "application/octet-stream", headers)

    def _list_buckets(self) -> Answer:
        buckets = "".join(
            f"<Bucket><Name>{escape(name)}</Name><CreationDate>{self._made[name]}</CreationDate>"
            "</Bucket>"
            for name in self._buckets
        )
        return _xml(
            f"<ListAllMyBucketsResult {S3_XML}><Owner><ID>me</ID></Owner>"
            f"<Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
        )

    def ec2(self, form: dict[str, list[str]]) -> Answer:
        """Answer a request of EC2's query API."""
        action, first = form["Action"][0], {name: values[0] for name, values in form.items()}
        with self._lock:
            if action == "RegisterImage":
                image_id = f"ami-{len(self._images) + 1:08x}"
                self._images[image_id] = first
                return _ec2(action, f"<imageId>{image_id}</imageId>")
            asked = [value for name, value in first.items() if name.startswith("ImageId")]
            for image_id in asked:
                if image_id not in self._images:
                    return _ec2_error("InvalidAMIID.NotFound", image_id)
            if action == "DeregisterImage":
                del self._images[asked[0]]
                return _ec2(action, "<return>true</return>")
            if action != "DescribeImages":
                return _ec2_error("InvalidAction", action)
            items = "".join(_described(one, self._images[one]) for one in asked or self._images)
            return _ec2(action, f"<imagesSet>{items}</imagesSet>")


def _described(image_id: str, request: dict[str, str]) -> str:
    fields = {
        "imageId": image_id,
        "imageLocation": request.get("ImageLocation", ""),
        "imageState": "available",
        "imageOwnerId": "000100729354",
        "architecture": request.get("Architecture", "x86_64"),
        "imageType": "machine",
        "name": request.get("Name", ""),
    }
    return (
        f"<item>{''.join(f'<{tag}>{escape(text)}</{tag}>' for tag, text in fields.items())}</item>"
    )


def _xml(text: str, status: int = 200) -> Answer:
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def _s3_error(status: int, code: str) -> Answer:
    return _xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status)


def _ec2(action: str, content: str) -> Answer:
    tag = f"{action}Response"
    return _xml(f"<{tag} {EC2_XML}><requestId>bench</requestId>{content}</{tag}>")


def _ec2_error(code: str, told: str) -> Answer:
    return _xml(
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(told)}</Message></Error>"
        "</Errors><RequestID>bench</RequestID></Response>",
        400,
    )

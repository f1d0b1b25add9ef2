"""A fast S3 and EC2 for measuring: takes everything, keeps little, is itself hardly there.

    python -m benchmarks.sink PORT [--keep DIRECTORY]

Bodies of 1 MiB and more are thrown away in the kernel and only counted, so that what sends them is
measured and not what receives them. Their ETag is the MD5 that the client said; only where it said
none, it is worked out. ``--keep`` writes every body to disk, for a look at what came.

No signature is looked at. ``GET /-/account`` tells what came so far, in JSON.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from time import gmtime, strftime
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

SMALL_BYTES = 1 << 20
BLOCK_BYTES = 4 << 20
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

    def s3(self, method: str, path: str, query: dict[str, list[str]], sent: Stored) -> Answer:
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


class Connection(threading.Thread):
    """One client; its requests one after the other."""

    def __init__(self, client: socket.socket, cloud: Cloud) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._cloud = cloud
        self._buffer = bytearray(BLOCK_BYTES)

    def run(self) -> None:
        with self._client:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while self._serve():
                    pass
            except ConnectionError:
                pass

    def _serve(self) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            more = self._client.recv(65536)
            if not more:
                return False
            head += more
        head, _, began = head.partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect", "").lower() == "100-continue":
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        sent = self._receive(began, headers)
        self._answer(method, self._answer_to(method, target, sent))
        return headers.get("connection", "").lower() != "close"

    def _answer_to(self, method: str, target: str, sent: Stored) -> Answer:
        url = urlsplit(target)
        if url.path == "/-/account":
            return Answer(200, json.dumps(self._cloud.account).encode(), "application/json")
        self._cloud.account["requests"] += 1
        self._cloud.account["bytes"] += sent.size_bytes
        if method == "POST":
            return self._cloud.ec2(parse_qs((sent.content() or b"").decode(), True))
        return self._cloud.s3(method, url.path, parse_qs(url.query, True), sent)

    def _receive(self, began: bytes, headers: dict[str, str]) -> Stored:
        size_bytes = int(headers.get("content-length", 0))
        md5 = base64.b64decode(headers.get("content-md5", "")).hex()
        left_bytes = size_bytes - len(began)
        if size_bytes >= SMALL_BYTES and md5 and not self._cloud.keep:
            while left_bytes:
                left_bytes -= self._took(min(left_bytes, BLOCK_BYTES), socket.MSG_TRUNC)
            return Stored(size_bytes, md5, None)
        digest, content = hashlib.md5(began), bytearray(began)
        while left_bytes:
            count = self._took(min(left_bytes, BLOCK_BYTES))
            block = memoryview(self._buffer)[:count]
            digest.update(block)
            if size_bytes < SMALL_BYTES or self._cloud.keep:
                content += block
            left_bytes -= count
        body: bytes | Path | None = bytes(content) if size_bytes < SMALL_BYTES else None
        if self._cloud.keep and body is None:
            body = self._cloud.keep / digest.hexdigest()
            body.write_bytes(content)
        return Stored(size_bytes, digest.hexdigest(), body)

    def _took(self, count: int, flags: int = 0) -> int:
        # MSG_TRUNC: the kernel drops the bytes instead of copying them.
        taken = self._client.recv_into(self._buffer, count, flags)
        if not taken:
            raise ConnectionResetError
        return taken

    def _answer(self, method: str, answer: Answer) -> None:
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "x-amz-request-id": "bench",
            **dict(answer.headers),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {answer.status} Told\r\n{lines}\r\n".encode("latin-1")
        self._client.sendall(head + (b"" if method == "HEAD" else answer.body))


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    cloud = Cloud(options.keep)
    with socket.create_server(("127.0.0.1", options.port), backlog=1024) as listener:
        while True:
            Connection(listener.accept()[0], cloud).start()


if __name__ == "__main__":
    sys.exit(main())

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
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.cloud import Answer, Cloud, Stored

SMALL_BYTES = 1 << 20
BLOCK_BYTES = 4 << 20


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
        return self._cloud.s3(method, url.path, sent)

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

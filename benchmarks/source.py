"""A fast file server whose line can be made slow: what images are downloaded from.

    python -m benchmarks.source DIRECTORY PORT

It serves the files of a directory with ``sendfile``. ``POST /-/rate`` with a number limits what
goes out, over all connections together, to so many MB (10^6 bytes) a second; 0 ends the limit.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote, urlsplit

BLOCK_BYTES = 8 << 20
TICK_S = 0.005
# A thread that was not run in time makes good what it missed; a line that was idle does not.
IDLE_S = 0.05


class Line:
    """The way out, shared by all connections: every block has its time slot."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._free_at_s = 0.0
        self._transfers = 0
        self._lock = threading.Lock()

    @contextmanager
    def transfer(self) -> Iterator[None]:
        """Be one of those who send; the first of them finds the line unused."""
        with self._lock:
            if not self._transfers:
                self._free_at_s = time.monotonic()
            self._transfers += 1
        try:
            yield
        finally:
            with self._lock:
                self._transfers -= 1

    def block_bytes(self) -> int:
        """Give how much to send at a time."""
        return max(1, int(self.rate * TICK_S)) if self.rate else BLOCK_BYTES

    def wait(self, count: int) -> None:
        """Wait until ``count`` bytes have gone through the line."""
        rate = self.rate
        if not rate:
            return
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._free_at_s > IDLE_S:
                self._free_at_s = now_s
            self._free_at_s += count / rate
            pause_s = self._free_at_s - now_s
        if pause_s > 0:
            time.sleep(pause_s)


class Connection(threading.Thread):
    """One client; its requests one after the other."""

    def __init__(self, client: socket.socket, root: Path, line: Line) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._root = root
        self._line = line

    def run(self) -> None:
        with self._client:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while self._serve():
                    pass
            except ConnectionError:
                pass

    def _serve(self) -> bool:
        came = b""
        while b"\r\n\r\n" not in came:
            more = self._client.recv(65536)
            if not more:
                return False
            came += more
        head, _, body = came.partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        path = unquote(urlsplit(target).path).lstrip("/")
        if method == "POST":
            while len(body) < int(headers.get("content-length", 0)):
                body += self._client.recv(65536)
            self._line.rate = float(body) * 1e6
            self._answer(200, 0)
        elif ".." in path or not (self._root / path).is_file():
            self._answer(404, 0)
        else:
            self._send(method, self._root / path, headers)
        return headers.get("connection", "").lower() != "close"

    def _send(self, method: str, path: Path, headers: dict[str, str]) -> None:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            size = stat.st_size
            tag = f'"{size:x}-{stat.st_mtime_ns:x}"'
            changed = formatdate(stat.st_mtime, usegmt=True)
            asked = None
            if headers.get("if-range", tag) in (tag, changed):
                asked = _range(headers.get("range", ""), size)
            first, after = asked or (0, size)
            more = {"ETag": tag, "Last-Modified": changed, "Accept-Ranges": "bytes"}
            if asked and first >= after:
                self._answer(416, 0, {"Content-Range": f"bytes */{size}"})
                return
            if asked:
                more["Content-Range"] = f"bytes {first}-{after - 1}/{size}"
            self._answer(206 if asked else 200, after - first, more)
            if method != "HEAD":
                with self._line.transfer():
                    self._through_line(file.fileno(), first, after)

    def _through_line(self, file: int, first: int, after: int) -> None:
        while first < after:
            count = min(after - first, self._line.block_bytes())
            self._line.wait(count)
            first += self._through(file, first, count)

    def _through(self, file: int, first: int, count: int) -> int:
        sent = 0
        while sent < count:
            now = os.sendfile(self._client.fileno(), file, first + sent, count - sent)
            if not now:
                raise ConnectionResetError
            sent += now
        return sent

    def _answer(self, status: int, size: int, more: dict[str, str] | None = None) -> None:
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            **(more or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._client.sendall(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode("latin-1"))


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Give the first byte asked for and the one after the last; an empty one is a 416."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not found:
        return None
    first, last = found.groups()
    if first:
        return int(first), min(size, int(last or size) + 1)
    return (max(0, size - int(last)), size) if last else None


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args(arguments)
    line = Line()
    with socket.create_server(("127.0.0.1", options.port), backlog=1024) as listener:
        while True:
            Connection(listener.accept()[0], options.directory, line).start()


if __name__ == "__main__":
    sys.exit(main())

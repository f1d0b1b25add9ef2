#!/usr/bin/env python3
"""A stand-in for the Canonical Image Store API, for tests and for trying the proxy out.

It serves what a directory holds: the files kernel, ramdisk and image, each of which may end in .gz,
.xz, .zst or .bz2; image may also be image.qcow2 or a tar archive (image.tar.gz) with the three
inside. It imports nothing of the proxy, so that a mistake the two would share cannot hide.

Its image documents are signed with the published test key, fake-secring.asc; start the proxy with
--keyring=fake-pubring.gpg, which is that key's public half.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PORT = 52781
BLOCK_BYTES = 1 << 18
SILENT_S = 600
COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
TEST_KEY = Path(__file__).with_name("fake-secring.asc")

FAULTS = """\
faults (--fault KIND or KIND:path=image,times=2, or POST /control {"fault": KIND, "path": ...}):
  slow             sends "rate" bytes a second (default 100000)
  cut              closes the connection after byte "at" of a file (default: its middle)
  corrupt          changes byte "at" of an answer (default: its middle)
  silent           sends nothing more after byte "at" (default: no answer at all)
  no-ranges        ignores Range, and promises none
  500              answers with this status
  redirect         answers with a redirect to "to"
  stale            the image document has expired
  rollback         the image document has a lower serial and an older version
  wrong-signature  the image document is signed with a throw-away key
  none             ends all faults
A fault meets the requests whose path contains "path", "times" times (default: always). Without
"path", slow, cut, corrupt and no-ranges meet files; stale, rollback and wrong-signature image
documents; and the others everything.

POST /control {"newer": true} publishes a newer version of one image, as --newer does from the
start; {"reset": true} ends all faults and begins counting anew. GET /control tells how many
requests came and how many bytes went out, by path.
"""

DEFAULT_PATHS = {
    **dict.fromkeys(("slow", "cut", "corrupt", "no-ranges"), "/api/files/"),
    **dict.fromkeys(("stale", "rollback", "wrong-signature"), "/api/images/"),
    **dict.fromkeys(("silent", "500", "redirect"), "/api/"),
}


@dataclass
class Fault:
    """One way to misbehave; see ``FAULTS``. ``times`` below zero: always."""

    kind: str
    path: str
    times: int = -1
    rate: int = 100_000
    at: int = -1
    to: str = ""


def fault_from(wish: Mapping[str, Any]) -> Fault:
    """Make a fault of a JSON object; raises ``ValueError`` that says what is wrong."""
    kind = str(wish["fault"])
    if kind not in DEFAULT_PATHS:
        raise ValueError(f"There is no fault '{kind}'; there are {', '.join(DEFAULT_PATHS)}, none.")
    unknown = set(wish) - {"fault", "path", "times", "rate", "at", "to", "newer", "reset"}
    if unknown:
        raise ValueError(f"A fault has no '{unknown.pop()}'; it has path, times, rate, at and to.")
    return Fault(
        kind,
        str(wish.get("path", DEFAULT_PATHS[kind])),
        int(wish.get("times", -1)) or -1,
        max(1, int(wish.get("rate", 100_000))),
        int(wish.get("at", -1)),
        str(wish.get("to", "")),
    )


@dataclass(frozen=True)
class Image:
    """One entry of the catalogue: what people read, and which files it needs."""

    id: str
    title: str
    summary: str
    section: str
    tags: tuple[str, ...]
    version: str
    serial: int
    virtualization: str
    kinds: tuple[str, ...]
    login_user: str = "admin"
    ports: tuple[int, ...] = (22,)


TRIO = ("kernel", "ramdisk", "image")
SECTIONS = {
    "Servers": "Whole systems, ready to log in to.",
    "Appliances": "Systems that do one thing.",
}
# fmt: off
CATALOGUE = {
    image.id: image
    for image in (
        Image("7c41", "Example Server", "A small server with its own kernel and ramdisk.",
              "Servers", ("server", "paravirtual"), "2.1", 7, "paravirtual", TRIO),
        Image("9a02", "Example Server, bootable disk", "One disk that boots by itself.",
              "Servers", ("server", "hvm"), "2.1", 3, "hvm", ("image",)),
        Image("b5d8", "Example Web Server", "Serves pages from its first boot on.",
              "Appliances", ("web", "appliance"), "1.4.2", 12, "paravirtual", TRIO,
              ports=(22, 80)),
        Image("e310", "Example Database", "A database, empty and ready.",
              "Appliances", ("database", "appliance"), "1.9", 4, "paravirtual", TRIO,
              ports=(22, 5432)),
    )
}
# fmt: on
GROWS, NEWER_VERSION, NEWER_SERIAL = "e310", "1.10", 5
OLDER_VERSION, OLDER_SERIAL = "0.9", 1

ICON = """<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" viewBox="0 0 48 48">
<rect width="48" height="48" rx="8" fill="#{colour}"/>
<path d="M12 15h24v7H12zm0 11h24v7H12z" fill="#fff"/></svg>
"""


class Files:
    """The files of the directory, and their digests, which are worked out once."""

    def __init__(self, directory: Path) -> None:
        self.paths = {kind: self._find(directory, kind) for kind in TRIO}
        if not self.paths["image"]:
            raise ValueError(f"{directory} has no file 'image' (or image.gz, image.qcow2, ...).")
        self.by_name = {path.name: path for path in self.paths.values() if path}
        self.one_archive = ".tar" in self.paths["image"].suffixes
        self._digests: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.Lock()

    @staticmethod
    def _find(directory: Path, kind: str) -> Path | None:
        endings = ["", *COMPRESSIONS]
        if kind == "image":
            endings += [".qcow2", ".tar", *(f".tar{ending}" for ending in COMPRESSIONS)]
        found = [p for ending in endings if (p := directory / f"{kind}{ending}").is_file()]
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise ValueError(f"{directory} has {names}; leave one of them.")
        return found[0] if found else None

    def sha256(self, path: Path) -> str:
        """Give the digest of a file; another thread that asks meanwhile waits for it."""
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key not in self._digests:
                with path.open("rb") as file:
                    self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return self._digests[key]

    def work_out_all(self) -> None:
        for path in self.by_name.values():
            self.sha256(path)

    def describe(self, kind: str, base: str, members: tuple[str, ...] = TRIO) -> dict[str, Any]:
        """Give the entry of an image document for a file; ``members`` are wanted of an archive."""
        path = self.paths[kind]
        assert path is not None
        described: dict[str, Any] = {
            "kind": kind,
            "url": f"{base}/files/{path.name}",
            "mirrors": [f"{base}/files/mirror/{path.name}"],
            "sha256": self.sha256(path),
            "size-in-bytes": path.stat().st_size,
            "compression": COMPRESSIONS.get(path.suffix, "none"),
            "format": "qcow2" if path.suffix == ".qcow2" else "raw",
        }
        if ".tar" in path.suffixes:
            described["format"] = "tar"
            described["members"] = _members(path, members)
        return described


def _members(path: Path, kinds: tuple[str, ...]) -> dict[str, str]:
    unpacked = None
    if path.suffix == ".zst":  # which this Python cannot read by itself
        done = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True)
        unpacked = io.BytesIO(done.stdout)
    with tarfile.open(path, fileobj=unpacked) as archive:
        names = archive.getnames()
    found = {}
    for kind in kinds:
        for name in names:
            if Path(name).name.startswith(kind):
                found[kind] = f"*{Path(name).name}"
                break
    return found


class Store:
    """The catalogue, its signed documents, the faults wished for, and what was asked so far."""

    def __init__(self, directory: Path, *, newer: bool = False) -> None:
        self.files = Files(directory)
        self.newer = newer
        self.faults: list[Fault] = []
        self.endings = 0  # of all faults: what is being sent slowly goes on at full speed
        self.requests: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._started_s = time.time()
        self._signed: dict[tuple[str, bool], bytes] = {}
        self._signing = threading.Lock()
        whole = all(self.files.paths.values()) or self.files.one_archive
        self.images = {key: i for key, i in CATALOGUE.items() if whole or i.virtualization == "hvm"}

    def fault_for(self, path: str, *kinds: str) -> Fault | None:
        """Give the first fault that meets this path, and count it down."""
        with self.lock:
            for fault in self.faults:
                if fault.kind in kinds and fault.path in path:
                    fault.times -= 1
                    if not fault.times:
                        self.faults.remove(fault)
                    return fault
        return None

    def control(self, wish: Mapping[str, Any]) -> None:
        """Do what ``POST /control`` asks for; raises ``ValueError`` when that makes no sense."""
        with self.lock:
            if "newer" in wish:
                self.newer = bool(wish["newer"])
            if wish.get("reset"):
                self.requests, self.sent_bytes = Counter(), Counter()
            if wish.get("reset") or wish.get("fault") == "none":
                self.faults = []
                self.endings += 1
            elif "fault" in wish:
                self.faults.append(fault_from(wish))

    def count_sent(self, path: str, count: int) -> None:
        # Before it is sent: who has it all may ask for the account at once.
        with self.lock:
            self.sent_bytes[path] += count

    def account(self) -> dict[str, Any]:
        with self.lock:
            return {
                "newer": self.newer,
                "faults": [asdict(fault) for fault in self.faults],
                "requests": dict(self.requests),
                "bytes": dict(self.sent_bytes),
            }

    def listing(self, base: str, query: str | None = None) -> dict[str, Any]:
        """Give the dashboard, or what matches a search."""
        images = [image for image in self.images.values() if _matches(image, query or "")]
        if query is not None:
            sections = {"Search results": f"{len(images)} found."} if images else {}
        else:
            sections = SECTIONS
        return {
            "images": [self._shown(image, base) for image in images],
            "sections": [
                {
                    "title": title,
                    "summary": summary,
                    "image-uris": [
                        f"{base}/images/{image.id}"
                        for image in images
                        if query is not None or image.section == title
                    ],
                }
                for title, summary in sections.items()
            ],
        }

    def document(self, image: Image, base: str, fault: Fault | None) -> bytes:
        """Give the signed document of an image."""
        kind = fault.kind if fault else ""
        version, serial = self._version(image)
        expires_s = self._started_s + 90 * 86400
        if kind == "rollback":
            version, serial = OLDER_VERSION, OLDER_SERIAL
        if kind == "stale":
            expires_s = self._started_s - 2 * 86400
        document = {
            "format": "image:1",
            "serial": serial,
            "published": _iso(expires_s - 91 * 86400),
            "expires": _iso(expires_s),
            "architecture": "x86_64",
            "virtualization": image.virtualization,
            "files": [self.files.describe(kind, base, image.kinds) for kind in self._kinds(image)],
            **self._shown(image, base),
            "version": version,
        }
        payload = json.dumps(document, indent=1) + "\n"
        wrong = kind == "wrong-signature"
        with self._signing:
            if (payload, wrong) not in self._signed:
                self._signed[payload, wrong] = clear_sign(payload.encode(), wrong_key=wrong)
            return self._signed[payload, wrong]

    def _version(self, image: Image) -> tuple[str, int]:
        if self.newer and image.id == GROWS:
            return NEWER_VERSION, NEWER_SERIAL
        return image.version, image.serial

    def _kinds(self, image: Image) -> tuple[str, ...]:
        return ("image",) if self.files.one_archive else image.kinds

    def _shown(self, image: Image, base: str) -> dict[str, Any]:
        paths = [self.files.paths[kind] for kind in self._kinds(image)]
        size_bytes = sum(path.stat().st_size for path in paths if path)
        return {
            "uri": f"{base}/images/{image.id}",
            "title": image.title,
            "summary": image.summary,
            "description-html": f"<p>{image.summary}</p><p>Made for <em>trying out</em>.</p>",
            "version": self._version(image)[0],
            "size-in-mb": max(1, round(size_bytes / 2**20)),
            "icon-uri": f"{base}/icons/{image.id}.svg",
            "tags": list(image.tags),
            "login-user": image.login_user,
            "ports": list(image.ports),
            "provider": {"title": "The fake store", "uri": base.removesuffix("/api") + "/"},
        }


def _matches(image: Image, query: str) -> bool:
    text = " ".join((image.title, image.summary, *image.tags)).lower()
    return all(word in text for word in query.lower().split())


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# Its input ends with whoever started it, however that ends.
CLEAN_UP = 'cat; gpgconf --homedir "$0" --kill all; rm -rf -- "$0"'


@contextlib.contextmanager
def _private_home() -> Iterator[Path]:
    """A GnuPG home that is gone afterwards, and with it the agent that GnuPG starts in it.

    Also after a kill: an agent ends by itself only when somebody removes its home.
    """
    home = tempfile.mkdtemp(prefix="fakestore-")
    with subprocess.Popen(
        ["sh", "-c", CLEAN_UP, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        yield Path(home)


def clear_sign(payload: bytes, *, wrong_key: bool = False) -> bytes:
    """Sign with the published test key, or with one that nobody knows.

    Raises:
        RuntimeError: GnuPG failed; what it said.
    """
    with _private_home() as home:

        def gpg(*arguments: str, data: bytes = b"") -> bytes:
            command = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--quiet"]
            command += ["--pinentry-mode", "loopback", "--passphrase", "", *arguments]
            done = subprocess.run(command, input=data, timeout=60, check=False, capture_output=True)
            if done.returncode:
                raise RuntimeError(f"gpg failed: {done.stderr.decode(errors='replace').strip()}")
            return done.stdout

        if wrong_key:
            gpg("--quick-generate-key", "Nobody <nobody@example.invalid>", "ed25519", "sign")
        else:
            gpg("--import", str(TEST_KEY))
        return gpg("--digest-algo", "SHA256", "--clear-sign", data=payload)


class FakeStoreServer(ThreadingHTTPServer):
    """The store as a server; ``port`` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, store: Store, host: str = "127.0.0.1", port: int = PORT) -> None:
        self.store = store
        self.stopping = threading.Event()
        super().__init__((host, port), Request)
        self.url = f"http://{host}:{self.server_port}/api"

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        self.stopping.set()
        super().server_close()


class Request(BaseHTTPRequestHandler):
    """One connection; the catalogue, documents, files and the control page."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    server: FakeStoreServer

    def log_message(self, format: str, *args: Any) -> None:
        print(f"{self.log_date_time_string()} {format % args}", file=sys.stderr, flush=True)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path == "/control":
            self._answer_json(self.server.store.account())
            return
        with self.server.store.lock:
            self.server.store.requests[path] += 1
        if self._misbehaves(path):
            return
        answer = self._answer_for(path, parse_qs(url.query, keep_blank_values=True))
        if answer is None:
            self._answer_json({"error-message": f"There is nothing at {path}."}, 404)
        else:
            answer()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, 65536))
        if self.path != "/control":
            self._answer_json({"error-message": "Only /control takes a POST."}, 404)
            return
        try:
            self.server.store.control(json.loads(body))
        except (ValueError, TypeError, AttributeError) as error:
            self._answer_json({"error-message": str(error)}, 400)
        else:
            self._answer_json(self.server.store.account())

    def _base(self) -> str:
        host = self.headers.get("Host", "")
        if re.fullmatch(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?", host):
            return f"http://{host}/api"
        return self.server.url

    def _answer_for(self, path: str, query: dict[str, list[str]]) -> Callable[[], None] | None:
        store, base = self.server.store, self._base()
        if path == "/api/dashboard":
            return lambda: self._answer_json(store.listing(base))
        if path == "/api/search":
            return lambda: self._answer_json(store.listing(base, query.get("q", [""])[-1]))
        folder, _, name = path.rpartition("/")
        image = store.images.get(name.removesuffix(".svg"))
        if folder == "/api/images" and name in store.images and image:
            fault = store.fault_for(path, "stale", "rollback", "wrong-signature")
            return lambda: self._answer(store.document(image, base, fault), "text/plain")
        if folder == "/api/icons" and image:
            icon = ICON.format(colour=hashlib.sha256(name.encode()).hexdigest()[:6])
            return lambda: self._answer(icon.encode(), "image/svg+xml")
        if folder in {"/api/files", "/api/files/mirror"} and name in store.files.by_name:
            return lambda: self._send_file(path, store.files.by_name[name])
        return None

    def _head(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _misbehaves(self, path: str) -> bool:
        fault = self.server.store.fault_for(path, "500", "redirect")
        if fault and fault.kind == "500":
            self._answer_json({"error-message": "The fake store was told to fail."}, 500)
        elif fault:
            self._head(302, Location=fault.to, Content_Length=0)
        return fault is not None

    def _answer_json(self, content: Mapping[str, Any], status: int = 200) -> None:
        self._answer(json.dumps(content).encode("ascii"), "application/json", status)

    def _answer(self, body: bytes, content_type: str, status: int = 200) -> None:
        path = unquote(urlsplit(self.path).path)
        faults = ("silent", "slow", "cut", "corrupt") if path.startswith("/api/") else ()
        fault = self.server.store.fault_for(path, *faults)
        if fault and fault.kind == "silent" and fault.at < 0:
            self._keep_silent()
            return
        self._head(status, Content_Type=content_type, Content_Length=len(body))
        if self.command != "HEAD":
            blocks = (body[at : at + BLOCK_BYTES] for at in range(0, len(body), BLOCK_BYTES))
            self._send(blocks, path, fault, 0, len(body))

    def _send_file(self, path: str, file_path: Path) -> None:
        fault = self.server.store.fault_for(path, "silent", "slow", "cut", "corrupt", "no-ranges")
        if fault and fault.kind == "silent" and fault.at < 0:
            self._keep_silent()
            return
        with file_path.open("rb") as file:
            stat = file_path.stat()
            tag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
            changed = self.date_time_string(int(stat.st_mtime))
            whole = fault is not None and fault.kind == "no-ranges"
            asked = None if whole else self._range(stat.st_size, {tag, changed})
            first, after = asked or (0, stat.st_size)
            if first >= after and asked:
                self._head(416, Content_Range=f"bytes */{stat.st_size}", Content_Length=0)
                return
            headers: dict[str, str | int] = {
                "Content_Type": "application/octet-stream",
                "Content_Length": after - first,
            }
            if asked:
                headers["Content_Range"] = f"bytes {first}-{after - 1}/{stat.st_size}"
            if not whole:
                headers["Accept_Ranges"] = "bytes"
            self._head(206 if asked else 200, ETag=tag, Last_Modified=changed, **headers)
            if self.command != "HEAD":
                file.seek(first)
                self._send(_blocks(file, after - first), path, fault, first, stat.st_size)

    def _range(self, size: int, validators: set[str]) -> tuple[int, int] | None:
        """Give the first byte asked for and the one after the last; an empty one is a 416."""
        if_range = self.headers.get("If-Range")
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "").strip())
        if not found or (if_range and if_range not in validators):
            return None
        first, last = found.groups()
        if first:
            return int(first), min(size, int(last or size) + 1)
        return (max(0, size - int(last)), size) if last else None

    def _send(
        self, blocks: Iterator[bytes], path: str, fault: Fault | None, position: int, size: int
    ) -> None:
        """Send the blocks, which begin at ``position``; the fault's byte counts from the first."""
        kind = fault.kind if fault else ""
        at = fault.at if fault and fault.at >= 0 else size // 2
        rate = fault.rate if fault and kind == "slow" else 0
        store = self.server.store
        endings = store.endings
        for block in blocks:
            inside = at - position
            stops = kind in {"cut", "silent"} and inside < len(block)
            good = block[: max(0, inside)] if stops else block
            if kind == "corrupt" and 0 <= inside < len(block):
                good = block[:inside] + bytes([block[inside] ^ 1]) + block[inside + 1 :]
            for piece in _pieces(good, rate):
                store.count_sent(path, len(piece))
                try:
                    self.wfile.write(piece)
                except OSError:
                    store.count_sent(path, -len(piece))
                    raise
                is_slow = rate and store.endings == endings
                if is_slow and self.server.stopping.wait(len(piece) / rate):
                    return
            position += len(block)
            if stops:
                self.close_connection = True
                if kind == "silent":
                    self._keep_silent()
                return

    def _keep_silent(self) -> None:
        self.close_connection = True
        self.server.stopping.wait(SILENT_S)


def _blocks(file: Any, count: int) -> Iterator[bytes]:
    while count and (block := file.read(min(BLOCK_BYTES, count))):
        count -= len(block)
        yield block


def _pieces(block: bytes, rate: int) -> Iterator[bytes]:
    step = max(1, rate // 20) if rate else max(1, len(block))
    for at in range(0, len(block), step):
        yield block[at : at + step]


def _fault_option(text: str) -> dict[str, Any]:
    kind, _, rest = text.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair]
    wish = {"fault": kind, **{name: value for name, _, value in pairs}}
    try:
        if kind != "none":
            fault_from(wish)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return wish


def _options(arguments: list[str] | None) -> argparse.Namespace:
    summary, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=f"{more}\n{FAULTS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="with kernel, ramdisk, image")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="0: a free one (%(default)s)")
    parser.add_argument("--newer", action="store_true", help="offer a newer version of one image")
    parser.add_argument("--fault", action="append", default=[], type=_fault_option, metavar="KIND",
                        help="misbehave; may be repeated")  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    try:
        if not shutil.which("gpg"):
            raise ValueError("The program gpg is missing; install it with 'apt-get install gnupg'.")
        store = Store(options.directory, newer=options.newer)
        for wish in options.fault:
            store.control(wish)
        server = FakeStoreServer(store, options.host, options.port)
    except (ValueError, OSError) as error:
        print(f"fakestoreapi.py: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=store.files.work_out_all, daemon=True).start()
    print(f"The fake store serves {options.directory} at {server.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A store with one image for each thing that can go wrong on the way to a file or a document."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakestoreapi
from tests.faults import tally
from tests.functional.faulty_server import Authority, FaultyServer, Page
from tests.functional.ports import free_port

_NOISE = random.Random(11)
RAW = _NOISE.randbytes(150_000) + bytes(50_000)
BODY = gzip.compress(RAW)
HTML = b"<!DOCTYPE html><title>Welcome to the hotel</title><p>Please log in.</p>"
CAN_BE_EITHER = ""


@dataclass(frozen=True)
class Fault:
    """One fault, and how an install that meets it has to end.

    Args:
        kind: its line in the table.
        end: an outcome of ``tally``, or ``CAN_BE_EITHER``.
        words: of the error message, beside the URL.
        file: what the file's URL answers, in turn; the last one stays.
        document: the same for the document; empty: it is sound.
        url: of the file, when it is not in this store.
        mirrors: further URLs of the file.
        is_slow: the error comes after all retries.
    """

    kind: str
    end: str
    words: str = ""
    file: Sequence[Page] = (Page(BODY),)
    document: Sequence[Page] = ()
    url: str = ""
    mirrors: tuple[str, ...] = ()
    is_slow: bool = False


class Turns(dict[str, Page]):
    """Pages which may be answered in turn; the last one stays."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: dict[str, list[Page]] = {}
        self._lock = threading.Lock()

    def get(self, path: str, default: Any = None) -> Any:
        turns = self.turns.get(path)
        if not turns:
            return super().get(path, default)
        with self._lock:
            return turns.pop(0) if len(turns) > 1 else turns[0]


@dataclass
class Shop:
    """The store as it runs.

    Attributes:
        faults: by image URI.
        file_urls: by image URI.
    """

    api_url: str
    ca_file: Path
    faults: dict[str, Fault] = field(default_factory=dict)
    file_urls: dict[str, str] = field(default_factory=dict)


@contextmanager
def shop(directory: Path) -> Iterator[Shop]:
    """Run the store with everything that it leads to."""
    directory.mkdir()
    known = Authority(directory), Authority(directory, "Old Authority")
    trusted, expired = known[0].server("127.0.0.1"), known[1].server("127.0.0.1", days=-1)
    other = Authority(directory, "Nobody's Authority").server("127.0.0.1")
    page = {"/image.gz": Page(BODY)}
    with ExitStack() as running:
        server = running.enter_context(FaultyServer())
        tls = running.enter_context(FaultyServer(page, tls=trusted))
        strangers = running.enter_context(FaultyServer(page, tls=other))
        old = running.enter_context(FaultyServer(page, tls=expired))
        plain = running.enter_context(FaultyServer(page))
        made = Shop(server.url("/api"), directory / "all.pem")
        made.ca_file.write_bytes(b"".join(one.ca_file.read_bytes() for one in known))
        faults = [
            *_of_files(),
            *_of_addresses(tls, strangers, old, plain),
            *_of_documents(),
        ]
        _publish(server, made, [one for one in faults if tally.LONG or not one.is_slow])
        yield made


def _of_files() -> Iterator[Fault]:
    cuts = tally.generator("store: cut off")
    places = [0, 1, len(BODY) - 1, *(cuts.randrange(len(BODY)) for _ in range(20))]
    for place in places if tally.LONG else places[:5]:
        turns = [Page(BODY, cut_after_bytes=place), Page(BODY)]
        yield Fault("store: cut off at a byte", tally.INSTALLED, file=turns)
    half = len(BODY) // 2
    cut = Page(BODY, cut_after_bytes=half)
    changed = Page(BODY[::-1], cut_after_bytes=half, etag='"v0"')
    yield Fault("store: ignores ranges", tally.INSTALLED, file=[cut, Page(BODY, ranges=False)])
    yield Fault("store: changed between ranges", tally.INSTALLED, file=[changed, Page(BODY)])
    lying = Page(BODY, claims_range=f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
    yield Fault("store: another range than asked", CAN_BE_EITHER, file=[cut, lying, Page(BODY)])
    yield Fault("store: sends too much", tally.CLEAN, "signed", [Page(BODY + bytes(5000))])
    yield Fault("store: sends too little", tally.CLEAN, "bytes are signed", [Page(BODY[:-9])])
    longer = Page(BODY, headers={"Content-Length": str(len(BODY) + 99)}, cut_after_bytes=len(BODY))
    yield Fault("store: lies about length", CAN_BE_EITHER, file=[longer])
    shorter = Page(BODY, headers={"Content-Length": "10"})
    yield Fault("store: lies about length", tally.CLEAN, "10 bytes", [shorter])
    yield Fault("store: HTML with status 200", tally.CLEAN, "bytes are signed", [Page(HTML)])
    for status, words in {401: "password", 403: "forbids", 404: "no such file"}.items():
        yield Fault(f"store: status {status}", tally.CLEAN, words, [Page(status=status)])
    for status in (429, 500, 502, 503):
        hint = {"Retry-After": "1"}
        turns = [Page(status=status, headers=hint), Page(BODY)]
        yield Fault(f"store: status {status} once", tally.INSTALLED, file=turns)
        always = [Page(status=status)]
        yield Fault(
            f"store: status {status}", tally.CLEAN, f"status {status}", always, is_slow=True
        )


def _of_addresses(
    tls: FaultyServer, strangers: FaultyServer, old: FaultyServer, plain: FaultyServer
) -> Iterator[Fault]:
    there = plain.url("/image.gz")
    far = "http://store.invalid/image.gz"
    closed = f"http://127.0.0.1:{free_port()}/image.gz"
    other_name = tls.url("/image.gz", host="localhost")
    clear_text = there.replace("http:", "https:")
    yield Fault("store: name unknown", tally.CLEAN, "has no address", url=far, is_slow=True)
    yield Fault("store: refuses", tally.CLEAN, "refuses", url=closed, is_slow=True)
    yield Fault(
        "store: refuses, mirror is well", tally.INSTALLED, url=closed, mirrors=(there,),
        is_slow=True,
    )  # fmt: skip
    wrong = [Page(BODY[::-1])]
    yield Fault("store: wrong bytes", tally.CLEAN, "another content", wrong)
    yield Fault("store: wrong bytes, mirror is well", tally.INSTALLED, "", wrong, mirrors=(there,))
    yield Fault("store: TLS that is well", tally.INSTALLED, url=tls.url("/image.gz"))
    yield Fault("store: TLS, wrong name", tally.CLEAN, "another name", url=other_name)
    yield Fault("store: TLS, expired", tally.CLEAN, "has expired", url=old.url("/image.gz"))
    yield Fault("store: TLS, unknown", tally.CLEAN, "issued by", url=strangers.url("/image.gz"))
    yield Fault("store: clear text for TLS", tally.CLEAN, "in clear text", url=clear_text)
    for target, words in {
        "": "more than 5 redirects",
        "file:///etc/passwd": "only http",
        "ftp://127.0.0.1/x": "only http",
    }.items():
        kind = f"store: redirect to {target.partition(':')[0]}:" if target else "store: 3xx loop"
        yield Fault(kind, tally.CLEAN, words, [_to(target)])
    yield Fault("store: redirect", tally.INSTALLED, file=[_to(there)])


def _of_documents() -> Iterator[Fault]:
    for what, (page, words) in {
        "status 404": (Page(status=404), "no such file"),
        "status 500": (Page(status=500), "500"),
        "HTML with status 200": (Page(HTML), "refused"),
        "nothing": (Page(b""), "refused"),
        "cut off": (Page(HTML, cut_after_bytes=20), ""),
        "too much": (Page(bytes(2**21)), "1048576"),
        "3xx loop": (_to(""), "more than 5 redirects"),
        "redirect to file:": (_to("file:///etc/passwd"), "only http"),
    }.items():
        yield Fault(f"document: {what}", tally.CLEAN, words, document=[page])
    silent = Page(HTML, silent_after_bytes=5)
    yield Fault("document: silence", tally.CLEAN, "", document=[silent], is_slow=True)


def _to(target: str) -> Page:
    """Redirect; to itself when nothing else is named."""
    return Page(status=302, headers={"Location": target or "?again"})


def _publish(server: FaultyServer, made: Shop, faults: list[Fault]) -> None:
    pages = Turns()
    documents: dict[str, dict[str, Any]] = {}
    for number, fault in enumerate(faults):
        uri = f"{made.api_url}/images/{number}"
        made.faults[uri] = fault
        made.file_urls[uri] = fault.url or f"{made.api_url}/files/{number}"
        pages.turns[f"/api/files/{number}"] = list(fault.file)
        documents[uri] = describe(uri, made.file_urls[uri], fault)
    with ThreadPoolExecutor(2) as pool:
        texts = [json.dumps(document).encode() for document in documents.values()]
        signed = list(pool.map(fakestoreapi.clear_sign, texts))
    for number, fault in enumerate(faults):
        pages.turns[f"/api/images/{number}"] = list(fault.document) or [Page(signed[number])]
    listing = {"images": list(documents.values()), "sections": []}
    pages["/api/dashboard"] = Page(json.dumps(listing).encode())
    server.pages = pages


def describe(uri: str, file_url: str, fault: Fault) -> dict[str, Any]:
    """Give the content of an image's document."""
    return {
        "format": "image:1",
        "uri": uri,
        "serial": 1,
        "published": "2020-01-01T00:00:00Z",
        "expires": "2099-01-01T00:00:00Z",
        "architecture": "x86_64",
        "virtualization": "hvm",
        "title": f"{fault.kind} {uri.rpartition('/')[2]}",
        "summary": "",
        "version": "1",
        "provider": {"title": "A faulty store"},
        "tags": [],
        "size-in-mb": 1,
        "files": [
            {
                "kind": "image",
                "url": file_url,
                "mirrors": list(fault.mirrors),
                "sha256": hashlib.sha256(BODY).hexdigest(),
                "size-in-bytes": len(BODY),
                "compression": "gzip",
                "format": "raw",
            }
        ],
    }


def sound_document(uri: str, file_url: str) -> bytes:
    """Give the signed document of an image whose file answers ``BODY``."""
    document = describe(uri, file_url, Fault("sound", tally.INSTALLED))
    return fakestoreapi.clear_sign(json.dumps(document).encode())

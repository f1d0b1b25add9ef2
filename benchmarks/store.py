"""A signed store as plain files, for ``benchmarks.source`` to serve."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.images import Image
from fakestoreapi import TEST_KEY

DAY_S = 86400
SERIAL = 1


def make_store(directory: Path, base: str, images: Iterable[Image], copies: int = 1) -> list[str]:
    """Write dashboard, signed documents and links to the files; give the images' URIs.

    Args:
        base: URL of the API, which ends in ``/api``.
        copies: how many URIs each image gets.
    """
    api, files = directory / "api", directory / "api" / "files"
    (api / "images").mkdir(parents=True)
    files.mkdir()
    uris, shown = [], []
    with _signer() as sign:
        for image in images:
            link = files / f"{image.id}{image.path.suffix}"
            link.symlink_to(image.path)
            entry = _file(image, f"{base}/files/{link.name}")
            for copy in range(copies):
                name = f"{image.id}-{copy}"
                uris.append(f"{base}/images/{name}")
                shown.append(_shown(image.title, uris[-1]))
                (api / "images" / name).write_bytes(sign(_document(shown[-1], entry)))
    (api / "dashboard").write_text(json.dumps({"images": shown, "sections": []}))
    return uris


def _shown(title: str, uri: str) -> dict[str, Any]:
    return {"uri": uri, "title": title, "summary": "", "version": "1", "size-in-mb": 1}


def _file(image: Image, url: str) -> dict[str, Any]:
    with image.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "kind": "image",
        "url": url,
        "sha256": digest,
        "size-in-bytes": image.path_bytes,
        "compression": image.compression,
        "format": image.format,
    }


def _document(shown: dict[str, Any], entry: dict[str, Any]) -> bytes:
    now_s = time.time()
    document = {
        **shown,
        "format": "image:1",
        "serial": SERIAL,
        "published": _iso(now_s - DAY_S),
        "expires": _iso(now_s + DAY_S),
        "architecture": "x86_64",
        "virtualization": "hvm",
        "files": [entry],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextmanager
def _signer() -> Iterator[Callable[[bytes], bytes]]:
    """Give a function that clear-signs with the published test key."""
    with tempfile.TemporaryDirectory(prefix="bench-gpg-") as home:
        command = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet"]
        command += ["--pinentry-mode", "loopback", "--passphrase", ""]

        def sign(payload: bytes) -> bytes:
            signing = [*command, "--digest-algo", "SHA256", "--clear-sign"]
            return subprocess.run(signing, input=payload, check=True, capture_output=True).stdout

        try:
            subprocess.run([*command, "--import", TEST_KEY], check=True, capture_output=True)
            yield sign
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)

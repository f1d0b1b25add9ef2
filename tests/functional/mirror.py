"""A simplestreams mirror in front of the real daemon: signed by a real key, served over HTTP."""

from __future__ import annotations

import hashlib
import json
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.functional.faulty_server import FaultyServer, Page
from tests.functional.gpg_home import Signer

KEY = "Mirror <mirror@example.org>"
CONTENT = "org.example:released:download"
TAGS = {
    "amd64": {"arch": "amd64", "os": "ubuntu", "release": "noble", "version": "24.04",
              "release_title": "24.04 LTS", "release_codename": "Noble Numbat",
              "aliases": "24.04,noble,lts", "supported": True, "support_eol": "2099-05-31"},
}  # fmt: skip


class Mirror:
    """Publishes products on a ``FaultyServer``.

    Attributes:
        items: by product, version and ftype: the bytes of a file.
    """

    def __init__(self, server: FaultyServer, signer: Signer, *, key: str = KEY) -> None:
        self.server = server
        self.signer = signer
        self.key = key
        self.items: dict[str, dict[str, dict[str, bytes]]] = {}
        self.updated_s = time.time() - 3600

    @property
    def root(self) -> str:
        return self.server.url("/images/")

    def uri(self, product: str) -> str:
        return f"{self.root}streams/v1/{CONTENT}#{product}"

    def put(self, product: str, version: str, **files: bytes) -> None:
        """Add files; ``disk1_img`` is ``disk1.img``."""
        named = {name.replace("_", "."): body for name, body in files.items()}
        self.items.setdefault(product, {}).setdefault(version, {}).update(named)

    def publish(self, **tags: Any) -> None:
        """Sign and serve everything, as of a minute later than the last time."""
        self.updated_s += 60
        catalogue = {
            "format": "products:1.0",
            "content_id": CONTENT,
            "datatype": "image-downloads",
            "updated": formatdate(self.updated_s),
            "products": {
                name: {
                    **TAGS["amd64"],
                    **tags,
                    "versions": {
                        version: {"items": {f: self._item(name, version, f, body)
                                            for f, body in files.items()}}
                        for version, files in versions.items()
                    },
                }
                for name, versions in self.items.items()
            },
        }  # fmt: skip
        index = {
            "format": "index:1.0",
            "updated": formatdate(self.updated_s),
            "index": {
                CONTENT: {
                    "path": f"streams/v1/{CONTENT}.sjson",
                    "format": "products:1.0",
                    "datatype": "image-downloads",
                }
            },
        }
        self.serve(CONTENT, catalogue)
        self.serve("index", index)

    def serve(self, name: str, content: object) -> None:
        text = json.dumps(content, indent=1).encode() + b"\n"
        body = self.signer.sign(self.key, text=text)
        self.server.pages[f"/images/streams/v1/{name}.sjson"] = Page(
            body, etag=f'"{hashlib.sha256(body).hexdigest()[:8]}"', knows=True
        )

    def _item(self, product: str, version: str, ftype: str, body: bytes) -> dict[str, Any]:
        path = f"{product.replace(':', '_')}/{version}/{ftype}"
        sha256 = hashlib.sha256(body).hexdigest()
        self.server.pages.setdefault(f"/images/{path}", Page(body, etag=f'"{sha256[:8]}"'))
        return {"ftype": ftype, "path": path, "size": len(body), "sha256": sha256}


def source(mirror: Mirror, keyring: Path, *lines: str, name: str = "mirror") -> str:
    """Give the lines of a configuration for it."""
    table = ["[[source]]", f'name = "{name}"', 'type = "simplestreams"', f'url = "{mirror.root}"',
             f'keyring = "{keyring}"', "refresh-minutes = 1", *lines]  # fmt: skip
    return "\n".join(table) + "\n"

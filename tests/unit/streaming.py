"""Small catalogues for tests."""

from __future__ import annotations

import json
from typing import Any

from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.simplestreams.reading import read_products
from imagestoreproxy.sources.simplestreams.stream import Product, Stream

ROOT = "https://mirror.example/releases/"
NOW_S = 1_790_000_000.0
NAME = "com.ubuntu.cloud:server:24.04:amd64"

TAGS: dict[str, Any] = {
    "aliases": "24.04,n,noble,lts,default",
    "arch": "amd64",
    "os": "ubuntu",
    "release": "noble",
    "release_codename": "Noble Numbat",
    "release_title": "24.04 LTS",
    "support_eol": "2029-05-31",
    "supported": True,
    "version": "24.04",
}


def item(ftype: str = "disk1.img", **tags: Any) -> dict[str, Any]:
    """Make an item; a tag that is ``None`` is left out."""
    made = {
        "ftype": ftype,
        "path": f"a/{ftype}",
        "size": 1000,
        "sha256": "ab" * 32,
        "md5": "cd" * 16,
        **tags,
    }
    return {name: value for name, value in made.items() if value is not None}


def version(*items: Any, **tags: Any) -> dict[str, Any]:
    return {"items": {f"item{at}": one for at, one in enumerate(items)}, **tags}


def product(versions: Any = None, **tags: Any) -> dict[str, Any]:
    versions = {"20240821": version(item())} if versions is None else versions
    return {**TAGS, **tags, "versions": versions}


def catalogue(products: Any = None, **tags: Any) -> dict[str, Any]:
    return {
        "content_id": "com.ubuntu.cloud:released:download",
        "datatype": "image-downloads",
        "format": "products:1.0",
        "updated": "Thu, 22 Aug 2024 03:28:23 +0000",
        "products": {NAME: product()} if products is None else products,
        **tags,
    }


def read(source: object, taking: Taking | None = None, **options: Any) -> Stream:
    payload = source if isinstance(source, bytes) else json.dumps(source).encode()
    return read_products(
        payload, root=ROOT, taking=taking or Taking(), **{"now_s": NOW_S, **options}
    )


def only(source: object, taking: Taking | None = None, **options: Any) -> Product:
    (one,) = read(source, taking, **options).products
    return one


def of(*items: Any, **tags: Any) -> dict[str, Any]:
    """A catalogue of one product with one version of these items."""
    return catalogue({NAME: product({"20240821": version(*items)}, **tags)})

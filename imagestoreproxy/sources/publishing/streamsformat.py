"""A simplestreams mirror: index and products (``doc/README`` of lp:simplestreams).

What a cloud can take is told by ``ftype``: Ubuntu's and CirrOS's words are used where they fit, as
every reader knows them, and others where none does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from imagestoreproxy.model.images import Architecture, Compression, FileFormat, FileKind
from imagestoreproxy.sources.publishing.contents import Facts
from imagestoreproxy.sources.publishing.history import PublishedFile, Version
from imagestoreproxy.sources.publishing.offers import Offer, is_plain
from imagestoreproxy.sources.publishing.words import StoreWords

DISK = "disk1.img"
TARBALLS = frozenset(("tar.gz", "uec.tar.gz"))
_ARCHES = {
    Architecture.X86_64: "amd64",
    Architecture.AARCH64: "arm64",
    Architecture.I386: "i386",
    Architecture.ARMHF: "armhf",
}
_ENDINGS = {
    Compression.NONE: "",
    Compression.GZIP: ".gz",
    Compression.XZ: ".xz",
    Compression.ZSTD: ".zst",
    Compression.BZIP2: ".bz2",
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Documents of a mirror.

    Args:
        path: of each, relative to the root, without its ending.
        plain: for ``.json``, and signed beside it in ``.json.gpg``.
        to_sign: for ``.sjson``: the same, where signed files are named.
    """

    path: str
    plain: bytes
    to_sign: bytes


def catalogues(offers: Sequence[Offer], store: StoreWords, now_s: float) -> tuple[Catalogue, ...]:
    """Give the products and then the index that names them."""
    updated = formatdate(now_s).replace("-0000", "+0000")  # as all others write it
    prefix = store.content_id.partition(":")[0]
    products = {f"{prefix}:{offer.id}:{_arch(offer)}": _product(offer) for offer in offers}
    path = f"streams/v1/{store.content_id}"
    listed = _json(
        {
            "format": "products:1.0",
            "content_id": store.content_id,
            "datatype": "image-downloads",
            "updated": updated,
            "creator": "image-store publish",
            "products": products,
        }
    )
    indexes = [
        _json(
            {
                "format": "index:1.0",
                "updated": updated,
                "index": {
                    store.content_id: {
                        "path": path + ending,
                        "format": "products:1.0",
                        "datatype": "image-downloads",
                        "updated": updated,
                        "products": sorted(products),
                    }
                },
            }
        )
        for ending in (".json", ".sjson")
    ]
    return (
        Catalogue(path, listed, listed),
        Catalogue("streams/v1/index", indexes[0], indexes[1]),
    )


def is_installable(offer: Offer) -> bool:
    """Tell whether readers of this format know what to do with the image's files."""
    return any(_ftype(one) in TARBALLS | {DISK} for one in offer.version.files)


def _arch(offer: Offer) -> str:
    return _ARCHES[offer.architecture]


def _product(offer: Offer) -> dict[str, Any]:
    words = offer.words
    product: dict[str, Any] = {
        "arch": _arch(offer),
        # Readers put it before the title, unless that begins with it.
        "os": words.os or offer.title.split()[0],
        "release": words.release or offer.id,
        "release_title": words.release_title or offer.title,
        "version": offer.version.name,
        "aliases": ",".join(words.aliases or (offer.id,)),
        "supported": words.is_supported,
        "support_eol": words.support_ends,
        # No other reader knows these two, and none minds.
        "login_user": words.login_user,
        "ports": ",".join(map(str, words.ports)),
        "versions": {one.build: _version(offer, one) for one in reversed(offer.versions)},
    }
    return {name: value for name, value in product.items() if value != ""}


def _version(offer: Offer, version: Version) -> dict[str, Any]:
    return {
        "label": "release",
        "pubname": f"{offer.id.removesuffix(f'-{version.name}')}-{version.name}",
        "items": {_ftype(one): _item(one) for one in version.files},
    }


def _item(file: PublishedFile) -> dict[str, Any]:
    return {
        "ftype": _ftype(file),
        "path": file.path,
        "size": file.facts.size_bytes,
        "sha256": file.facts.sha256,
    }


def _ftype(file: PublishedFile) -> str:
    facts = file.facts
    ending = _ENDINGS[facts.compression]
    if file.kind is not FileKind.IMAGE:
        return file.kind.value + ending
    if is_plain(facts, FileFormat.QCOW2):
        return DISK
    if facts.format is FileFormat.TAR and _has_usual_members(facts):
        return ("uec.tar" if FileKind.RAMDISK in dict(facts.members) else "tar") + ending
    return f"image.{facts.format}{ending}"


def _has_usual_members(facts: Facts) -> bool:
    """Tell whether readers, who only have the names, will find kernel and image."""
    members = dict(facts.members)
    kernel = members.get(FileKind.KERNEL, "")
    is_kernel = "vmlinuz" in kernel or kernel.endswith("-loader")
    return is_kernel and members.get(FileKind.IMAGE, "").endswith(".img")


def _json(content: Any) -> bytes:
    # Indented, as long lines cannot be signed.
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"

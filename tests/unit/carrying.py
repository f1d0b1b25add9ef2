"""Carried images for tests: documents that need no verifying, and archives of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from imagestoreproxy.model.carrying import CarriedImage, carried_image, index_text
from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import FileKind, ImageDocument
from tests.unit.memory import URI, MemoryFetcher, make_document, make_file

FILES = {kind: f"{kind} of an image".encode() * 50 for kind in FileKind}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_document(uri: str = URI, *, version: str = "1.0", serial: int = 1) -> ImageDocument:
    fetcher = MemoryFetcher()
    files = [make_file(fetcher, kind, content) for kind, content in FILES.items()]
    return make_document(files, uri=uri, version=version, serial=serial)


def an_image(document: ImageDocument) -> CarriedImage:
    return carried_image(document, sha256(document.signed_text))


def contents(*documents: ImageDocument) -> dict[str, bytes]:
    """Give what an archive of these holds, by name, in order."""
    images = [an_image(document) for document in documents]
    return {
        "images.json": index_text(images),
        **{f"documents/{sha256(one.signed_text)}": one.signed_text for one in documents},
        **{f"files/{sha256(content)}": content for content in FILES.values()},
    }


def packed(members: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class Believer:
    """Believes the documents that it was given, and no others; ``arrival.Verify``."""

    def __init__(self, *documents: ImageDocument) -> None:
        self._documents = {one.signed_text: one for one in documents}

    async def __call__(self, image: CarriedImage, messages: Mapping[str, bytes]) -> ImageDocument:
        found = self._documents.get(image.signed_text(messages))
        if found is None:
            raise DocumentError(f"{image.uri} is signed by nobody that is known here.")
        return found


def reference(root: str, *documents: str) -> bytes:
    return json.dumps(
        {
            "format": "simplestreams:1",
            "root": root,
            "path": "streams/v1/x",
            "form": "inline",
            "product": "p",
            "version": "1",
            "documents": list(documents),
        }
    ).encode()

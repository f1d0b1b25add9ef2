"""One pass from the bytes of an image to a bundle in S3 that was read back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace

from imagestoreproxy.clouds.bucket import Bucket
from imagestoreproxy.clouds.bundle import (
    Tally,
    digested,
    encrypt_stream,
    gzip_stream,
    part_stream,
    tar_stream,
)
from imagestoreproxy.clouds.keys import BundleKeys
from imagestoreproxy.clouds.manifest import Manifest, Part, manifest_xml
from imagestoreproxy.model.errors import CloudError


def store_bundle(
    chunks: Iterable[bytes], manifest: Manifest, keys: BundleKeys, bucket: Bucket
) -> str:
    """Store parts, then the manifest; give the manifest's location, ``BUCKET/KEY``.

    Args:
        chunks: of the raw image, ``manifest.size_bytes`` in all.
        manifest: all that is known before the first byte.
        bucket: empty.

    Raises:
        CloudError: S3 failed, or holds something else than was sent.
        UnpackError: the chunks do not add up.
    """
    key, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    tally = Tally()
    archive = digested(tar_stream(manifest.name, manifest.size_bytes, chunks), tally)
    parts: list[Part] = []
    for content in part_stream(encrypt_stream(gzip_stream(archive), key, iv)):
        stored = Tally()
        stored.add(content)
        part = Part(f"{manifest.name}.part.{len(parts)}", stored.sha1_hex, stored.size_bytes)
        bucket.put(part.filename, content)
        parts.append(part)
        del content  # or two parts would be in memory while the next one fills
    complete = replace(manifest, tar_sha1_hex=tally.sha1_hex, parts=parts)
    xml = manifest_xml(complete, key=key, iv=iv, keys=keys)
    manifest_key = f"{manifest.name}.manifest.xml"
    bucket.put(manifest_key, xml)
    expected = {part.filename: part.size_bytes for part in parts} | {manifest_key: len(xml)}
    if bucket.sizes() != expected or bucket.size(manifest_key) != len(xml):
        raise CloudError(
            f"The bucket {bucket.name} does not hold what was stored in it ({len(parts)} parts "
            f"and the manifest of {manifest.name}); try again."
        )
    return f"{bucket.name}/{manifest_key}"

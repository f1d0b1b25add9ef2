"""From the bytes of an image to a bundle in S3 that was read back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from imagestoreproxy.clouds.bucket import Bucket, Stored, measured
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

PASSES = 2


@dataclass(frozen=True, slots=True)
class _Sent:
    """The parts of one pass; ``stored`` is what S3 has to say of each, in their order."""

    tar_sha1_hex: str
    parts: tuple[Part, ...]
    stored: tuple[Stored, ...]


def store_bundle(
    open_chunks: Callable[[], Iterable[bytes]],
    manifest: Manifest,
    keys: BundleKeys,
    bucket: Bucket,
    secret: str,
) -> str:
    """Store parts, then the manifest; give the manifest's location, ``BUCKET/KEY``.

    The same image and ``secret`` make the same parts, so what the bucket holds of them already is
    not sent again: neither after a restart, nor when one part proves to be stored wrongly.

    Args:
        open_chunks: gives the raw image, ``manifest.size_bytes`` in all; called again if a part
            has to be sent again.
        manifest: all that is known before the first byte.
        bucket: may hold parts of an earlier upload.
        secret: 64 hex digits, AES key and IV; if it is none, new ones are made.

    Raises:
        CloudError: S3 failed, or holds something else than was sent.
        UnpackError: the chunks do not add up.
    """
    key, iv = _key_and_iv(secret)
    manifest_key = f"{manifest.name}.manifest.xml"
    held = bucket.objects() or {}
    if manifest_key in held:
        # Where there is a manifest, all its parts are.
        bucket.delete(manifest_key)
    for _ in range(PASSES):
        sent = _store_parts(open_chunks(), manifest, bucket, held, key, iv)
        held = _tidied(bucket, {part.filename for part in sent.parts})
        wrong = _wrong(sent, held, bucket)
        if not wrong:
            break
    else:
        raise _not_held(bucket, wrong)
    complete = replace(manifest, tar_sha1_hex=sent.tar_sha1_hex, parts=sent.parts)
    _store_manifest(manifest_key, manifest_xml(complete, key=key, iv=iv, keys=keys), bucket)
    return f"{bucket.name}/{manifest_key}"


def _store_parts(
    chunks: Iterable[bytes],
    manifest: Manifest,
    bucket: Bucket,
    held: Mapping[str, Stored],
    key: bytes,
    iv: bytes,
) -> _Sent:
    tally = Tally()
    archive = digested(tar_stream(manifest.name, manifest.size_bytes, chunks), tally)
    parts: list[Part] = []
    stored: list[Stored] = []
    for content in part_stream(encrypt_stream(gzip_stream(archive), key, iv)):
        digest = Tally()
        digest.add(content)
        part = Part(f"{manifest.name}.part.{len(parts)}", digest.sha1_hex, digest.size_bytes)
        sent = measured(content)
        if held.get(part.filename) != sent:
            bucket.put(part.filename, content, sent)
        parts.append(part)
        stored.append(sent)
        del content  # or two parts would be in memory while the next one fills
    return _Sent(tally.sha1_hex, tuple(parts), tuple(stored))


def _tidied(bucket: Bucket, wanted: set[str]) -> dict[str, Stored]:
    """Delete what does not belong, such as parts beyond the end; describe the rest."""
    held = bucket.objects() or {}
    for key in held.keys() - wanted:
        bucket.delete(key)
    return {key: stored for key, stored in held.items() if key in wanted}


def _wrong(sent: _Sent, held: Mapping[str, Stored], bucket: Bucket) -> list[str]:
    """Name the parts that S3 does not hold as they were sent."""
    wrong: list[str] = []
    etags_are_md5 = True
    for part, stored in zip(sent.parts, sent.stored, strict=True):
        there = held.get(part.filename)
        if there is None or there.size_bytes != stored.size_bytes:
            wrong.append(part.filename)
        elif etags_are_md5 and not there.may_be(stored):
            # Where S3 encrypts, an ETag may look like an MD5 and be none: the bytes decide, once.
            if bucket.sha1_hex(part.filename, part.size_bytes) == part.sha1_hex:
                etags_are_md5 = False
            else:
                wrong.append(part.filename)
    return wrong


def _store_manifest(key: str, xml: bytes, bucket: Bucket) -> None:
    digest = Tally()
    digest.add(xml)
    sent = measured(xml)
    for _ in range(PASSES):
        bucket.put(key, xml, sent)
        there = bucket.stored(key)
        if there is not None and (
            there.may_be(sent) or bucket.sha1_hex(key, len(xml)) == digest.sha1_hex
        ):
            return
    raise _not_held(bucket, [key])


def _not_held(bucket: Bucket, wrong: list[str]) -> CloudError:
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return CloudError(
        f"The bucket {bucket.name} does not hold what was stored in it: {wrong[0]}{more} differs, "
        "also when sent again; check the object store and its disks, then try again."
    )


def _key_and_iv(secret: str) -> tuple[bytes, bytes]:
    both = bytes.fromhex(secret) if re.fullmatch("[0-9a-f]{64}", secret) else b""
    both = both or secrets.token_bytes(32)
    return both[:16], both[16:]

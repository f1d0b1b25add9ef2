"""An independent reader of EC2 bundles; shares no line with the writer.

openssl opens keys, parts and signature; gzip and tarfile do the rest. Takes everything from S3.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.dom import minidom
from xml.etree import ElementTree

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Unbundled:
    """What a bundle held.

    Args:
        image: the unpacked file.
        fields: text of the manifest's elements by path, such as ``image/type``.
    """

    image: Path
    member: str
    fields: dict[str, str] = field(default_factory=dict)


def unbundle(
    s3: Any,
    location: str,
    work: Path,
    *,
    private_key: Path,
    whose: str,
    certificate: Path,
    tar_digest: bool = True,
) -> Unbundled:
    """Fetch, check, decrypt and unpack a bundle; anything wrong is an ``AssertionError``.

    Args:
        s3: a boto3 client.
        location: ``BUCKET/KEY`` of the manifest.
        work: an empty directory, for everything that comes out.
        private_key: opens the bundle.
        whose: ``user`` or ``ec2``: which of the manifest's two keys it opens.
        certificate: of the user who signed.
        tar_digest: the manifest's digest is right; euca2ools 1.x write the one of nothing.
    """
    bucket, _, key = location.partition("/")
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    verify_signature(text, certificate, work)
    manifest = ElementTree.fromstring(text)
    fields = _fields(manifest)
    assert fields["version"] == "2007-10-10"
    image = manifest.find("image")
    assert image is not None
    tags = [child.tag for child in image]
    assert tags.index("type") == tags.index("user") + 1

    encrypted = work / "encrypted"
    _join_parts(s3, bucket, image, encrypted)
    assert encrypted.stat().st_size == int(fields["image/bundled_size"])

    aes_key = _open(fields[f"image/{whose}_encrypted_key"], private_key)
    aes_iv = _open(fields[f"image/{whose}_encrypted_iv"], private_key)
    assert len(aes_key) == len(aes_iv) == 32
    packed = work / "image.tar.gz"
    _openssl(
        "enc", "-d", "-aes-128-cbc", "-K", aes_key, "-iv", aes_iv, "-in", encrypted, "-out", packed
    )
    encrypted.unlink()

    archive = work / "image.tar"
    sha1 = hashlib.sha1()
    with gzip.open(packed) as compressed, archive.open("wb") as out:
        while chunk := compressed.read(CHUNK_BYTES):
            sha1.update(chunk)
            out.write(chunk)
    packed.unlink()
    assert (sha1.hexdigest() == fields["image/digest"]) == tar_digest

    unpacked = work / "image"
    with tarfile.open(archive, "r:") as tar:
        (member,) = tar.getmembers()
        assert member.isfile()
        assert member.name == fields["image/name"]
        assert member.size == int(fields["image/size"])
        content = tar.extractfile(member)
        assert content is not None
        with unpacked.open("wb") as out:
            shutil.copyfileobj(content, out, CHUNK_BYTES)
    archive.unlink()
    return Unbundled(unpacked, member.name, fields)


def verify_signature(manifest: bytes, certificate: Path, work: Path) -> None:
    """Check the user's signature over the two elements, as a DOM writes them out again."""
    document = minidom.parseString(manifest)
    signed, signature, public_key = work / "signed", work / "signature", work / "public.pem"
    signed.write_bytes(
        "".join(
            document.getElementsByTagName(tag)[0].toxml()
            for tag in ("machine_configuration", "image")
        ).encode()
    )
    (text,) = document.getElementsByTagName("signature")[0].childNodes
    assert isinstance(text, minidom.Text)
    signature.write_bytes(bytes.fromhex(text.data))
    _openssl("x509", "-in", certificate, "-noout", "-pubkey", "-out", public_key)
    _openssl("dgst", "-sha1", "-verify", public_key, "-signature", signature, signed)


def _join_parts(s3: Any, bucket: str, image: ElementTree.Element, joined: Path) -> None:
    parts = image.findall("parts/part")
    count = image.find("parts")
    assert count is not None
    assert int(count.attrib["count"]) == len(parts) > 0
    with joined.open("wb") as out:
        for index, part in enumerate(parts):
            assert part.attrib["index"] == str(index)
            content = s3.get_object(Bucket=bucket, Key=part.findtext("filename"))["Body"].read()
            last = index == len(parts) - 1
            assert len(content) <= 10485760 if last else len(content) == 10485760
            assert hashlib.sha1(content).hexdigest() == part.findtext("digest")
            out.write(content)


def _open(sealed_hex: str, private_key: Path) -> str:
    return _openssl(
        "pkeyutl", "-decrypt", "-inkey", private_key, given=bytes.fromhex(sealed_hex)
    ).decode("ascii")


def _openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    done = subprocess.run(
        ["openssl", *arguments], input=given, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _fields(manifest: ElementTree.Element) -> dict[str, str]:
    fields: dict[str, str] = {}
    for element in manifest:
        fields[element.tag] = element.text or ""
        for child in element:
            fields[f"{element.tag}/{child.tag}"] = child.text or ""
    return fields

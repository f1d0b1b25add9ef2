"""The manifest of a bundle (version 2007-10-10): who made it, of what, and the keys to open it.

Format as written by euca2ools 1.2 to 3.4. The signature covers the serialised text of two elements,
so there is no white space between elements: readers serialise what they parsed and compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1

from imagestoreproxy import __version__
from imagestoreproxy.clouds.keys import BundleKeys
from imagestoreproxy.model.bundles import StoredPart
from imagestoreproxy.model.images import FileKind

IMAGE_TYPES = {FileKind.KERNEL: "kernel", FileKind.RAMDISK: "ramdisk", FileKind.IMAGE: "machine"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Args:
        name: of the tar member.
        architecture: in the cloud's words.
        account: digits.
        kernel_id, ramdisk_id: of a machine image, or empty.
        size_bytes: of the raw image.
        tar_sha1_hex: of the tar stream, before compression; known at its end, as are the parts.
    """

    name: str
    kind: FileKind
    architecture: str
    account: str
    size_bytes: int
    tar_sha1_hex: str = ""
    parts: Sequence[StoredPart] = ()
    kernel_id: str = ""
    ramdisk_id: str = ""


def manifest_xml(
    manifest: Manifest,
    *,
    key: bytes,
    iv: bytes,
    keys: BundleKeys,
) -> bytes:
    """Build and sign a manifest.

    Args:
        key, iv: 16 bytes each, with which the parts are encrypted.
        keys: the user's signs; the user's and the cloud's may open the bundle.
    """
    machine = _machine_configuration(manifest)
    image = _image(manifest, key, iv, keys)
    signature = keys.user.sign((machine + image).encode(), PKCS1v15(), SHA1()).hex()  # noqa: S303
    bundler = (
        _element("name", "image-store-proxy")
        + _element("version", __version__)
        + _element("release", "1")
    )
    text = (
        _element("version", "2007-10-10")
        + f"<bundler>{bundler}</bundler>"
        + machine
        + image
        + _element("signature", signature)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><manifest>{text}</manifest>'.encode()


def _machine_configuration(manifest: Manifest) -> str:
    # "true" says that the bundle is itself the kernel or the ramdisk.
    kernel = "true" if manifest.kind is FileKind.KERNEL else manifest.kernel_id
    ramdisk = "true" if manifest.kind is FileKind.RAMDISK else manifest.ramdisk_id
    text = _element("architecture", manifest.architecture)
    if kernel:
        text += _element("kernel_id", kernel)
    if ramdisk:
        text += _element("ramdisk_id", ramdisk)
    return f"<machine_configuration>{text}</machine_configuration>"


def _image(manifest: Manifest, key: bytes, iv: bytes, keys: BundleKeys) -> str:
    user_key = keys.user.public_key()
    cipher = ' algorithm="AES-128-CBC"'
    sha1 = ' algorithm="SHA1"'
    parts = "".join(
        f'<part index="{index}">'
        + _element("filename", part.filename)
        + _element("digest", part.sha1_hex, sha1)
        + "</part>"
        for index, part in enumerate(manifest.parts)
    )
    text = (
        _element("name", manifest.name)
        + _element("user", manifest.account)
        + _element("type", IMAGE_TYPES[manifest.kind])
        + _element("digest", manifest.tar_sha1_hex, sha1)
        + _element("size", str(manifest.size_bytes))
        + _element("bundled_size", str(sum(part.size_bytes for part in manifest.parts)))
        + _element("ec2_encrypted_key", _sealed(key, keys.cloud), cipher)
        + _element("user_encrypted_key", _sealed(key, user_key), cipher)
        + _element("ec2_encrypted_iv", _sealed(iv, keys.cloud))
        + _element("user_encrypted_iv", _sealed(iv, user_key))
        + f'<parts count="{len(manifest.parts)}">{parts}</parts>'
    )
    return f"<image>{text}</image>"


def _sealed(secret: bytes, public_key: RSAPublicKey) -> str:
    # Encrypted is the hexadecimal text, not the bytes.
    return public_key.encrypt(secret.hex().encode(), PKCS1v15()).hex()


def _element(tag: str, text: str, attributes: str = "") -> str:
    return f"<{tag}{attributes}>{escape(text)}</{tag}>"

"""The manifest of a bundle: elements in order, what is signed, who can open it."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.dom import minidom
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

from imagestoreproxy.clouds.images import registered_name
from imagestoreproxy.clouds.keys import BundleKeys
from imagestoreproxy.clouds.manifest import Manifest, manifest_xml
from imagestoreproxy.model.bundles import StoredPart
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Bundle

KEY, IV = bytes(range(16)), bytes(range(16, 32))
IMAGE = Manifest(
    name="image-1",
    kind=FileKind.IMAGE,
    architecture="x86_64",
    account="000123456789",
    size_bytes=1000,
    tar_sha1_hex="aa" * 20,
    parts=(
        StoredPart("image-1.part.0", "bb" * 20, 700),
        StoredPart("image-1.part.1", "cc" * 20, 77),
    ),
    kernel_id="eki-11111111",
    ramdisk_id="eri-22222222",
)


@pytest.fixture(scope="module")
def user() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def cloud() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def xml(manifest: Manifest, user: rsa.RSAPrivateKey, cloud: rsa.RSAPrivateKey) -> bytes:
    keys = BundleKeys(user, cloud.public_key())
    return manifest_xml(manifest, key=KEY, iv=IV, keys=keys)


def tags(element: ElementTree.Element | None) -> list[str]:
    assert element is not None
    return [child.tag for child in element]


def test_the_elements_stand_in_the_order_of_the_format(
    user: rsa.RSAPrivateKey, cloud: rsa.RSAPrivateKey
) -> None:
    root = ElementTree.fromstring(xml(IMAGE, user, cloud))
    assert root.tag == "manifest"
    assert tags(root) == ["version", "bundler", "machine_configuration", "image", "signature"]
    assert tags(root.find("bundler")) == ["name", "version", "release"]
    assert tags(root.find("machine_configuration")) == ["architecture", "kernel_id", "ramdisk_id"]
    assert tags(root.find("image")) == [
        "name",
        "user",
        "type",
        "digest",
        "size",
        "bundled_size",
        "ec2_encrypted_key",
        "user_encrypted_key",
        "ec2_encrypted_iv",
        "user_encrypted_iv",
        "parts",
    ]
    assert root.findtext("version") == "2007-10-10"
    assert root.findtext("image/bundled_size") == "777"
    assert [part.attrib for part in root.findall("image/parts/part")] == [
        {"index": "0"},
        {"index": "1"},
    ]


@pytest.mark.parametrize(
    ("kind", "type_", "flag"),
    [(FileKind.KERNEL, "kernel", "kernel_id"), (FileKind.RAMDISK, "ramdisk", "ramdisk_id")],
)
def test_a_kernel_or_ramdisk_says_true_of_itself(
    kind: FileKind,
    type_: str,
    flag: str,
    user: rsa.RSAPrivateKey,
    cloud: rsa.RSAPrivateKey,
) -> None:
    manifest = Manifest("x", kind, "i386", "1", 1)
    root = ElementTree.fromstring(xml(manifest, user, cloud))
    assert root.findtext("image/type") == type_
    assert tags(root.find("machine_configuration")) == ["architecture", flag]
    assert root.findtext(f"machine_configuration/{flag}") == "true"


def test_the_signature_covers_the_two_elements_as_a_reader_serialises_them(
    user: rsa.RSAPrivateKey, cloud: rsa.RSAPrivateKey
) -> None:
    odd = replace(IMAGE, name="a<b>&'c")
    document = minidom.parseString(xml(odd, user, cloud))
    signed = "".join(
        document.getElementsByTagName(tag)[0].toxml() for tag in ("machine_configuration", "image")
    )
    (text,) = document.getElementsByTagName("signature")[0].childNodes
    assert isinstance(text, minidom.Text)
    signature = bytes.fromhex(text.data)
    user.public_key().verify(signature, signed.encode(), PKCS1v15(), SHA1())


def test_user_and_cloud_can_each_open_key_and_iv(
    user: rsa.RSAPrivateKey, cloud: rsa.RSAPrivateKey
) -> None:
    root = ElementTree.fromstring(xml(IMAGE, user, cloud))
    for whose, private_key in (("user", user), ("ec2", cloud)):
        for what, secret in (("key", KEY), ("iv", IV)):
            sealed = bytes.fromhex(root.findtext(f"image/{whose}_encrypted_{what}") or "")
            assert private_key.decrypt(sealed, PKCS1v15()) == secret.hex().encode()


def test_no_white_space_stands_between_elements(
    user: rsa.RSAPrivateKey, cloud: rsa.RSAPrivateKey
) -> None:
    assert b"> <" not in xml(IMAGE, user, cloud)
    assert b"\n" not in xml(IMAGE, user, cloud)


def test_a_registered_name_is_allowed_and_ends_in_the_bucket_that_makes_it_unique() -> None:
    bucket = "isp-0123456789abcdef-image"
    for stem in ("image-1", "Ubuntu 8.04 \u00e9ditions & more", "x" * 300):
        name = registered_name(Bundle("uri", FileKind.IMAGE, bucket, stem))
        assert re.fullmatch(r"[A-Za-z0-9()./_-]{3,128}", name)
        assert name.endswith(f"-{bucket}")

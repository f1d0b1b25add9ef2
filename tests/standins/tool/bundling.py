"""Bundles as each generation writes them: tar, gzip and openssl, sharing no line with the proxy."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from xml.sax.saxutils import escape

from .generations import Family, Generation
from .traps import Traps

PART_BYTES = 10485760
CHUNK_BYTES = 1 << 20
# 1.x hashes nothing at all and writes this into every manifest.
SHA1_OF_NOTHING = hashlib.sha1().hexdigest()


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What to bundle, for whom.

    Args:
        member: name inside the archive and in the manifest.
        marks: ``kernel_id`` and ``ramdisk_id`` as given, perhaps ``true``.
    """

    image: Path
    destination: Path
    prefix: str
    member: str
    user: str
    architecture: str
    private_key: str
    certificate: str
    cloud_certificate: str
    kind: str
    marks: Mapping[str, str]
    mappings: Mapping[str, str]
    product_codes: Sequence[str]


def bundle(generation: Generation, order: Order, traps: Traps, say: Callable[[str], None]) -> Path:
    """Write parts and manifest into the destination; gives the manifest's path."""
    key, iv = secrets.token_hex(16), secrets.token_hex(16)
    stem = order.destination / f"{order.prefix}.part"
    if generation.family is Family.REQUESTS:
        with _piped(order, key, iv) as (encrypted, digest):
            parts = _split(generation, encrypted, stem, traps, lambda line: None)
        tar_sha1 = digest()
    else:
        tar_sha1, parts = _by_files(generation, order, key, iv, stem, traps, say)
    manifest = order.destination / f"{order.prefix}.manifest.xml"
    if generation.family is not Family.REQUESTS:
        say(f"Generating manifest {manifest}")
    _write_manifest(generation, order, manifest, key, iv, tar_sha1, parts)
    return manifest


def _by_files(
    generation: Generation,
    order: Order,
    key: str,
    iv: str,
    stem: Path,
    traps: Traps,
    say: Callable[[str], None],
) -> tuple[str, list[Path]]:
    """1.x and 2.x lay each step's whole result on the disk."""
    say("Checking image")
    order.destination.mkdir(parents=True, exist_ok=True)
    if generation.name == "2.1":
        say("Compressing image")
    elif generation.family is Family.SCRIPTS:
        say("Tarring image")
    traps.pause()
    packed = order.destination / f"{order.prefix}.tar.gz"
    sha1 = hashlib.sha1()
    follow = "ch" if generation.family is Family.ROBOTO else "c"
    with subprocess.Popen(
        ["tar", follow, "-S", "-C", order.image.parent, order.image.name], stdout=subprocess.PIPE
    ) as tar:
        assert tar.stdout is not None
        with gzip.open(packed, "wb", compresslevel=6) as out:
            while chunk := tar.stdout.read(CHUNK_BYTES):
                sha1.update(chunk)
                out.write(chunk)
    say("Encrypting image")
    traps.pause()
    with packed.open("rb") as source, stem.open("wb") as target:
        subprocess.run(_encryption(key, iv), stdin=source, stdout=target, check=True)
    packed.unlink()
    say("Splitting image...")
    with stem.open("rb") as encrypted:
        parts = _split(generation, encrypted, stem, traps, say)
    stem.unlink()
    return (
        SHA1_OF_NOTHING if generation.family is Family.SCRIPTS else sha1.hexdigest(),
        parts,
    )


@contextmanager
def _piped(order: Order, key: str, iv: str) -> Iterator[tuple[IO[bytes], Callable[[], str]]]:
    """3.x: tar, gzip and openssl at once; only the parts reach the disk."""
    sha1 = hashlib.sha1()
    order.destination.mkdir(exist_ok=True)
    with subprocess.Popen(
        _encryption(key, iv), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        sink = process.stdin

        def feed() -> None:
            with sink, gzip.GzipFile("", "wb", 6, sink, 0) as packed:
                member = tarfile.TarInfo(order.member)
                member.size = order.image.stat().st_size
                hashing: Any = _Hashing(packed, sha1)
                with (
                    tarfile.open(mode="w|", fileobj=hashing, format=tarfile.GNU_FORMAT) as tar,
                    order.image.open("rb") as image,
                ):
                    tar.addfile(member, image)

        feeder = threading.Thread(target=feed)
        feeder.start()
        yield process.stdout, sha1.hexdigest
        feeder.join()


class _Hashing:
    """A file to write to that notes the digest of what passes."""

    def __init__(self, target: gzip.GzipFile, sha1: _Digest) -> None:
        self._target, self._sha1 = target, sha1

    def write(self, data: bytes) -> int:
        self._sha1.update(data)
        return self._target.write(data)


def _split(
    generation: Generation,
    source: IO[bytes],
    stem: Path,
    traps: Traps,
    say: Callable[[str], None],
) -> list[Path]:
    parts: list[Path] = []
    while content := source.read(PART_BYTES):
        part = stem.with_name(f"{stem.name}.{generation.part_suffix.format(len(parts))}")
        part.write_bytes(content)
        parts.append(part)
        say(f"Part: {part.name}")
        traps.pause()
    return parts


def _write_manifest(
    generation: Generation,
    order: Order,
    path: Path,
    key: str,
    iv: str,
    tar_sha1: str,
    parts: Sequence[Path],
) -> None:
    machine = _element("architecture", order.architecture)
    if order.mappings:
        pairs = "".join(
            "<mapping>" + _element("virtual", name) + _element("device", device) + "</mapping>"
            for name, device in order.mappings.items()
        )
        machine += f"<block_device_mapping>{pairs}</block_device_mapping>"
    if order.product_codes:
        codes = "".join(_element("product_code", code) for code in order.product_codes)
        machine += f"<product_codes>{codes}</product_codes>"
    machine += "".join(_element(name, value) for name, value in order.marks.items() if value)
    new = generation.family is Family.REQUESTS
    image = (
        _element("name", order.member)
        + _element("user", order.user)
        + _element("type", order.kind if new else "machine")
        + f'<digest algorithm="SHA1">{tar_sha1}</digest>'
        + _element("size", str(order.image.stat().st_size))
        + _element("bundled_size", str(sum(part.stat().st_size for part in parts)))
    )
    whose = (("ec2", order.cloud_certificate), ("user", order.certificate))
    for name, certificate in whose:
        sealed = _sealed(key, certificate)
        image += f'<{name}_encrypted_key algorithm="AES-128-CBC">{sealed}</{name}_encrypted_key>'
    for name, certificate in whose:
        image += _element(f"{name}_encrypted_iv", _sealed(iv, certificate))
    image += f'<parts count="{len(parts)}">'
    for index, part in enumerate(parts):
        sha1 = hashlib.sha1(part.read_bytes()).hexdigest()
        image += (
            f'<part index="{index}">{_element("filename", part.name)}'
            f'<digest algorithm="SHA1">{sha1}</digest></part>'
        )
    image += "</parts>"
    signed = f"<machine_configuration>{machine}</machine_configuration><image>{image}</image>"
    name = "euca2ools" if new else "euca-tools"
    text = (
        '<?xml version="1.0" ?>\n<manifest><version>2007-10-10</version>'
        f"<bundler><name>{name}</name><version>{generation.name}</version>"
        f"<release>{0 if new else 31337}</release></bundler>"
        f"{signed}<signature>{_signature(signed, order.private_key)}</signature></manifest>"
    )
    path.write_text(text)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _encryption(key: str, iv: str) -> list[str]:
    return ["openssl", "enc", "-e", "-aes-128-cbc", "-K", key, "-iv", iv]


def _sealed(text: str, certificate: str) -> str:
    if not certificate:
        return ""
    done = subprocess.run(
        ["openssl", "pkeyutl", "-encrypt", "-certin", "-inkey", certificate],
        input=text.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout.hex()


def _signature(text: str, private_key: str) -> str:
    if not private_key:
        return "UNSIGNED"
    done = subprocess.run(
        ["openssl", "dgst", "-sha1", "-sign", private_key],
        input=text.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout.hex()


def temporary(directory: str | None) -> Path:
    """Where a generation puts a bundle when it is not told."""
    return Path(directory or os.environ.get("TMPDIR") or "/var/tmp")

"""Bundles as each generation writes them: tar, gzip and openssl, sharing no line with the proxy."""

from __future__ import annotations

import _thread
import hashlib
import os
import zlib

from .elements import escape
from .generations import Family, Generation
from .sealing import sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from .traps import Traps

PART_BYTES = 10485760
CHUNK_BYTES = 1 << 20
TAR_BLOCK_BYTES, TAR_RECORD_BYTES = 512, 10240
AS_GZIP = 31
LEVEL = 1  # theirs is 6: no reader can tell
# 1.x hashes nothing at all and writes this into every manifest.
SHA1_OF_NOTHING = hashlib.sha1().hexdigest()


class Order:
    """What to bundle, for whom.

    Args:
        member: name inside the archive and in the manifest.
        marks: ``kernel_id`` and ``ramdisk_id`` as given, perhaps ``true``.
    """

    def __init__(
        self,
        image: str,
        destination: str,
        prefix: str,
        member: str,
        user: str,
        architecture: str,
        private_key: str,
        certificate: str,
        cloud_certificate: str,
        kind: str,
        marks: Mapping[str, str],
        mappings: Mapping[str, str],
        product_codes: Sequence[str],
    ) -> None:
        self.image, self.destination = image, destination
        self.prefix, self.member = prefix, member
        self.user, self.architecture = user, architecture
        self.private_key, self.certificate = private_key, certificate
        self.cloud_certificate = cloud_certificate
        self.kind, self.marks = kind, marks
        self.mappings, self.product_codes = mappings, product_codes


def bundle(generation: Generation, order: Order, traps: Traps, say: Callable[[str], None]) -> str:
    """Write parts and manifest into the destination; gives the manifest's path."""
    key, iv = os.urandom(16).hex(), os.urandom(16).hex()
    stem = f"{order.destination}/{order.prefix}.part"
    if generation.family is Family.REQUESTS:
        tar_sha1, parts = _piped(generation, order, key, iv, stem, traps)
    else:
        tar_sha1, parts = _by_files(generation, order, key, iv, stem, traps, say)
    manifest = f"{order.destination}/{order.prefix}.manifest.xml"
    if generation.family is not Family.REQUESTS:
        say(f"Generating manifest {manifest}")
    _write_manifest(generation, order, manifest, key, iv, tar_sha1, parts)
    return manifest


def _by_files(
    generation: Generation,
    order: Order,
    key: str,
    iv: str,
    stem: str,
    traps: Traps,
    say: Callable[[str], None],
) -> tuple[str, list[str]]:
    """1.x and 2.x lay each step's whole result on the disk."""
    say("Checking image")
    os.makedirs(order.destination, exist_ok=True)
    if generation.name == "2.1":
        say("Compressing image")
    elif generation.family is Family.SCRIPTS:
        say("Tarring image")
    traps.pause()
    packed = f"{order.destination}/{order.prefix}.tar.gz"
    follow = "ch" if generation.family is Family.ROBOTO else "c"
    directory, name = os.path.split(order.image)
    output, filled = os.pipe()
    tar = started(["tar", follow, "-S", "-C", directory or ".", name], output=filled)
    os.close(filled)
    with open(output, "rb") as source, open(packed, "wb") as target:
        tar_sha1 = _pack(_chunks(source), target)
    ended(tar)
    say("Encrypting image")
    traps.pause()
    with open(packed, "rb") as source, open(stem, "wb") as target:
        ended(started(_encryption(key, iv), given=source.fileno(), output=target.fileno()))
    os.unlink(packed)
    say("Splitting image...")
    with open(stem, "rb") as encrypted:
        parts = _split(generation, encrypted, stem, traps, say)
    os.unlink(stem)
    return SHA1_OF_NOTHING if generation.family is Family.SCRIPTS else tar_sha1, parts


def _piped(
    generation: Generation, order: Order, key: str, iv: str, stem: str, traps: Traps
) -> tuple[str, list[str]]:
    """3.x: tar, gzip and openssl at once; only the parts reach the disk."""
    os.makedirs(order.destination, exist_ok=True)
    given, sink = os.pipe()
    output, filled = os.pipe()
    openssl = started(_encryption(key, iv), given=given, output=filled)
    os.close(given)
    os.close(filled)
    fed: list[str] = []
    feeding = _thread.allocate_lock()
    feeding.acquire()

    def feed() -> None:
        try:
            with open(sink, "wb") as target, open(order.image, "rb") as image:
                fed.append(_pack(_archive(image, order.member), target))
        finally:
            feeding.release()

    _thread.start_new_thread(feed, ())
    with open(output, "rb") as encrypted:
        parts = _split(generation, encrypted, stem, traps, lambda line: None)
    feeding.acquire()
    ended(openssl)
    return fed[0], parts


def _pack(chunks: Iterable[bytes], target: BinaryIO) -> str:
    """Compress an archive; gives the SHA-1 of what it was before."""
    sha1, packer = hashlib.sha1(), zlib.compressobj(LEVEL, zlib.DEFLATED, AS_GZIP)
    for chunk in chunks:
        sha1.update(chunk)
        target.write(packer.compress(chunk))
    target.write(packer.flush())
    return sha1.hexdigest()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _archive(file: BinaryIO, member: str) -> Iterator[bytes]:
    size_bytes = os.fstat(file.fileno()).st_size
    yield _tar_head(member, size_bytes)
    yield from _chunks(file)
    # Whole blocks, two empty ones, and then whole records.
    padding_bytes = -size_bytes % TAR_BLOCK_BYTES + 2 * TAR_BLOCK_BYTES
    whole_bytes = TAR_BLOCK_BYTES + size_bytes + padding_bytes
    yield bytes(padding_bytes + -whole_bytes % TAR_RECORD_BYTES)


def _tar_head(member: str, size_bytes: int) -> bytes:
    """The header of GNU tar for a file of root's that was never changed."""
    fields = [
        *(member.encode()[:100].ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0"),
        *(b"%011o\0" % size_bytes, b"%011o\0" % 0),
    ]
    rest = b"0" + bytes(100) + b"ustar  \0"
    total = sum(b"".join(fields)) + 8 * ord(" ") + sum(rest)
    return (b"".join(fields) + b"%06o\0 " % total + rest).ljust(TAR_BLOCK_BYTES, b"\0")


def _split(
    generation: Generation,
    source: BinaryIO,
    stem: str,
    traps: Traps,
    say: Callable[[str], None],
) -> list[str]:
    parts: list[str] = []
    while content := source.read(PART_BYTES):
        part = f"{stem}.{generation.part_suffix.format(len(parts))}"
        with open(part, "wb") as file:
            file.write(content)
        parts.append(part)
        say(f"Part: {os.path.basename(part)}")
        traps.pause()
    return parts


def _write_manifest(
    generation: Generation,
    order: Order,
    path: str,
    key: str,
    iv: str,
    tar_sha1: str,
    parts: Sequence[str],
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
        + _element("size", str(os.path.getsize(order.image)))
        + _element("bundled_size", str(sum(map(os.path.getsize, parts))))
    )
    whose = (("ec2", order.cloud_certificate), ("user", order.certificate))
    for name, certificate in whose:
        text = sealed(key, certificate)
        image += f'<{name}_encrypted_key algorithm="AES-128-CBC">{text}</{name}_encrypted_key>'
    for name, certificate in whose:
        image += _element(f"{name}_encrypted_iv", sealed(iv, certificate))
    image += f'<parts count="{len(parts)}">'
    for index, part in enumerate(parts):
        with open(part, "rb") as file:
            sha1 = hashlib.sha1(file.read()).hexdigest()
        image += (
            f'<part index="{index}">{_element("filename", os.path.basename(part))}'
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
    with open(path, "w") as file:
        file.write(text)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _encryption(key: str, iv: str) -> list[str]:
    return ["openssl", "enc", "-e", "-aes-128-cbc", "-K", key, "-iv", iv]


def _signature(text: str, private_key: str) -> str:
    if not private_key:
        return "UNSIGNED"
    given, sink = os.pipe()
    output, filled = os.pipe()
    openssl = started(["openssl", "dgst", "-sha1", "-sign", private_key], given, filled)
    os.close(given)
    os.close(filled)
    with open(sink, "wb") as file:
        file.write(text.encode())
    with open(output, "rb") as file:
        signature = file.read()
    ended(openssl)
    return signature.hex()


def started(arguments: list[str], given: int = 0, output: int = 1) -> int:
    """Start a program with these as its input and output; gives its process id."""
    files = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, output, 1)]
    return os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=files)


def ended(pid: int) -> None:
    """Wait for a program; its failure is ours."""
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"a program ended with status {os.waitstatus_to_exitcode(status)}")


def temporary(directory: str | None) -> str:
    """Where a generation puts a bundle when it is not told."""
    return directory or os.environ.get("TMPDIR") or "/var/tmp"

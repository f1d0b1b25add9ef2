"""The CPU that each step of an install takes when it is done alone, with the fastest library.

Their sum, divided by the number of processors, is the time below which no install can be that does
these steps: the limit. Only the step itself is counted; reading its input from a file is not.
"""

from __future__ import annotations

import hashlib
import lzma
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from isal import igzip_lib, isal_zlib

from benchmarks.images import Image

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES = 1 << 20
PART_BYTES = 10 << 20
DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "xz": lzma.LZMADecompressor,
    "zstd": zstd.ZstdDecompressor,
}


class Stopwatch:
    """Adds up the CPU time of this process, and of programs that it waits for, in ``with``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.seconds -= _cpu_s()

    def __exit__(self, *_: object) -> None:
        self.seconds += _cpu_s()


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def step_costs(work: Path, image: Image, url: str, bucket_url: str) -> dict[str, float]:
    """Give the CPU seconds of each step of an install of ``image``.

    Args:
        url: where it is downloaded from.
        bucket_url: where the parts go, over plain HTTP.
    """
    with tempfile.TemporaryDirectory(dir=work, prefix="costs-") as name:
        packed = Path(name, "packed")
        costs = {"download, SHA-256, write": _download(url, Path(name, "source"))}
        costs["unpack"] = _unpack(image, Path(name, "raw"))
        costs["SHA-1 of the tar"] = _digest(image.raw)
        if image.compression == "gzip":
            # Its own gzip can go into the bundle as it is.
            packed = image.path
        else:
            costs["gzip"] = _compress(image.raw, packed)
        costs["AES, SHA-1, MD5 of the parts"] = _encrypt(packed)
        costs["upload"] = _upload(packed, bucket_url)
    return costs


def _download(url: str, target: Path) -> float:
    parts, watch = urlsplit(url), Stopwatch()
    digest, buffer = hashlib.sha256(), bytearray(BLOCK_BYTES)
    with socket.create_connection((parts.hostname, parts.port)) as client, target.open("wb") as out:
        client.sendall(f"GET {parts.path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        with watch:
            while count := client.recv_into(buffer, BLOCK_BYTES, socket.MSG_WAITALL):
                block = memoryview(buffer)[:count]
                digest.update(block)
                out.write(block)
    return watch.seconds


def _unpack(image: Image, target: Path) -> float:
    watch = Stopwatch()
    if image.format == "qcow2":
        command: list[str | Path] = ["qemu-img", "convert", "-O", "raw", image.path, target]
        with watch:
            subprocess.run(command, check=True)
    elif image.compression != "none":
        blocks = _blocks(image.path)
        decompressor = DECOMPRESSORS[image.compression]()
        block: bytes | memoryview = b""
        while not decompressor.eof:
            if decompressor.needs_input:
                block = next(blocks)
            with watch:
                decompressor.decompress(block, BLOCK_BYTES)
            block = b""
    return watch.seconds


def _digest(raw: Path) -> float:
    watch, digest = Stopwatch(), hashlib.sha1()
    for block in _blocks(raw):
        with watch:
            digest.update(block)
    return watch.seconds


def _compress(raw: Path, packed: Path) -> float:
    watch = Stopwatch()
    compressor = isal_zlib.compressobj(level=1, wbits=31)
    with packed.open("wb") as out:
        for block in _blocks(raw):
            with watch:
                chunk = compressor.compress(block)
            out.write(chunk)
        out.write(compressor.flush())
    return watch.seconds


def _encrypt(packed: Path) -> float:
    watch = Stopwatch()
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.CBC(bytes(16))).encryptor()
    buffer = bytearray(BLOCK_BYTES + 16)
    for block in _blocks(packed):
        with watch:
            count = encryptor.update_into(block[: len(block) // 16 * 16], buffer)
            hashlib.sha1(memoryview(buffer)[:count])
            hashlib.md5(memoryview(buffer)[:count])
    return watch.seconds


def _upload(packed: Path, bucket_url: str) -> float:
    parts, watch = urlsplit(bucket_url), Stopwatch()
    left_bytes, number = packed.stat().st_size, 0
    blocks = _blocks(packed)
    with socket.create_connection((parts.hostname, parts.port)) as client:
        client.sendall(f"PUT {parts.path} HTTP/1.1\r\n\r\n".encode())
        client.recv(65536)
        while left_bytes:
            size = min(left_bytes, PART_BYTES)
            head = f"PUT {parts.path}/{number} HTTP/1.1\r\nContent-Length: {size}\r\n"
            client.sendall(f"{head}Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
            left_bytes, number = left_bytes - size, number + 1
            while size:
                block = next(blocks)
                size -= len(block)
                with watch:
                    client.sendall(block)
            client.recv(65536)
    return watch.seconds


def _blocks(path: Path) -> Iterator[memoryview]:
    """Give a file in blocks of one reused buffer."""
    buffer = bytearray(BLOCK_BYTES)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield memoryview(buffer)[:count]

"""Part ``link``: how much longer an install takes than the line needs for the bytes alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from isal import igzip_lib

from benchmarks.chain import bare_curl_s
from benchmarks.ground import ground
from benchmarks.images import Image
from benchmarks.installs import file_url
from benchmarks.report import Report, median_row, ratio_row

PART = "link"
MIB = 2**20
LAST_BYTES = 2**19
AT_MOST = {125: 1.10, 50: 1.03}


def measure(work: Path, image: Image, rounds: Mapping[int, int], report: Report) -> None:
    """Install over slow lines.

    Args:
        rounds: how many at each speed, in MB/s.
    """
    tail_bytes, tail_s = _tail(image)
    told = f"{tail_bytes / 2**20:.0f} MiB, which come with the last {LAST_BYTES >> 10} KiB"
    report.add(median_row(PART, image.title, "SHA-1 alone of the last", [tail_s], note=told))
    with ground(work, [image]) as place:
        url = file_url(place, image)
        place.once(place.uris[0])
        for rate, times in rounds.items():
            place.limit(rate)
            curl_s, installed_s = [], []
            for _ in range(times):
                curl_s.append(bare_curl_s(place.work, url))
                installed_s.append(place.once(place.uris[0]).seconds)
            subject = f"{image.title}, {rate} MB/s"
            exact = f"{image.path_bytes / rate / 1e6:.2f} s by the line alone"
            report.add(median_row(PART, subject, "bare curl to disk", curl_s, note=exact))
            report.add(median_row(PART, subject, "installed", installed_s))
            what, target = "installed / bare curl", AT_MOST.get(rate)
            report.add(ratio_row(PART, subject, what, installed_s, curl_s, target))
            what, least_s = "installed / (bare curl + that SHA-1)", [s + tail_s for s in curl_s]
            report.add(ratio_row(PART, subject, what, installed_s, least_s))


def _tail(image: Image) -> tuple[int, float]:
    """Give how much the last bytes of a gzip unpack to, and the seconds that SHA-1 of it takes.

    Free space of a file system packs to next to nothing, and often lies at its end. The archive's
    SHA-1 has to go through it when the line has nothing more to give.
    """
    codec = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    at_bytes = image.path_bytes - LAST_BYTES
    before_bytes = all_bytes = read_bytes = 0
    with image.path.open("rb") as file:
        while piece := file.read(min(MIB, max(0, at_bytes - read_bytes)) or LAST_BYTES):
            if read_bytes == at_bytes:
                before_bytes = all_bytes
            read_bytes += len(piece)
            while not codec.eof:
                all_bytes += len(codec.decompress(piece, MIB))
                piece = b""
                if codec.needs_input:
                    break
    zeros, digest, began_s = bytes(MIB), hashlib.sha1(), time.perf_counter()
    for _ in range((all_bytes - before_bytes) // MIB):
        digest.update(zeros)
    return all_bytes - before_bytes, time.perf_counter() - began_s

"""Part ``link``: how much longer an install takes than the line needs for the bytes alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.chain import bare_curl_s
from benchmarks.ground import ground
from benchmarks.images import Image
from benchmarks.installs import file_url
from benchmarks.report import Report, median_row, ratio_row

PART = "link"
AT_MOST = {125: 1.10, 50: 1.03}


def measure(work: Path, image: Image, rounds: Mapping[int, int], report: Report) -> None:
    """Install over slow lines.

    Args:
        rounds: how many at each speed, in MB/s.
    """
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

"""``make bench``: what the daemon costs, measured on the daemon itself, as ratios within one run.

Everything is on 127.0.0.1, in a directory that is gone afterwards, and ends by itself. The machine
is seldom alone, so what is compared takes turns, and medians of the turns are told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import api, bundles, installs, link, memory, plot, scale, sources
from benchmarks.images import FORMS, Images
from benchmarks.installs import Plan
from benchmarks.report import Report

NOISE = "noise"
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Size:
    """How much is done.

    Args:
        mib, large_mib: of the images that are installed; 0: no large ones.
        chains: rounds of the steps by hand.
        link: rounds by the speed of the line in MB/s.
        memory_mib: images whose memory and room are looked at.
        api_s: seconds of each load.
    """

    mib: int
    large_mib: int
    rounds: int
    chains: int
    gzip_chains: int
    large_rounds: int
    link: dict[int, int]
    memory_mib: tuple[int, ...]
    busy: tuple[int, ...]
    api_s: float
    installed: int
    catalogue: int
    listeners: int
    forms: tuple[str, ...] = (*FORMS, NOISE)
    large_forms: tuple[str, ...] = ("gzip",)


SIZES = {
    "full": Size(
        mib=1024, large_mib=4096, rounds=5, chains=5, gzip_chains=3, large_rounds=3,
        link={125: 7, 50: 5, 10: 3}, memory_mib=(256, 1024, 4096, 16384),
        busy=(1, 4, 8), api_s=10, installed=10_000, catalogue=50_000, listeners=1000,
    ),
    "small": Size(
        mib=256, large_mib=0, rounds=5, chains=3, gzip_chains=3, large_rounds=0,
        link={125: 5, 50: 5, 10: 3}, memory_mib=(256, 1024),
        busy=(1, 4, 8), api_s=5, installed=2_000, catalogue=10_000, listeners=200,
    ),
    "smoke": Size(
        mib=32, large_mib=0, rounds=1, chains=1, gzip_chains=1, large_rounds=0,
        link={50: 1}, memory_mib=(32,),
        busy=(1,), api_s=1, installed=100, catalogue=1_000, listeners=20,
        forms=("gzip", "raw", "qcow2", NOISE),
    ),
}  # fmt: skip
PARTS = ("bundle", "install", "link", "memory", "api", "scale", "sources")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON and a chart."""
    options = _options(arguments)
    size, report = SIZES[options.size], Report(options.size)
    if options.forms:
        size = replace(size, forms=options.forms)
    with _workshop(options.keep) as (work, images):
        for part, measure in _measures(work, images, size, report).items():
            if part in options.only:
                measure()
    print(report.table())
    name = time.strftime("%Y%m%dT%H%M%S", time.gmtime(report.began_s))
    written = RESULTS / f"{name}-{options.size}.json"
    report.write(written)
    print(f"All samples: {written}")
    if plot.draw(report.rows, written.with_suffix(".svg")):
        print(f"Chart: {written.with_suffix('.svg')}")
    return 0


def _measures(
    work: Path, images: Images, size: Size, report: Report
) -> dict[str, Callable[[], None]]:
    return {
        "bundle": lambda: bundles.check(work, images.ext4(min(size.mib, 256), "gzip"), report),
        "install": lambda: installs.measure(work, _plans(images, size), report),
        "link": lambda: link.measure(work, images.ext4(size.mib, "gzip"), size.link, report),
        "memory": lambda: memory.measure(
            work, [partial(images.ext4, mib, "gzip") for mib in size.memory_mib], report
        ),
        "api": lambda: api.measure(
            work, images.ext4(size.mib, "gzip"), size.busy, size.api_s, report
        ),
        "scale": lambda: scale.measure(
            work, images.ext4(32, "gzip"), size.installed, size.catalogue, size.listeners, report
        ),
        "sources": lambda: sources.measure(size.catalogue, size.catalogue // 2_500 or 1, report),
    }


def _plans(images: Images, size: Size) -> Iterator[Plan]:
    for form in size.forms:
        if form == NOISE:
            yield Plan(images.noise(size.mib), size.rounds, size.chains)
            continue
        gzip_chains, moto = (size.gzip_chains, size.rounds) if form == "gzip" else (0, 0)
        yield Plan(images.ext4(size.mib, form), size.rounds, size.chains, gzip_chains, moto)
    for form in size.large_forms if size.large_mib else ():
        if form in size.forms:
            yield Plan(images.ext4(size.large_mib, form), size.large_rounds, chains=1)


@contextmanager
def _workshop(keep: Path | None) -> Iterator[tuple[Path, Images]]:
    with tempfile.TemporaryDirectory(prefix="image-store-bench-") as name:
        yield Path(name), Images((keep or Path(name, "images")).absolute())


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument(
        "--only", type=_some_of(PARTS), default=PARTS, metavar="PARTS", help=", ".join(PARTS)
    )
    parser.add_argument(
        "--forms", type=_some_of((*FORMS, NOISE)), metavar="FORMS", help="what is installed"
    )
    parser.add_argument("--keep", type=Path, help="where images are kept for the next run")
    return parser.parse_args(arguments)


def _some_of(names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def some(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
        if not set(wanted) <= set(names):
            raise argparse.ArgumentTypeError(f"there are {', '.join(names)}")
        return wanted

    return some


if __name__ == "__main__":
    sys.exit(main())

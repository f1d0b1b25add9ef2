"""Part ``install``: against the steps by hand, against bare curl, and against what is possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.chain import bare_curl_s, run_chain
from benchmarks.costs import step_costs
from benchmarks.ground import Ground, Spent, cores, ground
from benchmarks.images import Image, zeros_percent
from benchmarks.report import Report, median_row, ratio_row
from tests.functional.moto_server import moto_server

PART = "install"
CPU_AT_MOST = 1.25
# How many times as long the steps by hand take, for a GiB.
CHAIN_AT_LEAST = {("gzip", "pigz"): 12.0, ("gzip", "gzip"): 18.0, ("raw", "pigz"): 9.0}


@dataclass(frozen=True)
class Plan:
    """How often what is done with an image; the chain is long, so it may have fewer rounds."""

    image: Image
    rounds: int
    chains: int
    gzip_chains: int = 0
    moto: int = 0


@dataclass
class Measured:
    """What came out, round by round."""

    curl_s: list[float] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    costs: list[dict[str, float]] = field(default_factory=list)
    pigz: list[dict[str, float]] = field(default_factory=list)
    gzip: list[dict[str, float]] = field(default_factory=list)


def measure(work: Path, plans: Iterable[Plan], report: Report) -> None:
    """Run every plan."""
    for plan in plans:
        with ground(work, [plan.image]) as place:
            # The first install loads boto3 and tries the cloud out.
            place.once(place.uris[0])
            measured = Measured()
            for number in range(plan.rounds):
                _round(place, plan, number, measured)
        _report(plan.image, measured, report)
        if plan.moto:
            _in_moto(work, plan, report)


def file_url(place: Ground, image: Image) -> str:
    """Give the URL of an image's file."""
    return f"{place.source.url}/api/files/{image.id}{image.path.suffix}"


def _round(place: Ground, plan: Plan, number: int, measured: Measured) -> None:
    url = file_url(place, plan.image)
    measured.curl_s.append(bare_curl_s(place.work, url))
    measured.spent.append(place.once(place.uris[0]))
    bucket = _bucket(place, f"costs-{number}")
    measured.costs.append(step_costs(place.work, plan.image, url, bucket))
    chains = (("pigz", plan.chains, measured.pigz), ("gzip", plan.gzip_chains, measured.gzip))
    for compress, rounds, results in chains:
        if number < rounds:
            bucket = _bucket(place, f"{compress}-{number}")
            results.append(run_chain(place.work, plan.image, url, bucket, compress))


def _bucket(place: Ground, name: str) -> str:
    """Make a bucket in the sink, where it takes no room."""
    url = f"{place.sink.url}/{name}"
    with urlopen(Request(url, method="PUT"), timeout=60):
        return url


def _report(image: Image, measured: Measured, report: Report) -> None:
    subject = image.title
    installed_s = [one.seconds for one in measured.spent]
    sums_s = [sum(costs.values()) for costs in measured.costs]
    limits_s = [one / cores() for one in sums_s]
    mib = image.path_bytes / 2**20
    about = f"{mib:,.0f} MiB to download, {zeros_percent(image.raw)} % of the image zeros"
    report.add(median_row(PART, subject, "installed", installed_s, note=about))
    report.add(median_row(PART, subject, "bare curl to disk", measured.curl_s))
    for name, results in (("pigz", measured.pigz), ("gzip", measured.gzip)):
        if results:
            chain_s = [steps["total"] for steps in results]
            what = f"steps by hand, {name}"
            report.add(median_row(PART, subject, what, chain_s, note=_told_steps(results)))
            times = f"{what} / installed"
            target = CHAIN_AT_LEAST.get((image.id.removesuffix("-1024"), name))
            report.add(ratio_row(PART, subject, times, chain_s, installed_s, at_least=target))
    what = "installed / bare curl"
    report.add(ratio_row(PART, subject, what, installed_s, measured.curl_s))
    note = _told_steps(measured.costs)
    report.add(median_row(PART, subject, "CPU of the steps alone", sums_s, note=note))
    cpu_s = [one.cpu_s for one in measured.spent]
    report.add(median_row(PART, subject, "CPU of the daemon", cpu_s))
    what = "CPU of the daemon / of the steps"
    report.add(ratio_row(PART, subject, what, cpu_s, sums_s, CPU_AT_MOST))
    what = f"limit: the steps' CPU / {cores()} cores"
    report.add(median_row(PART, subject, what, limits_s))
    report.add(ratio_row(PART, subject, "installed / limit", installed_s, limits_s))


def _told_steps(rounds: list[dict[str, float]]) -> str:
    names = (name for name in rounds[0] if name != "total")
    middle = {name: sorted(one[name] for one in rounds)[len(rounds) // 2] for name in names}
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in middle.items())


def _in_moto(work: Path, plan: Plan, report: Report) -> None:
    with moto_server() as url, ground(work, [plan.image], cloud_url=url) as place:
        place.once(place.uris[0])
        spent = [place.once(place.uris[0]) for _ in range(plan.moto)]
    note = "moto takes CPU of its own"
    seconds = [one.seconds for one in spent]
    report.add(median_row(PART, plan.image.title, "installed, into moto", seconds, note=note))

"""The numbers of the real daemon: they move by what has happened, and by nothing else."""

from __future__ import annotations

import gzip
import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from imagestoreproxy import __version__
from imagestoreproxy.outside.metrics import READ
from tests.functional.rig import Rig, ec2_rig, fake_rig, wait_for

TRIO = "Example Server"
Samples = dict[tuple[str, tuple[str, ...]], float]


def scrape(rig: Rig) -> Samples:
    """Read the numbers as Prometheus does: unsigned, from this machine."""
    url = f"http://127.0.0.1:{rig.daemon.port}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sent_bytes(rig: Rig, name: str) -> int:
    """Ask the store how much it sent of a file."""
    url = f"http://127.0.0.1:{rig.store.port}/control"
    with urllib.request.urlopen(url, timeout=30) as answer:
        counts = json.load(answer)["bytes"]
    return sum(count for path, count in counts.items() if path.endswith(name))


def moved(before: Samples, after: Samples, name: str) -> dict[tuple[str, ...], float]:
    """Give by how much each series of a metric has moved, where it has."""
    differences = {
        labels: value - before.get((one, labels), 0.0)
        for (one, labels), value in after.items()
        if one == name
    }
    return {labels: value for labels, value in differences.items() if value}


def test_an_install_moves_the_numbers_by_exactly_what_happened(
    tmp_path: Path, images: Path
) -> None:
    packed = {path.name: path.read_bytes() for path in images.iterdir()}
    sizes = {name: len(content) for name, content in packed.items()}
    contents = [
        gzip.decompress(content) if name.endswith(".gz") else content
        for name, content in packed.items()
    ]
    with fake_rig(tmp_path, images, "--cache-size=1") as rig:
        uri = rig.image(TRIO)
        before = scrape(rig)
        assert before["image_store_images", ("installed",)] == 0
        assert before["image_store_info", tuple(sorted((__version__, "fake")))] == 1
        rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
        after = scrape(rig)

        def by(name: str) -> dict[tuple[str, ...], float]:
            return moved(before, after, f"image_store_{name}")

        assert by("installs_total") == {("installed",): 1}
        assert by("install_duration_seconds_count") == {("installed",): 1}
        assert by("fetched_bytes_total") == {(): sum(sent_bytes(rig, name) for name in sizes)}
        assert by("uploaded_bytes_total") == {(): sum(map(len, contents))}
        assert by("images") == {("installed",): 1}
        assert by("cache_bytes") == {(): sum(sizes.values())}
        assert by("http_refused_requests_total") == {}
        stages = by("stage_duration_seconds_count")
        assert {("waiting",), ("checking",), ("registering",)} <= stages.keys()
        requests = by("http_request_duration_seconds_count")
        assert requests["/api/images/*/install", "200", "POST"] == 1
        # A scrape is counted when it has been answered: the second one sees the first.
        assert requests["/metrics", "200", "GET"] == 1

        # Each that is promised has a value in a real daemon.
        assert {name for name, _ in after} >= READ.keys()

        rig.daemon.act(uri, "uninstall")
        rig.daemon.wait(uri, "uninstalled")
        again = scrape(rig)
        assert moved(after, again, "image_store_images") == {("installed",): -1}
        assert moved(after, again, "image_store_installs_total") == {}
        # From the cache: nothing comes from the store.
        rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
        last = scrape(rig)
        assert moved(again, last, "image_store_fetched_bytes_total") == {}
        assert moved(again, last, "image_store_installs_total") == {("installed",): 1}


def test_a_failure_a_cancel_and_a_source_that_is_away_are_seen(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images) as rig:
        uri = rig.image(TRIO)
        before = scrape(rig)
        name = rig.daemon.proxy.get("/api/sources")["sources"][0]["name"]
        assert before["image_store_source_problem", (name,)] == 0
        assert 0 <= before["image_store_source_age_seconds", (name,)] < 600

        rig.store.control(fault="slow", rate=100_000)
        rig.daemon.act(uri, "install")
        wait_for("some bytes", lambda: rig.daemon.state(uri).get("bytes-done", 0) > 0)
        assert scrape(rig)["image_store_images", ("downloading",)] == 1
        rig.daemon.act(uri, "cancel")
        rig.daemon.wait(uri, "uninstalled")
        cancelled = scrape(rig)
        assert moved(before, cancelled, "image_store_installs_total") == {("cancelled",): 1}

        rig.store.control(fault="wrong-signature")
        rig.daemon.act(uri, "install")
        wait_for("the failure", lambda: "retry" in rig.daemon.state(uri)["actions"])
        rig.store.control(fault="500")
        rig.daemon.proxy.post("/api/sources/refresh")
        failed = scrape(rig)
        assert moved(cancelled, failed, "image_store_installs_total") == {("failed",): 1}
        assert failed["image_store_images", ("failed",)] == 1
        assert failed["image_store_source_problem", (name,)] == 1


def test_what_is_uploaded_to_s3_is_counted_as_it_is_taken(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with ec2_rig(tmp_path, images, moto_url) as rig:
        uri = rig.image(TRIO)
        before = scrape(rig)
        rig.daemon.act(uri, "install")
        rig.daemon.wait(uri, "installed")
        after = scrape(rig)
    (uploaded,) = moved(before, after, "image_store_uploaded_bytes_total").values()
    # 12 MiB of noise cannot be compressed, 12 MiB of zeros can.
    assert 12 * 2**20 < uploaded < 16 * 2**20

"""What fault tests stand on: small images, and a look at the cloud, the records and the disk."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagestoreproxy.clouds.preflight import BUCKET
from imagestoreproxy.model.installs import ACTIVE
from tests.functional import cloud_clients
from tests.functional.rig import Daemon, State, wait_for

QUIET_S = 60.0
AT_REST = ("installed", "uninstalled")


def make_images(directory: Path, kib: int = 400) -> Path:
    """Make a directory for fakestoreapi.py: an install of it takes a tenth of a second."""
    noise = random.Random(7)
    directory.mkdir(parents=True)
    (directory / "kernel").write_bytes(noise.randbytes(40_000))
    (directory / "ramdisk.gz").write_bytes(gzip.compress(noise.randbytes(60_000)))
    image = noise.randbytes(kib * 512) + bytes(kib * 512)
    (directory / "image.gz").write_bytes(gzip.compress(image))
    return directory


@dataclass(frozen=True)
class Contents:
    """What a cloud holds: buckets, and what each registered image is made of, by its id."""

    buckets: frozenset[str]
    registered: dict[str, str]


Look = Callable[[], Contents]


def fake_cloud(daemon: Daemon) -> Look:
    """Look into the file of ``--fake-eucalyptus``."""

    def look() -> Contents:
        path = daemon.data_dir / "fake-cloud.json"
        if not path.exists():
            return Contents(frozenset(), {})
        held = json.loads(path.read_text())
        registered = {name: str(one["location"]) for name, one in held["registered"].items()}
        return Contents(frozenset(held["stored"]), registered)

    return look


def ec2_cloud(url: str) -> Look:
    """Look into moto, which must be this test's alone.

    Buckets of a preflight that was killed are left out: they belong to the next preflight, which
    removes them once they are two minutes old, as a test in ``test_cloud.py`` shows.
    """
    s3, ec2 = (cloud_clients.client(name, url) for name in ("s3", "ec2"))

    def look() -> Contents:
        found = ec2.describe_images(Owners=["self"])["Images"]
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        return Contents(
            frozenset(name for name in names if not name.startswith(BUCKET)),
            {image["ImageId"]: image["Name"] for image in found},  # moto keeps no ImageLocation,
        )

    return look


def at_rest(daemon: Daemon, uris: list[str], within_s: float = QUIET_S) -> dict[str, State]:
    """Wait until nothing is in progress; give the states by URI."""

    def look() -> dict[str, State] | None:
        answer = daemon.proxy.post("/api/states", [("image-uri", uri) for uri in uris])
        states = {state["image-uri"]: state for state in answer["states"]}
        return states if all(one["status"] in AT_REST for one in states.values()) else None

    return dict(wait_for("all images at rest", look, within_s))


def rows(daemon: Daemon, query: str) -> list[sqlite3.Row]:
    """Ask the daemon's database, which must be sound; it may be in use."""
    path = daemon.data_dir / "state.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        return database.execute(query).fetchall()


def problems(daemon: Daemon, look: Look) -> list[str]:
    """Tell what is wrong while nothing is in progress; each thing that nobody owns is one line.

    What the cloud has is what the records say, once each; the disk has files of failed installs
    only; no row says that something is going on.
    """
    found = [f"integrity: {row[0]}" for row in rows(daemon, "PRAGMA integrity_check")]
    found = [line for line in found if line != "integrity: ok"]
    installs = rows(daemon, "SELECT image_uri, state, token FROM installs")
    active = {state.value for state in ACTIVE}
    found += [f"{r['image_uri']} is {r['state']}" for r in installs if r["state"] in active]
    kept = {row["token"] for row in installs}
    found += [f"on disk: {path}" for path in daemon.files() if path.parent.name not in kept]
    return found + _differences(daemon, look())


def _differences(daemon: Daemon, contents: Contents) -> list[str]:
    bundles = rows(daemon, "SELECT bucket, location, image_id FROM installed_bundles")
    ledger = rows(daemon, "SELECT bucket FROM bundles")
    found = [f"a ledger row is left: {row['bucket']}" for row in ledger]
    owned = {row["bucket"] for row in bundles}
    found += [f"in the cloud, owned by nobody: {one}" for one in contents.buckets - owned]
    found += [f"gone from the cloud: {one}" for one in owned - contents.buckets]
    known = {row["image_id"]: row["location"] for row in bundles}
    found += [f"registered, owned by nobody: {one}" for one in contents.registered.keys() - known]
    found += [f"not registered: {one}" for one in known.keys() - contents.registered.keys()]
    often = Counter(contents.registered.values())
    found += [f"registered {n} times: {location}" for location, n in often.items() if n > 1]
    versions = Counter(
        (row["image_uri"], row["version"])
        for row in rows(daemon, "SELECT image_uri, version FROM installations")
    )
    return found + [f"installed {n} times: {one}" for one, n in versions.items() if n > 1]


def said_500(daemon: Daemon) -> int:
    """Count the answers with status 500 in the log of a daemon that runs with ``--debug``."""
    return daemon.said().count(": 500, ")


def errors(states: dict[str, State]) -> dict[str, Any]:
    """Give the error messages by URI."""
    found = {uri: state.get("error-message") for uri, state in states.items()}
    return {uri: message for uri, message in found.items() if message}

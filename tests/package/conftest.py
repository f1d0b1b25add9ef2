"""What the tests of the package share. They are run by ``make deb-test`` alone."""

from __future__ import annotations

import fcntl
import gzip
import os
import random
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.moto_server import moto_server
from tests.functional.rig import ROOT, Process, wait_for
from tests.package.machine import Machine

if "DEB" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

STORE_URL = "http://localhost:52781/api"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


_FAILED = pytest.StashKey[str]()


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember a step that failed: those after it have nothing to stand on."""
    excinfo = call.excinfo
    if excinfo and item.parent and not excinfo.errisinstance(pytest.skip.Exception):
        item.parent.stash.setdefault(_FAILED, item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    failed = item.parent.stash.get(_FAILED, "") if item.parent else ""
    if failed:
        pytest.fail(f"not tried, because {failed} failed", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def loopback() -> None:
    """127.0.0.1 is there, and nothing else."""
    with socket.socket() as any_socket:
        request = struct.pack("16sH22x", b"lo", IFF_UP)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


@pytest.fixture(scope="session")
def package() -> Path:
    return Path(os.environ["DEB"])


@pytest.fixture(scope="session")
def debian() -> Path:
    """A fresh Debian, for looking and copying only."""
    root = Path(os.environ["DEB_WORK"]) / "debian"
    root.mkdir(mode=0o755)
    archive = os.environ["DEB_DEBIAN"]
    subprocess.run(["tar", "-C", root, "-xpf", archive], check=True, timeout=120)
    return root


@pytest.fixture(scope="session")
def new_machine(debian: Path) -> Callable[[str], Machine]:
    """Give fresh machines, by a name. They go with our namespaces, and with DEB_WORK."""
    work = Path(os.environ["DEB_WORK"])

    def new(name: str) -> Machine:
        root = work / name
        _copy(debian, root)
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True, timeout=10)
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        # Where nothing boots it, packages would start no service without this.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o755)
        # What is on the disk of a throw-away machine when the power fails is nobody's concern.
        (root / "etc/dpkg/dpkg.cfg.d/unsafe").write_text("force-unsafe-io\n")
        return Machine(root)

    return new


def _copy(debian: Path, root: Path) -> None:
    """Make a copy of a tree, where the file system allows it without copying anything."""
    upper, work = root.with_suffix(".upper"), root.with_suffix(".work")
    for directory in (root, upper, work):
        directory.mkdir(mode=0o755)
    layers = f"lowerdir={debian},upperdir={upper},workdir={work}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(root)]
    if subprocess.run(mount, capture_output=True, timeout=10).returncode:
        subprocess.run(["cp", "-a", f"{debian}/.", root], check=True, timeout=120)


@pytest.fixture(scope="session")
def cloud_url() -> Iterator[str]:
    """moto's EC2 and S3 over HTTP, once it has loaded what answers: that takes it long."""
    with moto_server() as url:
        wait_for("a cloud", lambda: _has_answered(url), 120)
        yield url


def _has_answered(url: str) -> bool:
    ec2 = f"{url}/?Action=DescribeImages&Version=2016-11-15"
    head = "Credential=a/20200101/us-east-1/{}/aws4_request"
    try:
        for address, service in ((ec2, "ec2"), (url, "s3")):
            request = urllib.request.Request(
                address, headers={"Authorization": f"AWS4-HMAC-SHA256 {head.format(service)}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory named images/ with a kernel, a ramdisk and an image."""
    directory = tmp_path_factory.mktemp("store") / "images"
    directory.mkdir()
    noise = random.Random(7)
    (directory / "kernel").write_bytes(noise.randbytes(300_000))
    (directory / "ramdisk").write_bytes(noise.randbytes(500_000))
    image = noise.randbytes(11 << 20) + bytes(4 << 20)
    (directory / "image.gz").write_bytes(gzip.compress(image, 1))
    return directory


@contextmanager
def running_store(images: Path, log: Path) -> Iterator[str]:
    """Do as ``python fakestoreapi.py images/``, on its own port; give its URL."""
    store = Process([sys.executable, str(ROOT / "fakestoreapi.py"), f"{images}/"], log)
    store.start()
    try:
        wait_for("the store", lambda: _listens(52781))
        yield STORE_URL
    finally:
        store.end()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

""" "More realistic testing" of the seed document, as it stands there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from imagestoreproxy.client.requests import Connection
from tests.functional.rig import CLIENT_ID, ROOT, SECRET, wait_for
from tests.functional.unbundle import unbundle
from tests.package.conftest import running_store
from tests.package.machine import PROXY_URL, Machine, StoreTab, answers
from tests.standins.front_end import install_front_end
from tests.standins.install import calls, install_standins

DEFAULTS = """\
DAEMON_OPTS="--debug --api-url=http://localhost:52781/api
             --keyring=/tmp/fake-pubring.gpg"
"""
TRIO = "Example Server"
PYTHON = "/usr/bin/python3"


def s3_of(cloud_url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=cloud_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def manifests(cloud_url: str) -> set[str]:
    """Give where the cloud has the manifest of a machine image."""
    s3 = s3_of(cloud_url)
    return {
        f"{bucket['Name']}/{entry['Key']}"
        for bucket in s3.list_buckets()["Buckets"]
        for entry in s3.list_objects(Bucket=bucket["Name"]).get("Contents", ())
        if entry["Key"].endswith(".manifest.xml") and entry["Key"].startswith("image")
    }


def eucalyptus_on(machine: Machine, cloud_url: str, version: str, prefix: str = "") -> Path:
    """Put a front end under a prefix, with a cloud elsewhere; give the cloud's private key."""
    with tempfile.TemporaryDirectory() as directory:
        made = install_front_end(
            Path(directory) / "prefix",
            version,
            cloud_url,
            cloud_url,
            python=PYTHON,
            access_key=CLIENT_ID,
            secret_key=SECRET,
        )
        shutil.copytree(made.prefix, machine.root / prefix, dirs_exist_ok=True, symlinks=True)
    return machine.root / prefix / "var/lib/eucalyptus/keys/cloud-pk.pem"


def euca2ools_on(machine: Machine, generation: str) -> None:
    """Put the stand-ins of one generation where Debian has programs."""
    install_standins(machine.root / "usr/bin", generation, python=PYTHON)
    (machine.root / "usr/bin/.standin").chmod(0o777)


def test_the_testing_flow_of_the_seed_document(
    new_machine: Callable[[str], Machine],
    package: Path,
    images: Path,
    cloud_url: str,
    tmp_path: Path,
) -> None:
    """Edit the file, copy the keyring, run the store, restart; a click on Install does the rest."""
    machine, there_before = new_machine("seed"), manifests(cloud_url)
    # "After Eucalyptus is running correctly and the Image Store proxy is installed and running"
    cloud_key = eucalyptus_on(machine, cloud_url, "2.0")
    euca2ools_on(machine, "1.3")
    machine.install(package)
    machine.service("status")

    machine.write("/etc/default/image-store-proxy", DEFAULTS)
    shutil.copyfile(ROOT / "fake-pubring.gpg", machine.root / "tmp/fake-pubring.gpg")
    with running_store(images, tmp_path / "store.log"):
        machine.service("restart")
        wait_for("the daemon", answers)
        tab = StoreTab(Connection(PROXY_URL, CLIENT_ID, SECRET))
        image = tab.uri(TRIO)
        tab.click(image, "install")
        state = tab.wait(image, "installed")

    assert state["emi"]
    place = tmp_path / "opened"
    place.mkdir()
    (location,) = manifests(cloud_url) - there_before
    kept = machine.root / "var/lib/image-store-proxy"
    certificate = next(kept.rglob("euca2-*-cert.pem"))
    opened = unbundle(
        s3_of(cloud_url),
        location,
        place,
        private_key=cloud_key,
        whose="ec2",
        certificate=certificate,
        tar_digest=False,
    )
    assert opened.image.stat().st_size == 15 << 20
    assert {"euca-bundle-image", "euca-upload-bundle", "euca-register"} <= {
        call["tool"] for call in calls(machine.root / "usr/bin")
    }, "--cloud=auto takes euca2ools where they are"
    assert SECRET not in machine.said()
    machine.service("stop")
    assert not machine.process()

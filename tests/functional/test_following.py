"""The real daemon follows an image: what it says that it will do is what it does."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.functional import cloud_clients, warm
from tests.functional.rig import (
    CLIENT_ID,
    ROOT,
    SECRET,
    Rig,
    State,
    ec2_rig,
    fake_rig,
    wait_for,
)

DATABASE = "Example Database"
OLD, NEW = "1.9", "1.10"


def image_store(rig: Rig, *words: str) -> Any:
    """Run the command line, and give what it says in JSON."""
    done = warm.run(
        [
            sys.executable, str(ROOT / "bin" / "image-store"),
            f"--url=http://127.0.0.1:{rig.daemon.port}", f"--client-id={CLIENT_ID}",
            "--json", *words,
        ],
        {**os.environ, "IMAGE_STORE_SECRET": SECRET},
        timeout_s=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def followed(rig: Rig) -> State:
    (only,) = image_store(rig, "follow")["follows"]
    return dict(only)


def held(rig: Rig) -> dict[str, Any]:
    return dict(json.loads((rig.daemon.data_dir / "fake-cloud.json").read_text()))


def registered(rig: Rig) -> set[str]:
    return set(held(rig)["registered"])


def reload(rig: Rig, config: Path, text: str) -> None:
    config.write_text(text)
    assert rig.daemon.running
    rig.daemon.running.send_signal(signal.SIGHUP)


def test_p14_a_newer_version_comes_by_itself_in_the_window_as_it_was_told_before(
    tmp_path: Path, images: Path
) -> None:
    config = tmp_path / "config.toml"
    opens = datetime.now() + timedelta(hours=3)
    closed = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    config.write_text(f'[updates]\nwindow = "{closed}"\n')
    with fake_rig(tmp_path, images, f"--config={config}") as rig:
        uri = rig.image(DATABASE)
        first = image_store(rig, "follow", DATABASE, "--keep", "1")["follow"]
        assert first["keep"] == 1
        old = rig.daemon.wait(uri, "installed")
        assert old["follows"] is True
        wait_for("the end", lambda: followed(rig)["will"] == [f"nothing: {OLD} is the newest"])

        rig.store.control(newer=True)
        image_store(rig, "sources", "--refresh")
        told = followed(rig)
        assert told["will"] == [
            f"install {NEW} at {opens:%H:%M}",
            f"remove {OLD} then, unless an instance was started from it",
        ]
        assert (told["installed-version"], told["offered-version"]) == (OLD, NEW)
        assert rig.daemon.state(uri)["is-upgrade"] is True

        rig.daemon.end()
        rig.daemon.start()
        assert followed(rig)["will"] == told["will"]
        reload(rig, config, "")
        new = rig.daemon.wait(uri, "installed")
        assert new["installed-version"] == NEW
        wait_for("the old one to go", lambda: old["emi"] not in registered(rig))
        assert registered(rig) == {new["emi"], new["eki"], new["eri"]}
        newest = [f"nothing: {NEW} is the newest"]
        wait_for("the end of it", lambda: followed(rig)["will"] == newest)


def test_what_an_instance_was_started_from_stays_unless_told_so(
    tmp_path: Path, images: Path
) -> None:
    with fake_rig(tmp_path, images) as rig:
        uri = rig.image(DATABASE)
        image_store(rig, "install", DATABASE)
        old = rig.daemon.state(uri)
        state_file = rig.daemon.data_dir / "fake-cloud.json"
        state_file.write_text(
            json.dumps({**held(rig), "instances": {"i-7": {"image": old["emi"]}}})
        )
        image_store(rig, "follow", DATABASE, "--keep", "1")
        rig.store.control(newer=True)
        image_store(rig, "sources", "--refresh")
        keeps = [
            f"nothing: {NEW} is the newest",
            f"keep {OLD}: instance i-7 was started from it",
        ]
        wait_for("both", lambda: followed(rig)["will"] == keeps)
        assert old["emi"] in registered(rig)
        image_store(rig, "follow", DATABASE, "--keep", "1", "--even-if-used")
        wait_for("the old one to go", lambda: old["emi"] not in registered(rig))

        image_store(rig, "uninstall", DATABASE, "--yes")
        assert image_store(rig, "follow")["follows"] == []
        assert registered(rig) == set()


def test_what_runs_in_ec2_keeps_its_image_until_it_is_terminated(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    ec2 = cloud_clients.client("ec2", moto_url)
    with ec2_rig(tmp_path, images, moto_url) as rig:
        uri = rig.image(DATABASE)
        image_store(rig, "install", DATABASE)
        old = rig.daemon.state(uri)["emi"]
        started = ec2.run_instances(ImageId=old, MinCount=1, MaxCount=1)
        instance = started["Instances"][0]["InstanceId"]
        image_store(rig, "follow", DATABASE, "--keep", "1")
        rig.store.control(newer=True)
        image_store(rig, "sources", "--refresh")
        keeps = f"keep {OLD}: instance {instance} was started from it"
        wait_for("the newer one", lambda: keeps in followed(rig)["will"], within_s=60)
        ids = {one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]}
        assert {old, rig.daemon.state(uri)["emi"]} <= ids
        ec2.terminate_instances(InstanceIds=[instance])
        image_store(rig, "follow", DATABASE, "--keep", "1")  # the cloud is asked anew
        wait_for("the old one to go", lambda: not any("keep" in w for w in followed(rig)["will"]))
        wait_for(
            "its id to go",
            lambda: (
                old
                not in {one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]}
            ),
        )
        image_store(rig, "uninstall", DATABASE, "--yes")

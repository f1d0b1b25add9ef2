"""Full installs by the real daemon with euca2ools of each generation, and what may come between."""

from __future__ import annotations

import gzip
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.euca2ools_ground import REAL, Places
from tests.functional.interceptor import Interceptor, interceptor
from tests.functional.moto_server import empty
from tests.functional.rig import Rig, State, ec2_rig, wait_for
from tests.functional.test_daemon import TRIO, clients, ours
from tests.functional.test_euca2ools_traps import is_alive
from tests.functional.unbundle import unbundle
from tests.standins.install import calls, children, install_standins, set_traps

# From the click to a tool: checks, a download, perhaps a bundle.
LONG_S = 100
BUNDLE, UPLOAD, REGISTER = "euca-bundle-image", "euca-upload-bundle", "euca-register"
# One for each column of the table in docs/clouds.md; the contract suite runs on all.
SOME = ["1.2", "1.3", "2.1", "3.0", "3.4", *(["real"] if REAL else [])]


@dataclass
class Front:
    """A daemon with tools, before a cloud that begins empty of what it does."""

    rig: Rig
    cloud: Interceptor
    tools: Path
    before: tuple[set[str], set[str]]
    moto_url: str

    def new(self) -> tuple[set[str], set[str]]:
        """Give buckets and ids that have come since."""
        buckets, ids = ours(self.moto_url)
        return buckets - self.before[0], ids - self.before[1]

    def ran(self, tool: str) -> list[list[str]]:
        """Give the arguments of each run of a tool, without those that asked it who it is."""
        if not self.tools.is_relative_to("/tmp"):
            return []
        return [
            one["arguments"]
            for one in calls(self.tools)
            if one["tool"] == tool and one["arguments"] != ["--help"]
        ]

    def alive(self) -> list[int]:
        """Give the processes of tools, and of their children, that still run."""
        return is_alive(*(one["process"] for one in calls(self.tools)), *children(self.tools))

    def lying_about(self) -> list[str]:
        """Name what the daemon keeps for the tools."""
        ground = self.rig.daemon.data_dir / "euca2ools"
        return sorted(str(path.relative_to(ground)) for path in ground.rglob("*"))


@contextmanager
def a_front(
    tmp_path: Path, images: Path, moto_url: str, generation: str, *options: str
) -> Iterator[Front]:
    tools = Path(REAL)
    if generation != "real":
        tools = install_standins(tmp_path / "tools", generation)
    with interceptor(moto_url) as cloud:
        cloud.rewrite = Places()
        more = (*(options or ("--cloud=euca2ools",)), f"--euca2ools={tools}")
        with ec2_rig(tmp_path, images, cloud.url, *more) as rig:
            yield Front(rig, cloud, tools, ours(moto_url), moto_url)
    empty(moto_url)


def is_at(front: Front, uri: str, stage: str) -> bool:
    return bool(front.rig.daemon.state(uri).get("stage") == stage)


def ids_of(state: State) -> set[str]:
    return {state["emi"], state["eki"], state["eri"]}


@pytest.mark.parametrize("generation", SOME)
def test_what_is_installed_is_in_s3_byte_for_byte_and_leaves_nothing_when_it_goes(
    generation: str, tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, generation) as front:
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        done = front.rig.daemon.wait(uri, "installed", "uninstalled", within_s=120)
        assert done["status"] == "installed", done
        buckets, ids = front.new()
        assert ids == ids_of(done)
        assert front.lying_about() == []
        assert not front.rig.daemon.files()
        sources = {
            "kernel": (images / "kernel").read_bytes(),
            "ramdisk": gzip.decompress((images / "ramdisk.gz").read_bytes()),
            "image": gzip.decompress((images / "image.gz").read_bytes()),
        }
        s3, _ = clients(moto_url)
        said = {}
        for bucket in buckets:
            kind = bucket.rpartition("-")[2]
            keys = [o["Key"] for o in s3.list_objects(Bucket=bucket)["Contents"]]
            manifest = next(key for key in keys if key.endswith(".manifest.xml"))
            assert manifest.startswith({"kernel": "vmlinuz", "ramdisk": "initrd"}.get(kind, "im"))
            work = tmp_path / kind
            work.mkdir()
            assert front.rig.cloud_key
            found = unbundle(
                s3,
                f"{bucket}/{manifest}",
                work,
                private_key=front.rig.cloud_key,
                whose="ec2",
                certificate=next((tmp_path / "credentials").glob("euca2-*-cert.pem")),
                tar_digest=not generation.startswith("1."),
            )
            assert found.image.read_bytes() == sources.pop(kind)
            said[kind] = found.fields
        assert not sources
        assert said["image"]["machine_configuration/kernel_id"] == done["eki"]
        assert said["image"]["machine_configuration/ramdisk_id"] == done["eri"]
        assert said["kernel"]["machine_configuration/kernel_id"] == "true"
        assert said["ramdisk"]["machine_configuration/ramdisk_id"] == "true"
        front.rig.daemon.act(uri, "uninstall")
        front.rig.daemon.wait(uri, "uninstalled")
        wait_for("all to be gone", lambda: front.new() == (set(), set()))
        assert front.lying_about() == []


def test_auto_takes_tools_that_are_there_and_says_so_and_a_disk_is_offered_to_those_that_know_it(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    for generation, is_offered in (("2.1", False), ("3.4", True)):
        path = tmp_path / generation
        path.mkdir()
        with a_front(path, images, moto_url, generation, "--cloud=auto") as front:
            wait_for("the choice", lambda: "do the work" in front.rig.daemon.said())
            assert f"euca2ools {generation}" in front.rig.daemon.said()
            shown = front.rig.daemon.proxy.get("/api/dashboard")["images"]
            disk = next(one for one in shown if one["title"].endswith("bootable disk"))
            front.rig.daemon.act(disk["uri"], "install")
            state = front.rig.daemon.wait(disk["uri"], "installed", "uninstalled")
            assert (state["status"] == "installed") == is_offered, state
            assert is_offered or "hvm" in state["error-message"]


def test_bundling_is_a_stage_with_a_percentage_that_grows(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, "2.1") as front:
        set_traps(front.tools, slow=True, slow_s=0.7)
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        seen: list[tuple[str, int]] = []
        while (state := front.rig.daemon.state(uri))["status"] != "installed":
            assert not state.get("error-message"), state
            seen.append((state.get("stage", ""), state.get("progress-percentage", 0)))
            time.sleep(0.05)
        bundling = [percent for stage, percent in seen if stage == "bundling"]
        assert len(set(bundling)) > 2, seen
        assert bundling == sorted(bundling)


@pytest.mark.parametrize(("generation", "tool"), [("2.1", BUNDLE), ("3.4", UPLOAD)])
def test_p8_a_cancel_while_a_tool_works_leaves_nothing_anywhere(
    generation: str, tool: str, tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, generation) as front:
        set_traps(front.tools, hang=[tool], mute_hang=[tool], leave_child=[tool])
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        wait_for("a tool that hangs", lambda: children(front.tools), LONG_S)
        assert is_at(front, uri, "bundling")
        front.rig.daemon.act(uri, "cancel")
        front.rig.daemon.wait(uri, "uninstalled")
        assert not front.alive()
        assert front.new() == (set(), set())
        assert front.lying_about() == []
        assert not front.rig.daemon.files()


@pytest.mark.parametrize(
    ("generation", "tool"), [("1.3", BUNDLE), ("3.4", BUNDLE), ("1.3", UPLOAD), ("3.4", REGISTER)]
)
def test_p4_kill_9_while_a_tool_works_ends_installed_and_registered_once(
    generation: str, tool: str, tmp_path: Path, images: Path, moto_url: str
) -> None:
    """What has outlived the daemon is ended, and what it left is swept away."""
    with a_front(tmp_path, images, moto_url, generation) as front:
        set_traps(front.tools, hang=[tool], leave_child=[tool])
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        if tool == BUNDLE and generation.startswith("3"):
            wait_for("a tool", lambda: front.ran(tool), LONG_S)  # it does not rest in between
        else:
            wait_for("a tool that hangs", lambda: children(front.tools), LONG_S)
        front.rig.daemon.end(signal.SIGKILL)
        left = front.alive()
        set_traps(front.tools)
        front.rig.daemon.start()
        done = front.rig.daemon.wait(uri, "installed", "uninstalled", within_s=120)
        assert done["status"] == "installed", done
        assert not is_alive(*left)
        buckets, ids = front.new()
        assert ids == ids_of(done)
        assert len(buckets) == 3
        assert front.lying_about() == []


def test_a_stop_that_a_registration_holds_up_leaves_no_tool_and_no_key(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, "1.3") as front:
        set_traps(front.tools, hang=[REGISTER], leave_child=[REGISTER])
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        wait_for("a tool that hangs", lambda: children(front.tools), LONG_S)
        front.rig.daemon.end()
        wait_for("the end of it", lambda: not front.alive())
        assert front.lying_about() == []
        set_traps(front.tools)
        front.rig.daemon.start()
        done = front.rig.daemon.wait(uri, "installed", "uninstalled", within_s=120)
        assert front.new()[1] == ids_of(done)


def test_a_pause_while_a_tool_works_ends_it_and_a_resume_goes_on(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, "3.4") as front:
        set_traps(front.tools, hang=[UPLOAD])
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        wait_for("an upload", lambda: front.ran(UPLOAD), LONG_S)
        front.rig.daemon.act(uri, "pause")
        wait_for("the end of it", lambda: not front.alive())
        assert is_at(front, uri, "paused")
        set_traps(front.tools)
        front.rig.daemon.act(uri, "resume")
        done = front.rig.daemon.wait(uri, "installed", "uninstalled")
        assert front.new()[1] == ids_of(done)
        assert front.lying_about() == []


def test_h10_an_upload_that_is_refused_is_one_plain_sentence_and_a_retry_installs(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with a_front(tmp_path, images, moto_url, "1.2") as front:
        set_traps(front.tools, refused_upload=True)
        uri = front.rig.image(TRIO)
        front.rig.daemon.act(uri, "install")
        failed = front.rig.daemon.wait(uri, "uninstalled")
        wait_for("the undoing", lambda: front.rig.daemon.state(uri).get("error-message"))
        failed = front.rig.daemon.state(uri)
        assert "access denied" in failed["error-message"]
        assert "Traceback" not in failed["error-message"]
        assert front.lying_about() == []
        set_traps(front.tools)
        front.rig.daemon.act(uri, "retry" if "retry" in failed["actions"] else "install")
        assert front.rig.daemon.wait(uri, "installed")["status"] == "installed"

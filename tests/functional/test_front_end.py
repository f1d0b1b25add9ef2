"""The daemon on a front end: credentials of its programs, none at first, and changing ones."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.certificates import make_credentials_directory
from imagestoreproxy.client.requests import ClientError, Connection
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.euca2ools.generations import NEEDED
from imagestoreproxy.clouds.frontend.iam import account_number
from imagestoreproxy.model.errors import CloudError
from tests.functional import warm
from tests.functional.ec2_ground import ec2_error
from tests.functional.interceptor import Answer, Request, interceptor
from tests.functional.rig import CLIENT_ID, SECRET, Daemon, FakeStore, Rig, ec2_rig, wait_for
from tests.functional.test_euca2ools_traps import is_alive
from tests.unit.memory import NeverStop

TRIO = "Example Server"
EUCA_CONF = """#!/bin/sh
# As those of 1.6 to 4.2 are called; "up" is there once the cloud runs.
echo "$@" >> {prefix}/calls
if ! test -e {prefix}/up; then
    echo "ERROR: you need to be on the CLC host and the CLC needs to be running."
    exit 1
fi
test "$1" = --get-credentials || exit 2
test ! -e "$2" || {{ echo "file '$2' already exists, please remove and try again"; exit 1; }}
cp {prefix}/admin.zip "$2"
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Front:
    """A prefix with euca_conf, and a daemon that is told of it."""

    def __init__(self, tmp_path: Path, images: Path, moto_url: str, *options: str) -> None:
        self.prefix = tmp_path / "eucalyptus"
        self.path, self.cloud_url = tmp_path, moto_url
        program(self.prefix / "usr/sbin/euca_conf", EUCA_CONF.format(prefix=self.prefix))
        self.hand_out("made", CLIENT_ID)
        self.store = FakeStore(tmp_path, images)
        self.daemon = Daemon(
            tmp_path,
            f"--api-url={self.store.url}",
            f"--eucalyptus={self.prefix}",
            "--cloud=ec2",
            *options,
            HOME=str(tmp_path),
        )

    def hand_out(self, name: str, access_key: str) -> None:
        """Make the archive that euca_conf gives from now on."""
        made = make_credentials_directory(
            self.path / name, self.cloud_url, self.cloud_url, access_key, SECRET
        ).directory
        with zipfile.ZipFile(self.prefix / "admin.zip", "w") as archive:
            for file in made.iterdir():
                archive.write(file, file.name)

    @property
    def calls(self) -> int:
        path = self.prefix / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def check(self) -> subprocess.CompletedProcess[str]:
        outside = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        return warm.run(
            [*self.daemon.command, "--check"],
            {**outside, **self.daemon.environment},
            timeout_s=100,
        )

    def readiness(self) -> tuple[int, dict[str, object]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.daemon.port}/readyz") as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def running(front: Front) -> Iterator[Rig]:
    try:
        front.store.start()
        front.daemon.start()
        yield Rig(front.store, front.daemon)
    finally:
        for process in (front.daemon, front.store):
            if process.running and process.running.poll() is None:
                process.running.kill()
                process.running.wait(10)


def answers(proxy: Connection) -> bool:
    try:
        proxy.get("/api/sources")
    except ClientError:
        return False
    return True


def test_h8_a_front_end_that_boots_before_its_cloud_ends_up_with_an_image(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    front = Front(tmp_path, images, moto_url)
    with running(front) as rig:
        base = f"http://127.0.0.1:{rig.daemon.port}"
        with urllib.request.urlopen(f"{base}/") as answer:
            assert answer.status == 200
        wait_for("a first look", lambda: front.calls)
        request = f"{base}/api/dashboard?ClientId={CLIENT_ID}&Signature=x"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 503
        said = json.load(caught.value)["error-message"]
        assert "no credentials" in said
        assert str(tmp_path) not in said
        status, ready = front.readiness()
        assert status == 503
        assert "credentials" in json.dumps(ready)
        assert str(tmp_path) not in json.dumps(ready)
        wait_for("a reason", lambda: "still starting" in rig.daemon.said())
        checked = front.check()
        assert checked.returncode == 1
        assert "PROBLEM  credentials: " in checked.stdout
        assert "it is not running, or still starting" in checked.stdout

        (front.prefix / "up").touch()
        assert rig.daemon.running
        rig.daemon.running.send_signal(signal.SIGHUP)
        wait_for("credentials", lambda: answers(rig.daemon.proxy))
        calls = front.calls
        kept = rig.daemon.data_dir / "credentials"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o600}
        wait_for("the first catalogue", rig.daemon.has_a_catalogue)
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        assert rig.daemon.wait(uri, "installed")["emi"].startswith("ami-")
        checked = front.check()
        assert checked.returncode == 0, checked.stdout
        assert f"ok       credentials: {kept} (from {front.prefix}/usr/sbin/euca_conf)" in (
            checked.stdout
        )
        rig.daemon.end()
        rig.daemon.start()
        wait_for("credentials", lambda: answers(rig.daemon.proxy))
        assert front.calls == calls
        assert SECRET not in rig.daemon.said()


def test_a_check_before_the_first_start_leaves_the_daemon_what_it_fetched(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    front = Front(tmp_path, images, moto_url)
    (front.prefix / "up").touch()
    checked = front.check()
    assert "the daemon fetches them with" in checked.stdout
    assert front.calls == 0
    front.daemon.data_dir.mkdir(mode=0o700)
    checked = front.check()
    assert f"ok       credentials: {front.daemon.data_dir}/credentials" in checked.stdout
    assert front.calls == 1
    with running(front) as rig:
        wait_for("credentials", lambda: answers(rig.daemon.proxy))
        assert front.calls == 1


def test_a_cloud_that_was_installed_anew_is_installed_into_at_the_first_click(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    def refuse(request: Request) -> Answer | None:
        headers = str(request.headers)
        is_ec2 = "x-www-form-urlencoded" in headers
        signed = headers + (request.body().decode() if is_ec2 else "")
        return ec2_error(401, "AuthFailure") if CLIENT_ID in signed else None

    with interceptor(moto_url) as between:
        front = Front(tmp_path, images, between.url)
        (front.prefix / "up").touch()
        with running(front) as rig:
            wait_for("the first catalogue", rig.daemon.has_a_catalogue)
            uri = rig.image(TRIO)
            rig.daemon.end()
            (rig.daemon.data_dir / "credentials.asked").write_text(
                f"1 {time.time() - 3600:.0f} kept"
            )
            between.rule = refuse
            front.hand_out("anew", "of-the-new-cloud")
            rig.daemon.start()
            rig.daemon.act(uri, "install")
            rig.daemon.proxy = Connection(rig.daemon.proxy.url, "of-the-new-cloud", SECRET)
            wait_for("the new keys", lambda: answers(rig.daemon.proxy))
            assert rig.daemon.wait(uri, "installed")["emi"].startswith("ami-")
            assert front.calls == 2


def test_changed_keys_are_noticed_without_a_restart(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    with ec2_rig(tmp_path, images, moto_url) as rig:
        eucarc = tmp_path / "credentials" / "eucarc"
        changed = eucarc.read_text().replace(SECRET, "another-secret")
        new = eucarc.with_name("new")
        new.write_text(changed)
        new.replace(eucarc)
        other = Connection(rig.daemon.proxy.url, CLIENT_ID, "another-secret")
        wait_for("the new key", lambda: answers(other))
        assert not answers(rig.daemon.proxy)
        assert rig.daemon.running
        assert rig.daemon.running.poll() is None


def test_several_administrators_may_ask_and_one_who_leaves_may_not(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    people = tmp_path / "people"

    def write(*names: str) -> None:
        new = tmp_path / "new"
        new.write_text(
            "".join(
                f"[{name}]\naws_access_key_id = id-{name}\naws_secret_access_key = key-{name}\n"
                for name in names
            )
        )
        new.chmod(0o600)
        new.replace(people)

    write("ann", "bob")
    with ec2_rig(tmp_path, images, moto_url, f"--administrators={people}") as rig:
        ann, bob = (
            Connection(rig.daemon.proxy.url, f"id-{name}", f"key-{name}") for name in ("ann", "bob")
        )
        assert answers(ann)
        assert answers(bob)
        assert answers(rig.daemon.proxy)
        write("bob")
        wait_for("ann's leave", lambda: not answers(ann))
        assert answers(bob)


CLCADMIN = """#!/bin/sh
echo 'export AWS_IAM_URL={iam};'
echo 'export AWS_ACCESS_KEY_ID="{key}";'
echo 'export AWS_SECRET_ACCESS_KEY="{secret}";'
echo 'unset AWS_SESSION_TOKEN;'
"""


def test_system_credentials_of_4_2_and_later_install_an_image(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    front = Front(tmp_path, images, moto_url, f"--ec2-url={moto_url}", f"--s3-url={moto_url}")
    (front.prefix / "usr/sbin/euca_conf").unlink()
    program(
        front.prefix / "usr/sbin/clcadmin-assume-system-credentials",
        CLCADMIN.format(iam=moto_url, key=CLIENT_ID, secret=SECRET),
    )
    keys = front.prefix / "var/lib/eucalyptus/keys"
    keys.mkdir(parents=True)
    (keys / "cloud-cert.pem").write_bytes((tmp_path / "made/cloud-cert.pem").read_bytes())
    with running(front) as rig:
        wait_for("the first catalogue", rig.daemon.has_a_catalogue)
        uri = rig.image(TRIO)
        rig.daemon.act(uri, "install")
        assert rig.daemon.wait(uri, "installed")["emi"].startswith("ami-")
        checked = front.check()
        assert "clcadmin-assume-system-credentials; bundles are signed with a certificate of" in (
            checked.stdout
        )
        assert checked.returncode == 0, checked.stdout


def system_credentials(iam_url: str) -> Credentials:
    return Credentials("clcadmin", "testing", "hush-hush", iam_url=iam_url)


def test_the_account_is_that_of_the_arn_that_iam_tells(moto_url: str) -> None:
    number = account_number(system_credentials(moto_url), "us-east-1", "", NeverStop())
    assert number == "123456789012"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(403, "<ErrorResponse/>", {}), "HTTP 403"),
        (Answer(200, "<html/>", {}), "has no ARN"),
    ],
)
def test_why_iam_does_not_tell_is_said(answer: Answer, said: str, moto_url: str) -> None:
    with interceptor(moto_url) as between:
        between.rule = lambda request: answer
        with pytest.raises(CloudError, match=said) as caught:
            account_number(system_credentials(between.url), "us-east-1", "", NeverStop())
    assert between.url in caught.value.message
    assert "hush" not in caught.value.message


def test_tools_that_hang_hold_up_no_page_and_end_with_the_daemon(
    tmp_path: Path, images: Path, moto_url: str
) -> None:
    tools = tmp_path / "tools"
    for name in ("version", *(tool.removeprefix("euca-") for tool in NEEDED)):
        program(tools / f"euca-{name}", f"#!/bin/sh\necho $$ > {tools}/pid; exec sleep 600\n")
    front = Front(tmp_path, images, moto_url, f"--euca2ools={tools}", "--cloud=auto")
    (front.prefix / "up").touch()
    with running(front) as rig:
        hanging = tools / "pid"
        wait_for("a tool", lambda: hanging.exists() and hanging.read_text().strip())
        wait_for("credentials", lambda: answers(rig.daemon.proxy))
        rig.daemon.end()
        wait_for("the end of the tool", lambda: not is_alive(int(hanging.read_text())))

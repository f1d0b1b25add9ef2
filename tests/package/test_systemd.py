"""The units of the package under a real systemd: the steps are taken as they stand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from imagestoreproxy.client.requests import Connection
from tests.functional.rig import CLIENT_ID, ROOT, SECRET, wait_for
from tests.package.booted import Booted, BootError, booted
from tests.package.conftest import running_store
from tests.package.machine import NAME, PROXY_URL, Machine, StoreTab, answers
from tests.package.test_seed_flow import euca2ools_on, eucalyptus_on
from tests.standins.install import calls, set_traps

UNIT, SOCKET = f"{NAME}.service", f"{NAME}.socket"
EXPOSURE = 2.0
IMAGE = "Example Server"
DEFAULTS = """\
DAEMON_OPTS="--debug --api-url=http://localhost:52781/api
             --keyring=/srv/fake-pubring.gpg"
EUCA_USER="{}"
EUCALYPTUS="/opt/eucalyptus"
"""
# The stand-ins of the cloud's programs write down what they are asked, beside themselves. And what
# the daemon does so that its threads step back for each other, must be allowed: it would not say.
OF_THE_TESTS = """\
[Service]
ReadWritePaths=/opt/eucalyptus/var/lib/eucalyptus /usr/bin/.standin
ExecStartPre=/bin/sh -c "test $(nice -n 1 nice) -gt $(nice)"
"""
IMPATIENT = "[Service]\nWatchdogSec=10\nRestartSec=0.1\n"


@pytest.fixture(scope="module")
def machine(
    new_machine: Callable[[str], Machine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booted]:
    cgroup = os.environ["DEB_CGROUP"]
    if not cgroup.startswith("/"):
        _cannot(cgroup)
    log = tmp_path_factory.mktemp("boot") / "log"
    with ExitStack() as stack:
        try:
            yield stack.enter_context(booted(new_machine("systemd"), cgroup, log))
        except BootError as reason:
            _cannot(str(reason))


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("DEB_TESTS") == "required":
        pytest.fail(f"no systemd can be booted here: {reason}", pytrace=False)
    pytest.skip(f"no systemd can be booted here: {reason}")


def dropped_in(machine: Booted, name: str, text: str) -> None:
    """Do as ``systemctl edit``; without a text, take it back."""
    path = f"/etc/systemd/system/{UNIT}.d/{name}.conf"
    if text:
        machine.write(path, text)
    else:
        (machine.root / path.lstrip("/")).unlink()
    machine.systemctl("daemon-reload")


def owner(machine: Booted) -> str:
    return machine.run("stat", "-c", "%U %a", f"/var/lib/{NAME}").said.strip()


def another_process_than(machine: Booted, before: int) -> None:
    """Wait until another one answers: what is stopped or gone does not."""
    wait_for("the daemon", lambda: answers() and machine.process() not in (0, before), 60)


def test_once_installed_it_runs_as_its_own_user_and_its_state_is_for_nobody_else(
    machine: Booted, package: Path
) -> None:
    machine.install(package)
    assert machine.systemctl("is-active", UNIT) == "active"
    assert machine.systemctl("is-enabled", UNIT) == "enabled"
    assert machine.systemctl("is-enabled", SOCKET, status=1) == "disabled", "an option"
    assert machine.shown("StatusText") == "Listening on 127.0.0.1:52780"
    assert answers()
    wait_for("nothing but the daemon", lambda: len(machine.processes("image-store")) == 1)
    assert owner(machine) == "image-store 700"
    status = machine.run("cat", f"/proc/{machine.process()}/status").said
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert {int(facts[f"Cap{which}"], 16) for which in ("Eff", "Prm", "Bnd", "Amb")} == {0}


def test_systemd_itself_finds_little_that_it_may_do(machine: Booted) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", UNIT).said
    verdict = said.strip().splitlines()[-1]
    assert float(verdict.split(": ")[1].split()[0]) <= EXPOSURE, verdict
    print(verdict)


def test_it_counts_as_started_when_it_listens_and_as_stopped_when_nothing_is_left(
    machine: Booted,
) -> None:
    machine.systemctl("stop", UNIT)
    assert not answers()
    assert machine.processes("image-store") == []
    machine.systemctl("start", UNIT)
    assert answers(), "the command came back too early"


def test_reload_reads_the_configuration_again_and_disturbs_nothing(machine: Booted) -> None:
    before = machine.process()
    machine.systemctl("reload", UNIT)
    machine.wait_said("the configuration was read again")
    assert (machine.process(), machine.systemctl("is-active", UNIT)) == (before, "active")


def test_one_that_was_killed_is_started_again(machine: Booted) -> None:
    before = machine.process()
    dropped_in(machine, "impatient", IMPATIENT)
    machine.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
    another_process_than(machine, before)
    machine.wait_said("status=9/KILL")


def test_one_that_hangs_is_started_again_by_the_watchdog(machine: Booted) -> None:
    before = machine.process()
    machine.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    another_process_than(machine, before)
    machine.wait_said("Watchdog timeout")
    dropped_in(machine, "impatient", "")


def test_with_options_that_are_wrong_it_is_not_tried_again_and_says_why(machine: Booted) -> None:
    machine.write(f"/etc/default/{NAME}", 'DAEMON_OPTS="--no-such-option"\n')
    machine.systemctl("restart", UNIT, status=1)
    assert machine.systemctl("is-active", UNIT, status=3) == "failed"
    assert (machine.shown("ExecMainStatus"), machine.shown("NRestarts")) == ("2", "0")
    machine.wait_said("no-such-option")


def test_a_user_that_is_not_there_is_named_whenever_systemd_has_read_of_it(machine: Booted) -> None:
    for read_before in (False, True):
        machine.write(f"/etc/default/{NAME}", DEFAULTS.format(f"missing-{read_before}"))
        if read_before:
            machine.systemctl("daemon-reload")
        machine.systemctl("restart", UNIT, status=1)
        machine.systemctl("stop", UNIT)
        machine.wait_said(f"names 'missing-{read_before}', and this machine has no such user")


def test_the_user_of_eucalyptus_needs_a_line_in_the_file_and_a_restart(
    machine: Booted, cloud_url: str
) -> None:
    machine.run("useradd", "--system", "--home", "/opt/eucalyptus", "eucalyptus")
    eucalyptus_on(machine, cloud_url, "4.1", "opt/eucalyptus")
    euca2ools_on(machine, "3.4")
    shutil.copyfile(ROOT / "fake-pubring.gpg", machine.root / "srv/fake-pubring.gpg")
    dropped_in(machine, "tests", OF_THE_TESTS)
    machine.write(f"/etc/default/{NAME}", DEFAULTS.format("eucalyptus"))
    machine.systemctl("restart", UNIT)
    assert machine.shown("User") == "eucalyptus"
    wait_for("euca_conf to have ended", lambda: len(machine.processes("eucalyptus")) == 1)
    assert machine.processes("image-store") == []
    assert owner(machine) == "eucalyptus 700"


def test_an_install_that_a_stop_broke_off_left_no_process_and_goes_on_at_the_next_start(
    machine: Booted, images: Path, tmp_path: Path
) -> None:
    tools = machine.root / "usr/bin"
    set_traps(tools, slow=["euca-bundle-image"], slow_s=60)
    tab = StoreTab(Connection(PROXY_URL, CLIENT_ID, SECRET))
    with running_store(images, tmp_path / "store.log"):
        image = tab.uri(IMAGE)
        wait_for("readiness", lambda: answers("/readyz"), 200)
        tab.click(image, "install")
        wait_for(
            "a tool", lambda: "euca-bundle-image" in "".join(machine.processes("eucalyptus")), 120
        )
        machine.systemctl("stop", UNIT)
        assert machine.processes("eucalyptus") == []
        set_traps(tools)
        machine.systemctl("start", UNIT)
        assert tab.wait(image, "installed")["emi"]
    assert "euca-register" in {call["tool"] for call in calls(tools)}


def test_neither_the_journal_nor_the_status_nor_a_command_line_holds_a_secret(
    machine: Booted,
) -> None:
    status = machine.systemctl("status", "--full", "--lines=1000", UNIT)
    shown = machine.systemctl("show", UNIT)
    lines = machine.processes("eucalyptus")
    for told in (machine.run("journalctl", "--no-pager", "--all").said, status, shown, *lines):
        assert SECRET not in told
        assert "PRIVATE KEY" not in told
    assert CLIENT_ID in machine.run("sh", "-c", f"cat /var/lib/{NAME}/credentials/eucarc").said


def test_the_init_scripts_words_are_understood_here(machine: Booted) -> None:
    assert "active (running)" in machine.service("status").said
    assert "euca_conf" in machine.service("check", status=None).said


def test_as_an_option_the_first_request_starts_it(machine: Booted) -> None:
    machine.systemctl("disable", "--now", UNIT)
    machine.systemctl("enable", "--now", SOCKET)
    assert machine.systemctl("is-active", UNIT, status=3) == "inactive"
    assert answers(within_s=120), "it waits in the socket until the daemon takes it"
    assert machine.systemctl("is-active", UNIT) == "active"


def test_h15_purging_ends_it_and_takes_the_units_with_it(machine: Booted) -> None:
    machine.run("dpkg", "--purge", NAME)
    assert not answers()
    assert machine.processes("eucalyptus") == []
    for unit in (UNIT, SOCKET):
        assert machine.shown("LoadState", unit) == "not-found"
    assert not (machine.root / "var/lib" / NAME).exists()
    left = (machine.root / "etc/systemd/system").rglob(f"*{NAME}*")
    assert [path.name for path in left] == [f"{UNIT}.d"], "what the administrator has put there"

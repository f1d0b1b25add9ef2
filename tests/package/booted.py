"""A machine that runs systemd: the Debian in a directory, booted in namespaces of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.functional.rig import wait_for
from tests.package.machine import NAME, Machine

# What systemd finds when it is started, as a container's manager would make it; the network is that
# of the tests, where there is nothing but 127.0.0.1. Whatever belongs to the whole machine, such as
# the settings of the kernel, can be read only.
BOOT = """\
cd "$1"
mount --rbind . .
cd "$1"
mount -t proc proc proc
for shared in proc/sys proc/sysrq-trigger; do
    [ -e $shared ] || continue
    mount --bind $shared $shared
    mount -o remount,bind,ro $shared
done
mount -t sysfs sysfs sys
mount -o remount,bind,ro sys
mount --bind dev dev
mount -t cgroup2 none sys/fs/cgroup
echo 0 >"sys/fs/cgroup$2/cgroup.procs"
umount sys/fs/cgroup
pivot_root . .
umount -l .
cd /
exec unshare --cgroup sh -euc '
    mount -t cgroup2 none /sys/fs/cgroup
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog \
        /lib/systemd/systemd systemd.unit=multi-user.target'
"""
NAMESPACES = ("--mount", "--uts", "--ipc", "--pid")
BOOT_S = 60


class BootError(Exception):
    """The machine does not boot here; says why."""


@dataclass(frozen=True)
class Booted(Machine):
    """A Debian that runs.

    Args:
        init: its systemd, as a process of the tests.
    """

    init: int

    def inside(self) -> list[str]:
        return ["nsenter", f"--target={self.init}", *NAMESPACES, "--cgroup"]

    def systemctl(self, *words: str, status: int | None = 0) -> str:
        """Run systemctl there; give what it said. ``status`` is as for ``run``."""
        done = self.run("systemctl", "--no-pager", *words, status=None)
        expected = status in (None, done.status)
        assert expected, f"{words}: {done.status}\n{done.said}\n{self.said()[-5000:]}"
        return done.said.strip()

    def shown(self, what: str, unit: str = f"{NAME}.service") -> str:
        """Give a property of a unit."""
        return self.systemctl("show", f"--property={what}", "--value", unit)

    def process(self) -> int:
        """Give the main process of the service, as it is numbered there; or 0."""
        return int(self.shown("MainPID"))

    def processes(self, user: str) -> list[str]:
        """Give the command lines of the processes of a user."""
        lines = (self.root / "etc/passwd").read_text().splitlines()
        number = next(line.split(":")[2] for line in lines if line.startswith(f"{user}:"))
        found = []
        for status in Path(f"/proc/{self.init}/root/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                if f"Uid:\t{number}\t" in status.read_text():
                    found.append(status.with_name("cmdline").read_text().replace("\0", " "))
        return found

    def said(self) -> str:
        """Give all that the journal has of the service, and of what was done with it."""
        # Lines that were written are not there yet where nobody waits for them.
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={NAME}").said

    def wait_said(self, text: str) -> None:
        """Wait for it in the journal, which hears of things a little later."""
        wait_for(text, lambda: text in self.said())


@contextmanager
def booted(machine: Machine, cgroup: str, log: Path) -> Iterator[Booted]:
    """Boot a machine; end it and all that runs there, at once.

    Args:
        cgroup: an empty one, as a path in ``/proc/self/cgroup``.
        log: for what is said before there is a journal.

    Raises:
        BootError: it cannot be done here.
    """
    (machine.root / "dev/console").unlink(missing_ok=True)
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child"]
    with log.open("w") as said:
        holder = subprocess.Popen(
            [*command, "sh", "-euc", BOOT, "boot", machine.root, cgroup],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield _up(machine, holder, log)
    finally:
        holder.kill()
        holder.wait(30)


def _up(machine: Machine, holder: subprocess.Popen[bytes], log: Path) -> Booted:
    def running() -> Booted | None:
        if holder.poll() is not None:
            raise BootError(" ".join(log.read_text(errors="replace").split()[-50:]))
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        if not children or not Path(f"/proc/{children[0]}/root/run/systemd/private").exists():
            return None
        return Booted(machine.root, int(children[0]))

    try:
        there: Booted = wait_for("systemd", running, BOOT_S)
        # "degraded" where a unit failed that has nothing to do with ours.
        state = there.systemctl("is-system-running", "--wait", status=None)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise BootError(f"{error}; {log.read_text(errors='replace')[-500:]}") from error
    if state not in ("running", "degraded"):
        raise BootError(f"systemd says that the machine is {state!r}")
    return there

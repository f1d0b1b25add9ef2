"""Takes away what the tests of the package leave on the disk, once who runs them is gone.

usage: unshare --mount python -m tests.package.sweeper DIRECTORY

It makes a cgroup for a machine that is booted, and says in one line which: a path as in
``/proc/self/cgroup``, or why there can be none. At the end of its standard input, which comes
however the other side ends, it removes the directory and the cgroup, with what is in them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

HIERARCHY = Path("/sys/fs/cgroup")
# The processes that still use them have been killed, and need a moment to be gone.
PATIENCE_S = 30


class NoCgroupError(Exception):
    """This machine gives the tests no cgroup; says why."""


def main() -> int:
    """Make, wait, remove; give the exit status."""
    place = Path(sys.argv[1])
    cgroup = None
    try:
        path = f"{_own_path()}/{place.name}"
        cgroup = HIERARCHY / path.lstrip("/")
        cgroup.mkdir()
        print(path, flush=True)
    except (NoCgroupError, OSError) as reason:
        cgroup = None
        print(f"no cgroup can be made: {reason}", flush=True)
    sys.stdin.read()
    ends_s = time.monotonic() + PATIENCE_S
    while not _is_gone(place, cgroup):
        if time.monotonic() > ends_s:
            print(f"These are left, remove them by hand: {place} {cgroup or ''}", file=sys.stderr)
            return 1
        time.sleep(0.1)
    return 0


def _own_path() -> str:
    """Mount the cgroups of the second version, and give where this process is among them."""
    # Over what may be there, for this process alone: it may be of the first version, or read-only.
    mount = ["mount", "-t", "cgroup2", "none", str(HIERARCHY)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise NoCgroupError(" ".join(done.stderr.split()))
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::").rstrip("/")
    raise NoCgroupError("/proc/self/cgroup names none of the second version")


def _is_gone(place: Path, cgroup: Path | None) -> bool:
    shutil.rmtree(place, ignore_errors=True)
    if cgroup:
        _remove_cgroup(cgroup)
    return not place.exists() and not (cgroup and cgroup.exists())


def _remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup and those below it, as far as no process is in them."""
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with suppress(OSError):
            Path(directory).rmdir()


if __name__ == "__main__":
    sys.exit(main())

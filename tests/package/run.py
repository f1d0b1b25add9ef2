"""``make deb-test``: the package in dist/ is installed into a fresh Debian, used, and taken away.

The Debian is made with debootstrap: once, then it is kept as an archive in the user's cache. The
tests run in namespaces of their own, where there is no network but 127.0.0.1: whatever they start
ends with them, nothing reaches another machine, and every port is free. What they leave on the disk
goes when this process does, even by SIGKILL. Needs to be root; where something is missing that
cannot be had, it says so, and fails only with DEB_TESTS=required. DEB names another package than
that in dist/; arguments are pytest's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-store-proxy"
KEPT_S = 30 * 24 * 3600
"""After that a new Debian is made: packages get mended."""
# For the machine that is booted; the others have no init.
INIT = ("dbus", "systemd")
# They end when this process does, and with them all that was started there.
ENDING = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child")
# Everything is new: nobody's pid, files, ports or processes are met.
NAMESPACES = (*ENDING, "--net", "--ipc", "--mount-proc")
DEBOOTSTRAP_S = 900
TESTS_S = 1800


class CannotError(Exception):
    """The package cannot be tested here; says why."""


def main() -> int:
    """Run the tests; give the exit status."""
    try:
        package = _package()
        _look_around()
        with _swept() as (work, cgroup):
            began_s = time.monotonic()
            archive = _debian(package, work)
            print(f"A Debian to begin with, after {time.monotonic() - began_s:.0f} s.", flush=True)
            return _test(package, archive, work, cgroup)
    except CannotError as reason:
        print(f"The package was not tested here: {reason}", flush=True)
        return 1 if os.environ.get("DEB_TESTS") == "required" else 0


@contextmanager
def _swept() -> Iterator[tuple[Path, str]]:
    """Give a directory, and what ``sweeper`` says of a cgroup; both go when this process does."""
    work = Path(tempfile.mkdtemp(prefix="deb-test-", dir="/var/tmp"))
    # Not of our process group: it has to outlive what ends that.
    sweeper = subprocess.Popen(
        ["unshare", "--mount", sys.executable, "-m", "tests.package.sweeper", work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert sweeper.stdin
    assert sweeper.stdout
    try:
        yield work, sweeper.stdout.readline().strip()
    finally:
        sweeper.stdin.close()
        sweeper.wait()


def _package() -> Path:
    if given := os.environ.get("DEB"):
        return Path(given).absolute()
    found = sorted((ROOT / "dist").glob("image-store-proxy_*.deb"))
    if not found:
        raise CannotError("there is none in dist/. Run: make deb")
    return found[-1]


def _look_around() -> None:
    if os.geteuid() != 0:
        raise CannotError("only root can install one. Run: sudo make deb-test")
    if not shutil.which("debootstrap") and shutil.which("apt-get"):
        print("Installing debootstrap ...", flush=True)
        install = "apt-get update -qq; apt-get install -qq -y --no-install-recommends debootstrap"
        _said(["sh", "-c", install], DEBIAN_FRONTEND="noninteractive")
    if not shutil.which("debootstrap"):
        raise CannotError("there is no debootstrap, and it could not be installed.")
    said = _said([*NAMESPACES, "true"])
    if said is not None:
        raise CannotError(f"this machine gives no namespaces of their own to the tests: {said}")


def _said(command: Sequence[str], **environment: str) -> str | None:
    """Run a command; give None if it did well, else what it said last."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
        timeout=DEBOOTSTRAP_S,
    )
    lines = done.stdout.strip().splitlines()[-1:]
    return None if done.returncode == 0 else "".join(lines) or f"exit status {done.returncode}"


def _dependencies(package: Path) -> list[str]:
    told = subprocess.run(
        ["dpkg-deb", "--field", package, "Depends"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    return sorted(set(re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9.+-]+)", told)))


def _debian(package: Path, work: Path) -> Path:
    """Give an archive of a minimal Debian that has what the package depends on, and an init."""
    wanted = sorted({*_dependencies(package), *INIT})
    key = hashlib.sha256(repr((SUITE, wanted)).encode()).hexdigest()[:12]
    archive = CACHE / f"debian-{SUITE}-{key}.tar"
    if archive.exists() and time.time() - archive.stat().st_mtime < KEPT_S:
        return archive
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    print("Making a Debian (a minute or two, once) ...", flush=True)
    root = work / "debian"
    make = [*ENDING, "--mount-proc", "debootstrap", "--variant=minbase"]
    said = _said(
        [*make, f"--include={','.join(wanted)}", SUITE, str(root)], DEBIAN_FRONTEND="noninteractive"
    )
    if said is not None:
        raise CannotError(f"debootstrap failed: {said}")
    shutil.rmtree(root / "var/cache/apt/archives")
    new = archive.with_suffix(".new")
    said = _said(["tar", "-C", str(root), "--one-file-system", "-cf", str(new), "."])
    if said is not None:
        raise CannotError(f"the Debian that was made could not be kept: {said}")
    new.rename(archive)
    for other in CACHE.glob("debian-*.tar"):
        if time.time() - other.stat().st_mtime > KEPT_S:
            other.unlink(missing_ok=True)
    shutil.rmtree(root)
    return archive


def _test(package: Path, archive: Path, work: Path, cgroup: str) -> int:
    # The shell is the first process there, and buries the daemons that lose their parents.
    command = [*NAMESPACES, "bash", "-c", '"$@"; exit $?', "init", sys.executable]
    command += ["-m", "pytest", "--timeout=300", "--tb=short", "-rfEs", str(Path(__file__).parent)]
    own = {"DEB": str(package), "DEB_DEBIAN": str(archive), "DEB_WORK": str(work)}
    own["DEB_CGROUP"] = cgroup
    try:
        return subprocess.run(
            [*command, *sys.argv[1:]], cwd=ROOT, env={**os.environ, **own}, timeout=TESTS_S
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"The tests of the package were stopped after {TESTS_S} s.", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())

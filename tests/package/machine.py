"""A Debian in a directory, and a store and a cloud beside it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagestoreproxy.client.requests import ClientError, Connection
from tests.functional.rig import wait_for

NAME = "image-store-proxy"
PROXY_URL = "http://localhost:52780"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}
# What dpkg and the users' programs write down of everything that is ever done.
BOOKS = (
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/apt",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/.pwd.lock",
    "run/adduser",
    "etc/ld.so.cache",
    "proc",
    "tmp",
    "root",
)
STEP_S = 240


@dataclass(frozen=True)
class Done:
    """A command that has ended; what it said on both of its outputs."""

    status: int
    said: str


@dataclass(frozen=True)
class Machine:
    """A Debian in the directory ``root``, with processes that share our ports."""

    root: Path

    def inside(self) -> list[str]:
        """Give what stands before a command that is run there."""
        return ["chroot", str(self.root)]

    def run(self, *command: str, status: int | None = 0) -> Done:
        """Run a command as root there.

        Args:
            status: what it must end with; None: anything.
        """
        # Not a pipe: a daemon that keeps it open would keep us waiting.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [*self.inside(), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ENVIRONMENT,
                cwd="/",
                timeout=STEP_S,
            )
            output.seek(0)
            said = output.read()
        assert status in (None, done.returncode), f"{command}: {done.returncode}\n{said}"
        return Done(done.returncode, said)

    def service(self, action: str, status: int | None = 0) -> Done:
        """Do as ``service image-store-proxy ACTION``: run the init script."""
        done = self.run("service", NAME, action, status=None)
        expected = status in (None, done.status)
        assert expected, f"{action}: {done.status}\n{done.said}\n{self.said()[-5000:]}"
        return done

    def install(self, package: Path) -> Done:
        """Install a package, with no network: what it depends on must be there."""
        copy = self.root / "root" / package.name
        shutil.copyfile(package, copy)
        return self.run("dpkg", "--install", "--force-confold", f"/root/{package.name}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file as root."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def process(self) -> int:
        """Give the process that the pid file names, or 0."""
        with suppress(OSError, ValueError):
            number = int((self.root / "run" / f"{NAME}.pid").read_text())
            os.kill(number, 0)
            return number
        return 0

    def said(self) -> str:
        """Give the log of the daemon."""
        log = self.root / "var/log" / NAME / f"{NAME}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def files(self) -> dict[str, str]:
        """Tell everything that lies there: mode, owner, and a digest or where it leads."""
        found = {}
        for directory, names, files in os.walk(self.root):
            here = Path(directory)
            inside = [name for name in names if not self._is_book(here / name)]
            names[:] = inside
            for name in [*inside, *files]:
                path = here / name
                if not self._is_book(path):
                    found[str(path.relative_to(self.root))] = _told(path)
        return found

    def _is_book(self, path: Path) -> bool:
        relative = str(path.relative_to(self.root))
        return relative in BOOKS or "__pycache__" in relative


def _told(path: Path) -> str:
    status = path.lstat()
    head = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{head} -> {path.readlink()}"
    if path.is_file():
        return f"{head} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return head


def answers(path: str = "/healthz", within_s: float = 30) -> bool:
    """Whether the daemon answers, without a signature."""
    try:
        with urllib.request.urlopen(PROXY_URL + path, timeout=within_s):
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class StoreTab:
    """An administrator with the Store tab open, who signs as the cloud's own page does."""

    proxy: Connection

    def images(self) -> list[dict[str, Any]]:
        """What is shown; nothing as long as the daemon cannot say."""
        try:
            return list(self.proxy.get("/api/dashboard")["images"])
        except ClientError:
            return []

    def uri(self, title: str) -> str:
        """Give the URI of an image, once the daemon knows its store."""

        def found() -> str:
            return next((one["uri"] for one in self.images() if one["title"] == title), "")

        return str(wait_for(f"an image named {title}", found, 60))

    def state(self, uri: str) -> dict[str, Any]:
        answer = self.proxy.post("/api/states", [("image-uri", uri)])
        return next(state for state in answer["states"] if state["image-uri"] == uri)

    def click(self, uri: str, action: str) -> None:
        """Post to the action's address, as the page does."""
        self.proxy.post(urlsplit(self.state(uri)["actions"][action]).path)

    def wait(self, uri: str, status: str, within_s: float = 120) -> dict[str, Any]:
        """Wait until an image has this status; fail when it ends otherwise."""

        def reached() -> dict[str, Any] | None:
            state = self.state(uri)
            assert "error-message" not in state, state
            return state if state["status"] == status else None

        return dict(wait_for(status, reached, within_s))

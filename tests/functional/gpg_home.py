"""A GnuPG home with freshly made secret keys."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TEXT = b'{"format": "image:1"}\n- with a dash\n'
PAST = ("--faked-system-time", "20200101T000000!")


@dataclass(frozen=True)
class Signer:
    """A GnuPG home with secret keys, for one test run."""

    home: Path

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            ["gpg", "--batch", "--quiet", "--homedir", str(self.home), "--passphrase", "",
             "--pinentry-mode", "loopback", "--no-tty", "--yes", *arguments],
            input=data, capture_output=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def make(self, name: str, *options: str) -> None:
        self.run(*options, "--quick-gen-key", name, "ed25519", "sign", "1y")

    def sign(self, name: str, *options: str, text: bytes = TEXT) -> bytes:
        return self.run("--local-user", name, *options, "--clear-sign", data=text)

    def detach(self, name: str, *options: str, content: bytes = TEXT) -> bytes:
        return self.run("--local-user", name, *options, "--detach-sign", data=content)

    def revoke(self, name: str) -> None:
        made = self.home / "openpgp-revocs.d" / f"{self.fingerprint(name)}.rev"
        self.run("--import", data=made.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))

    def fingerprint(self, name: str) -> str:
        listed = self.run("--with-colons", "--list-keys", name).decode()
        return next(row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr"))

    def export(self, *names: str, armor: bool = False) -> bytes:
        return self.run(*(["--armor"] if armor else []), "--export", *names)


@contextmanager
def fresh_home(base: Path) -> Iterator[Signer]:
    """Make a home beside ``base``, not below it: the agent's socket must have a short name."""
    home = base.parent / f"g{time.monotonic_ns() % 10**9}"
    home.mkdir(mode=0o700)
    try:
        yield Signer(home)
    finally:
        kill = ["gpgconf", "--homedir", str(home), "--kill", "all"]
        subprocess.run(kill, timeout=20, check=False)
        shutil.rmtree(home, ignore_errors=True)

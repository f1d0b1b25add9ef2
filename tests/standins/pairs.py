"""Keys and certificates for clouds and their users; tests share the keys.

To make one takes a third of a second of the processor, and what is looked at is never that it is
new: only that it is another than its neighbours.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

TIMEOUT_S = 60
CLOUD, ADMIN = 0, 1  # numbers of keys; those from ADMIN on may be a user's


@cache
def rsa_key(number: int) -> str:
    """Give a key of 2048 bits in PEM, in this process always the same for a number."""
    return _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def write_pair(key: Path, certificate: Path, common_name: str, number: int) -> None:
    """Write a key (0600) and a new certificate of it."""
    write_key(key, number)
    _openssl(
        *("req", "-x509", "-key", str(key), "-days", "30", "-subj", f"/CN={common_name}"),
        *("-out", str(certificate)),
    )


def write_key(path: Path, number: int) -> None:
    """Write a key (0600)."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(rsa_key(number))


def _openssl(*arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    return done.stdout

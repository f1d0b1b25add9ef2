"""What a user types today, with the programs that every system has: the peer of an install."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.images import Image

LONGEST_S = 1800

# Each step reads what the one before it has written. The sink trusts the MD5 that it is told: one
# that is always the same spares it the work, which would count against the chain.
SCRIPT = """\
stamp() { date "+$1 %s.%N" >>times; }
stamp begin
curl -sf -o source "$URL"
stamp curl
sha256sum source >sum
stamp sha256sum
eval "$UNPACK"
stamp unpack
mkfifo tarball
sha1sum <tarball >digest &
tar -cf - image | tee tarball | $COMPRESS | openssl enc -aes-128-cbc -K "$KEY" -iv "$KEY" |
    split -b 10485760 - part.
wait
stamp bundle
sha1sum part.* >digests
stamp sha1sum
curl -sf -X PUT "$BUCKET"
for part in part.*; do
    curl -sf -H "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==" -T "$part" "$BUCKET/$part"
done
stamp upload
"""


def run_chain(
    work: Path, image: Image, url: str, bucket_url: str, compress: str
) -> dict[str, float]:
    """Run the steps one after the other.

    Args:
        url: of the file; its name does not matter.
        bucket_url: where the parts go.
        compress: ``pigz`` or ``gzip``.

    Returns:
        Seconds of each step, and ``total``.

    Raises:
        subprocess.CalledProcessError: a step failed.
    """
    directory = Path(tempfile.mkdtemp(dir=work, prefix="chain-"))
    environment = {
        **os.environ,
        "URL": url,
        "UNPACK": image.unpack,
        "COMPRESS": compress,
        "KEY": "0" * 32,
        "BUCKET": bucket_url,
    }
    try:
        os.sync()
        began_s = time.perf_counter()
        subprocess.run(
            ["sh", "-euc", SCRIPT], cwd=directory, env=environment, check=True, timeout=LONGEST_S
        )
        total_s = time.perf_counter() - began_s
        lines = [line.split() for line in (directory / "times").read_text().splitlines()]
    finally:
        shutil.rmtree(directory)
    stamps = [(name, float(at_s)) for name, at_s in lines]
    steps = {name: at_s - stamps[n][1] for n, (name, at_s) in enumerate(stamps[1:])}
    return {**steps, "total": total_s}


def bare_curl_s(work: Path, url: str) -> float:
    """Give the seconds that ``curl`` alone takes to bring a file to the disk."""
    target = work / "curl"
    os.sync()
    began_s = time.perf_counter()
    subprocess.run(["curl", "-sf", "-o", target, url], check=True, timeout=LONGEST_S)
    took_s = time.perf_counter() - began_s
    target.unlink()
    return took_s

"""Fetches the administrator's credentials as Eucalyptus 1.5 to 4.2 hands them out.

``PREFIX/usr/sbin/euca_conf --get-credentials ZIP``. Each call has an effect on the cloud: a new key
and a new certificate (1.6), all earlier certificates of the user revoked (2.0), a new certificate
(3.0 to 4.0). From 4.1 on the certificate is in the first archive alone. So it is called as rarely
as can be, and what it gave is kept.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from imagestoreproxy.clouds.frontend.archive import unpack
from imagestoreproxy.clouds.frontend.tool import run_tool
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Finished, Programs

NAME = "usr/sbin/euca_conf"
# Where an archive is made, and by a kill left.
ROOM = "euca-conf-"
# Its wget tries a silent cloud controller ten times, up to ten seconds each, and says nothing.
SILENCE_S = 150.0
LIMIT_S = 240.0
# 1.x and 2.x put the name into a shell's line, unquoted.
_SAFE = re.compile(r"/[A-Za-z0-9._/-]*")
# What it says, beginning with what it was seen or read to say; and what that means.
_MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"need to be on the CLC host|CLC needs to be running|connection refused|could not connect"
        r"|Connection timed out|services? .*not (?:running|available)",
        "the cloud controller does not answer: it is not running, or still starting",
    ),
    (
        r"cannot find code in database|list index out of range|no such account or user",
        "the cloud has no administrator yet: it is still starting, or somebody has to log in to "
        "its web interface once",
    ),
    (
        r"permission denied|Errno 13|must be (?:run as )?root|cannot write|not permitted",
        "it may not read the cloud's keys: the proxy must run as the user of Eucalyptus (EUCA_USER "
        "in /etc/default/image-store-proxy), or as root",
    ),
    (
        r"Unable to find EUCALYPTUS|no such file.*var/lib/eucalyptus|cloud-pk\.pem|euca\.p12",
        "it does not find the cloud's keys: give the directory in which Eucalyptus is installed as "
        "--eucalyptus, and set the cloud up",
    ),
    (
        r"failed to (?:obtain|get) credent|ERROR (?:401|403|404|500)|HTTP Error",
        "the cloud controller does not give them out (yet): look at its log",
    ),
)


class NotGivenError(CloudError):
    """It said at once that it gives none: nothing has changed in the cloud."""


def fetch(prefix: Path, data_dir: Path, into: Path, programs: Programs, stop: Stop) -> None:
    """Have the archive made, and unpack it into ``into``, which is there and empty.

    Args:
        prefix: where Eucalyptus is installed.
        data_dir: where files may be made meanwhile.

    Raises:
        CloudError: there is no archive that can be believed; says why.
        NotGivenError: there is none at all.
    """
    program = prefix / NAME
    with _room(data_dir) as room:
        archive = room / "admin.zip"
        done = run_tool(
            [str(program), "--get-credentials", str(archive)],
            programs,
            stop,
            prefix=prefix,
            home=room,
            silence_s=SILENCE_S,
            limit_s=LIMIT_S,
        )
        # Not the exit status: it is 0 after failures and has been 1 after successes.
        if not archive.is_file() or not archive.stat().st_size:
            raise NotGivenError(f"{program} gave no credentials: {_why(done)}.")
        unpack(archive, into, str(program))


@contextmanager
def _room(data_dir: Path) -> Iterator[Path]:
    """Make a private directory whose name may stand in a shell's line."""
    for parent in (data_dir.absolute(), Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108
        if _SAFE.fullmatch(str(parent)):
            break
    room = Path(tempfile.mkdtemp(prefix=ROOM, dir=parent))
    try:
        yield room
    finally:
        with suppress(OSError):
            rmtree(room)


def _why(done: Finished) -> str:
    said = "\n".join([done.output.decode("utf-8", "replace"), done.errors])
    for words, meaning in _MEANINGS:
        if re.search(words, said, re.IGNORECASE | re.DOTALL):
            return meaning
    lines = [line.strip() for line in said.splitlines() if re.search("[A-Za-z]{3}", line)]
    if not lines:
        return f"it said nothing, and ended with status {done.status}"
    # The address that it asks has a code in it that opens the account.
    shown = re.sub(r"\?\S+", "?…", lines[-1])[:200]
    return f"it ended with status {done.status}, saying “{shown}”"

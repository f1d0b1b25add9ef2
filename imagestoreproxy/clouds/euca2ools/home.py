"""The environment of one call of a tool: empty but for this cloud, in a private, empty home.

What an administrator has set up for tools (profiles, a system-wide eucarc) is another cloud's as
often as not. Keys stand in the environment, which only this user can read, and never on a command
line.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.euca2ools.generations import Generation
from imagestoreproxy.clouds.euca2ools.ground import Ground, end_orphans, told_disk
from imagestoreproxy.model.errors import CloudError, DiskError

SYSTEM_EUCARC = Path("/etc/euca2ools/eucarc")
EUCARC = "eucarc"
# In these are all the secrets of an environment.
SECRETS = ("EC2_SECRET_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, slots=True)
class Home:
    """A home that is there.

    Args:
        environment: the whole environment of the tool.
        more: arguments that each call needs beside its own.
    """

    path: Path
    environment: Mapping[str, str]
    more: tuple[str, ...] = ()


@contextlib.contextmanager
def a_home(
    ground: Ground,
    credentials: Credentials,
    generation: Generation,
    path: str,
    *,
    ca_bundle: str = "",
    system_eucarc: Path = SYSTEM_EUCARC,
) -> Iterator[Home]:
    """Make a home for the time of one call, or of a few.

    Args:
        path: where the tools, and what they call, are looked for.
        system_eucarc: tools before 3.0 prefer that file to the environment, if it is there: then
            they are given one of ours.

    Raises:
        CloudError: these tools cannot use such credentials.
        DiskError: it cannot be made.
    """
    if credentials.session_token and not generation.takes_token:
        raise CloudError(
            f"euca2ools {generation.name} cannot use temporary credentials "
            f"({credentials.origin}): give lasting ones, or --cloud=ec2.",
            retry_helps=False,
        )
    root = ground.open()
    with told_disk(root):
        directory = Path(tempfile.mkdtemp(prefix="home-", dir=root)).absolute()
    try:
        with told_disk(directory):
            environment = _environment(directory, credentials, path, ca_bundle)
            more: tuple[str, ...] = ()
            if generation.may_read_eucarc and system_eucarc.exists():
                more = ("--config", str(_file(directory, EUCARC, _eucarc(environment))))
        yield Home(directory, environment, more)
    finally:
        # What has left its tool's group is known by its home.
        with contextlib.suppress(DiskError):
            end_orphans(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _environment(
    directory: Path, credentials: Credentials, path: str, ca_bundle: str
) -> dict[str, str]:
    access, secret = credentials.access_key, credentials.secret_key
    environment = {
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PATH": path,
        "LC_ALL": "C",
        # Else what it says comes in one piece at its end: there would be no progress.
        "PYTHONUNBUFFERED": "1",
        "EUCA_CONFIG_PATH": str(directory / "none.ini"),
        "EC2_URL": credentials.ec2_url,
        "S3_URL": credentials.s3_url,
        "EC2_ACCESS_KEY": access,
        "EC2_SECRET_KEY": secret,
        # 3.1 and later know only these; each pair stands complete.
        "AWS_ACCESS_KEY": access,
        "AWS_SECRET_KEY": secret,
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "EC2_USER_ID": credentials.account,
        "EC2_CERT": str(_file(directory, "user-cert.pem", credentials.user_certificate)),
        "EC2_PRIVATE_KEY": str(_file(directory, "user-pk.pem", credentials.user_private_key)),
        "EUCALYPTUS_CERT": str(_file(directory, "cloud-cert.pem", credentials.cloud_certificate)),
    }
    if credentials.session_token:
        environment["AWS_SECURITY_TOKEN"] = credentials.session_token
        environment["AWS_SESSION_TOKEN"] = credentials.session_token
    if ca_bundle:
        environment["SSL_CERT_FILE"] = environment["REQUESTS_CA_BUNDLE"] = ca_bundle
    return environment


def _file(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def _eucarc(environment: Mapping[str, str]) -> bytes:
    # 1.2 splits the lines, later ones let a shell read them: both understand this.
    lines = []
    for name, value in environment.items():
        if name.startswith(("EC2_", "S3_", "EUCALYPTUS_")):
            if "'" in value or "\n" in value:
                raise CloudError(f"{name} must have no quote and no line break in it.")
            lines.append(f"export {name}='{value}'\n")
    return "".join(lines).encode()

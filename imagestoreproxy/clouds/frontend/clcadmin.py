"""Takes the credentials of the system itself, as Eucalyptus 4.2 to 5.1 lends them.

``clcadmin-assume-system-credentials`` prints a shell's exports: keys, and no addresses of EC2 and
S3, certificates or account. The rest is that of the region ``localhost`` of euca2ools 3.4.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from imagestoreproxy.clouds.credentials import Credentials, from_values, read_bounded
from imagestoreproxy.clouds.eucarc import parse_eucarc
from imagestoreproxy.clouds.frontend.tool import run_tool
from imagestoreproxy.model.errors import CloudError, SettingsError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Programs

NAME = "usr/sbin/clcadmin-assume-system-credentials"
CERTIFICATE = "var/lib/eucalyptus/keys/cloud-cert.pem"
EC2_URL = "http://127.0.0.1:8773/services/compute/"
S3_URL = "http://127.0.0.1:8773/services/objectstorage/"
IAM_URL = "http://127.0.0.1:8773/services/Euare/"
SILENCE_S = 60.0
LIMIT_S = 120.0


def assume(prefix: Path, data_dir: Path, programs: Programs, stop: Stop) -> Credentials:
    """Run it, and complete what it says; account and signing pair are still to be added.

    Args:
        data_dir: its home, and where its temporary files lie.

    Raises:
        CloudError: it gave no keys; says why.
    """
    program = prefix / NAME
    done = run_tool(
        [str(program)],
        programs,
        stop,
        prefix=prefix,
        home=data_dir if os.access(data_dir, os.W_OK) else Path("/"),
        silence_s=SILENCE_S,
        limit_s=LIMIT_S,
    )
    try:
        values = parse_eucarc(done.output.decode("utf-8", "replace"), Path("/"), str(program))
        return completed(values, prefix, str(program))
    except SettingsError:
        lines = [line.strip() for line in done.errors.splitlines() if line.strip()]
        said = f", saying “{lines[-1][:200]}”" if lines else ""
        raise CloudError(
            f"{program} gave no keys (it ended with status {done.status}{said}): it must be run as "
            "root on the cloud controller, and that must be running."
        ) from None


def completed(values: dict[str, str], prefix: Path, origin: str) -> Credentials:
    """Give credentials of what it printed.

    Raises:
        SettingsError: there are no keys.
    """
    found = from_values({**values, "EUCALYPTUS_CERT": ""}, origin)
    certificate = prefix / CERTIFICATE
    return replace(
        found,
        ec2_url=found.ec2_url or EC2_URL,
        s3_url=found.s3_url or S3_URL,
        iam_url=found.iam_url or IAM_URL,
        cloud_certificate=_certificate(certificate),
        loading=f'eval "$({shlex.quote(origin)})"',
    )


def _certificate(path: Path) -> bytes:
    try:
        return read_bounded(path, "the cloud's certificate")
    except SettingsError:
        return b""  # what is missing is told when it is needed

"""Who asks: the ClientId, the secret, and how the same credentials start an instance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagestoreproxy.client.requests import MISUSED, ClientError
from imagestoreproxy.clouds.credentials import (
    ACCESS_KEYS,
    SECRET_KEYS,
    Credentials,
    from_directory,
    from_environment,
    from_profile,
)
from imagestoreproxy.model.errors import SettingsError

INSTANCE_TYPE = "m1.small"


@dataclass(frozen=True, slots=True)
class Login:
    """What signs requests.

    Args:
        run: a shell line that starts an instance, with ``{emi}`` in it.
        origin: where the secret comes from; names alone.
    """

    client_id: str
    secret: str = field(repr=False)
    run: str
    origin: str = ""

    def run_line(self, emi: str) -> str:
        """Give the shell line that starts an instance of an image."""
        return self.run.replace("{emi}", shlex.quote(emi))


def find_login(
    environ: Mapping[str, str],
    *,
    client_id: str = "",
    directory: str = "",
    file: str = "",
    profile: str = "default",
) -> Login:
    """Take the first there is: directory, file, ``IMAGE_STORE_SECRET``, EC2 or AWS variables.

    Raises:
        ClientError: there is none, or it cannot be read.
    """
    try:
        if directory:
            path = Path(directory).expanduser().absolute()
            return _login(from_directory(path), client_id, _eucarc_line(path))
        if file:
            where = Path(file).expanduser().absolute()
            if where.name == "eucarc":
                return _login(from_directory(where.parent), client_id, _eucarc_line(where.parent))
            found = from_profile(profile, {"AWS_SHARED_CREDENTIALS_FILE": str(where)})
            return _login(found, client_id, _profile_line(found, where, profile, environ))
        if secret := environ.get("IMAGE_STORE_SECRET", ""):
            name = client_id or environ.get("IMAGE_STORE_CLIENT_ID") or _first(environ, ACCESS_KEYS)
            return Login(name or "admin", secret, _environment_line(environ), "IMAGE_STORE_SECRET")
        if _first(environ, SECRET_KEYS):
            # The certificates that the variables may name are not needed here.
            keys = {n: v for n, v in environ.items() if n in {*ACCESS_KEYS, *SECRET_KEYS}}
            used = next(name for name in SECRET_KEYS if environ.get(name))
            found = from_environment(keys)
            origin = f"{used} of the environment"
            return _login(found, client_id, _environment_line(environ), origin)
    except SettingsError as error:
        raise ClientError(error.message, MISUSED) from None
    raise ClientError(
        "No credentials: give --credentials-dir (an unpacked credentials archive) or --credentials "
        "(an AWS-style file), or set IMAGE_STORE_SECRET, or EC2_ACCESS_KEY and EC2_SECRET_KEY.",
        MISUSED,
    )


def _login(found: Credentials, client_id: str, run: str, origin: str = "") -> Login:
    return Login(client_id or found.access_key, found.secret_key, run, origin or found.origin)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _eucarc_line(directory: Path) -> str:
    eucarc = shlex.quote(str(directory / "eucarc"))
    return f". {eucarc} && euca-run-instances -t {INSTANCE_TYPE} {{emi}}"


def _profile_line(found: Credentials, file: Path, profile: str, environ: Mapping[str, str]) -> str:
    return (
        f"AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(file))} "
        f"{_aws_line(environ, found.ec2_url)} --profile {shlex.quote(profile)}"
    )


def _environment_line(environ: Mapping[str, str]) -> str:
    eucarc = Path(environ.get("HOME") or "/", ".euca", "eucarc")
    if _first(environ, SECRET_KEYS) and environ.get("EC2_URL"):
        names = {n: v for n, v in _AWS_NAMES.items() if not environ.get(n) and environ.get(v)}
        keys = "".join(f'{name}="${value}" ' for name, value in names.items())
        return keys + _aws_line(environ, environ["EC2_URL"])
    if _first(environ, SECRET_KEYS) and environ.get("AWS_SECRET_ACCESS_KEY"):
        return _aws_line(environ, "")
    if eucarc.is_file():
        return _eucarc_line(eucarc.parent)
    return f". eucarc && euca-run-instances -t {INSTANCE_TYPE} {{emi}}"


_AWS_NAMES = {"AWS_ACCESS_KEY_ID": "EC2_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY": "EC2_SECRET_KEY"}


def _aws_line(environ: Mapping[str, str], endpoint: str) -> str:
    region = environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or "us-east-1"
    where = f"--endpoint-url {shlex.quote(endpoint)} " if endpoint else ""
    return (
        f"aws ec2 run-instances {where}--region {shlex.quote(region)} "
        f"--instance-type {INSTANCE_TYPE} --image-id {{emi}}"
    )

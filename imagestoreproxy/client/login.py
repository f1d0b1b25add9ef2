"""Who asks: the ClientId, the secret, and how the same credentials start an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.running import Guide, Place, login_user_of, ports_of, run_guide


@dataclass(frozen=True, slots=True)
class Login:
    """What signs requests.

    Args:
        place: where an image is run with it.
        origin: where the secret comes from; names alone.
    """

    client_id: str
    secret: str = field(repr=False)
    place: Place
    origin: str = ""

    def run_line(self, emi: str, image: Mapping[str, Any] | None = None) -> str:
        """Give the shell lines that start an instance of an image and log in to it."""
        return "\n".join(self.guide(emi, image).ways[0].commands)

    def guide(
        self, emi: str, image: Mapping[str, Any] | None = None, *, is_fake: bool = False
    ) -> Guide:
        """Tell how an image is run with these credentials.

        Args:
            image: what the proxy says of it.
            is_fake: the proxy plays a cloud.
        """
        said = image or {}
        info = ImageInfo(
            str(said.get("uri", "")),
            architecture=str(said.get("architecture", "")),
            login_user=login_user_of(said.get("login-user")),
            ports=ports_of(said.get("ports")),
        )
        return run_guide(info, emi, replace(self.place, is_here=True, is_fake=is_fake))


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
            found = from_directory(path)
            return _login(found, client_id, _in_directory(found, path, environ))
        if file:
            where = Path(file).expanduser().absolute()
            if where.name == "eucarc":
                found = from_directory(where.parent)
                return _login(found, client_id, _in_directory(found, where.parent, environ))
            found = from_profile(profile, {"AWS_SHARED_CREDENTIALS_FILE": str(where)})
            place = Place(
                ec2_url=found.ec2_url,
                region=_region(environ),
                profile=profile,
                profile_file=str(where),
            )
            return _login(found, client_id, place)
        if secret := environ.get("IMAGE_STORE_SECRET", ""):
            name = client_id or environ.get("IMAGE_STORE_CLIENT_ID") or _first(environ, ACCESS_KEYS)
            return Login(name or "admin", secret, _in_environment(environ), "IMAGE_STORE_SECRET")
        if _first(environ, SECRET_KEYS):
            # The certificates that the variables may name are not needed here.
            keys = {n: v for n, v in environ.items() if n in {*ACCESS_KEYS, *SECRET_KEYS}}
            used = next(name for name in SECRET_KEYS if environ.get(name))
            found = from_environment(keys)
            origin = f"{used} of the environment"
            return _login(found, client_id, _in_environment(environ), origin)
    except SettingsError as error:
        raise ClientError(error.message, MISUSED) from None
    raise ClientError(
        "No credentials: give --credentials-dir (an unpacked credentials archive) or --credentials "
        "(an AWS-style file), or set IMAGE_STORE_SECRET, or EC2_ACCESS_KEY and EC2_SECRET_KEY.",
        MISUSED,
    )


def _login(found: Credentials, client_id: str, place: Place, origin: str = "") -> Login:
    return Login(client_id or found.access_key, found.secret_key, place, origin or found.origin)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _in_directory(found: Credentials, directory: Path, environ: Mapping[str, str]) -> Place:
    return Place(ec2_url=found.ec2_url, region=_region(environ), eucarc=str(directory / "eucarc"))


def _in_environment(environ: Mapping[str, str]) -> Place:
    if _first(environ, SECRET_KEYS):
        return Place(ec2_url=environ.get("EC2_URL", ""), region=_region(environ), is_loaded=True)
    eucarc = Path(environ.get("HOME") or "/", ".euca", "eucarc")
    return Place(region=_region(environ), eucarc=str(eucarc) if eucarc.is_file() else "")


def _region(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or ""

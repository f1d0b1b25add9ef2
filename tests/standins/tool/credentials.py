"""Where each generation takes its credentials from."""

from __future__ import annotations

import os
import sys

from .generations import Family, Generation
from .reporting import FailedError, UnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .arguments import Arguments

_EUCARC_NAMES = (
    "EC2_ACCESS_KEY",
    "EC2_SECRET_KEY",
    "S3_URL",
    "EC2_URL",
    "EC2_CERT",
    "EC2_PRIVATE_KEY",
    "EUCALYPTUS_CERT",
    "EC2_USER_ID",
)
_DEFAULT_URLS = {
    "EC2_URL": "http://localhost:8773/services/Eucalyptus",
    "S3_URL": "http://localhost:8773/services/Walrus",
}


class Keys:
    """What requests are signed with."""

    def __init__(self, access: str, secret: str) -> None:
        self.access, self.secret = access, secret


def environment_of(generation: Generation, arguments: Arguments, place: str) -> Mapping[str, str]:
    """The names that count: a shell file's alone where there is one, else the environment's."""
    own = {name: os.environ.get(name, "") for name in os.environ}
    if generation.family is Family.REQUESTS:
        return own
    candidates = [arguments.get("config")]
    if generation.reads_home_eucarc and "HOME" in os.environ:
        home = os.path.join(os.environ["HOME"], ".eucarc")
        if generation.family is Family.ROBOTO and os.path.isdir(home):
            home = os.path.join(home, "eucarc")
        candidates.append(home)
    candidates += [os.path.join(place, "system-eucarc"), "/etc/euca2ools/eucarc"]
    for candidate in candidates:
        if candidate and os.path.isfile(candidate):
            return _sourced(candidate)
    return {name: own.get(name, "") for name in _EUCARC_NAMES}


def _sourced(path: str) -> Mapping[str, str]:
    import subprocess

    wanted = " ".join(f'"${{{name}}}"' for name in _EUCARC_NAMES)
    done = subprocess.run(
        ["bash", "-ec", f". '{path}' >/dev/null; printf '%s\\0' {wanted}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(f"Parsing config file {path} failed:\n\t{done.stderr}")
    values = done.stdout.split("\0")[: len(_EUCARC_NAMES)]
    return {name: value for name, value in zip(_EUCARC_NAMES, values, strict=True) if value}


def keys(
    generation: Generation, arguments: Arguments, environment: Mapping[str, str], *, for_s3: bool
) -> Keys:
    """The access key and its secret, or the generation's own complaint."""
    if generation.family is not Family.REQUESTS:
        access = arguments.get("access-key") or environment.get("EC2_ACCESS_KEY", "")
        secret = arguments.get("secret-key") or environment.get("EC2_SECRET_KEY", "")
        for value, name in ((access, "EC2_ACCESS_KEY"), (secret, "EC2_SECRET_KEY")):
            if not value:
                # And then the empty text, or the class, of the error that follows.
                more = "Connection failed" if generation.name == "1.3" else ""
                raise FailedError(f"{name} environment variable must be set.\n{more}")
        return Keys(access, secret)
    pairs = [
        (arguments.get("access-key-id"), arguments.get("secret-key")),
        (
            environment.get("AWS_ACCESS_KEY_ID") or environment.get("AWS_ACCESS_KEY", ""),
            environment.get("AWS_SECRET_ACCESS_KEY") or environment.get("AWS_SECRET_KEY", ""),
        ),
    ]
    if generation.reads_ec2_keys:
        # 3.0 knows the older AWS names and, for EC2 alone, those of the eucarc.
        pairs[1:] = [
            (environment.get(f"{stem}_ACCESS_KEY", ""), environment.get(f"{stem}_SECRET_KEY", ""))
            for stem in (("AWS",) if for_s3 else ("AWS", "EC2"))
        ]
    pairs.append(_credential_file(environment.get("AWS_CREDENTIAL_FILE", "")))
    user = configured(environment, "user")
    pairs.append((user.get("key-id", ""), user.get("secret-key", "")))
    for access, secret in pairs:
        if access and secret:
            return Keys(access, secret)
    raise FailedError("missing access key ID; please supply one with -I")


def url(
    generation: Generation, name: str, arguments: Arguments, environment: Mapping[str, str]
) -> str:
    """The endpoint; ``name`` is ``EC2_URL`` or ``S3_URL``."""
    given = arguments.get("url") or environment.get(name, "")
    if given:
        return given
    if generation.family is not Family.REQUESTS:
        where = sys.stderr if generation.errors_on_stderr else sys.stdout
        print(f"{name} not specified. Trying {_DEFAULT_URLS[name]}", file=where)
        return _DEFAULT_URLS[name]
    option = f"{name.partition('_')[0].lower()}-url"
    given = configured(environment, "region").get(option, "")
    if not given:
        service = option.removesuffix("-url")
        raise FailedError(
            f"No {service} endpoint to connect to was given. {service} endpoints may be specified "
            f'in a config file with "{option}".'
        )
    return given


def configured(environment: Mapping[str, str], kind: str) -> Mapping[str, str]:
    """The options of the default ``region``, or of its ``user``, from ini files."""
    directory = os.path.join(environment.get("HOME", ""), ".euca")
    if not environment.get("HOME") or not os.path.isdir(directory):
        return {}
    import configparser

    names = sorted(name for name in os.listdir(directory) if name.endswith(".ini"))
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([os.path.join(directory, name) for name in names])
    region = parser.get("global", "default-region", fallback="")
    section = f"region {region}"
    if not parser.has_section(section):
        return {}
    if kind == "user":
        section = f"user {parser.get(section, 'user', fallback='')}"
        if not parser.has_section(section):
            return {}
    return dict(parser.items(section))


def _credential_file(path: str) -> tuple[str, str]:
    found: dict[str, str] = {}
    if path:
        try:
            with open(path) as file:
                lines = file.read().splitlines()
        except OSError as error:
            raise UnreachableError(f"{error.strerror}: {path}") from None
        for line in lines:
            name, _, value = line.partition("#")[0].partition("=")
            found[name.strip()] = value.strip()
    return found.get("AWSAccessKeyId", ""), found.get("AWSSecretKey", "")

"""Credentials in the configuration files of euca2ools 3: ``~/.euca/*.ini``.

Format: euca2ools.ini(5). ``[region NAME]`` has the addresses and the cloud's certificate,
``[user NAME]`` the keys; ``[global] default-region`` names the region, its ``user`` the user.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagestoreproxy.clouds.credentials import (
    FILE_LIMIT_BYTES,
    Credentials,
    from_values,
    home_of,
    is_file,
    read_bounded,
)
from imagestoreproxy.model.errors import SettingsError

FILES = 100
HOPS = 5
SYSTEM = Path("/etc/euca2ools")

_OF_USER = {
    "key-id": "EC2_ACCESS_KEY",
    "secret-key": "EC2_SECRET_KEY",
    "account-id": "EC2_USER_ID",
    "private-key": "EC2_PRIVATE_KEY",
    "certificate": "EC2_CERT",
}
_OF_REGION = {
    "ec2-url": "EC2_URL",
    "s3-url": "S3_URL",
    "iam-url": "AWS_IAM_URL",
    "certificate": "EUCALYPTUS_CERT",
}

Sections = Mapping[str, Mapping[str, str]]


def ini_files(environ: Mapping[str, str], system: Path = SYSTEM) -> list[Path]:
    """Name the files, those that count most at last."""
    own = _within(home_of(environ) / ".euca")
    return [system / "euca2ools.ini", *_within(system / "conf.d"), *own]


def _within(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.ini"))[:FILES]
    except OSError:
        return []  # not for this user to look into


def from_ini_files(files: Sequence[Path], environ: Mapping[str, str]) -> Credentials | None:
    """Take keys and addresses; None where no file has a user's keys.

    ``AWS_DEFAULT_REGION`` names the region, or ``USER@REGION``, as it does for euca2ools.

    Raises:
        SettingsError: a file cannot be read, or it is not clear which user is meant.
    """
    read = [(path, _sections(path)) for path in files if is_file(path)]
    merged: dict[str, dict[str, str]] = {}
    for _, sections in read:
        for name, options in sections.items():
            merged.setdefault(name, {}).update(options)
    users = {name: options for name, options in _named("user", merged).items() if "*" not in name}
    users = {name: options for name, options in users.items() if options.get("key-id")}
    if not users:
        return None
    user, region = _chosen(users, _named("region", merged), merged.get("global", {}), environ)
    having = [path for path, sections in read if f"user {user}" in sections]
    regions = _named("region", merged)
    values = {
        variable: value
        for option, variable in _OF_REGION.items()
        if (value := _looked_up(regions, region, option))
    }
    values |= {
        _OF_USER[option]: users[user][option] for option in _OF_USER if option in users[user]
    }
    origin = f"user '{user}' of {having[-1]}" + (f", region '{region}'" if region else "")
    return from_values(values, origin, home_of(environ))


def _chosen(
    users: Sections, regions: Sections, said: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[str, str]:
    user, _, region = ("@" + environ.get("AWS_DEFAULT_REGION", "")).rpartition("@")
    user, region = user.strip("@"), region or said.get("default-region", "")
    with_user = [name for name, options in regions.items() if options.get("user")]
    with_ec2 = [name for name, options in regions.items() if options.get("ec2-url")]
    if not region:
        here = [name for name in with_user or with_ec2 if "*" not in name]
        region = here[0] if len(here) == 1 else ""
    user = user or _looked_up(regions, region, "user") or said.get("default-user", "")
    if not user and len(users) == 1:
        user = next(iter(users))
    if user and user not in users:
        raise SettingsError(
            f"The user '{user}' is named in ~/.euca or AWS_DEFAULT_REGION, and no file there has "
            f"keys of that name: add [user {user}] with key-id and secret-key."
        )
    if not user:
        raise SettingsError(
            f"The files in ~/.euca have keys of {len(users)} users, and do not say which is meant: "
            "put 'user = NAME' into the section of the region, and name that region as "
            "default-region in [global]."
        )
    return user, region


def _looked_up(sections: Sections, name: str, option: str) -> str:
    """Look an option up nearly as euca2ools does: in the section, else in wider ones."""
    for _ in range(HOPS):
        names = [name, *(one for one in sections if one.endswith(f":{name}"))]
        names += [f"{name.rpartition(':')[0]}:*", "*"]
        value = next((v for one in names if (v := sections.get(one, {}).get(option))), "")
        if not value.startswith("use "):
            return value
        name = value.split()[1]
    return ""


def _named(kind: str, sections: Sections) -> dict[str, Mapping[str, str]]:
    return {
        words[1]: options
        for name, options in sections.items()
        if len(words := name.split()) > 1 and words[0] == kind
    }


def _sections(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    text = read_bounded(path, f"a file of at most {FILE_LIMIT_BYTES} bytes").decode(
        "utf-8", "replace"
    )
    try:
        parser.read_string(text)
    except configparser.Error:
        raise SettingsError(
            f"{path} is not a configuration file of euca2ools: correct or remove it."
        ) from None
    return {name: dict(parser[name]) for name in parser.sections()}

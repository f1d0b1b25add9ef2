"""The keys and certificates with which the proxy speaks to its cloud, and where they come from."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from imagestoreproxy.clouds.eucarc import parse_eucarc
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.regular import read_regular

FILE_LIMIT_BYTES = 256 * 1024

ACCESS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "EC2_ACCESS_KEY")
SECRET_KEYS = ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "EC2_SECRET_KEY")
ACCOUNTS = ("EC2_ACCOUNT_NUMBER", "EC2_USER_ID")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs requests and bundles.

    Args:
        origin: where they come from, for messages.
        ec2_url, s3_url: endpoints, or empty when the source names none.
        user_certificate, user_private_key, cloud_certificate: PEM, or empty when there is none.
        account: digits, or empty.
        account_problem: why nobody told the account; or empty.
        iam_url: where the account can be asked for, or empty.
        directory: where its files lie together with their eucarc, or empty.
        profile: its name in the file of the AWS tools, or empty.
        loading: the shell's line that loads them, where that is neither of the two; or empty.
        is_own_certificate: the user's certificate was made here, by nobody's cloud.
        is_fetched: a program of the cloud gave them, and can be asked again.
    """

    origin: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    ec2_url: str = ""
    s3_url: str = ""
    user_certificate: bytes = field(default=b"", repr=False)
    user_private_key: bytes = field(default=b"", repr=False)
    cloud_certificate: bytes = field(default=b"", repr=False)
    account: str = ""
    account_problem: str = ""
    iam_url: str = ""
    directory: str = ""
    profile: str = ""
    loading: str = ""
    is_own_certificate: bool = False
    is_fetched: bool = False

    def with_urls(self, ec2_url: str = "", s3_url: str = "") -> Credentials:
        """Give these with other endpoints; an empty one changes nothing."""
        return replace(self, ec2_url=ec2_url or self.ec2_url, s3_url=s3_url or self.s3_url)

    def missing(self) -> list[str]:
        """Name what a bundle or a request would lack, a sentence for each, with what to do."""
        then = (
            "reload the proxy, which then fetches the credentials again"
            if self.is_fetched
            else "download the credentials again"
        )
        because = f"; {self.account_problem}" if self.account_problem else ""
        sentences = {
            "EC2_URL": (self.ec2_url, "set it, or give --ec2-url"),
            "S3_URL": (
                self.s3_url,
                f"the cloud has no object store (Walrus) registered: register one and {then}, or "
                "give --s3-url",
            ),
            "EC2_CERT": (
                self.user_certificate,
                "the cloud hands a user's certificate out only once: use the first credentials "
                "archive, or make a new certificate for the user",
            ),
            "EC2_PRIVATE_KEY": (
                self.user_private_key,
                "the cloud hands a user's private key out only once: use the first credentials "
                "archive, or make a new certificate for the user",
            ),
            "EUCALYPTUS_CERT": (
                self.cloud_certificate,
                "give the file of the cloud's certificate (cloud-cert.pem)",
            ),
            "EC2_USER_ID": (
                self.account,
                f"set it to the account number (digits){because}",
            ),
        }
        return [
            f"{name} is missing in {self.origin}: {advice}."
            for name, (value, advice) in sentences.items()
            if not value
        ]

    def warnings(self) -> list[str]:
        """Name what is suspicious but may be meant."""
        if self.s3_url and is_loopback(self.s3_url) and not is_loopback(self.ec2_url):
            return [
                f"S3_URL in {self.origin} is {masked(self.s3_url)}, an address of this machine "
                f"only, while EC2_URL is {masked(self.ec2_url)}: the cloud's object store (Walrus) "
                "is probably registered with 127.0.0.1; register it with its real address, or give "
                "--s3-url."
            ]
        return []


def from_directory(directory: Path) -> Credentials:
    """Read an unpacked credentials archive of ``euca_conf --get-credentials`` (1.5 to 4.2).

    Raises:
        SettingsError: there is no readable ``eucarc``, it names no keys, or a file it names is
            missing. URLs and certificates may be absent: ``Credentials.missing`` tells.
    """
    origin = f"credentials directory {directory}"
    if is_file(directory):
        raise SettingsError(
            f"{directory} is a file: unpack the credentials archive, and give the directory."
        )
    text = read_bounded(directory / "eucarc", origin).decode("utf-8-sig", "replace")
    found = from_values(parse_eucarc(text, directory), origin)
    return replace(found, directory=str(directory.absolute()))


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """Take the variables that euca2ools and AWS tools know; certificates are named files.

    Raises:
        SettingsError: no keys, or a file that cannot be read.
    """
    return from_values(environ, "the environment")


def from_profile(name: str, environ: Mapping[str, str]) -> Credentials:
    """Take keys from an AWS-style profile, and what it lacks (not keys) from the environment.

    The file is ``AWS_SHARED_CREDENTIALS_FILE`` or ``~/.aws/credentials``. Beside the usual three
    options a profile may have those of the environment in lower case, such as ``ec2_url``.

    Raises:
        SettingsError: no such file, profile or key.
    """
    path = profile_file(environ)
    origin = f"profile '{name}' of {path}"
    sections = profiles(path, origin)
    if name not in sections:
        raise SettingsError(f"{path} has no profile '{name}': add [{name}] to it.")
    keys = {*ACCESS_KEYS, *SECRET_KEYS, "AWS_SESSION_TOKEN"}
    rest = {variable: value for variable, value in environ.items() if variable not in keys}
    section = {option.upper(): value for option, value in sections[name].items()}
    return replace(from_values({**rest, **section}, origin), profile=name)


def profile_file(environ: Mapping[str, str]) -> Path:
    """Give where the AWS tools look for profiles."""
    path = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
    return home_of(environ).joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def profiles(path: Path, origin: str) -> dict[str, dict[str, str]]:
    """Read an AWS-style file of profiles; options are in lower case.

    Raises:
        SettingsError: it is not there, or none.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(read_bounded(path, origin).decode("utf-8", "replace"))
        return {name: dict(parser[name]) for name in parser.sections()}
    except configparser.Error:
        raise SettingsError(f"{path} is not an AWS-style credentials file.") from None


def home_of(environ: Mapping[str, str]) -> Path:
    """Give the home directory that an environment names."""
    return Path(environ.get("HOME") or "/")


def from_values(values: Mapping[str, str], origin: str, home: Path | None = None) -> Credentials:
    """Take what variables say; those of certificates name files.

    Args:
        origin: where they come from, for messages.
        home: what a tilde in a file's name stands for; None: the home of this process.

    Raises:
        SettingsError: no keys, or a file that cannot be read.
    """

    def file(variable: str) -> bytes:
        path = Path(values.get(variable, ""))
        if not path.name:
            return b""
        if home is not None and path.parts[0] == "~":
            path = home.joinpath(*path.parts[1:])
        try:
            return read_bounded(path.expanduser(), f"{variable} of {origin}")
        except (RuntimeError, ValueError):  # nobody's home, or a zero byte
            raise SettingsError(f"{variable} of {origin} does not name a file.") from None

    return Credentials(
        origin=origin,
        access_key=_required(values, ACCESS_KEYS, "access key", origin),
        secret_key=_required(values, SECRET_KEYS, "secret key", origin),
        session_token=values.get("AWS_SESSION_TOKEN", ""),
        ec2_url=values.get("EC2_URL", ""),
        s3_url=values.get("S3_URL", ""),
        user_certificate=file("EC2_CERT"),
        user_private_key=file("EC2_PRIVATE_KEY"),
        cloud_certificate=file("EUCALYPTUS_CERT"),
        account=_account(values, origin),
        iam_url=values.get("AWS_IAM_URL") or values.get("EUARE_URL", ""),
    )


def _required(values: Mapping[str, str], names: tuple[str, ...], what: str, origin: str) -> str:
    value = next((values[name] for name in names if values.get(name)), "")
    if not value:
        raise SettingsError(f"No {what} in {origin}: set {names[0]}.")
    return value


def _account(values: Mapping[str, str], origin: str) -> str:
    for name in ACCOUNTS:
        if account := values.get(name, "").replace("-", "").strip():
            if not re.fullmatch(r"[0-9]{1,20}", account):
                raise SettingsError(f"{name} of {origin} must be an account number (digits).")
            return account
    return ""


def expanded(path: str, option: str) -> Path:
    """Give a path that an option names, with the home that a tilde stands for.

    Raises:
        SettingsError: there is nobody of that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(f"{option}: nobody's home is known for {path}.") from None


def is_file(path: Path) -> bool:
    """Tell whether there is a file; one that this user may not even look for is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_bounded(path: Path, origin: str) -> bytes:
    """Read a small file.

    Raises:
        SettingsError: it cannot be read, is no regular file, or has more than
            ``FILE_LIMIT_BYTES``.
    """
    try:
        return read_regular(path, FILE_LIMIT_BYTES)
    except OSError as error:
        raise SettingsError(f"Cannot read {path} ({origin}): {error.strerror}.") from None


def is_loopback(url: str) -> bool:
    """Tell whether a URL is one of this machine only."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no URL
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:  # no address
        return host in ("localhost", "localhost.localdomain")

"""Every setting in one frozen object, and the options it is read from."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from imagestoreproxy import __version__
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.web.present import checked_external_url

GIB = 2**30
DEFAULT_LISTEN = "tcp:52780:interface=127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the daemon was told.

    Args:
        listen: Twisted endpoint strings.
        external_url: ``http(s)://host:port`` by which clients reach the proxy; empty: the request's
            own ``Host``.
        keyring: whose keys may sign image documents.
        http_proxy, ca_bundle: empty: the environment's, the system's.
        cloud: ``ec2`` or ``fake``.
        fake_secret: with cloud ``fake``: the secret key of every client.
        credentials_dir, profile, ec2_url, s3_url: empty where not given.
        check: look whether all is there, say so, and end.
        max_installs, max_downloads: that run at a time.
        keep_downloads: on the disk, until their install is done.
        max_unpacked_bytes: what one file may unpack to.
        cache_bytes: what stays of downloads once their install is done; 0: nothing.
        share_cache: let other proxies have it.
    """

    data_dir: Path
    api_url: str
    keyring: Path
    cloud: str
    debug: bool = False
    check: bool = False
    listen: tuple[str, ...] = (DEFAULT_LISTEN,)
    external_url: str = ""
    http_proxy: str = ""
    ca_bundle: str = ""
    fake_secret: str = ""
    ec2_url: str = ""
    s3_url: str = ""
    region: str = "us-east-1"
    credentials_dir: str = ""
    profile: str = ""
    public_read_fallback: bool = False
    max_installs: int = 2
    max_downloads: int = 6
    keep_downloads: bool = True
    max_unpacked_bytes: int = 64 * GIB
    cache_bytes: int = 0
    share_cache: bool = False

    def __repr__(self) -> str:
        url = masked(self.api_url)
        return f"Settings(cloud={self.cloud!r}, api_url={url!r}, data_dir={self.data_dir})"


def parse(arguments: Sequence[str]) -> Settings:
    """Read the options of the daemon.

    Raises:
        SettingsError: an option is unknown, missing, or contradicts another.
        SystemExit: after ``--help`` or ``--version``.
    """
    options = _parser().parse_args(arguments)
    data_dir = Path(_required(options.data_dir, "--data-dir must not be empty.")).expanduser()
    return Settings(
        data_dir=data_dir,
        api_url=_http_url("--api-url", _required(options.api_url, _NO_SOURCE)).rstrip("/"),
        keyring=Path(options.keyring).expanduser() if options.keyring else data_dir / "keyring.gpg",
        cloud=_cloud(options),
        debug=options.debug,
        check=options.check,
        listen=tuple(options.listen or (DEFAULT_LISTEN,)),
        external_url=checked_external_url(options.external_url),
        http_proxy=options.http_proxy,
        ca_bundle=_readable("--ca-bundle", options.ca_bundle),
        fake_secret=options.fake_eucalyptus or "",
        ec2_url=options.ec2_url and _http_url("--ec2-url", options.ec2_url),
        s3_url=options.s3_url and _http_url("--s3-url", options.s3_url),
        region=options.region,
        credentials_dir=options.credentials_dir,
        profile=options.profile,
        public_read_fallback=options.public_read_fallback,
        max_installs=options.max_installs,
        max_downloads=options.max_downloads,
        keep_downloads=bool(options.keep_downloads),
        max_unpacked_bytes=options.max_unpacked_size * GIB,
        cache_bytes=options.cache_size * GIB,
        share_cache=options.share_cache,
    )


_NO_SOURCE = (
    "no image store to ask: give --api-url=URL, for example http://localhost:52781/api for"
    " fakestoreapi.py."
)
_NO_CLOUD = (
    "no cloud to install into: give --cloud=ec2 with credentials, or --fake-eucalyptus=SECRET for"
    " a test without a cloud."
)


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default else action.help


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Without values: the one of a misspelt option may be a secret.
        raise SettingsError(re.sub(r"(--[\w-]+)=\S*", r"\1=...", f"{message}. See --help."))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="image-store-proxy",
        description="Shows what signed image stores offer, and installs their images into a cloud.",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")

    daemon = parser.add_argument_group("the daemon")
    daemon.add_argument(
        "--data-dir", default="/var/lib/image-store-proxy", metavar="DIR",
        help="where state and downloads are kept; mode 0700",
    )  # fmt: skip
    daemon.add_argument(
        "--listen", action="append", metavar="ENDPOINT",
        help="a Twisted endpoint: tcp:, ssl:, unix: or systemd:; may be repeated"
        f" (without it: {DEFAULT_LISTEN})",
    )  # fmt: skip
    daemon.add_argument(
        "--external-url", default="", metavar="URL",
        help="http(s)://host:port by which clients reach the proxy; without it, the host they name",
    )  # fmt: skip
    daemon.add_argument("--debug", action="store_true", help="log more")
    daemon.add_argument(
        "--check", action="store_true",
        help="look whether all is there that an install needs, also beside a running daemon: one"
        " line for each finding, exit status 1 if one is a problem",
    )  # fmt: skip

    store = parser.add_argument_group("the image store")
    store.add_argument("--api-url", default="", metavar="URL", help="its Image Store API")
    store.add_argument(
        "--keyring", default="", metavar="FILE",
        help="public keys that may sign its documents (without it: DIR/keyring.gpg of --data-dir)",
    )  # fmt: skip
    store.add_argument(
        "--http-proxy", default="", metavar="URL",
        help="HTTP proxy for all downloads; without it, that of the environment",
    )  # fmt: skip
    store.add_argument(
        "--ca-bundle", default="", metavar="FILE",
        help="certificate authorities in PEM; without it, those of the system",
    )  # fmt: skip

    cloud = parser.add_argument_group("the cloud")
    cloud.add_argument("--cloud", choices=("ec2", "fake"), help="what to install into")
    cloud.add_argument(
        "--fake-eucalyptus", metavar="SECRET",
        help="no cloud: take any ClientId with this secret key, and register nothing for real",
    )  # fmt: skip
    cloud.add_argument("--ec2-url", default="", metavar="URL", help="the EC2 endpoint")
    cloud.add_argument("--s3-url", default="", metavar="URL", help="the S3 endpoint")
    cloud.add_argument("--region", default="us-east-1", help="what signatures name as region")
    cloud.add_argument(
        "--credentials-dir", default="", metavar="DIR",
        help="an unpacked credentials archive with its eucarc; without it, the environment",
    )  # fmt: skip
    cloud.add_argument(
        "--profile", default="", metavar="NAME", help="a profile of the AWS credentials file"
    )
    cloud.add_argument(
        "--public-read-fallback", action="store_true",
        help="make bundles readable by everybody where the cloud does not know aws-exec-read",
    )  # fmt: skip

    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-installs", type=_from(1, 64), default=2, metavar="N", help="installs at a time"
    )
    limits.add_argument(
        "--max-downloads", type=_from(1, 64), default=6, metavar="N", help="downloads at a time"
    )
    limits.add_argument(
        "--keep-downloads", type=_from(0, 1), default=1, metavar="0|1",
        help="1: downloads lie in the data directory until their install is done, and go on from"
        " there after a restart; 0: they never lie there, but for qcow2 disks and second tries",
    )  # fmt: skip
    limits.add_argument(
        "--max-unpacked-size", type=_from(1, 2**20), default=64, metavar="GIB",
        help="what one file may unpack to, in GiB",
    )  # fmt: skip
    _add_cache(parser)
    return parser


def _add_cache(parser: argparse.ArgumentParser) -> None:
    cache = parser.add_argument_group("the cache of verified files")
    cache.add_argument(
        "--cache-size", type=_from(0, 2**20), default=0, metavar="GIB",
        help="how much stays of downloads once their install is done, in GiB, so that nothing is"
        " downloaded twice; 0: nothing. With --keep-downloads=0 hardly anything lies on the disk"
        " that could stay. It is given up where an install needs the room",
    )  # fmt: skip
    cache.add_argument(
        "--share-cache", action="store_true",
        help="give it to everybody who asks, below /cache/ and unsigned: a source for other"
        " proxies, which verify the original signatures",
    )  # fmt: skip


class _from:  # noqa: N801 - reads as a word where it is used
    """An argparse type: a whole number within bounds."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest

    def __call__(self, text: str) -> int:
        if text.isdecimal() and self._lowest <= int(text) <= self._highest:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {self._lowest} to {self._highest}, not '{text}'"
        )


def _cloud(options: argparse.Namespace) -> str:
    fake = options.fake_eucalyptus is not None
    if options.cloud == "ec2" and fake:
        raise SettingsError("--cloud=ec2 and --fake-eucalyptus exclude each other: give one.")
    if fake and not options.fake_eucalyptus:
        raise SettingsError("--fake-eucalyptus needs a secret key that is not empty.")
    if options.cloud == "fake" and not fake:
        raise SettingsError("--cloud=fake needs --fake-eucalyptus=SECRET, the key of its clients.")
    if not fake and not options.cloud:
        raise SettingsError(_NO_CLOUD)
    only_ec2 = ("ec2_url", "s3_url", "credentials_dir", "profile", "public_read_fallback")
    given = [f"--{name.replace('_', '-')}" for name in only_ec2 if getattr(options, name)]
    if fake and given:
        raise SettingsError(f"{given[0]} is for --cloud=ec2, not for --fake-eucalyptus.")
    if options.credentials_dir and options.profile:
        raise SettingsError("--credentials-dir and --profile exclude each other: give one.")
    return "fake" if fake else "ec2"


def _required(value: str, message: str) -> str:
    if not value:
        raise SettingsError(message)
    return value


def _http_url(option: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        is_right = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is none
        is_right = False
    if not is_right or parts.scheme not in ("http", "https") or not value.isascii():
        raise SettingsError(
            f"{option} must be a URL like http://host:port/path, not '{masked(value)}'."
        )
    return value


def _readable(option: str, value: str) -> str:
    if value and not Path(value).is_file():
        raise SettingsError(f"{option} names {value}, which is not a file.")
    return value

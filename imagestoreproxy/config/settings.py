"""Every setting in one frozen object, read from options and from the configuration file."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from imagestoreproxy import __version__
from imagestoreproxy.config.cloudoptions import add_cloud, cloud_of, taking_of
from imagestoreproxy.config.file import (
    DEFAULT_CONFIG,
    MB,
    Defaults,
    SourceSettings,
    read_config,
    ubuntu,
)
from imagestoreproxy.config.options import CONNECTIONS, add_cache, add_limits, add_watching
from imagestoreproxy.config.tables import is_http_url
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.taking import Taking
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
        sources: where images come from; at least one.
        keyring: of stores that say nothing else, and of carried images of stores.
        http_proxy, ca_bundle: empty: the environment's, the system's.
        taking: what the cloud can run.
        limit_bytes_per_s: for all downloads together; 0: none.
        connections: for one large file.
        update_window: when images may be brought up to date, ``02:00-05:00``; or empty.
        arguments: what all of this was read from.
        cloud: one of ``config.cloudoptions.CLOUDS``.
        fake_secret: with cloud ``fake``: the secret key of every client.
        credentials_dir, profile, ec2_url, s3_url: empty where not given.
        eucalyptus: below which a cloud of this machine is installed.
        administrators: a file with the keys of others who may ask; or empty.
        euca2ools: where the tools are; empty: on the system's path.
        signatures: ``auto``, ``2`` or ``4``.
        log_format: one of ``outside.journal.FORMS``.
        log_file, pid_file: none, where not given.
        share_metrics: give them to everybody who asks.
        check: look whether all is there, say so, and end.
        reset: forget everything, and end.
        max_installs, max_downloads: that run at a time.
        keep_downloads: on the disk, until their install is done.
        max_unpacked_bytes: what one file may unpack to.
        cache_bytes: what stays of downloads once their install is done; 0: nothing.
        share_cache: let other proxies have it.
    """

    data_dir: Path
    sources: tuple[SourceSettings, ...]
    cloud: str
    keyring: Path = Path("keyring.gpg")
    debug: bool = False
    log_format: str = "text"
    log_file: Path | None = None
    pid_file: Path | None = None
    share_metrics: bool = False
    check: bool = False
    reset: bool = False
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
    eucalyptus: Path = Path("/")
    administrators: str = ""
    euca2ools: str = ""
    signatures: str = "auto"
    public_read_fallback: bool = False
    max_installs: int = 2
    max_downloads: int = 6
    keep_downloads: bool = True
    max_unpacked_bytes: int = 64 * GIB
    cache_bytes: int = 0
    share_cache: bool = False
    taking: Taking = field(default_factory=Taking)
    limit_bytes_per_s: int = 0
    connections: int = CONNECTIONS
    update_window: str = ""
    arguments: tuple[str, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        names = ", ".join(source.name for source in self.sources)
        return f"Settings(cloud={self.cloud!r}, sources=[{names}], data_dir={self.data_dir})"


def parse(arguments: Sequence[str]) -> Settings:
    """Read the options of the daemon.

    Raises:
        SettingsError: an option is unknown, missing, or contradicts another.
        SystemExit: after ``--help`` or ``--version``.
    """
    options = _parser().parse_args(arguments)
    data_dir = Path(_required(options.data_dir, "--data-dir must not be empty.")).expanduser()
    cloud = cloud_of(options)
    defaults = Defaults(
        keyring=Path(options.keyring).expanduser() if options.keyring else data_dir / "keyring.gpg",
        http_proxy=options.http_proxy,
        ca_bundle=_readable("--ca-bundle", options.ca_bundle),
    )
    file = Path(options.config or DEFAULT_CONFIG).expanduser()
    said = read_config(file, defaults, must_exist=bool(options.config))
    sources = (*_store(options.api_url, defaults), *said.sources)
    _check_twice(sources, file)
    limit_bytes_per_s, connections = said.limit_bytes_per_s, said.connections
    if options.max_bandwidth is not None:
        limit_bytes_per_s = round(options.max_bandwidth * MB)
    if options.connections is not None:
        connections = options.connections
    return Settings(
        data_dir=data_dir,
        sources=sources or (ubuntu(defaults),),
        cloud=cloud,
        keyring=defaults.keyring,
        taking=taking_of(options),
        limit_bytes_per_s=limit_bytes_per_s or 0,
        connections=connections or CONNECTIONS,
        update_window=said.window,
        arguments=tuple(arguments),
        debug=options.debug,
        log_format=options.log_format,
        log_file=_path(options.log_file),
        pid_file=_path(options.pid_file),
        share_metrics=options.share_metrics,
        check=options.check,
        reset=options.reset,
        listen=tuple(options.listen or (DEFAULT_LISTEN,)),
        external_url=checked_external_url(options.external_url),
        http_proxy=options.http_proxy,
        ca_bundle=defaults.ca_bundle,
        fake_secret=options.fake_eucalyptus or "",
        ec2_url=options.ec2_url and _http_url("--ec2-url", options.ec2_url),
        s3_url=options.s3_url and _http_url("--s3-url", options.s3_url),
        region=options.region,
        credentials_dir=options.credentials_dir,
        profile=options.profile,
        eucalyptus=Path(options.eucalyptus or os.environ.get("EUCALYPTUS") or "/"),
        administrators=options.administrators,
        euca2ools=options.euca2ools,
        signatures=options.signatures,
        public_read_fallback=options.public_read_fallback,
        max_installs=options.max_installs,
        max_downloads=options.max_downloads,
        keep_downloads=bool(options.keep_downloads),
        max_unpacked_bytes=options.max_unpacked_size * GIB,
        cache_bytes=options.cache_size * GIB,
        share_cache=options.share_cache,
    )


def reread(settings: Settings) -> Settings:
    """Read the configuration file again, with the options as they were.

    Raises:
        SettingsError: as ``parse`` does.
    """
    return parse(settings.arguments)


def _store(api_url: str, defaults: Defaults) -> tuple[SourceSettings, ...]:
    """Give the store of ``--api-url``; by its masked URL its serials are remembered."""
    if not api_url:
        return ()
    url = _http_url("--api-url", api_url).rstrip("/")
    return (
        SourceSettings(
            name=masked(url),
            kind="store",
            url=url,
            keyring=defaults.keyring,
            http_proxy=defaults.http_proxy,
            ca_bundle=defaults.ca_bundle,
        ),
    )


def _check_twice(sources: Sequence[SourceSettings], file: Path) -> None:
    """Refuse a source of the file that is the one of ``--api-url`` as well."""
    for one in sources[1:]:
        if one.url and one.url.lower() == sources[0].url.lower():
            raise SettingsError(
                f"{one.place} is a source by --api-url, and '{one.name}' of {file} as well: "
                "leave one of them out."
            )


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default else action.help


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Without values: the one of a misspelt option may be a secret.
        start, unknown, words = message.partition("unrecognized arguments: ")
        shown = [word if word.startswith("-") else "..." for word in words.split()]
        told = f"{start}{unknown}{' '.join(shown)}. See --help."
        raise SettingsError(re.sub(r"(--[\w-]+)=\S*", r"\1=...", told))


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
    add_watching(daemon)
    instead = daemon.add_mutually_exclusive_group()
    instead.add_argument(
        "--check", action="store_true",
        help="look whether all is there that an install needs, also beside a running daemon: one"
        " line for each finding, exit status 1 if one is a problem",
    )  # fmt: skip
    instead.add_argument(
        "--reset", action="store_true",
        help="forget everything while no daemon runs: state, history, downloads and cache are"
        " removed; keyring and credentials stay, and so do images in the cloud",
    )  # fmt: skip

    store = parser.add_argument_group(
        "image stores", "Without any, the images that Ubuntu releases are offered."
    )
    store.add_argument(
        "--config", default="", metavar="FILE",
        help=f"sources and limits in TOML, read again at SIGHUP (without it: {DEFAULT_CONFIG},"
        " where that is there)",
    )  # fmt: skip
    store.add_argument("--api-url", default="", metavar="URL", help="an Image Store API")
    store.add_argument(
        "--keyring", default="", metavar="FILE",
        help="public keys that may sign the documents of stores that name no other (without it:"
        " DIR/keyring.gpg of --data-dir)",
    )  # fmt: skip
    store.add_argument(
        "--http-proxy", default="", metavar="URL",
        help="HTTP proxy for all downloads; without it, that of the environment",
    )  # fmt: skip
    store.add_argument(
        "--ca-bundle", default="", metavar="FILE",
        help="certificate authorities in PEM; without it, those of the system",
    )  # fmt: skip

    add_cloud(parser)
    add_limits(parser)
    add_cache(parser)
    return parser


def _required(value: str, message: str) -> str:
    if not value:
        raise SettingsError(message)
    return value


def _path(value: str) -> Path | None:
    return Path(value).expanduser().absolute() if value else None


def _http_url(option: str, value: str) -> str:
    if not is_http_url(value):
        raise SettingsError(
            f"{option} must be a URL like http://host:port/path, not '{masked(value)}'."
        )
    return value


def _readable(option: str, value: str) -> str:
    if value and not Path(value).is_file():
        raise SettingsError(f"{option} names {value}, which is not a file.")
    return value

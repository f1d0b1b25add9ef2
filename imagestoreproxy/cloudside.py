"""The cloud that images go into, and the keys that come from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.clouds import credentials as sources_of_credentials
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.fake import FakeCloud
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.model.running import Place
from imagestoreproxy.ports import Background, Cloud
from imagestoreproxy.ports.metering import NO_METERS, Meters


@dataclass(frozen=True, slots=True)
class AnyClient:
    """Keys of ``--fake-eucalyptus``: every ``ClientId`` has the same secret."""

    secret: str

    def secret_for(self, client_id: str) -> str | None:
        return self.secret


@dataclass(frozen=True, slots=True)
class OneClient:
    """The keys the proxy itself uses: the Store tab signs with the same administrator's."""

    credentials: Credentials

    def secret_for(self, client_id: str) -> str | None:
        known = client_id == self.credentials.access_key
        return self.credentials.secret_key if known else None


def find_credentials(settings: Settings, environ: Mapping[str, str]) -> Credentials:
    """Give the cloud's credentials from where the settings say that they are.

    Raises:
        SettingsError: they are not there, or not complete.
    """
    if settings.credentials_dir:
        found = sources_of_credentials.from_directory(Path(settings.credentials_dir))
    elif settings.profile:
        found = sources_of_credentials.from_profile(settings.profile, environ)
    else:
        found = sources_of_credentials.from_environment(environ)
    return found.with_urls(settings.ec2_url, settings.s3_url)


def place_of(settings: Settings, credentials: Credentials | None) -> Place:
    """Tell where installed images are run, and where the credentials for that are."""
    directory = settings.credentials_dir
    return Place(
        ec2_url=credentials.ec2_url if credentials else "",
        region=settings.region,
        eucarc=str(Path(directory).absolute() / "eucarc") if directory else "",
        profile=settings.profile,
        is_fake=credentials is None,
    )


def make_cloud(
    settings: Settings,
    credentials: Credentials | None,
    background: Background,
    meters: Meters = NO_METERS,
) -> Cloud:
    """Give the cloud to install into; the fake one without credentials."""
    if credentials is None:
        return FakeCloud(background, settings.data_dir / "fake-cloud.json", meters)
    return Ec2Cloud(
        background,
        credentials,
        region=settings.region,
        ca_bundle=settings.ca_bundle,
        signatures=settings.signatures,
        public_read_fallback=settings.public_read_fallback,
        taking=settings.taking,
        meters=meters,
    )

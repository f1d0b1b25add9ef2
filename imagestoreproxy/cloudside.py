"""The cloud that images go into, and the keys that come from there."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imagestoreproxy.clouds.administrators import Administrators
from imagestoreproxy.clouds.credentials import Credentials, expanded
from imagestoreproxy.clouds.current import Choice, CurrentCloud
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.euca2ools.cloud import Euca2oolsCloud, taking_with
from imagestoreproxy.clouds.euca2ools.found import euca2ools_found
from imagestoreproxy.clouds.euca2ools.ground import Ground
from imagestoreproxy.clouds.fake import FakeCloud
from imagestoreproxy.clouds.frontend.found import FoundWallet
from imagestoreproxy.clouds.frontend.search import Places, Search
from imagestoreproxy.clouds.underway import UnderWay
from imagestoreproxy.clouds.wallet import Wallet
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.model.errors import CloudError, DiskError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.running import Place
from imagestoreproxy.ports import Background, Clock, Journal, Stop
from imagestoreproxy.ports.metering import NO_METERS, Meters
from imagestoreproxy.ports.programs import Programs

# How often files are compared; and, without credentials, how often they are looked for.
LOOK_S = 3.0
SEARCH_S = 30.0
NOBODY = (
    "The proxy has no credentials of its cloud yet, so it knows nobody who may ask. On its "
    "machine, image-store-proxy --check and the log tell why."
)
SEARCHING = "The credentials of the cloud are still being looked for."


@dataclass(frozen=True, slots=True)
class AnyClient:
    """Keys of ``--fake-eucalyptus``: every ``ClientId`` has the same secret."""

    secret: str
    absence = ""

    def secret_for(self, client_id: str) -> str | None:
        return self.secret


@dataclass(frozen=True, slots=True)
class KnownClients:
    """The keys that the proxy itself uses, as the Store tab does, and those of administrators."""

    wallet: FoundWallet
    administrators: Administrators | None

    @property
    def absence(self) -> str:
        return "" if any(self._pairs()) else NOBODY

    def secret_for(self, client_id: str) -> str | None:
        found, asked = None, _bytes(client_id)
        # All of them, to their end: how long it takes says nothing of which one it is.
        for access_key, secret in self._pairs():
            if hmac.compare_digest(_bytes(access_key), asked):
                found = secret
        return found

    def _pairs(self) -> Iterator[tuple[str, str]]:
        if self.administrators is not None:
            yield from self.administrators.secrets.items()
        if (known := self.wallet.known) is not None:
            yield known.access_key, known.secret_key


def _bytes(text: str) -> bytes:
    # What an environment has that is no UTF-8 stays what it is.
    return text.encode("utf-8", "surrogatepass")


class CloudSide:
    """Credentials of a real cloud, and who may ask because of them.

    Args:
        background: for what may take long.
        may_fetch: credentials may be fetched, and kept in the data directory.

    Attributes:
        is_looking: they have not been looked for yet.

    Raises:
        SettingsError: an option names the home of nobody.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        programs: Programs,
        background: Background,
        *,
        may_fetch: bool = True,
    ) -> None:
        places = Places(
            data_dir=settings.data_dir,
            environ=environ,
            directory=settings.credentials_dir,
            profile=settings.profile,
            ec2_url=settings.ec2_url,
            s3_url=settings.s3_url,
            prefix=settings.eucalyptus,
            region=settings.region,
            ca_bundle=settings.ca_bundle,
            may_fetch=may_fetch,
        )
        self.is_looking = True
        self._searched_at_s = -SEARCH_S
        self._settings = settings
        self._background = background
        self.wallet = FoundWallet(Search(places, programs))
        self.administrators = (
            Administrators(expanded(settings.administrators, "--administrators"))
            if settings.administrators
            else None
        )
        self.keys = KnownClients(self.wallet, self.administrators)

    async def look(self) -> None:
        """Look for credentials and administrators now; what is wrong is in their ``problem``."""
        await self._background.run(self._look)
        self.is_looking = False

    def again(self) -> None:
        """Somebody says that things have changed: look at once."""
        self.wallet.again()
        self._searched_at_s = -SEARCH_S

    async def run(self, clock: Clock, journal: Journal) -> None:
        """Look again and again, and log what has changed; ends with a cancel."""
        told: list[str] = []
        while True:
            now_s = clock.monotonic_s()
            if self.wallet.known is not None or now_s - self._searched_at_s >= SEARCH_S:
                self._searched_at_s = now_s
                await self.look()
            elif self.administrators:
                await self._background.run(lambda _stop: self._administrators())
            said = self.told()
            for line in said:
                if line not in told:
                    journal.info("{line}", line=line)
            told = said
            await clock.sleep(LOOK_S)

    def told(self) -> list[str]:
        """Say what there is, and what is wrong with it, a line for each."""
        found, people = self.wallet.known, self.administrators
        lines = [self.wallet.problem] if self.wallet.problem else []
        if found is not None:
            lines += [f"credentials from {found.origin}", *found.missing(), *found.warnings()]
        if people is not None:
            lines += [people.problem] if people.problem else [self._people()]
            lines += [people.warning] if people.warning else []
        return lines

    def place(self) -> Place:
        """Tell where installed images are run, and where the credentials for that are."""
        found = self.wallet.known
        if found is None:
            return Place(region=self._settings.region)
        return Place(
            ec2_url=found.ec2_url,
            region=self._settings.region,
            eucarc=str(Path(found.directory) / "eucarc") if found.directory else "",
            profile=found.profile,
            loading=found.loading,
        )

    async def findings(self) -> list[Finding]:
        """Tell what was found last, without looking again."""
        found, people = self.wallet.known, self.administrators
        problems = [self.wallet.problem] if self.wallet.problem else []
        notes = []
        if people is not None:
            problems += [people.problem] if people.problem else []
            notes += [self._people(), people.warning]
        if found is None:
            return [Finding("credentials", " ".join(problems or [SEARCHING]))]
        if self.wallet.problem:
            problems.append("What was read before is still used.")
        if found.is_own_certificate:
            notes.append("bundles are signed with a certificate of the proxy's own")
        note = "; ".join(filter(None, [found.origin, *notes]))
        return [Finding("credentials", " ".join([*problems, *found.missing()]), note)]

    def _people(self) -> str:
        people = self.administrators
        if people is None:
            return ""
        count = len(people.secrets)
        return f"{count} administrator{'' if count == 1 else 's'} in {people.path}"

    def _look(self, stop: Stop) -> None:
        self._administrators()
        with suppress(CloudError):  # the wallet keeps why
            self.wallet.credentials(stop)

    def _administrators(self) -> None:
        if self.administrators is not None:
            self.administrators.look()


async def look_for_credentials(side: CloudSide | None) -> list[Finding]:
    """Look for credentials, and tell what was found."""
    if side is None:
        return await no_credentials()
    await side.look()
    return await side.findings()


async def no_credentials() -> list[Finding]:
    """Tell that ``--fake-eucalyptus`` has none."""
    return [Finding("credentials", note="none are needed for --fake-eucalyptus")]


def _ground(settings: Settings) -> Ground:
    return Ground(settings.data_dir / "euca2ools")


def sweep_ground(settings: Settings, journal: Journal) -> None:
    """Remove what euca2ools have left, also where they do the work no longer: it may be large.

    Only for who holds the lock of the data directory.
    """
    try:
        _ground(settings).sweep()
    except DiskError as error:
        journal.info("{why}", why=error.message)


def make_cloud(
    settings: Settings,
    wallet: Wallet | None,
    background: Background,
    programs: Programs,
    meters: Meters = NO_METERS,
) -> CurrentCloud | FakeCloud:
    """Give the cloud to install into; the fake one without a wallet."""
    if wallet is None:
        return FakeCloud(background, settings.data_dir / "fake-cloud.json", meters)
    options: dict[str, Any] = {
        "region": settings.region,
        "ca_bundle": settings.ca_bundle,
        "signatures": settings.signatures,
        "public_read_fallback": settings.public_read_fallback,
        "taking": settings.taking,
        "meters": meters,
        "under_way": UnderWay(),
    }
    ground = _ground(settings)

    def directly(credentials: Credentials) -> Ec2Cloud:
        refused = partial(wallet.refused, credentials)
        return Ec2Cloud(background, credentials, refused=refused, **options)

    def choose(stop: Stop) -> Choice:
        found = euca2ools_found(settings.cloud, settings.euca2ools, programs, stop)
        if (tools := found.tools) is None:
            return Choice(directly, settings.taking, found.why)

        def by_tools(credentials: Credentials) -> Euca2oolsCloud:
            refused = partial(wallet.refused, credentials)
            return Euca2oolsCloud(
                background, credentials, tools, ground, refused=refused, **options
            )

        taking = taking_with(settings.taking, tools.generation)
        return Choice(by_tools, taking, found.why, f"euca2ools {tools.version}")

    return CurrentCloud(background, wallet, choose, settings.taking)

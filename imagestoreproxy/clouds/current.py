"""A cloud whose credentials may change: each piece of work is done with those of its beginning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.wallet import Wallet
from imagestoreproxy.model.bundles import Stored, Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop, Streams, unheeded


class CurrentEc2Cloud:
    """``Ec2Cloud`` for the credentials as they are at each call; without any, calls say why.

    Args:
        make: makes the cloud for some credentials.
        taking: what it can run, whatever the credentials.
        tools: by which the work is done, for people; empty: by itself.
    """

    def __init__(
        self,
        background: Background,
        wallet: Wallet,
        make: Callable[[Credentials], Ec2Cloud],
        taking: Taking,
        tools: str = "",
    ) -> None:
        self.name = "euca2ools" if tools else "ec2"
        self.bundles_on_disk = bool(tools)
        self.tools = tools
        self._taking = taking
        self._background = background
        self._wallet = wallet
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[Credentials, Ec2Cloud] | None = None

    @property
    def warnings(self) -> list[str]:
        """What is suspicious but may be meant, a sentence for each; complete after a check."""
        return self._made[1].warnings if self._made else []

    @property
    def taking(self) -> Taking:
        """What it can run."""
        return self._made[1].taking if self._made else self._taking

    @property
    def signed(self) -> str:
        """Which service wants other signatures than the usual; known after a check."""
        return self._made[1].signed if self._made else ""

    async def _now(self) -> Ec2Cloud:
        return await self._background.run(self._current)

    def _current(self, stop: Stop) -> Ec2Cloud:
        credentials = self._wallet.credentials(stop)
        with self._lock:
            if self._made is None or self._made[0] != credentials:
                self._made = (credentials, self._make(credentials))
            return self._made[1]

    async def check(self) -> None:
        cloud = await self._now()
        try:
            await cloud.check()
        except CloudError:
            # Refused, the keys may have been fetched anew.
            other = await self._now()
            if other is cloud:
                raise
            await other.check()

    async def store(self, streams: Streams) -> Sequence[Stored]:
        return await (await self._now()).store(streams)

    async def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> str:
        return await (await self._now()).seal(upload, stored, done)

    async def register(self, upload: Upload, location: str) -> str:
        return await (await self._now()).register(upload, location)

    async def find(self, bundle: Bundle, location: str) -> str:
        return await (await self._now()).find(bundle, location)

    async def registered_ids(self) -> frozenset[str]:
        return await (await self._now()).registered_ids()

    async def is_registered(self, image_id: str) -> bool:
        return await (await self._now()).is_registered(image_id)

    async def used_ids(self, image_ids: Collection[str]) -> Mapping[str, str]:
        return await (await self._now()).used_ids(image_ids)

    async def is_stored(self, location: str) -> bool:
        return await (await self._now()).is_stored(location)

    async def buckets(self) -> Sequence[str]:
        return await (await self._now()).buckets()

    async def deregister(self, image_id: str) -> None:
        await (await self._now()).deregister(image_id)

    async def remove(self, bundle: Bundle) -> None:
        await (await self._now()).remove(bundle)

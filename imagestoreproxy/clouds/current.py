"""A cloud whose credentials may change: each piece of work is done with those of its beginning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.wallet import Wallet
from imagestoreproxy.model.bundles import Stored, Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop, Streams, unheeded
from imagestoreproxy.stops import one_at_a_time


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Choice:
    """By what the work is done.

    Args:
        make: makes the cloud for some credentials.
        taking: what it can run, whatever the credentials.
        why: one sentence for people.
        tools: by which the work is done, for people; empty: by itself.
    """

    make: Callable[[Credentials], Ec2Cloud]
    taking: Taking
    why: str
    tools: str = ""


class CurrentCloud:
    """The cloud for the credentials as they are at each call; without any, calls say why.

    Args:
        choose: finds out by what the work is done; called in a worker thread.
        taking: what it can run, as long as that is not known.
    """

    def __init__(
        self,
        background: Background,
        wallet: Wallet,
        choose: Callable[[Stop], Choice],
        taking: Taking,
    ) -> None:
        self._taking = taking
        self._background = background
        self._wallet = wallet
        self._choose = choose
        self._choice: Choice | None = None
        self._choosing, self._lock = threading.Lock(), threading.Lock()
        self._made: Ec2Cloud | None = None
        self._made_for: tuple[Credentials, Choice] | None = None

    @property
    def tools(self) -> str:
        """By which tools the work is done, for people; empty: by none, or not known yet."""
        return self._choice.tools if self._choice else ""

    @property
    def name(self) -> str:
        """``ec2`` or ``euca2ools``."""
        return "euca2ools" if self.tools else "ec2"

    @property
    def bundles_on_disk(self) -> bool:
        """Tell whether tools do the work."""
        return bool(self.tools)

    def laid_down_bytes(self, bucket: str) -> int:
        """Give what lies on the disk for the bundle of a bucket."""
        return self._made.laid_down_bytes(bucket) if self._made else 0

    @property
    def warnings(self) -> list[str]:
        """What is suspicious but may be meant, a sentence for each; complete after a check."""
        return self._made.warnings if self._made else []

    @property
    def taking(self) -> Taking:
        """What it can run."""
        if self._made:
            return self._made.taking
        return self._choice.taking if self._choice else self._taking

    @property
    def signed(self) -> str:
        """Which service wants other signatures than the usual; known after a check."""
        return self._made.signed if self._made else ""

    async def choose(self, is_idle: Callable[[], bool] = _never) -> str:
        """Find out by what the work is done, and say why; else the first call does so.

        Args:
            is_idle: tells whether nothing is under way: then what was found out may change.
        """
        known = self._choice
        if known is None or not is_idle():
            return (await self._background.run(self._chosen)).why
        found = await self._background.run(self._choose)
        if found.tools != known.tools:
            if not is_idle():
                return known.why
            self._choice, self._made = found, None
        return found.why

    def _chosen(self, stop: Stop) -> Choice:
        with one_at_a_time(self._choosing, stop):
            if self._choice is None:
                self._choice = self._choose(stop)
            return self._choice

    async def _now(self) -> Ec2Cloud:
        return await self._background.run(self._current)

    def _current(self, stop: Stop) -> Ec2Cloud:
        credentials, choice = self._wallet.credentials(stop), self._chosen(stop)
        with self._lock:
            if self._made is None or self._made_for != (credentials, choice):
                self._made, self._made_for = choice.make(credentials), (credentials, choice)
            return self._made

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

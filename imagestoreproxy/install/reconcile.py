"""Comparing what is written down with what the cloud has: at start, from time to time, when asked.

Images are deregistered behind our back, clouds are reinstalled; then "installed" would be a lie.
Removed is only what a record says is ours, and what a newer installation has replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.listed import Listed, Look, Turns, of_nobody, to_look_at
from imagestoreproxy.install.together import together
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.model.errors import Cancelled, InstallError, OwnStateError
from imagestoreproxy.model.history import Happening, What
from imagestoreproxy.model.installs import Bundle, Installation, Reconciliation
from imagestoreproxy.ports import Background, Clock, Cloud, Journal, Records

EVERY_S = 3600.0
# Who asks waits a minute for the answer.
ASKED_S = 45.0
HOURLY_S = 1800.0
AT_ONCE = 4
# A cloud that is away is not asked ten thousand times.
FAILURES = 8
# Looks that needed no answer, between two turns of the reactor.
AT_A_STRETCH = 200
_OURS = re.compile(r"image-store-[0-9a-f]{16}-(kernel|ramdisk|image)")


@dataclass(slots=True)
class _Findings:
    """What one comparison has found so far, and the answers that it got.

    Args:
        until_s: monotonic; nothing is asked after that.
        left: images that were not looked at, though they should have been.
    """

    listed: Listed
    until_s: float
    ids: dict[str, bool] = field(default_factory=dict)
    locations: dict[str, bool] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    strangers: tuple[str, ...] = ()
    looked: int = 0
    left: int = 0
    failures: int = 0
    problem: str = ""


class Reconciler:
    """Keeps "installed" true.

    All is compared with two listings, of ids and of buckets. Only what these do not show is asked
    for singly, and the manifests of some each hour: see ``docs/decisions``.

    Attributes:
        next_at_s: when it compares by itself next, Unix seconds; 0 before the first time.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        undo: Undo,
        cloud: Cloud,
        records: Records,
        background: Background,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._inventory = inventory
        self._undo = undo
        self._cloud = cloud
        self._records = records
        self._background = background
        self._clock = clock
        self._journal = journal
        self._last_hour: int | None = None
        self.next_at_s = 0.0

    async def run(self) -> None:
        """Compare now, and every hour; keep a copy of what is true then. Never ends by itself."""
        while True:
            try:
                # With nothing on record the cloud is left alone, and an idle daemon stays small.
                if self._inventory.installed or self._inventory.works:
                    await self._compare(self._turns(), HOURLY_S)
                await self._records.keep_copy()
            except Cancelled:
                raise
            except Exception as error:  # an answer nobody foresaw must not end all later ones
                self._journal.failure("the comparison with the cloud failed", error)
            self.next_at_s = self._clock.now_s() + EVERY_S
            await self._clock.sleep(EVERY_S)

    async def once(self) -> Reconciliation:
        """Compare everything now; a cloud that cannot be asked changes nothing."""
        return await self._compare(Turns.of_all(self._hour()), ASKED_S)

    def _turns(self) -> Turns:
        hour = self._hour()
        last, self._last_hour = self._last_hour, hour
        return Turns(hour - 1 if last is None else last, hour)

    def _hour(self) -> int:
        return int(self._clock.now_s() // 3600)

    async def _compare(self, turns: Turns, limit_s: float) -> Reconciliation:
        until_s = self._clock.monotonic_s() + limit_s
        installations = self._inventory.all()
        found = _Findings(Listed(), until_s)
        await self._list(found)
        looks = await self._background.run(
            lambda _stop: to_look_at(installations, found.listed, turns)
        )
        await self._look(looks, found)
        try:
            await self._undo.installations(self._replaced())
        except (InstallError, OwnStateError) as error:
            self._has_problem(found, error)
        self._tell(found, len(installations), limit_s)
        return Reconciliation(
            checked=len(installations) - found.left,
            gone=tuple(found.gone),
            back=tuple(found.back),
            strangers=found.strangers,
            problem=found.problem,
        )

    def _tell(self, found: _Findings, count: int, limit_s: float) -> None:
        if found.left and not found.problem:
            found.problem = (
                f"{found.left:,} of {count:,} images could not be looked at one by one within "
                f"{limit_s:.0f} s; each has its turn within a day."
            )
            self._journal.info("{problem}", problem=found.problem)
        for stranger in found.strangers:
            self._journal.info(
                "the bucket {bucket} has a name like ours, but no record knows it: left alone",
                bucket=stranger,
            )

    def _has_problem(self, found: _Findings, error: InstallError | OwnStateError) -> None:
        self._journal.failure("the comparison with the cloud is not complete", error)
        found.problem = found.problem or error.message

    async def _list(self, found: _Findings) -> None:
        try:
            if self._inventory.installed:
                found.listed = replace(found.listed, ids=await self._cloud.registered_ids())
        except InstallError as error:
            self._has_problem(found, error)
        try:
            names = await self._cloud.buckets()
        except InstallError as error:
            self._has_problem(found, error)
            return
        buckets, bundles = frozenset(names), self._bundles()
        found.listed = replace(found.listed, buckets=buckets)
        found.strangers = await self._background.run(
            lambda _stop: of_nobody(filter(_OURS.fullmatch, buckets), bundles)
        )

    def _bundles(self) -> list[Bundle]:
        return [
            bundle
            for bundles in (
                *(one.bundles for one in self._inventory.all()),
                *(work.bundles.values() for work in self._inventory.works.values()),
            )
            for bundle in bundles
        ]

    async def _look(self, looks: Sequence[Look], found: _Findings) -> None:
        among = iter(looks)
        several = min(AT_ONCE, len(looks))
        await together(
            self._background,
            {
                f"look {number} at the cloud": self._look_at(among, found)
                for number in range(several)
            },
        )

    async def _look_at(self, among: Iterator[Look], found: _Findings) -> None:
        for look in among:
            found.looked += 1
            if found.looked % AT_A_STRETCH == 0:
                await self._clock.sleep(0)
            if found.failures >= FAILURES or self._clock.monotonic_s() > found.until_s:
                found.left += 1
                continue
            try:
                await self._settle(look.one, await self._why_gone(look, found), found)
            except (InstallError, OwnStateError) as error:
                # One image does not hide the others.
                found.left += 1
                found.failures += 1
                self._has_problem(found, error)

    async def _settle(self, one: Installation, why: str, found: _Findings) -> None:
        if (
            not self._inventory.has(one)
            or bool(why) == bool(one.gone)
            or one.image_uri in self._inventory.works
        ):
            return
        text = why or "The cloud has it again."
        told = Happening(self._clock.now_s(), What.GONE if why else What.BACK, text)
        await self._records.mark_gone(one.number, why, told)
        self._inventory.replace(one, replace(one, gone=why))
        self._journal.info(
            "{image}: {what}", image=one.image_uri, what=why or "it is in the cloud again"
        )
        (found.gone if why else found.back).append(one.image_uri)

    async def _why_gone(self, look: Look, found: _Findings) -> str:
        for bundle in look.one.bundles:
            if not await self._is_registered(bundle, found):
                what = f"The cloud no longer knows the {bundle.kind} {bundle.image_id}"
                return f"{what}. Install the image again, or forget it."
            if not await self._is_stored(bundle, found, closely=look.closely):
                what = f"The bundle {bundle.location} of {bundle.image_id} is no longer in S3"
                return f"{what}. Install the image again, or forget it."
        return ""

    async def _is_registered(self, bundle: Bundle, found: _Findings) -> bool:
        image_id, known = bundle.image_id, found.ids
        if image_id in found.listed.ids:
            return True
        if image_id not in known:
            known[image_id] = await self._cloud.is_registered(image_id)
        return known[image_id]

    async def _is_stored(self, bundle: Bundle, found: _Findings, *, closely: bool) -> bool:
        location, known = bundle.location, found.locations
        if not location or (found.listed.has_bucket(location) and not closely):
            return True
        if location not in known:
            known[location] = await self._cloud.is_stored(location)
        return known[location]

    def _replaced(self) -> list[Installation]:
        """Name what is gone and was installed anew: its remains help nobody."""
        return [
            one
            for uri, many in self._inventory.installed.items()
            if uri not in self._inventory.works
            for one in many[:-1]
            if one.gone
        ]

"""Keeps images that are followed up to date, and removes what is older than they shall keep."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from imagestoreproxy.install.actions import Actions
from imagestoreproxy.install.follows import Follows
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.outlook import COMING, Outlook, Usage, look_ahead, words
from imagestoreproxy.install.undo import Undo
from imagestoreproxy.model.errors import (
    CallerError,
    Cancelled,
    InstallError,
    OwnStateError,
    StoreProxyError,
)
from imagestoreproxy.model.follows import KEEP_MOST, Follow, Followed
from imagestoreproxy.model.history import Happening, What
from imagestoreproxy.model.installs import ACTIVE, Installation, State
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.model.windows import Window
from imagestoreproxy.ports import Clock, Cloud, Journal, Records, Sources

EVERY_S = 60.0
# How soon it is looked at again when a catalogue, or what is installed, has changed.
STEP_S = 2.0
# When the cloud is asked again for what it was not to remove, or could not be asked for.
USED_AGAIN_S = 3600.0
AWAY_AGAIN_S = 600.0
# Images looked at between two turns of the reactor.
AT_A_STRETCH = 100
REPLACED = "A newer version has taken its place, and it is being removed."


class Follower:
    """``shop.Following``, and the loop that does what it tells.

    Attributes:
        window: when versions may be installed; what has begun goes on beyond its end.
    """

    def __init__(
        self,
        *,
        follows: Follows,
        inventory: Inventory,
        actions: Actions,
        sources: Sources,
        undo: Undo,
        cloud: Cloud,
        records: Records,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self.window = Window()
        self._follows = follows
        self._inventory = inventory
        self._actions = actions
        self._sources = sources
        self._undo = undo
        self._cloud = cloud
        self._records = records
        self._clock = clock
        self._journal = journal
        self._usages: dict[str, Usage] = {}
        self._next_turn_s = 0.0

    def follows(self) -> Sequence[Followed]:
        """Tell of each image that is followed, by title."""
        statuses = {status.name: status for status in self._sources.statuses()}
        told = [self._told(follow, statuses) for follow in self._follows.all()]
        return sorted(told, key=lambda one: (one.title, one.follow.image_uri))

    async def follow(self, image_uri: str, *, keep: int, even_if_used: bool) -> Followed:
        """Follow an image; one that is not installed is installed at once.

        Args:
            keep: how many installations stay, 0 for all.

        Raises:
            CallerError: it makes no sense; nothing is followed.
        """
        if not 0 <= keep <= KEEP_MOST:
            raise CallerError(f"Keep must be a number from 0 (all) to {KEEP_MOST}.")
        work = self._inventory.works.get(image_uri)
        if work and work.state is State.REMOVING:
            raise CallerError("This image is being uninstalled; try again in a moment.", 409)
        self._follows.check_room(image_uri)
        is_paused = work is not None and work.state is State.PAUSED
        if not (is_paused or self._inventory.newest(image_uri)):
            await self._actions.install(image_uri)
        follow = await self._follows.put(image_uri, keep=keep, even_if_used=even_if_used)
        self._usages.pop(image_uri, None)
        return self._told(follow, {one.name: one for one in self._sources.statuses()})

    async def unfollow(self, image_uri: str) -> None:
        """Follow an image no longer; it stays as it is.

        Raises:
            CallerError: 409, it is not followed.
        """
        if not await self._follows.drop(image_uri):
            raise CallerError("This image is not followed.", 409)

    async def run(self) -> None:
        """Look at each image every minute, and soon after a change. Never ends by itself."""
        while True:
            seen = self._revision()
            try:
                await self.once()
            except Cancelled:
                raise
            except Exception as error:  # an answer nobody foresaw must not end all later ones
                self._journal.failure("bringing images up to date failed", error)
            until_s = self._clock.monotonic_s() + EVERY_S
            self._next_turn_s = self._clock.now_s() + EVERY_S
            while self._clock.monotonic_s() < until_s and self._revision() == seen:
                await self._clock.sleep(STEP_S)

    async def once(self) -> None:
        """Do what is due, one image after the other; in no order, so that none is always last."""
        follows = list(self._follows.all())
        random.shuffle(follows)
        known = {follow.image_uri for follow in follows}
        self._usages = {uri: usage for uri, usage in self._usages.items() if uri in known}
        for count, follow in enumerate(follows, start=1):
            uri = follow.image_uri
            if count % AT_A_STRETCH == 0:
                await self._clock.sleep(0)
            try:
                await self._trim(uri)
                await self._update(uri)
            except StoreProxyError as error:
                self._journal.failure("{image} cannot be brought up to date", error, image=uri)

    def _revision(self) -> tuple[object, ...]:
        return (
            self._sources.revision,
            self._inventory.revision,
            self._follows.revision,
            self.window,
        )

    def _outlook(self, follow: Follow) -> Outlook:
        now_s = self._clock.now_s()
        return look_ahead(follow, self._inventory, self._sources, self.window, now_s)

    async def _update(self, uri: str) -> None:
        follow = self._follows.find(uri)
        if follow is None or self._is_busy():
            return
        outlook, now_s = self._outlook(follow), self._clock.now_s()
        if not outlook.is_due(now_s):
            return
        version = outlook.version
        tries = follow.tries + 1 if follow.tried_version == version else 1
        tried = replace(follow, tried_version=version, tries=tries, tried_at_s=now_s, problem="")
        if not await self._follows.update(follow, tried):
            return
        if uri in self._inventory.works and self._inventory.works[uri].state in ACTIVE:
            return  # somebody has clicked meanwhile, and may have paused it already
        self._journal.info("{image} is followed: installing {version}", image=uri, version=version)
        try:
            await self._actions.install(uri, is_update=True)
        except StoreProxyError as error:
            await self._follows.update(tried, replace(tried, problem=error.message))
            raise

    def _is_busy(self) -> bool:
        """Tell whether an image that is followed is being installed: the next one waits for it.

        Not for one that is being taken back: that may last for as long as the cloud refuses it.
        """
        return any(
            work.state in COMING and self._follows.find(uri)
            for uri, work in self._inventory.works.items()
        )

    async def _trim(self, uri: str) -> None:
        follow = self._follows.find(uri)
        work = self._inventory.works.get(uri)
        if follow is None or (work and work.state in ACTIVE):
            return
        excess = self._outlook(follow).excess
        if not excess:
            self._usages.pop(uri, None)
            return
        ids, usage = frozenset(one.emi for one in excess), self._usages.get(uri)
        wait_s = usage.again_at_s - self._clock.now_s() if usage else 0.0
        # Longer than it ever is: the clock was set back.
        if usage and usage.ids == ids and 0 < wait_s <= USED_AGAIN_S:
            return
        used: Mapping[str, str] = {}
        try:
            if not follow.even_if_used:
                used = await self._cloud.used_ids(ids)
            if used:
                self._usages[uri] = Usage(ids, used, "", self._clock.now_s() + USED_AGAIN_S)
            for one in excess:
                if one.emi not in used:
                    await self._remove(follow, one)
        except (InstallError, OwnStateError) as error:
            again_at_s = self._clock.now_s() + AWAY_AGAIN_S
            self._usages[uri] = Usage(ids, used, error.message, again_at_s)
            raise

    async def _remove(self, follow: Follow, one: Installation) -> None:
        work = self._inventory.works.get(one.image_uri)
        is_asked_for = self._follows.find(one.image_uri) is follow and self._inventory.has(one)
        if not is_asked_for or (work and work.state in ACTIVE):
            return
        if not one.gone:
            # No install may use its kernel any more; and a crash leaves something that is removed.
            marked = replace(one, gone=REPLACED)
            self._inventory.replace(one, marked)
            text = f"Version {one.version} is removed: newer ones are installed."
            told = Happening(self._clock.now_s(), What.UNINSTALLED, text)
            await self._records.mark_gone(one.number, REPLACED, told)
            one = marked
        await self._undo.installations([one])
        self._journal.info(
            "{image} is followed: its version {version} is removed, {emi}",
            image=one.image_uri,
            version=one.version,
            emi=one.emi,
        )

    def _told(self, follow: Follow, statuses: dict[str, SourceStatus]) -> Followed:
        now_s, uri = self._clock.now_s(), follow.image_uri
        outlook, usage = self._outlook(follow), self._usages.get(uri)
        status = statuses.get(self._sources.source_of(uri))
        offered = self._sources.info(uri)
        info = offered or (outlook.installed.info if outlook.installed else None)
        return Followed(
            follow=follow,
            title=info.title if info else "",
            installed_version=outlook.installed.version if outlook.installed else "",
            offered_version=offered.version if offered else "",
            next_check_at_s=self._next_s(outlook, usage, status),
            will=words(outlook, usage, status, self.window, now_s),
        )

    def _next_s(self, outlook: Outlook, usage: Usage | None, status: SourceStatus | None) -> float:
        """Give when something may happen: a version is due, too many go, or the source is asked."""
        now_s = self._clock.now_s()
        turn_s = max(self._next_turn_s, now_s)
        times = [outlook.at_s] if outlook.version else []
        if outlook.excess:
            times.append(usage.again_at_s if usage else turn_s)
        if not times:
            times = [status.next_at_s if status and status.next_at_s > now_s else turn_s]
        return max(min(times), now_s)

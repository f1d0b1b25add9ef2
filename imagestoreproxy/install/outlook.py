"""What will be done for an image that is followed: decided here, and told before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.images import is_newer
from imagestoreproxy.model.installs import ACTIVE, Installation, State
from imagestoreproxy.model.retry import UPDATE
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.model.windows import Window
from imagestoreproxy.ports import Sources

COMING = frozenset({State.WAITING, State.DOWNLOADING, State.INSTALLING})
_UNLESS = ", unless an instance was started from it"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cloud said of the installations that are too many.

    Args:
        ids: that it was asked for.
        used: those that an instance was started from, and which.
        problem: why it could not be asked, or not remove them; empty when all is well.
        again_at_s: when it is asked again, Unix seconds.
    """

    ids: frozenset[str]
    used: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    again_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be done, and when.

    Args:
        version: that is to be installed; empty: none.
        at_s: when, Unix seconds; not after now: it is due.
        waits: why it has to wait although the window may be open; empty if nothing.
        going_on: what is being done now; empty if nothing.
        nothing: why there is nothing to install; empty if there is, or if something is going on.
        excess: installations that are too many now, oldest first.
        later: those that will be as well, once the coming version is installed.
    """

    follow: Follow
    installed: Installation | None
    version: str = ""
    at_s: float = 0.0
    waits: str = ""
    going_on: str = ""
    nothing: str = ""
    excess: Sequence[Installation] = ()
    later: Sequence[Installation] = ()

    def is_due(self, now_s: float) -> bool:
        """Tell whether the version is to be installed now."""
        return bool(self.version) and self.at_s <= now_s


def look_ahead(
    follow: Follow, inventory: Inventory, sources: Sources, window: Window, now_s: float
) -> Outlook:
    """Decide what is to be done for an image; in memory."""
    uri = follow.image_uri
    work = inventory.works.get(uri)
    installed = inventory.newest(uri)
    version, at_s, waits, going_on, nothing = "", 0.0, "", "", ""
    is_coming = False
    if work and work.state in ACTIVE:
        is_coming = work.state in COMING or work.state is State.PAUSED
        going_on = _going_on(work)
    else:
        version, nothing = _wanted(uri, installed, sources)
    if version:
        is_coming = True
        not_before_s = _not_before_s(follow, version, inventory, now_s)
        at_s = window.opens_at_s(max(now_s, not_before_s))
        if not_before_s > now_s:
            failed = work.install.error if work else ""
            waits = failed or follow.problem or f"It did not bring {version}."
    excess = _too_many(inventory.installed.get(uri, ()), follow.keep)
    coming = _too_many(inventory.installed.get(uri, ()), follow.keep, is_coming=True)
    later = [one for one in coming if is_coming and one not in excess]
    return Outlook(follow, installed, version, at_s, waits, going_on, nothing, excess, later)


def _going_on(work: Work) -> str:
    version = work.install.info.version or "it"
    if work.state is State.PAUSED:
        return f"nothing: the install of {version} is paused until somebody resumes it"
    if work.state in COMING:
        return f"{version} is being installed now"
    return "what a broken-off install left is being removed now"


def _wanted(uri: str, installed: Installation | None, sources: Sources) -> tuple[str, str]:
    """Give the version that is to be installed, or why there is none."""
    info = sources.info(uri)
    if info is None or not sources.source_of(uri):
        return "", "it is no longer offered; what is installed stays"
    if installed and not is_newer(info.version, installed.version):
        if installed.gone:
            return "", f"{installed.version} is gone from the cloud: install it again, or forget it"
        return "", f"{installed.version or 'what is installed'} is the newest"
    if info.refused:
        return "", f"{info.version} is not for this cloud: {info.refused}"
    return info.version or "it", ""


def _not_before_s(follow: Follow, version: str, inventory: Inventory, now_s: float) -> float:
    if follow.tried_version != version:
        return 0.0
    tried_at_s = follow.tried_at_s
    work = inventory.works.get(follow.image_uri)
    if work and work.state is State.FAILED:
        tried_at_s = max(tried_at_s, work.install.updated_at_s)
    # A clock that was set back must not make it wait for ever.
    return tried_at_s + UPDATE.pause_s(follow.tries, 0.5) if tried_at_s <= now_s else 0.0


def _too_many(
    installed: Sequence[Installation], keep: int, *, is_coming: bool = False
) -> list[Installation]:
    """Give the installations beyond the newest ones, oldest first; what counts is never among them.

    What is gone from the cloud counts for nothing: it would leave too few that are there.
    """
    if not keep:
        return []
    there = [one for one in installed if not one.gone]
    stay = there[max(0, len(there) - keep + is_coming) :]
    return [one for one in installed if one not in stay and (is_coming or one is not installed[-1])]


def words(
    outlook: Outlook, usage: Usage | None, status: SourceStatus | None, window: Window, now_s: float
) -> tuple[str, ...]:
    """Say what will be done, a step each."""
    found = [_first(outlook, status, window, now_s)]
    unless = "" if outlook.follow.even_if_used else _UNLESS
    for one in outlook.excess:
        found.append(_of_excess(one, usage, unless, window))
    for one in outlook.later:
        found.append(f"remove {one.version} then{unless}")
    return tuple(found)


def _first(outlook: Outlook, status: SourceStatus | None, window: Window, now_s: float) -> str:
    if outlook.going_on:
        return outlook.going_on
    if outlook.nothing:
        away = status is not None and status.problem
        if away and outlook.installed and not outlook.installed.gone:
            return f"nothing: the source cannot be asked: {status.problem if status else ''}"
        return f"nothing: {outlook.nothing}"
    if outlook.waits:
        day = f"{window.local(outlook.at_s):%Y-%m-%d %H:%M}"
        return f"wait until {day}, then install {outlook.version}: the last try failed: " + (
            outlook.waits
        )
    if outlook.is_due(now_s):
        return f"install {outlook.version} now"
    return f"install {outlook.version} at {window.local(outlook.at_s):%H:%M}"


def _of_excess(one: Installation, usage: Usage | None, unless: str, window: Window) -> str:
    if usage and one.emi in usage.used:
        return f"keep {one.version}: instance {usage.used[one.emi]} was started from it"
    if usage and usage.problem:
        at = f"{window.local(usage.again_at_s):%Y-%m-%d %H:%M}"
        return f"remove {one.version} at {at}: the last try failed: {usage.problem}"
    return f"remove {one.version} now{unless}"

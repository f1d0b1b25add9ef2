"""What was published before, and what becomes of it: versions go on, serials grow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import FileKind, is_newer
from imagestoreproxy.sources.publishing.contents import Facts, facts_from_json, facts_to_json

FORMAT = "publications:1"
# What a proxy in the middle of a download goes on with, and simplestreams lists.
KEPT_VERSIONS = 3

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as it is published."""

    kind: FileKind
    name: str
    facts: Facts

    @property
    def path(self) -> str:
        """Where it is in the published tree; the same path never has other bytes."""
        return f"files/{self.facts.sha256}/{self.name}"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an image.

    Args:
        build: its name in simplestreams, a day; those of an image sort as they were published.
    """

    name: str
    build: str
    files: tuple[PublishedFile, ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered.

    Args:
        serial: of the last publication; -1 before the first.
        facts: by path, each with size, mtime in ns and inode of the file when it was read.
        links: by path in the published tree, the same of the file that was put there.
        images: by name, the versions, the newest first.
        gone: names of those that were taken away with the last publication.
    """

    serial: int = -1
    facts: Mapping[str, tuple[Stamp, Facts]] = field(default_factory=dict)
    links: Mapping[str, Stamp] = field(default_factory=dict)
    images: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


def next_serial(state: State, now_s: float) -> int:
    """Give a serial above all earlier ones, even where the state was lost meanwhile."""
    return max(state.serial + 1, int(now_s))


def next_versions(
    before: tuple[Version, ...],
    files: tuple[PublishedFile, ...],
    *,
    image: str,
    declared: str,
    guessed: str,
    now_s: float,
) -> tuple[Version, ...]:
    """Give the versions of an image after this publication, the newest first.

    The same digests are the same version, whatever it is called; others are a newer one.

    Args:
        image: its name, for messages.
        declared: the version as ``store.toml`` has it, or empty.
        guessed: what it would be called otherwise.

    Raises:
        SettingsError: the files have changed, and the declared version is one that was published.
    """
    last = before[0] if before else None
    if last and _digests(last.files) == _digests(files):
        names = {(one.kind, one.facts.sha256): one.name for one in last.files}
        same = tuple(replace(one, name=names[one.kind, one.facts.sha256]) for one in files)
        return (replace(last, name=declared or last.name, files=same), *before[1:])
    if declared and any(one.name == declared for one in before):
        raise SettingsError(
            f"The image '{image}' has changed, but its version is still {declared}, which was "
            "published with other bytes; give it another version."
        )
    name = declared or (_newer(guessed, last.name) if last else guessed)
    new = Version(name, _build(last, now_s), files)
    return (new, *before)[:KEPT_VERSIONS]


def _digests(files: tuple[PublishedFile, ...]) -> dict[FileKind, str]:
    return {one.kind: one.facts.sha256 for one in files}


def _newer(guessed: str, last: str) -> str:
    if is_newer(guessed, last):
        return guessed
    tries = (f"{base}.{number}" for base in (guessed, last) for number in range(1, 1000))
    return next(one for one in tries if is_newer(one, last))


def _build(last: Version | None, now_s: float) -> str:
    """Give ``20261125``, then ``20261125.01``: what reads catalogues sorts them as text."""
    today = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%d")
    if last is None or last.build < today:
        return today
    day, _, number = last.build.partition(".")
    following = int(number or 0) + 1
    # As text, .100 would come before .99.
    return f"{day}.{990001 if following == 100 else following:02}"


def state_to_json(state: State) -> bytes:
    """Write it down."""
    content = {
        "format": FORMAT,
        "serial": state.serial,
        "facts": {
            path: {"stamp": stamp, **facts_to_json(facts)}
            for path, (stamp, facts) in state.facts.items()
        },
        "links": state.links,
        "images": {
            name: [
                {
                    "version": version.name,
                    "build": version.build,
                    "files": [
                        {"kind": one.kind.value, "name": one.name, **facts_to_json(one.facts)}
                        for one in version.files
                    ],
                }
                for version in versions
            ]
            for name, versions in state.images.items()
        },
        "gone": sorted(state.gone),
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def state_from_json(content: bytes) -> State | None:
    """Read it; None where it is damaged."""
    try:
        source = json.loads(content)
        if source["format"] != FORMAT:
            return None
        return State(
            serial=int(source["serial"]),
            facts={
                path: (_stamp(one["stamp"]), facts_from_json(one))
                for path, one in source["facts"].items()
            },
            links={path: _stamp(stamp) for path, stamp in source["links"].items()},
            images={
                name: tuple(_version(one) for one in versions)
                for name, versions in source["images"].items()
                if versions
            },
            gone=frozenset(map(str, source["gone"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _version(source: Any) -> Version:
    files = tuple(
        PublishedFile(FileKind(one["kind"]), _plain(one["name"]), facts_from_json(one))
        for one in source["files"]
    )
    return Version(str(source["version"]), str(source["build"]), files)


def _plain(name: Any) -> str:
    if not isinstance(name, str) or "/" in name or name.startswith("."):
        raise ValueError("not a file name")
    return name


def _stamp(source: Any) -> Stamp:
    size_bytes, mtime_ns, inode = source
    return int(size_bytes), int(mtime_ns), int(inode)

"""What is installed and what is going on, in memory: asked by pages, kept in step by actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imagestoreproxy.install.work import Work
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import ACTIVE, Bundle, Installation, State
from imagestoreproxy.ports import Clock, Records, Remembered
from imagestoreproxy.ports.metering import NO_METERS, Meters


class Inventory:
    """All installs.

    Attributes:
        works: by image URI: what is going on, or has failed.
        installed: by image URI: what the cloud has, oldest first.
        revision: grows with every change of ``installed``.
    """

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.installed: dict[str, list[Installation]] = {}
        self.revision = 0
        self._let_go: set[tuple[int, str]] = set()

    def load(
        self, remembered: Remembered, records: Records, clock: Clock, meters: Meters = NO_METERS
    ) -> None:
        """Begin with what an earlier run of the daemon left."""
        for installation in remembered.installations:
            self.add(installation)
        runs = {run.token: run for run in remembered.runs}
        for install in remembered.installs:
            run = runs.get(install.token)
            self.works[install.image_uri] = Work(install, records, clock, run, meters)
        for bundle in remembered.bundles:
            self.works[bundle.image_uri].bundles[bundle.kind] = bundle

    def is_idle(self) -> bool:
        """Tell whether nothing is done, nor waits to be; what is paused may be."""
        return not any(
            work.ending or (work.state in ACTIVE and work.state is not State.PAUSED)
            for work in self.works.values()
        )

    def all(self) -> list[Installation]:
        """Give every installation."""
        return [one for many in self.installed.values() for one in many]

    def has(self, installation: Installation) -> bool:
        """Tell whether an installation is still here."""
        return any(one is installation for one in self.installed.get(installation.image_uri, ()))

    def newest(self, image_uri: str) -> Installation | None:
        """Give the installation that counts, or None."""
        found = self.installed.get(image_uri)
        return found[-1] if found else None

    def add(self, installation: Installation) -> None:
        """Take up an installation, the newest of its image."""
        self.installed.setdefault(installation.image_uri, []).append(installation)
        self.revision += 1

    def replace(self, old: Installation, new: Installation) -> None:
        """Put ``new`` in the place of ``old``, if that is still here."""
        kept = self.installed.get(old.image_uri, [])
        kept[:] = [new if one is old else one for one in kept]
        self.revision += 1

    def remove(self, installation: Installation) -> None:
        """Forget an installation, if it is still here."""
        kept = self.installed.get(installation.image_uri, [])
        kept[:] = [one for one in kept if one is not installation]
        if not kept:
            self.installed.pop(installation.image_uri, None)
        self.revision += 1

    def shared(self, kind: FileKind, content: str) -> Bundle | None:
        """Find a bundle of the same content that another installation has, and will keep."""
        for installation in self._staying():
            for bundle in installation.bundles:
                if bundle.kind is kind and content and bundle.content == content:
                    return bundle
        return None

    def is_used(self, image_id: str, *, besides: Work | Installation) -> bool:
        """Tell whether anything else consists of what is registered as ``image_id``."""
        others: list[tuple[int, Iterable[Bundle]]] = [
            *((id(one), one.bundles) for one in self.all() if one is not besides),
            *((id(one), one.bundles.values()) for one in self.works.values() if one is not besides),
        ]
        return any(
            bundle.image_id == image_id and (owner, image_id) not in self._let_go
            for owner, bundles in others
            for bundle in bundles
        )

    def let_go(self, image_id: str, owner: Work | Installation) -> None:
        """Say that ``owner`` leaves ``image_id`` to others: the last of them has to remove it."""
        self._let_go.add((id(owner), image_id))

    def has_left(self, owner: Work | Installation) -> None:
        """Forget what an owner let go, when the owner itself is gone."""
        self._let_go = {one for one in self._let_go if one[0] != id(owner)}

    def _staying(self) -> Iterator[Installation]:
        for uri, installations in self.installed.items():
            work = self.works.get(uri)
            if not (work and work.state is State.REMOVING):
                yield from (one for one in installations if not one.gone)

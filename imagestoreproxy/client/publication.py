"""One publication of a directory, from its files to what everybody sees."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from imagestoreproxy.client.inspection import Inspection, listing_of
from imagestoreproxy.outside.publication import NewTree, Publications
from imagestoreproxy.sources.publishing import storeformat, streamsformat
from imagestoreproxy.sources.publishing.candidates import Candidate, candidates
from imagestoreproxy.sources.publishing.history import (
    State,
    Version,
    next_serial,
    next_versions,
    state_from_json,
    state_to_json,
)
from imagestoreproxy.sources.publishing.names import published_name
from imagestoreproxy.sources.publishing.offers import (
    Offer,
    guessed_version,
    make_offer,
    published_files,
)
from imagestoreproxy.sources.publishing.words import STORE, STREAMS, StoreWords

DAY_S = 86400.0
_SERIAL = re.compile(rb'^ "serial": ([0-9]{1,16}),$', re.MULTILINE)


class Signer(Protocol):
    """What ``outside/gpgsign.py`` does."""

    def clearsign(self, text: bytes) -> bytes:
        """Sign readable text."""

    def detach_sign(self, content: bytes) -> bytes:
        """Give a signature alone."""

    def fingerprint(self) -> str:
        """Name the key."""

    def export_public(self, *, armor: bool = True) -> bytes:
        """Give its public half."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it.

    Args:
        fresh: names of images that are new, or have other files than before.
        not_installable: titles of those that readers of this format cannot install.
        expires_s: Unix seconds; 0: the format has no such time.
    """

    images: int
    fresh: tuple[str, ...]
    gone: tuple[str, ...]
    read_bytes: int
    serial: int
    fingerprint: str
    expires_s: float
    not_installable: tuple[str, ...] = ()


class Publishing:
    """Publishes a directory.

    Args:
        words: with title and URL.
        form: ``STORE`` or ``STREAMS``.
        tell: takes a sentence about what is going on.
        now_s: gives Unix seconds.
    """

    def __init__(
        self,
        directory: Path,
        words: StoreWords,
        signer: Signer,
        *,
        form: str = STORE,
        tell: Callable[[str], None] = lambda _sentence: None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._words = words
        self._signer = signer
        self._form = form
        self._tell = tell
        self._now_s = now_s
        self._publications = Publications(directory)

    def publish(self) -> Report:
        """Do it; whatever fails, what was published before is still there.

        Raises:
            SettingsError: something in the directory or its ``store.toml`` cannot be meant.
            OwnStateError: another publication goes on, or the key cannot sign.
            DiskError: the disk does not do as it should.
        """
        with self._publications.locked():
            fingerprint = self._signer.fingerprint()  # before hours of reading
            state = self._state()
            inspection = Inspection(self._directory, state.facts, self._tell)
            found = candidates(
                listing_of(self._directory), self._directory.resolve().name, self._words
            )
            now_s = self._now_s()
            offers = [self._offer(one, state, inspection, now_s) for one in found]
            if inspection.read_bytes:
                # Kept even if signing fails, so that the files are not read a second time.
                known = {**state.facts, **inspection.facts}
                self._publications.write_state(state_to_json(replace(state, facts=known)))
            return self._show(offers, state, inspection, fingerprint, now_s)

    def _state(self) -> State:
        content = self._publications.read_state()
        state = state_from_json(content)
        if state is not None:
            return state
        if content:
            self._tell("What was remembered of earlier publications is damaged; all is read anew.")
        current = self._publications.current()
        return State(serial=_highest_serial(current) if current else -1)

    def _offer(
        self, candidate: Candidate, state: State, inspection: Inspection, now_s: float
    ) -> Offer:
        facts = {kind: inspection.look(path) for kind, path in candidate.parts.items()}
        newest = inspection.newest_day(candidate.parts)
        words = self._words.of(candidate.name)
        versions = next_versions(
            state.images.get(candidate.name, ()),
            published_files(candidate, facts),
            image=candidate.name,
            declared=words.version,
            guessed=guessed_version(words.path or candidate.name, newest),
            now_s=now_s,
        )
        return make_offer(candidate, versions, self._words, self._icon(candidate, inspection))

    def _icon(self, candidate: Candidate, inspection: Inspection) -> str:
        icon = self._words.of(candidate.name).icon
        if not icon or "://" in icon:
            return icon
        where = f"{self._words.where}: [image.{candidate.name}]"
        facts = inspection.look_at_icon(icon, where)
        return f"files/{facts.sha256}/{published_name(icon)}"

    def _show(
        self,
        offers: list[Offer],
        state: State,
        inspection: Inspection,
        fingerprint: str,
        now_s: float,
    ) -> Report:
        previous = self._publications.current()
        serial = next_serial(state, now_s)
        tree = self._publications.begin()
        try:
            images = self._put_files(tree, offers, state, inspection)
            offers = [replace(one, versions=images[one.name]) for one in offers]
            self._put_documents(tree, offers, serial, now_s)
            offered = {one.name for one in offers}
            gone = frozenset(images) - offered
            self._publications.write_state(
                state_to_json(State(serial, inspection.facts, tree.links, images, gone))
            )
            self._publications.show(tree)
        except BaseException:
            self._publications.discard(tree)
            raise
        self._publications.clean(previous)
        before = state.images
        is_streams = self._form == STREAMS
        return Report(
            images=len(offers),
            fresh=tuple(
                one.name
                for one in offers
                if one.name not in before
                or one.name in state.gone
                or one.version.build != before[one.name][0].build
            ),
            gone=tuple(sorted(gone)),
            read_bytes=inspection.read_bytes,
            serial=serial,
            fingerprint=fingerprint,
            expires_s=0 if is_streams else self._expires_s(now_s),
            not_installable=tuple(
                one.title for one in offers if is_streams and not streamsformat.is_installable(one)
            ),
        )

    def _put_files(
        self, tree: NewTree, offers: list[Offer], state: State, inspection: Inspection
    ) -> dict[str, tuple[Version, ...]]:
        """Fill the tree; give the versions whose files are in it."""
        sources: dict[str, str] = {}
        for path, (_, facts) in inspection.facts.items():
            sources.setdefault(facts.sha256, path)

        def put(path: str, sha256: str) -> None:
            if not tree.keep(path, state.links.get(path)):
                source = sources[sha256]
                tree.add(self._directory / source, path, inspection.facts[source][0])

        images: dict[str, tuple[Version, ...]] = {}
        for offer in offers:
            for file in offer.version.files:
                put(file.path, file.facts.sha256)
            if offer.icon_uri.startswith("files/"):
                put(offer.icon_uri, offer.icon_uri.split("/")[1])
            older = tuple(one for one in offer.versions[1:] if self._is_kept(tree, one, state))
            images[offer.name] = (offer.version, *older)
        for name, versions in state.images.items():
            # What was taken away stays once more: downloads of it may go on.
            if name not in images and name not in state.gone:
                kept = tuple(one for one in versions if self._is_kept(tree, one, state))
                if kept:
                    images[name] = kept
        return images

    def _is_kept(self, tree: NewTree, version: Version, state: State) -> bool:
        kept = [tree.keep(one.path, state.links.get(one.path)) for one in version.files]
        if not all(kept):
            self._tell(f"A file of version {version.name} was written to: it is no longer kept.")
        return all(kept)

    def _put_documents(self, tree: NewTree, offers: list[Offer], serial: int, now_s: float) -> None:
        documents = (
            # As serials grow whatever the clock does: readers refuse what is older than before.
            self._streams(offers, serial)
            if self._form == STREAMS
            else self._store(offers, serial, now_s)
        )
        # In the order of paths, so that equal trees have equal sums.
        sums = "".join(f"{path.split('/')[1]}  {path}\n" for path in sorted(tree.links)).encode()
        documents |= {
            "SHA256SUMS": sums,
            "SHA256SUMS.gpg": self._signer.detach_sign(sums),
            "keyring.gpg": self._signer.export_public(armor=False),
            "key.asc": self._signer.export_public(),
        }
        for path, content in documents.items():
            tree.write(path, content)

    def _store(self, offers: list[Offer], serial: int, now_s: float) -> dict[str, bytes]:
        words = self._words
        documents = {
            f"api/images/{one.id}": self._signer.clearsign(
                storeformat.image_document(
                    one, words.url, serial=serial, now_s=now_s, expires_s=self._expires_s(now_s)
                )
            )
            for one in offers
        }
        for path, is_index in (("api/dashboard", False), ("api/search", True)):
            documents[path] = storeformat.listing(offers, words, words.url, is_index=is_index)
        return documents

    def _streams(self, offers: list[Offer], updated_s: float) -> dict[str, bytes]:
        documents = {}
        for one in streamsformat.catalogues(offers, self._words, updated_s):
            documents[f"{one.path}.json"] = one.plain
            documents[f"{one.path}.json.gpg"] = self._signer.detach_sign(one.plain)
            documents[f"{one.path}.sjson"] = self._signer.clearsign(one.to_sign)
        return documents

    def _expires_s(self, now_s: float) -> float:
        return now_s + self._words.expires_days * DAY_S


def _highest_serial(tree: Path) -> int:
    """Give the highest serial in documents that we published, where nothing else tells it."""
    serials = [-1]
    for path in (tree / "api" / "images").glob("*"):
        with suppress(OSError):
            serials += map(int, _SERIAL.findall(path.read_bytes()))
    return max(serials)


def described(report: Report, words: StoreWords, form: str, public: Path) -> Mapping[str, object]:
    """Give it as JSON has it."""
    return {
        "images": report.images,
        "unchanged": report.images - len(report.fresh),
        "new-or-changed": list(report.fresh),
        "gone": list(report.gone),
        "read-bytes": report.read_bytes,
        "serial": report.serial,
        "url": words.url if form == STREAMS else f"{words.url}/api",
        "fingerprint": report.fingerprint,
        "keyring": str(public / "keyring.gpg"),
        "not-installable": list(report.not_installable),
    }

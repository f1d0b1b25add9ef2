"""What an install would do, told before anybody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from imagestoreproxy.model.digests import algorithm_name
from imagestoreproxy.model.images import Compression, FileFormat, FileKind, ImageDocument, ImageFile
from imagestoreproxy.model.plan import Part, has_unknown_members
from imagestoreproxy.model.words import listed, size

HOSTS = 3


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file that the install needs.

    Args:
        held_bytes: of it are here already; all of them where the cache has it.
    """

    file: ImageFile
    held_bytes: int = 0

    @property
    def is_here(self) -> bool:
        """Tell whether nothing of it has to come."""
        return self.held_bytes >= self.file.size_bytes

    @property
    def missing_bytes(self) -> int:
        """Give how many bytes have to come."""
        return max(0, self.file.size_bytes - self.held_bytes)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an install would do; see ``install/previews.py``.

    Args:
        signer: name of who has signed it, as far as it is known; may be empty.
        peak_disk_bytes: the most that will be written to the data directory at one time.
        free_bytes: what may be written there for this install.
        conversions: what is done with each file, short.
        register: what is registered, in order, each with the id of another installation's that is
            taken instead; empty: it is made anew.
        steps: plain sentences, in order.
        problem: why it would fail now; empty: nothing speaks against it.
    """

    image_uri: str
    version: str
    is_upgrade: bool
    architecture: str
    virtualization: str
    fingerprint: str
    signer: str
    published_s: int
    expires_s: int
    files: Sequence[PlannedFile]
    peak_disk_bytes: int
    free_bytes: int
    conversions: Sequence[str]
    register: Sequence[tuple[FileKind, str]]
    steps: Sequence[str]
    problem: str

    @property
    def fetch_bytes(self) -> int:
        """Give how many bytes have to come."""
        return sum(one.missing_bytes for one in self.files)

    @property
    def has_room(self) -> bool:
        """Tell whether the disk has room for it."""
        return self.peak_disk_bytes <= self.free_bytes


def steps_of(
    document: ImageDocument,
    files: Sequence[PlannedFile],
    parts: Sequence[Part],
    register: Sequence[tuple[FileKind, str]],
    signer: str = "",
) -> tuple[str, ...]:
    """Say in plain sentences what will be done, in order.

    Args:
        parts: what is made anew.
        signer: name of who has signed it, where that is known.
    """
    shared = [(kind, image_id) for kind, image_id in register if image_id]
    new = [kind for kind, image_id in register if not image_id]
    steps = [
        *_fetching(files),
        *_checking(document, files, signer),
        *_unpacking(files, parts),
        *(f"Use the {kind} {image_id}, which is the same" for kind, image_id in shared),
        *(f"{verb} {_the(new)}" for verb in ("Upload", "Register") if new),
    ]
    return tuple(f"{step}." for step in steps)


def _fetching(files: Sequence[PlannedFile]) -> list[str]:
    steps = []
    if here := [one for one in files if one.is_here]:
        size_bytes = sum(one.file.size_bytes for one in here)
        steps.append(f"Take {_count(here)}, {size(size_bytes)}, that this proxy has already")
    if missing := [one for one in files if not one.is_here]:
        size_bytes = sum(one.missing_bytes for one in missing)
        rest = "the rest of " if any(one.held_bytes for one in missing) else ""
        hosts = dict.fromkeys(urlsplit(one.file.url).hostname or "?" for one in missing)
        steps.append(f"Fetch {rest}{_count(missing)}, {size(size_bytes)}, from {_few(hosts)}")
    return steps


def _checking(document: ImageDocument, files: Sequence[PlannedFile], signer: str) -> list[str]:
    if not files:
        return []
    which = "it" if len(files) == 1 else "them"
    names = listed(dict.fromkeys(algorithm_name(one.file.digest) for one in files))
    if document.info.is_unsigned or not document.fingerprint:
        return [f"Check {which} against the {names} of the listing, which nobody has signed"]
    who = f"by {signer}" if signer else f"with the key {document.fingerprint}"
    return [f"Check {which} against the {names} that is signed {who}"]


def _unpacking(files: Sequence[PlannedFile], parts: Sequence[Part]) -> list[str]:
    steps = []
    for file in (one.file for one in files):
        kinds = [part.kind for part in parts if part.file is file]
        packed = "" if file.compression is Compression.NONE else f"{file.compression}-compressed "
        if has_unknown_members(file):
            steps.append(f"Look into the {packed}tar for kernel, ramdisk and image")
        elif file.format is FileFormat.TAR:
            steps.append(f"Take {_the(kinds)} out of the {packed}tar")
        elif file.format is FileFormat.QCOW2:
            steps.append(f"Convert the {packed}{file.kind} from qcow2 to a raw disk")
        elif packed:
            steps.append(f"Unpack the {packed}{file.kind}")
    return steps


def _count(files: Sequence[PlannedFile]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _the(kinds: Sequence[FileKind]) -> str:
    return listed(kinds) if len(kinds) > 1 else f"the {listed(kinds)}"


def _few(hosts: Iterable[str]) -> str:
    names = list(hosts)
    others = len(names) - HOSTS
    return listed([*names[:HOSTS], f"{others} more"] if others > 0 else names)

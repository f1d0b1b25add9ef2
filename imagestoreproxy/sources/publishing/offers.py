"""Images as they are offered: what was found, what people say, and what was published before."""

from __future__ import annotations

from dataclasses import dataclass
from glob import escape

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import (
    Architecture,
    Compression,
    FileFormat,
    FileKind,
    Provider,
    Virtualization,
)
from imagestoreproxy.sources.publishing.candidates import Candidate
from imagestoreproxy.sources.publishing.contents import Facts
from imagestoreproxy.sources.publishing.history import PublishedFile, Version
from imagestoreproxy.sources.publishing.names import (
    architecture_of,
    id_of,
    published_name,
    title_of,
    version_of,
)
from imagestoreproxy.sources.publishing.words import ImageWords, StoreWords


@dataclass(frozen=True, slots=True)
class Offer:
    """One image in its newest version, and the earlier ones that are still there.

    Args:
        icon_uri: absolute, or a path in the published tree; empty without one.
    """

    name: str
    words: ImageWords
    title: str
    provider: Provider
    architecture: Architecture
    virtualization: Virtualization
    versions: tuple[Version, ...]
    icon_uri: str = ""

    @property
    def id(self) -> str:
        return id_of(self.name)

    @property
    def version(self) -> Version:
        return self.versions[0]

    @property
    def size_bytes(self) -> int:
        return sum(one.facts.size_bytes for one in self.version.files)


def published_files(
    candidate: Candidate, facts: dict[FileKind, Facts]
) -> tuple[PublishedFile, ...]:
    """Name the files of an image as they are published.

    A ramdisk goes into the cloud as it is, compressed or not: kernels unpack it by themselves.

    Raises:
        SettingsError: a kernel or ramdisk that is a tarball or a disk.
    """
    files = []
    for kind in FileKind:
        if kind not in candidate.parts:
            continue
        fact, path = facts[kind], candidate.parts[kind]
        if kind is not FileKind.IMAGE and fact.format is not FileFormat.RAW:
            raise SettingsError(f"{path} would be a {kind}, but it is a {fact.format}.")
        if kind is FileKind.RAMDISK:
            fact = Facts(fact.sha256, fact.size_bytes)
        if fact.members and len(candidate.parts) > 1:
            raise SettingsError(f"{path} is a tarball, so no kernel or ramdisk may be beside it.")
        files.append(PublishedFile(kind, published_name(path), fact))
    return tuple(files)


def make_offer(
    candidate: Candidate, versions: tuple[Version, ...], store: StoreWords, icon_uri: str = ""
) -> Offer:
    """Say all that is offered of an image.

    Raises:
        SettingsError: its files cannot boot in the way that ``store.toml`` says.
    """
    words = store.of(candidate.name)
    kinds = {
        kind for one in versions[0].files for kind in (dict(one.facts.members) or {one.kind: ""})
    }
    virtualization = Virtualization.PARAVIRTUAL if FileKind.KERNEL in kinds else Virtualization.HVM
    if words.virtualization is Virtualization.HVM and len(kinds) > 1:
        raise SettingsError(
            f"{store.where}: [image.{candidate.name}] is to be hvm, which boots by itself, but has "
            f"a {'kernel' if FileKind.KERNEL in kinds else 'ramdisk'}."
        )
    if FileKind.RAMDISK in kinds and FileKind.KERNEL not in kinds:
        raise SettingsError(f"The image '{candidate.name}' has a ramdisk, but no kernel.")
    return Offer(
        name=candidate.name,
        words=words,
        title=words.title or title_of(candidate.name),
        provider=words.provider or store.provider,
        architecture=words.architecture or architecture_of(candidate.name),
        virtualization=words.virtualization or virtualization,
        versions=versions,
        icon_uri=icon_uri,
    )


def guessed_version(name: str, newest_day: str) -> str:
    """Give the version that an image has where nobody says it.

    Args:
        newest_day: of the newest file, ``20261125``.
    """
    return version_of(name) or newest_day


def members_of(fact: Facts) -> dict[str, str]:
    """Give the members of a tar as patterns that match these names and no others."""
    return {kind.value: escape(name) for kind, name in fact.members}


def is_plain(fact: Facts, wanted: FileFormat) -> bool:
    """Tell whether a file is of this format, and not compressed."""
    return fact.format is wanted and fact.compression is Compression.NONE

"""What is kept of a catalogue once it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from imagestoreproxy.model.images import Architecture, ImageFile, ImageInfo, Virtualization


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that an index points at.

    Args:
        path: relative to the mirror root, and safe.
        format: ``products:1.0``, or ``index:1.0`` for a further index; a hint, may be empty.
        datatype: ``image-downloads`` where files are offered; a hint, may be empty.
        updated_s: Unix seconds; 0 where it is not said.
    """

    content_id: str
    path: str
    format: str = ""
    datatype: str = ""
    updated_s: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """An ``index:1.0``.

    Args:
        updated_s: Unix seconds; 0 where it is not said.
        dropped: how many entries made no sense.
    """

    updated_s: int
    entries: tuple[Entry, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a catalogue comes from.

    Args:
        root: of the mirror, with a slash at its end.
        mirrors: further roots that hold the same files.
        title: of the source, for people; may be empty.
        is_unsigned: nobody vouches for what it says.
        name: of the source.
    """

    root: str
    mirrors: tuple[str, ...] = ()
    title: str = ""
    is_unsigned: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """The files of one version that this cloud gets."""

    files: tuple[ImageFile, ...]
    architecture: Architecture
    virtualization: Virtualization
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a product.

    Args:
        name: the catalogue's; newer ones sort behind older ones, byte by byte.
        pubname: the name it is published under elsewhere; may be empty.
        build: ``None`` where nothing of it can be installed.
        refused: why not; empty if it can.
    """

    name: str
    pubname: str
    build: Build | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tags of a product say, in words for people.

    Args:
        system: ``Ubuntu``.
        release: the name of a release: ``noble``; may be empty.
        codename: ``Noble Numbat``; may be empty.
        number: of the release, ``24.04``; may be empty.
        release_title: ``24.04 LTS``; may be empty.
        variant: of LXC and Incus: ``cloud``; may be empty.
        label: of the version: ``release``, ``beta2``, ``daily``; may be empty.
        arch: the source's word.
        releases: every word by which the release is known, in lower case.
        is_supported: ``None`` where it is not said.
        support_ends: a day, ``2029-05-31``; may be empty.
        login_user, ports: as in ``ImageInfo``.
    """

    system: str
    release: str
    codename: str
    number: str
    release_title: str
    variant: str
    label: str
    arch: str
    releases: tuple[str, ...]
    is_supported: bool | None
    support_ends: str
    is_lts: bool = False
    is_daily: bool = False
    is_minimal: bool = False
    is_devel: bool = False
    login_user: str = ""
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A product as an image: ``info`` speaks of the newest version that can be installed.

    Args:
        name: the catalogue's.
        uri: of the image; of one version of it, see ``uris.image_uri``.
        versions: the newest last.
        refused: why no version can be installed; empty if one can.
    """

    name: str
    uri: str
    info: ImageInfo
    facts: Facts
    versions: tuple[Version, ...]
    refused: str = ""

    @property
    def offered(self) -> Version | None:
        """The newest version that can be installed."""
        return next((one for one in reversed(self.versions) if one.build is not None), None)

    def version(self, name: str) -> Version | None:
        """Give a version by its name."""
        return next((one for one in self.versions if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Tally:
    """Where every product of a catalogue went.

    Args:
        passed_over: files that were not even considered as they are damaged or not to be trusted.
    """

    products: int
    versions: int
    offered: int
    filtered: int
    refused: tuple[tuple[str, int], ...]
    passed_over: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """A ``products:1.0`` as this cloud sees it.

    Args:
        updated_s: Unix seconds; 0 where it is not said.
        filtered: how many products are not wanted.
        dropped: reasons, and how many products each kept from being shown at all.
        passed_over: reasons, and how many files each kept from being considered.
    """

    origin: Origin
    content_id: str
    datatype: str
    updated_s: int
    products: tuple[Product, ...]
    filtered: int = 0
    dropped: tuple[tuple[str, int], ...] = ()
    passed_over: tuple[tuple[str, int], ...] = ()

    def product(self, name: str) -> Product | None:
        """Give a product by the catalogue's name for it."""
        return next((one for one in self.products if one.name == name), None)

    def tally(self) -> Tally:
        """Account for every product: offered, refused for a reason, or filtered."""
        refused = Counter(one.refused for one in self.products if one.refused)
        refused.update(dict(self.dropped))
        offered = sum(1 for one in self.products if not one.refused)
        return Tally(
            products=offered + sum(refused.values()) + self.filtered,
            versions=sum(len(one.versions) for one in self.products),
            offered=offered,
            filtered=self.filtered,
            refused=counted(refused),
            passed_over=self.passed_over,
        )


def counted(reasons: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Give reasons and counts, the most frequent first."""
    return tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))

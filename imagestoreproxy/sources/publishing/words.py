"""What people say of a store and its images; ``docs/publishing.md`` tells how they write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Architecture, Provider, Virtualization

PORT = 52781
STORE, STREAMS = "store", "simplestreams"
STORE_FILE = "store.toml"
EXPIRES_DAYS = 90
LONGEST_EXPIRES_DAYS = 3650
CONTENT_ID = "org.example.store:released:download"


@dataclass(frozen=True, slots=True)
class ImageWords:
    """What is said of one image; whatever is empty is found out or left out.

    Args:
        path: the file or directory, relative to the published one; empty: found by the name.
        icon: a path like ``path``, or an http(s) URI.
        support_ends: a day, ``2029-05-31``.
        os, release, release_title, aliases: for simplestreams.
    """

    path: str = ""
    title: str = ""
    summary: str = ""
    description_html: str = ""
    version: str = ""
    architecture: Architecture | None = None
    virtualization: Virtualization | None = None
    tags: tuple[str, ...] = ()
    login_user: str = ""
    ports: tuple[int, ...] = ()
    icon: str = ""
    provider: Provider | None = None
    os: str = ""
    release: str = ""
    release_title: str = ""
    aliases: tuple[str, ...] = ()
    is_supported: bool = True
    support_ends: str = ""


@dataclass(frozen=True, slots=True)
class SectionWords:
    """A heading, and the names of the images below it."""

    title: str
    summary: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreWords:
    """What is said of the whole store.

    Args:
        where: the file that says it, for messages.
        url: below which the published tree can be reached; empty: not said.
    """

    where: str = "store.toml"
    title: str = ""
    summary: str = ""
    url: str = ""
    content_id: str = CONTENT_ID
    expires_days: int = EXPIRES_DAYS
    provider: Provider = field(default_factory=Provider)
    sections: tuple[SectionWords, ...] = ()
    images: Mapping[str, ImageWords] = field(default_factory=dict)

    def of(self, name: str) -> ImageWords:
        """Give what is said of an image; nothing is fine."""
        return self.images.get(name, ImageWords())

    def check_names(self, names: frozenset[str]) -> None:
        """See that every image that is spoken of is there.

        Raises:
            SettingsError: one is not.
        """
        spoken = {name: f"[image.{name}]" for name in self.images}
        for section in self.sections:
            spoken.update((name, f"the section '{section.title}'") for name in section.images)
        for name, place in spoken.items():
            if name not in names:
                raise SettingsError(
                    f"{self.where}: {place} is about the image '{name}', but there is none of that "
                    f"name; there are {_some(names)}."
                )


def _some(names: frozenset[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:10]) + (", ..." if len(shown) > 10 else "")

"""Which images a directory holds, by the names of its files.

Each of its subdirectories with a kernel, ramdisk or image in it is one image, and so is each disk
(``.img``, ``.qcow2``, ``.raw``) and each tarball beside them. A kernel or ramdisk in the directory
itself makes it one as well, with the file ``image``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.sources.publishing.names import kind_of, stem_of
from imagestoreproxy.sources.publishing.words import StoreWords

PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files that make up an image.

    Args:
        name: by which ``store.toml`` speaks of it.
        parts: paths relative to the published directory.
    """

    name: str
    parts: Mapping[FileKind, str]


def candidates(
    listing: Mapping[str, Sequence[str]], own_name: str, words: StoreWords
) -> tuple[Candidate, ...]:
    """Find the images, in the order of their names.

    Args:
        listing: of the directory ("") and its subdirectories, the names of the files in each.
        own_name: of the directory.

    Raises:
        SettingsError: no image at all, two of one name, a directory with two kernels or with no
            image, or a path of ``store.toml`` that is not there.
    """
    renamed = {one.path.strip("/"): name for name, one in words.images.items() if one.path}
    found: dict[str, Candidate] = {}
    for path, name, parts in _found(listing, own_name):
        candidate = Candidate(renamed.pop(path, name), parts)
        other = found.setdefault(candidate.name, candidate)
        if other is not candidate:
            raise SettingsError(
                f"Two images would be called '{candidate.name}': {_shown(other)} and "
                f"{_shown(candidate)}. Rename one, or name its path in {words.where}."
            )
    for path, name in renamed.items():
        raise SettingsError(
            f"{words.where}: the path '{path}' of [image.{name}] is no image in this directory."
        )
    if not found:
        raise SettingsError(
            "There is no image in this directory: no disk, no tarball, and no subdirectory with a "
            "kernel and an image."
        )
    words.check_names(frozenset(found))
    return tuple(found[name] for name in sorted(found))


def _found(
    listing: Mapping[str, Sequence[str]], own_name: str
) -> Iterable[tuple[str, str, Mapping[FileKind, str]]]:
    """Give path, name and parts of each."""
    for directory in sorted(listing):
        names = [name for name in sorted(listing[directory]) if not name.startswith(".")]
        if directory:
            if (parts := _parts(directory, names)) and not directory.startswith("."):
                yield directory, directory, parts
            continue
        own = [name for name in names if _is_own_part(name)]
        if any(kind_of(name) is not FileKind.IMAGE for name in own):
            yield ".", own_name, _parts("", own)
            names = [name for name in names if name not in own]
        for name in names:
            if stem := stem_of(name):
                yield name, stem, {FileKind.IMAGE: name}
            elif name in own:
                yield name, own_name, {FileKind.IMAGE: name}


def _is_own_part(name: str) -> bool:
    kind = kind_of(name)
    return kind is not None and (kind is not FileKind.IMAGE or name.partition(".")[0] == "image")


def _parts(directory: str, names: Sequence[str]) -> Mapping[FileKind, str]:
    parts: dict[FileKind, str] = {}
    for name in names:
        kind = kind_of(name)
        if kind is None:
            continue
        if kind in parts:
            raise SettingsError(
                f"{directory or 'The directory'} has more than one {kind}: {parts[kind]} and "
                f"{name}; leave one of them."
            )
        parts[kind] = f"{directory}/{name}" if directory else name
    if parts and FileKind.IMAGE not in parts:
        raise SettingsError(
            f"{directory or 'The directory'} has a {next(iter(parts))}, but no image: no file "
            "'image', no disk and no tarball."
        )
    return parts


def _shown(candidate: Candidate) -> str:
    return candidate.parts[FileKind.IMAGE]

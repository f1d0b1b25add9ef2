"""A directory of images on the disk: what is in it, and what is in the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISREG

from imagestoreproxy.install.archive import member_names
from imagestoreproxy.install.members import found_members
from imagestoreproxy.install.unpack import Unpacking
from imagestoreproxy.model.errors import DiskError, SettingsError, UnpackError
from imagestoreproxy.model.images import Compression, FileFormat, FileKind
from imagestoreproxy.outside.wholefile import Stamp, WholeFile, opened, stamp_of
from imagestoreproxy.sources.publishing.candidates import PUBLIC
from imagestoreproxy.sources.publishing.contents import Facts, compression_of, format_of
from imagestoreproxy.sources.publishing.names import kind_of

ENTRIES = 100_000
# The first block of a bzip2 may be 900 kB, and before its end nothing comes out of it.
HEAD_BYTES = 2**20
LARGE_BYTES = 2**27
ICON_BYTES = 2**20
ICONS = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp")


class Inspection:
    """Looks into files, and only into those that are not what they were.

    Attributes:
        facts: by path, what was found out, with the stamp of the file.
        read_bytes: that were read for it.

    Args:
        directory: the paths are relative to it.
        known: what was found out earlier.
        tell: takes a sentence about what is going on.
    """

    def __init__(
        self,
        directory: Path,
        known: Mapping[str, tuple[Stamp, Facts]],
        tell: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._known = known
        self._tell = tell
        self.facts: dict[str, tuple[Stamp, Facts]] = {}
        self.read_bytes = 0

    def look(self, path: str) -> Facts:
        """Give the facts of a file.

        Raises:
            SettingsError: it is nothing that a cloud could take.
            DiskError: it cannot be read, or somebody writes to it.
        """
        if path not in self.facts:
            self.facts[path] = self._looked(path, _read)
        return self.facts[path][1]

    def look_at_icon(self, path: str, where: str) -> Facts:
        """Give the facts of a picture.

        Args:
            where: names it, in errors.

        Raises:
            SettingsError: it is none, too large, or not in the directory.
        """
        whole = (self._directory / path).resolve()
        is_inside = whole.is_relative_to(self._directory.resolve())
        if not is_inside or not whole.is_file() or whole.suffix.lower() not in ICONS:
            raise SettingsError(
                f"{where} names the icon '{path}', but there is no such picture in "
                f"{self._directory} (one of {' '.join(ICONS)})."
            )
        if whole.stat().st_size > ICON_BYTES:
            raise SettingsError(f"{where} names the icon '{path}', which has more than 1 MiB.")
        if path not in self.facts:
            self.facts[path] = self._looked(path, _read_icon)
        return self.facts[path][1]

    def newest_day(self, paths: Mapping[FileKind, str]) -> str:
        """Give the day, ``20261125``, on which the newest of these files was written."""
        newest_ns = max(self.facts[path][0][1] for path in paths.values())
        return time.strftime("%Y%m%d", time.gmtime(newest_ns // 10**9))

    def _looked(self, path: str, read: Callable[[WholeFile, str], Facts]) -> tuple[Stamp, Facts]:
        whole = self._directory / path
        try:
            status = whole.stat()
        except OSError as error:
            raise DiskError(f"{whole} cannot be read: {error.strerror}.") from error
        stamp = stamp_of(status)
        if not S_ISREG(status.st_mode):
            raise DiskError(f"{whole} is not a file.")
        known = self._known.get(path)
        if known and known[0] == stamp:
            return known
        if stamp[0] >= LARGE_BYTES:
            self._tell(f"Reading {path} ({stamp[0] / 10**6:.0f} MB)")
        with opened(whole) as file:
            facts = read(file, path)
            self.read_bytes += facts.size_bytes
            return file.stamp, facts


def listing_of(directory: Path) -> dict[str, list[str]]:
    """Name the files in a directory, and in its subdirectories; hidden ones are left out.

    Raises:
        DiskError: it cannot be read.
        SettingsError: too many, or a name that is not UTF-8.
    """
    try:
        with os.scandir(directory) as entries:
            found = [one for one in entries if not one.name.startswith(".") and one.name != PUBLIC]
        listing = {"": [one.name for one in found if one.is_file()]}
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry) as entries:
                    listing[entry.name] = [one.name for one in entries if one.is_file()]
    except OSError as error:
        raise DiskError(f"{directory} cannot be read: {error.strerror}.") from error
    if sum(map(len, listing.values())) > ENTRIES:
        raise SettingsError(f"{directory} has more than {ENTRIES} files.")
    for name in [*listing, *(name for names in listing.values() for name in names)]:
        if not name.isprintable():  # half a character of another encoding is not, either
            raise SettingsError(f"A name in {directory} is not plain text: {name!a}.")
    return listing


def _read(file: WholeFile, path: str) -> Facts:
    head = file.head(HEAD_BYTES)
    compression, form = compression_of(head), format_of(head, path)
    members: Mapping[FileKind, str] = {}
    if form is FileFormat.TAR:
        try:
            members = _members(file, compression)
        except UnpackError as error:
            raise SettingsError(
                f"{path} is a tarball that cannot be used: {error.message}"
            ) from error
    digest, size_bytes = file.finish()
    return Facts(digest, size_bytes, compression, form, tuple(members.items()))


def _read_icon(file: WholeFile, _path: str) -> Facts:
    return Facts(*file.finish())


def _members(file: WholeFile, compression: Compression) -> Mapping[FileKind, str]:
    """Tell which member is which, as the proxy does where nobody tells it; or by our own names."""
    blocks = file.blocks()
    if compression is not Compression.NONE:
        blocks = Unpacking(compression, 2**62, _Never()).chunks(blocks)
    names = member_names(blocks)
    try:
        return found_members(names)
    except UnpackError:
        found: dict[FileKind, str] = {}
        for name in names:
            kind = kind_of(name.rpartition("/")[2])
            if kind:
                found.setdefault(kind, name)
        if FileKind.IMAGE not in found:
            raise
        return {kind: found[kind] for kind in FileKind if kind in found}


class _Never:
    """``ports.Stop`` of work that is ended by Ctrl-C."""

    def check(self) -> None:
        pass

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

"""Unpacks a credentials archive: only plain files, only into one directory, and never much."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from pathlib import Path

from imagestoreproxy.model.errors import CloudError

# A real one has up to six files and 8 KiB.
ARCHIVE_BYTES = 2**20
FILE_BYTES = 256 * 1024
ALL_BYTES = 2**20
FILES = 32
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def unpack(archive: Path, directory: Path, origin: str) -> None:
    """Write the files of an archive into a directory that is there and empty, on the disk.

    Args:
        origin: who made the archive, for messages.

    Raises:
        CloudError: it is empty, none, too large, or wants files elsewhere.
    """
    try:
        if archive.stat().st_size > ARCHIVE_BYTES:
            raise CloudError(f"The archive of {origin} is larger than {ARCHIVE_BYTES} bytes.")
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir()]
            if not members:
                raise CloudError(f"The archive of {origin} is empty: is the cloud set up?")
            if len(members) > FILES:
                raise CloudError(f"The archive of {origin} has more than {FILES} files.")
            left_bytes = ALL_BYTES
            for member in members:
                content = _content(opened, member, min(left_bytes, FILE_BYTES), origin)
                left_bytes -= len(content)
                _write(directory / member.filename, content)
    except OSError as error:
        raise CloudError(
            f"The archive of {origin} could not be unpacked to {directory}: "
            f"{error.strerror or error}."
        ) from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError):
        raise CloudError(
            f"What {origin} gave is not a zip archive that can be read: is the cloud running?"
        ) from None
    _settle(directory)


def _content(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, limit_bytes: int, origin: str
) -> bytes:
    if not _NAME.fullmatch(member.filename):
        shown = ascii(member.filename[:100])
        raise CloudError(f"The archive of {origin} has a file named {shown}: it is not believed.")
    with opened.open(member) as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise CloudError(f"The archive of {origin} unpacks to more than is believed of one.")
    return content


def _write(path: Path, content: bytes) -> None:
    # O_EXCL: a name that is there twice is refused.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

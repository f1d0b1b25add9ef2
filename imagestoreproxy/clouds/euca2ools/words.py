"""What the tools say, read: how far they are, and their last line, without which nothing counts.

Lines of 3.x come in the end only, and nothing in between; older tools tell each step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

_MANIFEST = re.compile(r"(?:Wrote manifest|Generating manifest) (.+)")
_UPLOADED = re.compile(r"(?:Uploaded image as|Uploaded) (\S+)")
_ID = re.compile(r"[a-z]{3}-[0-9A-Za-z]{8,17}")


class Stage(Enum):
    """What ``euca-bundle-image`` is at."""

    PACKING = 0
    ENCRYPTING = 1
    SPLITTING = 2


_STAGES = {"Encrypting image": Stage.ENCRYPTING, "Splitting image": Stage.SPLITTING}


def stage_of(line: str) -> Stage | None:
    """Give the stage that begins with this line; None where none does."""
    return next((stage for start, stage in _STAGES.items() if line.startswith(start)), None)


def has_written(output: str, manifest: Path) -> bool:
    """Tell whether bundling has ended with this manifest."""
    return any(found == str(manifest) for found in _last(_MANIFEST, output))


def has_uploaded(output: str, location: str) -> bool:
    """Tell whether an upload has ended with the manifest at this place, ``BUCKET/KEY``."""
    return any(found == location for found in _last(_UPLOADED, output))


def image_id(output: str) -> str:
    """Give the id that a registration has ended with, or empty: ``IMAGE`` may stand alone."""
    for line in output.splitlines():
        word, _, rest = line.partition("\t")
        if word == "IMAGE" and _ID.fullmatch(rest.strip()):
            return rest.strip()
    return ""


def listed_ids(output: str) -> frozenset[str]:
    """Give the ids in a list of images, without those that are only listed still."""
    ids = set[str]()
    for line in output.splitlines():
        fields = line.split("\t")
        if fields[0] != "IMAGE" or len(fields) < 2 or not _ID.fullmatch(fields[1]):
            continue
        # Eucalyptus goes on listing an image that was deregistered.
        if "deregistered" not in fields[3:6]:
            ids.add(fields[1])
    return frozenset(ids)


def _last(pattern: re.Pattern[str], output: str) -> Iterable[str]:
    found = pattern.fullmatch(output.rstrip().rpartition("\n")[2].strip())
    return [found[1]] if found else []

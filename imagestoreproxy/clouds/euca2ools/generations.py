"""The generations of euca2ools, told apart by what the tools say of themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BUNDLE, UPLOAD = "euca-bundle-image", "euca-upload-bundle"
REGISTER, DEREGISTER = "euca-register", "euca-deregister"
DELETE, DESCRIBE = "euca-delete-bundle", "euca-describe-images"
VERSION = "euca-version"
NEEDED = (BUNDLE, UPLOAD, REGISTER, DEREGISTER, DELETE, DESCRIBE)


@dataclass(frozen=True, slots=True)
class Generation:
    """What tools of one age take and do; read from their source, 1.2 to 3.4.

    Args:
        name: the first version that is so.
        architectures: in the words of ``euca-bundle-image``.
        may_read_eucarc: a system-wide eucarc is preferred to the environment.
        passes: how often a bundle is written to the disk in whole.
        describes_images: a registration can be given name, architecture, kernel and ramdisk.
        knows_hvm: it can be given a virtualization.
        deletes_by_name: a bundle is deleted by the name of its manifest in the bucket; else by a
            local copy of that.
        takes_token: temporary credentials are taken.
    """

    name: str
    architectures: frozenset[str] = frozenset({"i386", "x86_64"})
    may_read_eucarc: bool = False
    passes: int = 1
    describes_images: bool = True
    knows_hvm: bool = False
    deletes_by_name: bool = False
    takes_token: bool = False


_ARM = frozenset({"i386", "x86_64", "armhf"})
V1_2 = Generation("1.2", may_read_eucarc=True, passes=3, describes_images=False)
V1_3 = Generation("1.3", may_read_eucarc=True, passes=3)
V2_0 = Generation("2.0", may_read_eucarc=True, passes=3)
V2_1 = Generation("2.1", _ARM, may_read_eucarc=True, passes=3)
V3_0 = Generation("3.0", _ARM, knows_hvm=True)
V3_1 = Generation("3.1", _ARM, knows_hvm=True, deletes_by_name=True, takes_token=True)
ALL = (V1_2, V1_3, V2_0, V2_1, V3_0, V3_1)

# 1.2 calls itself "1.0-31337", with the version of the API behind it.
_TOLD = re.compile(r"euca2ools (\d{1,3})\.(\d{1,3})|^\s*(1)\.([0-2])\b", re.MULTILINE)
_SHOWN = re.compile(r"euca2ools (\d[\w.~+-]{0,30})")


def told_generation(said: str) -> Generation | None:
    """Give the generation by the output of ``euca-version``; None where that does not tell.

    A version that is newer than all here is taken for the newest of them.
    """
    found = _TOLD.search(said)
    if not found:
        return None
    told = int(found[1] or found[3]), int(found[2] or found[4])
    known = [one for one in ALL if tuple(map(int, one.name.split("."))) <= told]
    return known[-1] if known else V1_2


def shown_version(said: str, generation: Generation) -> str:
    """Give the version for people: in full where the tools tell it, else that of the generation."""
    found = _SHOWN.search(said)
    return found[1] if found else generation.name


def built_generation(said: str) -> Generation | None:
    """Give the generation of tools that were built from the repository, where nothing else tells.

    Only the first of 1.3 call themselves so.
    """
    return V1_3 if "main-31337" in said else None


# Their help is asked for where the version says nothing.
HELPFUL = (REGISTER, DELETE, BUNDLE)


def helped_generation(helps: Mapping[str, str]) -> Generation | None:
    """Give the generation by what the tools of ``HELPFUL`` answer to ``--help``.

    None where these are no euca2ools.
    """
    register, delete, bundle = (helps.get(tool, "") for tool in HELPFUL)
    if "image" not in register.lower() or "--ramdisk" not in bundle:
        return None
    if "--virtualization-type" in register:
        return V3_1 if "--local-manifest" in delete else V3_0
    if "--product-codes" in bundle:
        return V2_1 if "armhf" in bundle else V2_0
    return V1_3 if "--name" in register else V1_2

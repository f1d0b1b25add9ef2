"""Why something is not offered: few, short, whole sentences, for they are shown and counted."""

from __future__ import annotations

from collections.abc import Iterable

from imagestoreproxy.model.images import Architecture

# Of contents.
CONTAINER = "It is a file system for containers, not a machine's disk."
NETWORK_BOOT = "It is made for starting machines over the network, as MAAS does."
NO_DOWNLOADS = "Its catalogue is not one of images to download."
ELSEWHERE = "It names images inside another cloud, and no files."
NO_DISK = "It has no file of a kind that can be installed."
EMPTY = "It has no versions."

# Of this cloud.
NOT_HVM = "It is a bootable disk (hvm), which this cloud does not take."
NOT_PARAVIRTUAL = "It is a paravirtual image, which this cloud does not take."
NO_RAMDISK = "It has no ramdisk, without which this cloud takes no paravirtual image."
NO_ARCHITECTURE = "It does not say on what machines it runs."
STRANGE_ARCHITECTURE = "It runs on a kind of machine that this proxy does not know."

# Of entries that are damaged or not to be trusted.
ONLY_MD5 = "Its file has no digest but MD5, which can be forged."
NO_DIGEST = "Its file has no digest that can be checked."
NO_SIZE = "Its file has no size that can be true."
UNSAFE_PATH = "Its file has a path that is not safe."
DAMAGED = "Its entry in the catalogue is damaged."
TOO_LARGE = "Its entry in the catalogue is larger than any needs to be."

_X86 = ("amd64", "amd64v3", "i386", "i686", "x86_64")
_ARM = ("aarch64", "arm", "arm64", "armel", "armhf")
_KNOWN = frozenset((*_X86, *_ARM, "mips64el", "ppc64el", "riscv64", "s390x"))


def other_architecture(word: str, taken: Iterable[Architecture]) -> str:
    """Say that an image does not run on the nodes of this cloud.

    Args:
        word: the source's for the architecture.
    """
    if not word:
        return NO_ARCHITECTURE
    if word not in _KNOWN:
        return STRANGE_ARCHITECTURE
    nodes = " and ".join(sorted(taken)) or "of no known kind"
    return f"It runs on {word}; this cloud's nodes are {nodes}."

"""What the tags of a product say, put into one form whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from imagestoreproxy.model.running import login_user_of, ports_of
from imagestoreproxy.sources.simplestreams.stream import Facts
from imagestoreproxy.sources.simplestreams.tags import Tags, word

RELEASES = 20

# Who writes "os" writes it in any case, and CirrOS does not write it at all.
SYSTEMS = {
    "almalinux": "AlmaLinux",
    "alt": "ALT Linux",
    "amazonlinux": "Amazon Linux",
    "archlinux": "Arch Linux",
    "busybox": "BusyBox",
    "centos": "CentOS",
    "chr": "MikroTik CHR",
    "cirros": "CirrOS",
    "mint": "Linux Mint",
    "openeuler": "openEuler",
    "opensuse": "openSUSE",
    "openwrt": "OpenWrt",
    "oracle": "Oracle Linux",
    "plamo": "Plamo Linux",
    "pld": "PLD Linux",
    "rockylinux": "Rocky Linux",
    "springdalelinux": "Springdale Linux",
    "ubuntu": "Ubuntu",
    "voidlinux": "Void Linux",
}
# Names that stand for "the one there is".
_ROLLING = frozenset({"current", "default"})
_EARLY = re.compile(r"(alpha|beta|rc)[ .-]?[0-9]*$")
_WORDS = re.compile(r"[a-z0-9.]+")


def facts_of(
    tags: Tags, product: str, content_id: str, same: Callable[[Any], Any] = lambda value: value
) -> Facts:
    """Read the facts.

    Args:
        tags: of the version that is offered, with all that it inherits.
        same: gives an equal value that was seen before, so that it is kept once.
    """
    label, arch, variant = (word(tags, name) for name in ("label", "arch", "variant"))
    system_word, system = _system(tags, product)
    release, number = word(tags, "release"), word(tags, "version")
    title = word(tags, "release_title")
    words = set(_WORDS.findall(f"{content_id} {product} {label} {word(tags, 'stream')}".lower()))
    words |= {piece for one in words for piece in one.split(".")}
    is_early = any(_EARLY.search(text.lower()) for text in (label, release, number))
    return Facts(
        system=same(system),
        release=same("" if release in _ROLLING else release),
        codename=same(word(tags, "release_codename")),
        number=same(number),
        release_title=same("" if title in _ROLLING else title),
        variant=same("" if variant in _ROLLING else variant),
        label=same(label),
        arch=same(arch),
        releases=same(tuple(map(same, _releases(tags, system_word, variant)))),
        is_supported={"true": True, "false": False}.get(word(tags, "supported").lower()),
        support_ends=same(_day(word(tags, "support_eol"))),
        is_lts="lts" in title.lower().split(),
        is_daily="daily" in words,
        is_minimal="minimal" in words,
        is_devel="devel" in words or is_early,
        login_user=same(login_user_of(word(tags, "login_user"))),
        ports=same(_ports(word(tags, "ports"))),
    )


def _system(tags: Tags, product: str) -> tuple[str, str]:
    """Give the word for the system, in lower case, and its name for people."""
    told = word(tags, "os")
    known = [piece for piece in re.split("[^a-z0-9]+", product.lower()) if piece in SYSTEMS]
    if told:
        return told.lower(), SYSTEMS.get(told.lower(), told[:1].upper() + told[1:])
    if known:
        return known[0], SYSTEMS[known[0]]
    if word(tags, "release") or word(tags, "version"):
        vendor = product.partition(":")[0].rpartition(".")[2]
        return vendor.lower(), vendor[:1].upper() + vendor[1:]
    return "", ""


def _releases(tags: Tags, system: str, variant: str) -> list[str]:
    """Give every word for the release, each once.

    Ubuntu's aliases are like ``24.04,n,noble,lts,default``, LXC's like
    ``debian/bullseye/cloud,debian/11/cloud``. Single letters come round again every 13 years.
    """
    found = [word(tags, "release"), word(tags, "version")]
    for alias in word(tags, "aliases", 1000).split(","):
        pieces = alias.strip().split("/")
        found.append(pieces[0] if len(pieces) == 1 else pieces[1])
    known = dict.fromkeys(one.lower() for one in found if len(one) > 1 or one.isdigit())
    others = {system, variant.lower()} - {"default"}
    return [one for one in known if one not in others][:RELEASES]


def _ports(text: str) -> tuple[int, ...]:
    """Read ``80,443``: tags are single words in this format."""
    pieces = [one.strip() for one in text.split(",")]
    return ports_of([int(one) for one in pieces if one.isascii() and one.isdecimal()])


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""

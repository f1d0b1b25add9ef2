"""Products in words that a person understands."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import escape
from urllib.parse import urlsplit

from imagestoreproxy.model.images import ImageInfo, Provider, Virtualization
from imagestoreproxy.sources.simplestreams.stream import Build, Facts, Origin, Version

MIB = 2**20

# Who may log in to an image as it comes, by the system's name.
LOGINS = {"Ubuntu": "ubuntu", "CirrOS": "cirros"}
_UNREMARKABLE = re.compile("(minimal )?release|daily|stable|", re.IGNORECASE)
_EFI = re.compile(r"uefi1\.img$")


def image_info(
    uri: str,
    product: str,
    facts: Facts,
    version: Version | None,
    origin: Origin,
    *,
    now_s: float,
    note: str = "",
) -> ImageInfo:
    """Describe one version of a product.

    Args:
        uri: of the image.
        product: the catalogue's name.
        version: the one that is offered; for a refused product, its newest.
        now_s: Unix seconds; tells whether the release is still supported.
        note: one more sentence for the summary.
    """
    size_bytes = version.build.size_bytes if version and version.build else 0
    refused = version.refused if version else ""
    return ImageInfo(
        uri=uri,
        title=title(facts, product),
        summary=summary(facts, version, origin, now_s=now_s, note=note),
        description_html=description(facts, version, origin),
        version=version.name if version else "",
        size_mb=-(-size_bytes // MIB),
        tags=tags(facts, origin, now_s),
        provider=provider(facts, origin),
        architecture=facts.arch,
        releases=facts.releases,
        support_ends=facts.support_ends,
        refused=refused,
        is_unsigned=origin.is_unsigned,
        login_user=login_user(facts),
        ports=facts.ports,
        source=origin.name,
    )


def title(facts: Facts, product: str) -> str:
    """Give ``Ubuntu 24.04 LTS (Noble Numbat), amd64`` and its like."""
    if not facts.system:
        return ", ".join(filter(None, (product, facts.arch)))
    name = facts.release_title or facts.number or facts.release
    if name.lower().startswith(facts.system.lower()):
        name = name[len(facts.system) :].strip()
    words = [facts.system, "Minimal" if facts.is_minimal else "", name]
    if not _UNREMARKABLE.fullmatch(facts.label):
        words.append(facts.label)
    words.append(_in_brackets(facts, name))
    build = "daily build" if facts.is_daily else "development build" if facts.is_devel else ""
    return ", ".join(filter(None, (" ".join(filter(None, words)), build, facts.arch)))


def _in_brackets(facts: Facts, name: str) -> str:
    second = facts.codename
    if not second and facts.release.isalpha() and facts.release != name:
        second = facts.release
    said = ", ".join(filter(None, (second, facts.variant)))
    return f"({said})" if said else ""


def tags(facts: Facts, origin: Origin, now_s: float) -> tuple[str, ...]:
    """Give the words by which people look for an image, each once."""
    words = [
        facts.system.lower(),
        facts.release.lower(),
        facts.number.lower(),
        facts.arch,
        facts.variant.lower(),
        "lts" if facts.is_lts else "",
        "daily" if facts.is_daily else "",
        "minimal" if facts.is_minimal else "",
        "devel" if facts.is_devel else "",
        "" if is_supported(facts, now_s) else "unsupported",
        "unsigned" if origin.is_unsigned else "",
    ]
    return tuple(dict.fromkeys(filter(None, words)))


def login_user(facts: Facts) -> str:
    """Say as whom to log in: as the catalogue says, else as all images of the system have it."""
    return facts.login_user or LOGINS.get(facts.system, "")


def provider(facts: Facts, origin: Origin) -> Provider:
    """Say who made it, and which mirror offers it."""
    host = urlsplit(origin.root).hostname or ""
    return Provider(origin.title or ", ".join(filter(None, (facts.system, host))), origin.root)


def is_supported(facts: Facts, now_s: float) -> bool:
    """Tell whether the release still gets updates; where nothing is said it is taken to."""
    is_past = facts.support_ends and facts.support_ends < _today(now_s).isoformat()
    return facts.is_supported is not False and not is_past


def summary(
    facts: Facts, version: Version | None, origin: Origin, *, now_s: float, note: str = ""
) -> str:
    """Say what it is, of when, and how long it is supported; why not, if it is refused."""
    sentences = []
    if version and version.build:
        sentences.append(f"{_kind(version.build)}, build {version.name}.")
    elif version:
        sentences.append(f"{version.refused} Newest build: {version.name}.")
    sentences.append(note)
    if not is_supported(facts, now_s):
        since = ""
        if facts.support_ends and facts.support_ends <= _today(now_s).isoformat():
            since = f" since {facts.support_ends}"
        sentences.append(f"No longer supported{since}: it gets no security updates.")
    elif facts.support_ends:
        sentences.append(f"Supported until {facts.support_ends}.")
    if origin.is_unsigned:
        sentences.append("This source is not signed: nobody vouches for the image.")
    return " ".join(filter(None, sentences))


def description(facts: Facts, version: Version | None, origin: Origin) -> str:
    """Give the notes: who logs in, what the file is called, by what name it is known."""
    build = version.build if version else None
    if version is None or build is None:
        return ""
    path = build.files[0].url.removeprefix(origin.root)
    notes = []
    if login := login_user(facts):
        notes.append(f"Log in as <code>{login}</code>, with the key pair of the instance.")
    if facts.ports:
        notes.append(f"It needs these ports open: {', '.join(map(str, facts.ports))}.")
    notes.append(f"The file is <code>{escape(path)}</code> of {escape(origin.root)}.")
    if version.pubname:
        notes.append(f"Published as <code>{escape(version.pubname)}</code>.")
    if _EFI.search(path):
        notes.append("It boots by EFI alone.")
    if facts.system and "disk.qcow2" in path:
        notes.append("It is made for the virtual machines of LXD and Incus, which boot by EFI.")
    return "".join(f"<p>{note}</p>" for note in notes)


def _kind(build: Build) -> str:
    is_hvm = build.virtualization is Virtualization.HVM
    return "Bootable disk" if is_hvm else "Paravirtual image with its kernel"


def _today(now_s: float) -> date:
    return datetime.fromtimestamp(now_s, UTC).date()

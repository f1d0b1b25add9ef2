"""Images and states as the JSON objects of the UI API, fit for a page to show."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import nh3

from imagestoreproxy.model.errors import CallerError, SettingsError
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.follows import Followed
from imagestoreproxy.model.images import ImageInfo, Section
from imagestoreproxy.model.installs import ImageState, Progress, Reconciliation, Status
from imagestoreproxy.model.upstreams import SourceStatus
from imagestoreproxy.web.plain import iso as _iso
from imagestoreproxy.web.plain import text as _text

URI_CHARS = 2000
TITLE_CHARS = 500
SUMMARY_CHARS = 2000
DESCRIPTION_CHARS = 16_384
TAGS = 100
TAG_CHARS = 100
STRANGERS = 1000
VERSIONS = 1000
STEPS = 100

_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "ul", "ol", "li", "a", "h3", "h4", "code", "pre"}
_IMAGE_URI = re.compile(r"https?://[!-~]+")
# No quote, angle bracket or backslash: pages put links into attributes.
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")
_WORKING = frozenset({Status.DOWNLOADING, Status.INSTALLING})

NO_BASE = (
    "Nothing can be done from here, because the Store tab takes no IPv6 address in a link: ask for "
    "this proxy by a name, or give it --external-url=http://NAME:PORT."
)

Json = dict[str, Any]


def is_image_uri(uri: str) -> bool:
    """Tell whether this may name an image: http or https, printable ASCII, not too long."""
    return len(uri) <= URI_CHARS and _IMAGE_URI.fullmatch(uri) is not None


@lru_cache(maxsize=1024)
def image_id(image_uri: str) -> str:
    """Give the part of an address that stands for an image: unpadded base64url of its URI."""
    return base64.urlsafe_b64encode(image_uri.encode()).decode("ascii").rstrip("=")


def image_uri_of(name: bytes) -> str:
    """Undo ``image_id``.

    Raises:
        CallerError: 404, when no image URI gives this name.
    """
    try:
        uri = base64.b64decode(name + b"=" * (-len(name) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        uri = ""
    if not is_image_uri(uri) or image_id(uri).encode() != name:
        raise CallerError("There is no such image: the address does not hold an image URI.", 404)
    return uri


def base_url(host: str, *, secure: bool) -> str:
    """Give ``http(s)://host:port`` for a checked ``Host`` header; the port always stands there.

    The Store tab takes no brackets in an address, and runs on this machine: IPv6's loopback is
    ``localhost``. Any other IPv6 address gives none.
    """
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        if not _is_loopback(address):
            return ""
        host = f"localhost{rest}"
    scheme, port = ("https", 443) if secure else ("http", 80)
    has_port = ":" in host.rpartition("]")[2]
    return f"{scheme}://{host}" if has_port else f"{scheme}://{host}:{port}"


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def checked_external_url(url: str) -> str:
    """Give a configured URL of this proxy with its port written out, or empty for none.

    Raises:
        SettingsError: it is not ``http(s)://host[:port]``, or holds an IPv6 address.
    """
    if not url:
        return ""
    match = re.fullmatch(r"(https?)://([A-Za-z0-9._-]+)(:[0-9]{1,5})?/?", url)
    if match is None or not 0 < int((match[3] or ":1")[1:]) < 65536:
        raise SettingsError(
            "The external URL must be http(s)://host:port without a path, its host a name or an "
            f"IPv4 address, not '{url[:200]}'."
        )
    return base_url(match[2] + (match[3] or ""), secure=match[1] == "https")


def images_json(infos: Iterable[ImageInfo]) -> list[Json]:
    """Give the images; one whose URI the Store tab could not take is left out."""
    return [image_json(info) for info in infos if is_image_uri(info.uri)]


def problems_json(error_message: str, base: str) -> Json:
    """Give ``error-message`` where there is one."""
    problems = [error_message] if error_message else []
    if not base:
        problems.append(NO_BASE)
    return {"error-message": _text(" ".join(problems), SUMMARY_CHARS)} if problems else {}


def image_json(info: ImageInfo, *, is_brief: bool = False) -> Json:
    """Give one object of ``images``; a brief one has no description."""
    content: Json = {
        "uri": info.uri,
        "title": _text(info.title, TITLE_CHARS),
        "summary": _text(_summary(info), SUMMARY_CHARS),
        **({} if is_brief else _description_json(info)),
        "version": _text(info.version, TAG_CHARS),
        "size-in-mb": info.size_mb,
        "tags": [_text(tag, TAG_CHARS) for tag in info.tags[:TAGS]],
        "provider": {"title": _text(info.provider.title, TITLE_CHARS)},
    }
    if _is_link(info.icon_uri):
        content["icon-uri"] = info.icon_uri
    if _is_link(info.provider.uri):
        content["provider"]["uri"] = info.provider.uri
    if info.architecture:
        content["architecture"] = _text(info.architecture, TAG_CHARS)
    if info.releases:
        content["releases"] = [_text(one, TAG_CHARS) for one in info.releases[:TAGS]]
    if info.support_ends:
        content["support-ends"] = _text(info.support_ends, TAG_CHARS)
    if info.refused:
        content["refused"] = _text(info.refused, SUMMARY_CHARS)
    if info.is_unsigned:
        content["unsigned"] = True
    if info.source:
        content["source"] = _text(info.source, TITLE_CHARS)
    if info.login_user:
        content["login-user"] = info.login_user
    if info.ports:
        content["ports"] = list(info.ports)
    return content


def _description_json(info: ImageInfo) -> Json:
    return {"description-html": sanitised(_text(info.description_html, DESCRIPTION_CHARS))}


def _summary(info: ImageInfo) -> str:
    """Begin with what must not be overlooked: the Store tab shows nothing else of an image."""
    unsigned = "Not signed: nobody vouches for it." if info.is_unsigned else ""
    refused = f"Not for this cloud: {info.refused}" if info.refused else ""
    return " ".join(filter(None, (unsigned, refused, info.summary)))


def versions_json(infos: Sequence[ImageInfo]) -> list[Json]:
    """Give the versions of an image, newest first."""
    return [
        {"version": _text(info.version, TAG_CHARS), "uri": info.uri}
        for info in infos[:VERSIONS]
        if is_image_uri(info.uri)
    ]


def source_json(status: SourceStatus) -> Json:
    """Give one object of ``sources``; what is not known is left out."""
    content: Json = {
        "name": _text(status.name, TITLE_CHARS),
        "title": _text(status.title, TITLE_CHARS),
        "type": status.kind,
        "url": _text(status.place, URI_CHARS),
        "images": status.images,
        "refused": status.refused,
        "unsigned": status.is_unsigned,
    }
    for key, at_s in (
        ("fetched-at", status.fetched_at_s),
        ("published-at", status.published_s),
        ("next-refresh-at", status.next_at_s),
    ):
        if at_s:
            content[key] = _iso(at_s)
    for key, text in (("problem", status.problem), ("remark", status.remark)):
        if text:
            content[key] = _text(text, SUMMARY_CHARS)
    return content


def followed_json(followed: Followed) -> Json:
    """Give one object of ``follows``; what is not known is left out."""
    follow = followed.follow
    content: Json = {
        "image-uri": follow.image_uri,
        "title": _text(followed.title, TITLE_CHARS),
        "keep": follow.keep,
        "even-if-used": follow.even_if_used,
        "followed-since": _iso(follow.since_s),
        "next-check-at": _iso(followed.next_check_at_s),
        "will": [_text(step, SUMMARY_CHARS) for step in followed.will[:STEPS]],
    }
    for key, version in (
        ("installed-version", followed.installed_version),
        ("offered-version", followed.offered_version),
    ):
        if version:
            content[key] = _text(version, TAG_CHARS)
    return content


def section_json(section: Section) -> Json:
    """Give one object of ``sections``, but for its ``image-uris``."""
    return {
        "title": _text(section.title, TITLE_CHARS),
        "summary": _text(section.summary, SUMMARY_CHARS),
    }


def state_json(state: ImageState, base: str) -> Json:
    """Give one object of ``states``; without a base, it has no actions."""
    address = f"{base}/api/images/{image_id(state.image_uri)}/"
    content: Json = {
        "image-uri": state.image_uri,
        "status": state.status,
        "actions": {action: address + action for action in state.actions if base},
        "is-upgrade": state.is_upgrade,
    }
    if state.status in _WORKING:
        content.update(progress_json(state.progress))
    if state.status is Status.INSTALLED:
        found = {"emi": state.emi, "eki": state.eki, "eri": state.eri}
        content.update({name: image for name, image in found.items() if image})
    if state.installed_version:
        content["installed-version"] = _text(state.installed_version, TAG_CHARS)
    if state.error_message:
        content["error-message"] = _text(state.error_message, SUMMARY_CHARS)
    if state.follows:
        content["follows"] = True
    if state.updated_at_s:
        content["updated-at"] = int(state.updated_at_s)
    return content


def reconciliation_json(found: Reconciliation) -> Json:
    """Give what a comparison with the cloud found."""
    return {
        "checked": found.checked,
        "gone": list(found.gone),
        "back": list(found.back),
        "strangers": [_text(name, TITLE_CHARS) for name in found.strangers[:STRANGERS]],
        "problem": _text(found.problem, SUMMARY_CHARS),
    }


def findings_json(findings: Sequence[Finding], *, details: bool) -> Json:
    """Give what a check found.

    Args:
        details: for who has signed; a stranger sees only what is well and what is not.
    """
    bad = [finding.what for finding in findings if not finding.is_ok]
    content: Json = {
        "ready": not bad,
        "findings": [_finding(finding, details=details) for finding in findings],
    }
    if bad:
        content["error-message"] = _text(f"Not ready: {', '.join(bad)}.", SUMMARY_CHARS)
    return content


def _finding(finding: Finding, *, details: bool) -> Json:
    content: Json = {"what": finding.what, "ok": finding.is_ok}
    if details and finding.problem:
        content["problem"] = _text(finding.problem, SUMMARY_CHARS)
    if details and finding.note:
        content["note"] = _text(finding.note, SUMMARY_CHARS)
    return content


def progress_json(progress: Progress | None) -> Mapping[str, Any]:
    """Give how far work is."""
    if progress is None:
        return {"progress-percentage": 0}
    content: Json = {
        "progress-percentage": min(100, max(0, progress.percent)),
        "stage": progress.step,
        "bytes-done": progress.bytes_done,
        "bytes-total": progress.bytes_total,
        "bytes-per-second": _whole(progress.bytes_per_second),
    }
    if progress.queue_position:
        content["queue-position"] = progress.queue_position
    if progress.eta_s is not None and math.isfinite(progress.eta_s):
        content["eta-seconds"] = _whole(progress.eta_s)
    return content


def _whole(number: float) -> int:
    return max(0, round(number)) if math.isfinite(number) else 0


def _is_link(uri: str) -> bool:
    return len(uri) <= URI_CHARS and _LINK.fullmatch(uri) is not None


def _attribute(_tag: str, name: str, value: str) -> str | None:
    # ``rel`` is nh3's own: the store's is not in the list of what may stay.
    return value if name == "rel" or _is_link(value) else None


@lru_cache(maxsize=256)
def sanitised(html: str) -> str:
    """Leave of a store's HTML only what can neither run nor mislead; links only to http(s)."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}},
        attribute_filter=_attribute,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer",
    )

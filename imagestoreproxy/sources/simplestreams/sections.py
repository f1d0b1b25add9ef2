"""The products of a source under headings, what most people want first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from imagestoreproxy.model.images import Section
from imagestoreproxy.sources.simplestreams.choice import ARCHITECTURES
from imagestoreproxy.sources.simplestreams.stream import Facts, Product, counted
from imagestoreproxy.sources.simplestreams.titles import is_supported

REASONS = 6
_PARTS = re.compile(r"[0-9]+|[^0-9.\-_:+~ ]+")


def sections(products: Iterable[Product], now_s: float) -> tuple[Section, ...]:
    """Put products under headings; only those that hold something.

    The current LTS, other supported releases, daily builds, minimal images, what is no longer
    supported, and what this cloud cannot take. Within each the newest release comes first, and
    amd64 before other architectures.

    Args:
        products: of all catalogues of a source.
        now_s: Unix seconds.
    """
    sorted_products = _sorted(products)
    offered = [one for one in sorted_products if not one.refused]
    refused = [one for one in sorted_products if one.refused]
    old = [one for one in offered if not is_supported(one.facts, now_s)]
    current = [one for one in offered if is_supported(one.facts, now_s)]
    daily = [one for one in current if _is_daily(one)]
    minimal = [one for one in current if one.facts.is_minimal and not _is_daily(one)]
    usual = [one for one in current if not one.facts.is_minimal and not _is_daily(one)]
    lts = _current_lts(usual)
    lts_uris = {one.uri for one in lts}
    others = [one for one in usual if one.uri not in lts_uris]
    headings = (
        (_lts_title(lts), lts, "The current release with long-term support."),
        (_others_title(others, bool(lts)), others, ""),
        ("Daily and development builds", daily, "New every day, or not yet released."),
        ("Minimal images", minimal, "Small, for machines that nobody logs in to."),
        ("No longer supported", old, "They get no security updates."),
        ("Not for this cloud", refused, _reasons(refused)),
    )
    return tuple(
        Section(title, summary, tuple(one.uri for one in there))
        for title, there, summary in headings
        if there
    )


def _is_daily(product: Product) -> bool:
    return product.facts.is_daily or product.facts.is_devel


def _current_lts(usual: Sequence[Product]) -> list[Product]:
    marked = [one for one in usual if "lts" in one.facts.releases]
    if marked:
        return marked
    candidates = [one for one in usual if one.facts.is_lts]
    newest = max((_release_key(one.facts) for one in candidates), default=None)
    return [one for one in candidates if _release_key(one.facts) == newest]


def _lts_title(lts: Sequence[Product]) -> str:
    if not lts:
        return ""
    facts = lts[0].facts
    return f"{facts.system} {facts.release_title or facts.number}".strip()


def _others_title(others: Sequence[Product], has_lts: bool) -> str:
    if has_lts:
        return "Other supported releases"
    is_said = any(one.facts.support_ends or one.facts.is_supported for one in others)
    return "Supported releases" if is_said else "Images"


def _reasons(refused: Sequence[Product]) -> str:
    reasons = counted(Counter(one.refused for one in refused))
    told = [f"{reason} ({count})" for reason, count in reasons[:REASONS]]
    rest = sum(count for _, count in reasons[REASONS:])
    return " ".join([*told, f"Other reasons ({rest})." if rest else ""]).strip()


def _sorted(products: Iterable[Product]) -> list[Product]:
    """Sort by system, then the newest release first, then amd64 first."""
    result = sorted(products, key=lambda one: (_arch_key(one.facts.arch), one.info.title, one.uri))
    result.sort(key=lambda one: _release_key(one.facts), reverse=True)
    return sorted(result, key=lambda one: one.facts.system.lower())


def _arch_key(arch: str) -> tuple[int, str]:
    words = list(ARCHITECTURES)
    return (words.index(arch) if arch in words else len(words), arch)


def _release_key(facts: Facts) -> list[tuple[int, int, str]]:
    parts = _PARTS.findall(facts.number or facts.release)
    return [(1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts]

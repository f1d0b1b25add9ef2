"""Which products of a source its owner wants to see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from imagestoreproxy.sources.simplestreams.choice import ARCHITECTURES
from imagestoreproxy.sources.simplestreams.stream import Facts

_WORDS = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters; an empty one lets everything pass.

    Args:
        releases: ``noble``, ``24.04``, ``lts``, in any case.
        architectures: by any name: ``amd64`` is ``x86_64``.
        streams: words that stand in the content_id, in the product's name or in its label:
            ``released``, ``daily``, ``minimal``.
    """

    releases: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()

    def takes(self, facts: Facts, content_id: str, product: str) -> bool:
        """Tell whether a product passes all three."""
        return (
            _meet(self.releases, facts.releases)
            and _meet(map(_canonical, self.architectures), [_canonical(facts.arch)])
            and _meet(self.streams, _WORDS.findall(f"{content_id} {product} {facts.label}".lower()))
        )


def _meet(wanted: Iterable[str], there: Iterable[str]) -> bool:
    words = {word.lower() for word in wanted}
    return not words or not words.isdisjoint(there)


def _canonical(arch: str) -> str:
    return ARCHITECTURES.get(arch.lower(), arch.lower())

"""The pages about what comes in: the sources, and how fast it may."""

# mypy: allow-untyped-calls

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from twisted.web.iweb import IRequest

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.shop import Supply
from imagestoreproxy.web.answers import JsonResource, StoreRequest
from imagestoreproxy.web.present import source_json

MB = 10**6
HIGHEST_MB = 100_000
NAME = "limit-mb-per-s"

Json = Mapping[str, Any]


class SourcesPage(JsonResource):
    """``GET /api/sources``: how each source is."""

    def __init__(self, supply: Supply) -> None:
        super().__init__()
        self._supply = supply

    async def answer(self, request: StoreRequest) -> Json:
        return {"sources": [source_json(status) for status in self._supply.statuses()]}


class RefreshPage(JsonResource):
    """``POST /api/sources/refresh``: ask all sources now; answers like ``/api/sources``."""

    method = "POST"
    acts = True

    def __init__(self, supply: Supply) -> None:
        super().__init__()
        self._supply = supply

    async def answer(self, request: StoreRequest) -> Json:
        await self._supply.refresh()
        return {"sources": [source_json(status) for status in self._supply.statuses()]}


class BandwidthPage(JsonResource):
    """``GET /api/bandwidth``, and ``POST`` with ``limit-mb-per-s``, 0 for none."""

    acts = True

    def __init__(self, supply: Supply) -> None:
        super().__init__()
        self._supply = supply
        self._change = _ChangeBandwidth(supply)

    def render(self, request: IRequest) -> int:
        """Tell it, or change it."""
        if cast(StoreRequest, request).method == b"POST":
            return self._change.render(request)
        return super().render(request)

    async def answer(self, request: StoreRequest) -> Json:
        return _told(self._supply)


class _ChangeBandwidth(JsonResource):
    method = "POST"
    acts = True

    def __init__(self, supply: Supply) -> None:
        super().__init__()
        self._supply = supply

    async def answer(self, request: StoreRequest) -> Json:
        given = [value for name, value in request.pairs if name == NAME]
        try:
            (limit_mb,) = (float(value) for value in given)
        except ValueError:
            limit_mb = -1
        if not (math.isfinite(limit_mb) and 0 <= limit_mb <= HIGHEST_MB):
            raise CallerError(
                f"Give {NAME} once, a number of megabytes from 0 (none) to {HIGHEST_MB}."
            )
        self._supply.limit_bytes_per_s = round(limit_mb * MB)
        return _told(self._supply)


def _told(supply: Supply) -> Json:
    return {NAME: supply.limit_bytes_per_s / MB}
